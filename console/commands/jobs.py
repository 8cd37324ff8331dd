"""`novix run` and `novix publish`: jobs into the topic."""

import asyncio
import io
import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings
from console.words import count, money, shown, span

if TYPE_CHECKING:
    from runtime.ports import Outgoing
    from runtime.settings import Loaded

CHUNK_BYTES = 262_144
PLAIN_INPUTS = ("feature-extraction", "text-classification")
"""Tasks whose whole input can be one text."""
LINE_LIMIT_BYTES = 1_040_000
"""With key and framing a line must fit into one record."""


@command
def run(
    prompt: Annotated[str | None, typer.Argument(help="The text to ask with.")] = None,
    task: Annotated[str, typer.Option(help="Hugging Face's name of the task.")] = "chat-completion",
    input_json: Annotated[str | None, typer.Option("--input", help="The task's whole input, as JSON.")] = None,
    model: Annotated[str, typer.Option(help="A Hugging Face model id, or auto.")] = "auto",
    provider: Annotated[str, typer.Option(help="An inference provider, or auto.")] = "auto",
    max_cost: Annotated[int | None, typer.Option(help="Price ceiling in nano-dollars (10^-9 USD).", min=0)] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest answer to a text; --input says it itself.", min=1)] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds until the answer is worthless.", min=0.1)] = 120,
    tenant: Annotated[str, typer.Option(help="Who asks and pays.")] = "default",
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; default: a new one.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Publish one job, wait for its result, print the answer (or, with --json, the whole result)."""
    job: dict[str, Any] = {
        "id": job_id or f"run-{uuid.uuid4().hex[:16]}",
        "task": task,
        "input": _input(task, prompt, input_json, max_tokens),
        "tenant": tenant,
        "timeout_s": timeout,
    }
    if model != "auto":
        job["model"] = model
    if provider != "auto":
        job["provider"] = provider
    if max_cost is not None:
        job["max_cost_nanousd"] = max_cost
    return asyncio.run(_run(settings(), Screen(as_json=as_json), job, timeout, known_id=job_id is not None))


def _input(task: str, prompt: str | None, input_json: str | None, max_tokens: int) -> dict[str, Any]:
    if (prompt is None) == (input_json is None):
        raise CommandError('give a text or --input JSON, one of them: novix run "Hi"', Exit.USAGE)
    if input_json is not None:
        try:
            document = json.loads(input_json)
        except ValueError as error:
            raise CommandError(f"--input is no JSON: {error}", Exit.USAGE) from None
        if not isinstance(document, dict):
            raise CommandError(f"--input is a {type(document).__name__}; it must be a JSON object", Exit.USAGE)
        return document
    if task == "chat-completion":
        return {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
    if task == "text-generation":
        return {"inputs": prompt, "parameters": {"max_new_tokens": max_tokens}}
    if task in PLAIN_INPUTS:
        return {"inputs": prompt}
    raise CommandError(f"--task {task} needs more than a text: give its whole input as --input JSON", Exit.USAGE)


async def _run(loaded: "Loaded", screen: Screen, job: dict[str, Any], timeout_s: float, *, known_id: bool) -> Exit:
    from console import answers
    from console.kafka import connected
    from runtime.ports import Outgoing
    from schemas import codec
    from schemas.topics import JOBS

    value = codec.encode(job)
    asked = f"{job['tenant']}/{job['id']}"
    try:
        async with asyncio.timeout(timeout_s + 5), connected(loaded) as log:
            # An id that was used before is not run again: its result may be there already.
            since = await (answers.result_beginnings(log) if known_id else answers.result_ends(log))
            outgoing = Outgoing(JOBS.name, job["tenant"].encode(), value)
            [(partition, offset)] = await log.publish([outgoing])
            wanted = answers.of_job(job["tenant"], job["id"])
            with screen.progress("waiting for the result", None):
                async for record in answers.results_after(log, since, wanted):
                    result = answers.document(record)
                    received = result.get("received") or {}
                    ours = (received.get("partition"), received.get("offset")) == (partition, offset)
                    if ours or result.get("status") != "rejected":
                        return _tell(screen, result, record.value or b"null")
    except TimeoutError:
        pass
    raise CommandError(f"no result of {asked} within {timeout_s:g} s; look with: novix why {job['id']}", Exit.NOT_MET)


def _tell(screen: Screen, result: dict[str, Any], value: bytes) -> Exit:
    from console import answers

    succeeded = result.get("status") == "succeeded"
    if screen.as_json:
        screen.raw(value)
    elif succeeded:
        screen.line(answers.text_of(result))
        served, total = result.get("served") or {}, (result.get("timing_ms") or {}).get("total")
        who = f"{served.get('model')} at {served.get('provider')}"
        screen.note(shown(f"{who}, {money(int(result.get('cost_nanousd') or 0))}, {span(total)}"))
    else:
        screen.note(f"novix: {answers.line(result)}")
    return Exit.OK if succeeded else Exit.FAILED


@command
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl|-", help="One job per line; - reads standard input.")],
    strict: Annotated[bool, typer.Option(help="End at the first line that is no JSON object.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Publish jobs as they are written, one JSON object per line, keyed by tenant.

    Lines that are no JSON objects are told by number and left out (exit code 1). Everything else is the router's to
    judge: a job that it refuses gets a result that says why.
    """
    loaded, screen = settings(), Screen(as_json=as_json)
    if file == "-":
        return asyncio.run(_publish(loaded, screen, cast(io.BufferedReader, sys.stdin.buffer), None, strict=strict))
    try:
        with Path(file).open("rb") as lines:
            total = _count_lines(lines) if screen.lively else None
            return asyncio.run(_publish(loaded, screen, lines, total, strict=strict))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None


def _count_lines(lines: io.BufferedReader) -> int:
    total = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(CHUNK_BYTES), b""))
    lines.seek(0)
    return total


async def _publish(
    loaded: "Loaded", screen: Screen, source: io.BufferedReader, total: int | None, *, strict: bool
) -> Exit:
    from console.kafka import connected, ends
    from schemas.topics import JOBS

    published, refused = 0, list[str]()
    splitter = Lines()
    async with connected(loaded) as log:
        await ends(log, JOBS.name)
        with screen.progress("publishing", total) as bar:
            while not (strict and refused) and not splitter.ended:
                # What there is now, so that jobs of a slow pipe leave as they come.
                chunk = await asyncio.to_thread(source.read1, CHUNK_BYTES)
                batch = []
                for number, line in splitter.feed(chunk):
                    outgoing = outgoing_of(line)
                    if not isinstance(outgoing, str):
                        batch.append(outgoing)
                        continue
                    refused.append(f"line {number}: {outgoing}")
                    screen.note(f"novix: {refused[-1]}")
                    if strict:
                        break
                await log.publish(batch)
                published += len(batch)
                bar.advance(len(batch))
    summary = count(published, "job") + " published"
    screen.answer(
        {"published": published, "refused": len(refused), "errors": refused[:100]},
        [summary + (f", {count(len(refused), 'line')} refused" if refused else "")],
    )
    return Exit.FAILED if refused else Exit.OK


class Lines:
    """Bytes in chunks as numbered lines, blank ones left out. Holds one unfinished line, cut where it is too long."""

    def __init__(self) -> None:
        self.ended = False
        self._number = 0
        self._partial = b""

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """The lines that `chunk` completes, counted from 1; an empty chunk is the end and completes the last one."""
        self.ended = not chunk
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if self.ended:
            whole.append(self._partial)
        # Longer than the limit is refused anyway: no more of it is kept than shows that.
        self._partial = self._partial[: LINE_LIMIT_BYTES + 1]
        numbered = enumerate(whole, self._number + 1)
        self._number += len(whole)
        return [(number, line.strip()) for number, line in numbered if line.strip()]


def outgoing_of(value: bytes) -> "Outgoing | str":
    """The record of one line, its bytes untouched and keyed by tenant; or why it is none. Pure."""
    from runtime.ports import Outgoing
    from schemas import codec
    from schemas.job import DEFAULT_TENANT
    from schemas.topics import JOBS

    if len(value) > LINE_LIMIT_BYTES:
        return f"longer than a record may be; the limit is {LINE_LIMIT_BYTES} bytes"
    try:
        document = codec.decode(value)
    except codec.Undecodable as error:
        return str(error)
    if not isinstance(document, dict):
        return f"a {type(document).__name__}; a job is a JSON object"
    tenant = document.get("tenant", DEFAULT_TENANT)
    key = tenant if isinstance(tenant, str) and tenant else DEFAULT_TENANT
    return Outgoing(JOBS.name, key.encode(), value)
