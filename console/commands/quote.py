"""`novix quote`: what jobs would cost, before anything is spent or published."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded

CHUNK_BYTES = 262_144
MOST_BYTES = 1_048_576
"""Of a file that is one job."""


@command
def quote(
    file: Annotated[str, typer.Argument(metavar="JOB.json|FILE.jsonl|-", help="One job, or one a line.")],
    tenant: Annotated[
        str, typer.Option(help="Who asks and pays for lines of an OpenAI batch file; jobs say it themselves.")
    ] = "default",
    brief: Annotated[bool, typer.Option("--brief", help="Of a file of lines: the total alone.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Say what jobs would cost now, and how many would be refused and why; publish and spend nothing.

    The interval holds what nine of ten such jobs have paid, measured on this installation's own history of the last
    seven days (docs/quotes.md); without history it goes from 0 to the ceiling. Jobs of one file share their tenants'
    budgets, as if each had paid what it is quoted before the next comes. With --json a file of lines gives a line a job
    and a last one with "total"; a single job gives one object. Exit code 1 if a job would be refused.
    """
    from console.lines import are_lines

    loaded, screen = settings(), Screen(as_json=as_json)
    try:
        if file == "-":
            return asyncio.run(_lines(loaded, screen, b"", sys.stdin.buffer, tenant, brief=brief))
        with Path(file).open("rb") as source:
            head = source.read(MOST_BYTES + 1)
            if file.endswith(".jsonl") or are_lines(head):
                return asyncio.run(_lines(loaded, screen, head, source, tenant, brief=brief))
            return asyncio.run(_one(loaded, screen, head, tenant))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None


async def _one(loaded: "Loaded", screen: Screen, raw: bytes, tenant: str) -> Exit:
    from console.quotes import told
    from console.quotes.known import knowing
    from console.quotes.lines import job_of, refused
    from schemas.job import RefusedJob

    job = job_of(raw, tenant)
    if isinstance(job, str):
        raise CommandError(job)
    at = now()
    async with knowing(loaded, at) as known:
        one = refused(job) if isinstance(job, RefusedJob) else await known.quote(job.job, at)
        for note in known.notes:
            screen.note(f"novix: {note}")
        world = {"prices": known.prices, "notes": known.notes}
        screen.answer({**told.document(one), "world": world}, told.whole(one, known.prices))
    return Exit.OK if one.taken else Exit.FAILED


async def _lines(loaded: "Loaded", screen: Screen, head: bytes, source: IO[bytes], tenant: str, *, brief: bool) -> Exit:
    from console.quotes import told
    from console.quotes.known import knowing
    from console.quotes.lines import job_of, refused
    from router.quote import Sums
    from schemas.job import RefusedJob

    sums, unreadable = Sums(), 0
    at = now()
    async with knowing(loaded, at) as known:
        for note in known.notes:
            screen.note(f"novix: {note}")
        for number, line in _numbered(head, source):
            job = job_of(line, tenant)
            if isinstance(job, str):
                unreadable += 1
                shown = told.refused_line(number, job), [f"line {number}\t{job}"]
            else:
                one = refused(job) if isinstance(job, RefusedJob) else await known.quote(job.job, at, together=True)
                sums.add(one)
                shown = {"line": number, **told.document(one)}, [told.line(number, one)]
            if not brief:
                screen.answer(*shown)
        total = sums.total(loaded.settings.max_in_flight)
        world = {"prices": known.prices, "notes": known.notes}
        lines = told.summary(total) + ([f"lines that are no jobs: {unreadable}"] if unreadable else [])
        screen.answer({"total": {**told.total_document(total), "unreadable": unreadable}, "world": world}, lines)
    return Exit.FAILED if unreadable or total.taken < total.jobs else Exit.OK


def now() -> datetime:
    """The instant that is quoted for."""
    return datetime.now(UTC)


def _numbered(head: bytes, source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    from console.lines import Lines

    splitter = Lines()
    if head:
        yield from splitter.feed(head)
    while not splitter.ended:
        yield from splitter.feed(source.read(CHUNK_BYTES))
