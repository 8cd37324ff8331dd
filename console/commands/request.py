"""`novix request`: the exact HTTP request that a job would cause. Sends nothing."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import command, settings

if TYPE_CHECKING:
    from console.asked import Prepared, Whom
    from console.quotes.known import Known
    from runtime.settings import Loaded
    from schemas.assignment import Candidate
    from schemas.job import InferenceJob

LINE_MEMBERS = ("provider_model", "base_url", "adapter_weights_path", "own_key")
"""What a line may say beside its job, for that line alone; as the options of the same names."""
MOST_BYTES = 1_048_576
"""Of one job. Longer ones are refused as the router refuses them."""


@command
def request(
    file: Annotated[
        str, typer.Argument(metavar="JOB.json|JOBS.jsonl|-", help="One job, or one a line (- and .jsonl).")
    ],
    provider: Annotated[str | None, typer.Option(help="Ask this provider; default: the router's first choice.")] = None,
    provider_model: Annotated[str | None, typer.Option(help="The model as that provider calls it.")] = None,
    model: Annotated[str | None, typer.Option(help="The model on Hugging Face, instead of the job's.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Where the call would go; default: the settings.")] = None,
    own_key: Annotated[bool, typer.Option(help="As with a key of your own: directly to the provider.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Decide from settings and catalogue alone; read nothing from Kafka.")
    ] = False,
    curl: Annotated[bool, typer.Option(help="As a command line.")] = False,
) -> Exit:
    """Print the HTTP request that a job would cause, with the token hidden; send nothing.

    Where no provider is named the router's first choice is asked, as it would decide now: from the registry, accounts,
    rules, prices, breakers and budgets that Kafka has. "notes" says what of it was left out.

    JSON lines in, JSON lines out: {"provider", "model", "method", "url", "headers", "json", "data"}, or {"error"} for a
    job that causes none (exit code 1). Bytes stand in "data" as {"$bytes_b64"}. A line of several may name
    "provider_model" beside the job's members: it then goes to the job's own provider without asking the router.
    """
    from console.asked import Whom

    whom = Whom(provider, provider_model, model, base_url, own_key=own_key)
    return asyncio.run(_told(settings(), Screen(), file, whom, curl=curl, offline=offline))


async def _told(loaded: "Loaded", screen: Screen, file: str, whom: "Whom", *, curl: bool, offline: bool) -> Exit:
    from console.asked import as_curl
    from schemas import codec

    failed, said = False, set[str]()
    async with AsyncExitStack() as stack:
        asker = _Asker(loaded, whom, stack, offline=offline)
        for raw in _jobs(file):
            line = await asker.line(raw)
            failed |= "error" in line
            for note in asker.notes:
                if note not in said:
                    screen.note(f"novix: {note}")
            said.update(asker.notes)
            if curl and "error" not in line:
                screen.line(as_curl(line))
            else:
                screen.raw(codec.encode(line))
    return Exit.FAILED if failed else Exit.OK


class _Asker:
    """Answers job after job; what the router decides from is read once, and only if it is asked."""

    def __init__(self, loaded: "Loaded", whom: "Whom", stack: AsyncExitStack, *, offline: bool) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._whom = whom
        self._stack = stack
        self._offline = offline
        self._known: Known | None = None

    @property
    def notes(self) -> Sequence[str]:
        """What the router's decisions were made without."""
        return () if self._known is None else self._known.notes

    async def line(self, raw: bytes) -> dict[str, Any]:
        """The request of the job in `raw`, or why there is none."""
        from console import asked
        from schemas import codec
        from schemas.failure import FailureKind
        from schemas.job import ReadableJob, describe, read_job
        from workers.errors import ProviderError

        whom = self._whom
        try:
            document = codec.parse(raw)
            if isinstance(document, dict):
                beside = {name: document.pop(name) for name in LINE_MEMBERS if name in document}
                whom = replace(whom, **{name: value for name, value in beside.items() if not getattr(whom, name)})
                document.setdefault("id", "request")
                raw = codec.encode(document)
            reading = read_job(raw, ())
            if not isinstance(reading, ReadableJob):
                return asked.refusal(ProviderError(reading.kind, reading.message))
            return asked.shown(await self._prepared(reading.job, whom))
        except codec.Undecodable as error:
            return asked.refusal(ProviderError(FailureKind.UNDECODABLE, str(error)))
        except ProviderError as error:
            return asked.refusal(error)
        except ValidationError as error:
            return asked.refusal(ProviderError(FailureKind.INVALID_JOB, describe(error)))

    async def _prepared(self, job: "InferenceJob", whom: "Whom") -> "Prepared":
        from console import asked

        bill_to = self._settings.hf_bill_to
        if whom.provider is not None or whom.provider_model is not None:
            candidate = asked.named(whom, job, self._settings.hf_router_url)
            return asked.prepared(job, candidate, {}, bill_to=bill_to, own_key=whom.own_key)
        candidate, parameters, notes = await self._routed(
            job if whom.model is None else job.model_copy(update={"model": whom.model})
        )
        if whom.base_url is not None:
            candidate = candidate.model_copy(update={"base_url": whom.base_url})
        one = asked.prepared(job, candidate, parameters, bill_to=bill_to, own_key=whom.own_key)
        return replace(one, notes=(*notes, *one.notes))

    async def _routed(self, job: "InferenceJob") -> "tuple[Candidate, Mapping[str, Any], Sequence[str]]":
        """The router's first choice, as it would decide now, and what is to be known of it."""
        from schemas.failure import FailureKind
        from workers.errors import ProviderError
        from workers.mapping import as_called

        now = datetime.now(UTC)
        if self._known is None:
            self._known = await self._read(now)
        said, ruling = await self._known.ruling(job, now)
        if not ruling.candidates:
            raise ProviderError(ruling.kind or FailureKind.NO_CANDIDATE, ruling.message or "", nothing_sent=True)
        waits = [f"the job would wait now: {said.message}"] if said.verdict == "waiting" else []
        return as_called(ruling.candidates[0]), ruling.parameters, (*self.notes, *waits)

    async def _read(self, now: datetime) -> "Known":
        from console.quotes.known import LEFT_OUT, Known, knowing

        if not self._offline:
            return await self._stack.enter_async_context(knowing(self._loaded, now, history=False))
        known = Known(self._loaded)
        known.notes.append(f"nothing was read from Kafka: {LEFT_OUT}")
        return known


def _jobs(file: str) -> Iterator[bytes]:
    """The jobs in `file`: its lines, or the one object that a file of another name holds."""
    if file == "-":
        yield from _lines(sys.stdin.buffer)
        return
    try:
        with Path(file).open("rb") as opened:
            if file.endswith(".jsonl"):
                yield from _lines(opened)
            else:
                yield opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    while line := source.readline(MOST_BYTES + 1):
        if line.strip():
            yield line.strip()
