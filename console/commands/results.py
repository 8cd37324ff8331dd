"""`novix results`: what came out, read outside any group."""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.answers import Wanted
    from console.openai_lines import OpenAiLines
    from runtime.ports import Record
    from runtime.settings import Loaded

    Show = Callable[[Record], Awaitable[None]]


class Form(StrEnum):
    """How results are written."""

    LINES = "lines"
    JSON = "json"
    OPENAI_BATCH = "openai-batch"


@command
def results(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted.")] = False,
    count: Annotated[int | None, typer.Option(help="Wait until there are so many, then end.", min=1)] = None,
    job: Annotated[str | None, typer.Option(help="Only this job's result; wait for it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's; with --job the default is `default`.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds that --count and --job wait; then the exit code is 3.", min=0)
    ] = 60,
    form: Annotated[
        Form, typer.Option("--format", help="lines; json: the records as they are; openai-batch: OpenAI's output file.")
    ] = Form.LINES,
    as_json: AsJson = False,
) -> Exit:
    """Print results, one per line, from the beginning of the topic to its present end.

    Reads with isolation.level=read_committed and outside any group: it takes nothing from anybody, and shows each
    result once. With --json (or --format json) each line is the record as it is on the topic. With --format
    openai-batch the results of tasks that OpenAI's batches know are written as their output file has them.
    """
    if follow and count is not None:
        raise CommandError("--follow and --count contradict each other: leave one out", Exit.USAGE)
    if as_json and form is Form.OPENAI_BATCH:
        raise CommandError("--json and --format openai-batch contradict each other: leave one out", Exit.USAGE)
    screen = Screen(as_json=as_json or form is Form.JSON)
    return asyncio.run(_results(settings(), screen, form, follow, count, job, tenant, timeout))


async def _results(
    loaded: "Loaded",
    screen: Screen,
    form: Form,
    follow: bool,
    count: int | None,
    job: str | None,
    tenant: str | None,
    timeout_s: float,
) -> Exit:
    from console import answers
    from console.kafka import connected
    from console.openai_lines import OpenAiLines

    wanted = _filter(job, tenant)
    wait_for = count if count is not None else 1 if job is not None else None
    seen = 0
    try:
        async with (
            asyncio.timeout(None if follow or wait_for is None else timeout_s),
            connected(loaded) as log,
            OpenAiLines(loaded.settings) as lines,
        ):
            show = _openai_lines(screen, lines) if form is Form.OPENAI_BATCH else _lines(screen)
            until = await answers.result_ends(log)
            async for record in answers.results_now(log, until, wanted):
                seen += 1
                await show(record)
                if count is not None and seen >= count:
                    return Exit.OK
            if not follow and (wait_for is None or seen >= wait_for):
                return Exit.OK
            async for record in answers.results_after(log, until, wanted):
                seen += 1
                await show(record)
                if not follow and wait_for is not None and seen >= wait_for:
                    return Exit.OK
    except TimeoutError:
        what = f"a result of {tenant or 'default'}/{job}" if job is not None else f"{wait_for} results"
        raise CommandError(f"{what} within {timeout_s:g} s: there are {seen}", Exit.NOT_MET) from None
    return Exit.OK


def _filter(job: str | None, tenant: str | None) -> "Wanted":
    from console import answers
    from schemas.job import DEFAULT_TENANT

    if job is not None:
        return answers.of_job(tenant or DEFAULT_TENANT, job)
    return answers.of_tenant(tenant) if tenant is not None else lambda _: True


def _lines(screen: Screen) -> "Show":
    from console import answers

    async def show(record: "Record") -> None:
        if screen.as_json:
            screen.raw(record.value or b"null")
        else:
            screen.line(answers.line(answers.document(record)))

    return show


def _openai_lines(screen: Screen, lines: "OpenAiLines") -> "Show":
    from console import answers
    from schemas import codec

    async def show(record: "Record") -> None:
        line = await lines.of(answers.document(record))
        if line is not None:
            screen.raw(codec.encode(line))

    return show
