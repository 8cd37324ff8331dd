"""`novix request`: the exact HTTP request that a job would cause. Sends nothing."""

import sys
from collections.abc import Iterator, Mapping
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
    from router.view import View
    from runtime.settings import Settings
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
    curl: Annotated[bool, typer.Option(help="As a command line.")] = False,
) -> Exit:
    """Print the HTTP request that a job would cause, with the token hidden; send nothing.

    JSON lines in, JSON lines out: {"provider", "model", "method", "url", "headers", "json", "data"}, or {"error"} for a
    job that causes none (exit code 1). Bytes stand in "data" as {"$bytes_b64"}. A line of several may name
    "provider_model" beside the job's members: it then goes to the job's own provider without asking the router.
    """
    from console.asked import Whom, as_curl
    from schemas import codec

    loaded, screen = settings(), Screen()
    whom = Whom(provider, provider_model, model, base_url, own_key=own_key)
    asker = _Asker(loaded.settings, whom)
    failed = False
    for raw in _jobs(file):
        line = asker.line(raw)
        failed |= "error" in line
        if curl and "error" not in line:
            screen.line(as_curl(line))
        else:
            screen.raw(codec.encode(line))
    return Exit.FAILED if failed else Exit.OK


class _Asker:
    """Answers job after job; the router's view is made once, and only if it is asked."""

    def __init__(self, loaded: "Settings", whom: "Whom") -> None:
        self._settings = loaded
        self._whom = whom
        self._view: View | None = None

    def line(self, raw: bytes) -> dict[str, Any]:
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
            return asked.shown(self._prepared(reading.job, whom))
        except codec.Undecodable as error:
            return asked.refusal(ProviderError(FailureKind.UNDECODABLE, str(error)))
        except ProviderError as error:
            return asked.refusal(error)
        except ValidationError as error:
            return asked.refusal(ProviderError(FailureKind.INVALID_JOB, describe(error)))

    def _prepared(self, job: "InferenceJob", whom: "Whom") -> "Prepared":
        from console import asked

        bill_to = self._settings.hf_bill_to
        if whom.provider is not None or whom.provider_model is not None:
            candidate = asked.named(whom, job, self._settings.hf_router_url)
            return asked.prepared(job, candidate, {}, bill_to=bill_to, own_key=whom.own_key)
        candidate, parameters = self._routed(
            job if whom.model is None else job.model_copy(update={"model": whom.model})
        )
        if whom.base_url is not None:
            candidate = candidate.model_copy(update={"base_url": whom.base_url})
        return asked.prepared(job, candidate, parameters, bill_to=bill_to, own_key=whom.own_key)

    def _routed(self, job: "InferenceJob") -> "tuple[Candidate, Mapping[str, Any]]":
        """The router's first choice, as it would decide now."""
        from router.catalogue import load
        from router.decide import decide
        from router.view import view_of
        from schemas.failure import FailureKind
        from workers.errors import ProviderError
        from workers.mapping import as_called

        if self._view is None:
            self._view = view_of(self._settings, load(self._settings))
        now = datetime.now(UTC)
        ruling = decide(job, self._view, published=now, now=now)
        if not ruling.candidates:
            raise ProviderError(ruling.kind or FailureKind.NO_CANDIDATE, ruling.message or "", nothing_sent=True)
        return as_called(ruling.candidates[0]), ruling.parameters


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
