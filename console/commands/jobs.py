"""`novix run`: one job, and its result."""

import asyncio
import json
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings
from console.words import shown, span

if TYPE_CHECKING:
    from console.pieces import Shown
    from runtime.settings import Loaded

PLAIN_INPUTS = (
    "feature-extraction", "fill-mask", "summarization", "text-classification", "text-to-audio", "text-to-image",
    "text-to-speech", "text-to-video", "token-classification", "translation",
)  # fmt: skip
"""Tasks whose whole input can be one text."""


@command
def run(
    prompt: Annotated[str | None, typer.Argument(help="The text to ask with.")] = None,
    task: Annotated[str, typer.Option(help="Hugging Face's name of the task.")] = "chat-completion",
    input_json: Annotated[
        str | None, typer.Option("--input", help="The task's whole input, as JSON; @FILE stands for a payload.")
    ] = None,
    file: Annotated[str | None, typer.Option(help="An image, sound or video to ask about.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Write the answer's payloads there.")] = None,
    model: Annotated[str, typer.Option(help="A Hugging Face model id, or auto.")] = "auto",
    provider: Annotated[str, typer.Option(help="An inference provider, or auto.")] = "auto",
    max_cost: Annotated[int | None, typer.Option(help="Price ceiling in nano-dollars (10^-9 USD).", min=0)] = None,
    max_tokens: Annotated[int, typer.Option(help="Longest answer to a text; --input says it itself.", min=1)] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds until the answer is worthless.", min=0.1)] = 120,
    tenant: Annotated[str, typer.Option(help="Who asks and pays.")] = "default",
    job_id: Annotated[str | None, typer.Option("--id", help="The job's id; default: a new one.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer's pieces as they come.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Publish one job, wait for its result, print the answer (or, with --json, the whole result)."""
    job: dict[str, Any] = {
        "id": job_id or f"run-{uuid.uuid4().hex[:16]}",
        "task": task,
        "input": _input(task, prompt, input_json, file, max_tokens),
        "tenant": tenant,
        "timeout_s": timeout,
    }
    if model != "auto":
        job["model"] = model
    if provider != "auto":
        job["provider"] = provider
    if max_cost is not None:
        job["max_cost_nanousd"] = max_cost
    if stream:
        job["stream"] = True
    return asyncio.run(_run(settings(), Screen(as_json=as_json), job, timeout, out, known_id=job_id is not None))


def _input(task: str, prompt: str | None, input_json: str | None, file: str | None, max_tokens: int) -> dict[str, Any]:
    if file is not None and input_json is None:
        from console.payload_files import input_with

        return input_with(task, file, prompt, max_tokens)
    if (prompt is None) == (input_json is None) or file is not None:
        raise CommandError('give a text, --file or --input JSON, one of them: novix run "Hi"', Exit.USAGE)
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


async def _run(
    loaded: "Loaded", screen: Screen, job: dict[str, Any], timeout_s: float, out: str | None, *, known_id: bool
) -> Exit:
    from console import answers
    from console.kafka import connected
    from console.payload_files import with_files
    from console.pieces import Shown, following
    from runtime.ports import Outgoing
    from schemas import codec
    from schemas.topics import JOBS

    job = {**job, "input": await with_files(loaded.settings, job["task"], job["input"])}
    value = codec.encode(job)
    asked = f"{job['tenant']}/{job['id']}"
    try:
        async with asyncio.timeout(timeout_s + 5), connected(loaded) as log:
            # An id that was used before is not run again: its result may be there already.
            since = await (answers.result_beginnings(log) if known_id else answers.result_ends(log))
            outgoing = Outgoing(JOBS.name, job["tenant"].encode(), value)
            wanted = answers.of_job(job["tenant"], job["id"])
            key = answers.result_key(job["tenant"], job["id"])
            on_screen = Shown(screen) if job.get("stream") else None
            streaming = following(log, (key,), screen, on_screen.take) if on_screen else nullcontext()
            waiting = nullcontext() if job.get("stream") else screen.progress("waiting for the result", None)
            async with streaming as pieces:
                [place] = await log.publish([outgoing])
                with waiting:
                    async for record in answers.results_after(log, since, wanted):
                        result = answers.document(record)
                        if answers.is_of(result, place) or result.get("status") != "rejected":
                            if pieces is not None:
                                await pieces.caught_up()
                            return await _tell(loaded, screen, result, record.value or b"null", out, on_screen)
    except TimeoutError:
        pass
    raise CommandError(f"no result of {asked} within {timeout_s:g} s; look with: novix why {job['id']}", Exit.NOT_MET)


async def _tell(
    loaded: "Loaded", screen: Screen, result: dict[str, Any], value: bytes, out: str | None, pieces: "Shown | None"
) -> Exit:
    from console import answers
    from console.payload_files import write_out

    succeeded = result.get("status") == "succeeded"
    if screen.as_json:
        screen.raw(value)
    elif succeeded:
        text = answers.text_of(result)
        pieces.finish(text) if pieces is not None else screen.line(text)
        served, total = result.get("served") or {}, (result.get("timing_ms") or {}).get("total")
        who = f"{served.get('model')} at {served.get('provider')}"
        screen.note(shown(f"{who}, {answers.paid(result)}, {span(total)}"))
    else:
        screen.note(f"novix: {answers.line(result)}")
    if succeeded and out is not None:
        for path in await write_out(loaded.settings, Path(out), result):
            screen.note(f"wrote {path}")
    return Exit.OK if succeeded else Exit.FAILED
