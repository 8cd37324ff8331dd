"""`novix publish`: a file of jobs into the topic, with quotes and within a total if asked for."""

import asyncio
import io
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings
from console.words import count

if TYPE_CHECKING:
    from runtime.settings import Loaded

CHUNK_BYTES = 262_144


@command
def publish(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl|-", help="One job per line; - reads standard input.")],
    strict: Annotated[bool, typer.Option(help="End at the first line that is refused.")] = False,
    tenant: Annotated[
        str, typer.Option(help="Who asks and pays for lines of an OpenAI batch file; jobs say it themselves.")
    ] = "default",
    stream: Annotated[
        bool, typer.Option("--stream", help="Ask for the answers' pieces; show these and the results as they come.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(help="Seconds that --stream and --max-total wait for a result; then the exit code is 3.", min=0),
    ] = 600,
    quote: Annotated[bool, typer.Option("--quote", help="Quote each job, and write the quote into it.")] = False,
    max_total: Annotated[
        str | None, typer.Option(metavar="DOLLARS", help="Stop before all jobs of the file could cost more.")
    ] = None,
    from_line: Annotated[int, typer.Option(help="Leave out the lines before this one.", min=1)] = 1,
    as_json: AsJson = False,
) -> Exit:
    """Publish jobs as they are written, one JSON object per line, keyed by tenant.

    Lines of an OpenAI batch file (custom_id, method, url, body) become jobs under their custom_id. Lines that are no
    JSON objects, and batch lines that no job can stand for, are told by number and left out (exit code 1). Everything
    else is the router's to judge: a job that it refuses gets a result that says why.

    With --max-total a job is published only while what was spent, the ceilings of jobs without a result, and its own
    ceiling together are at most that; its ceiling is written into it. Jobs that would be refused are left out. Where
    nothing fits any more it stops, says how far it came, and the exit code is 3. Stopped or killed, the same command
    goes on: jobs of the file that were published before are not published again, and count (docs/quotes.md).
    """
    loaded, screen = settings(), Screen(as_json=as_json)
    if stream and (quote or max_total is not None):
        raise CommandError("--stream goes with neither --quote nor --max-total: leave one out", Exit.USAGE)
    limit = _dollars(max_total) if max_total is not None else None

    def work(source: io.BufferedReader, total: int | None) -> Exit:
        if quote or limit is not None:
            return asyncio.run(
                _publish_quoted(loaded, screen, source, total, tenant, limit, timeout, from_line, strict=strict)
            )
        until_s = timeout if stream else None
        return asyncio.run(_publish(loaded, screen, source, total, tenant, until_s, from_line, strict=strict))

    if file == "-":
        return work(cast(io.BufferedReader, sys.stdin.buffer), None)
    try:
        with Path(file).open("rb") as lines:
            return work(lines, _count_lines(lines) if screen.lively else None)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None


def _dollars(text: str) -> int:
    from console.money.events import amount

    return amount("--max-total", text)


async def _publish_quoted(
    loaded: "Loaded",
    screen: Screen,
    source: io.BufferedReader,
    total: int | None,
    tenant: str,
    limit: int | None,
    wait_s: float,
    from_line: int,
    *,
    strict: bool,
) -> Exit:
    from console.kafka import connected, ends
    from console.quotes import publishing
    from console.quotes.allowance import Allowance
    from console.quotes.earlier import earlier, named
    from console.quotes.known import known
    from schemas.topics import JOBS

    allowance, limits = None if limit is None else Allowance(limit), loaded.settings
    twice = allowance is not None and source.seekable()
    wanted = await asyncio.to_thread(named, source, tenant) if twice else set[bytes]()
    async with connected(loaded) as log:
        await ends(log, JOBS.name)
        found = await known(loaded, log, datetime.now(UTC))
        for note in found.notes:
            screen.note(f"novix: {note}")
        since_ms = int((time.time() - limits.dedup_hours * 3600) * 1000)
        before = await earlier(log, wanted, since_ms, limits.default_max_cost_nanousd) if wanted else {}
        publisher = publishing.Publisher(log, found, tenant, allowance, wait_s, screen.note, before)
        publisher.told.again = twice
        with screen.progress("publishing", total) as bar:
            try:
                await publishing.publish_all(publisher, source, from_line, bar.advance, strict=strict)
            finally:
                told = publisher.told, allowance, publisher.sums, limits.max_in_flight
                screen.answer(publishing.document(*told), publishing.lines(*told))
    if publisher.told.next_line is not None:
        return Exit.NOT_MET
    return Exit.FAILED if publisher.told.refused else Exit.OK


def _count_lines(lines: io.BufferedReader) -> int:
    total = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(CHUNK_BYTES), b""))
    lines.seek(0)
    return total


async def _publish(
    loaded: "Loaded",
    screen: Screen,
    source: io.BufferedReader,
    total: int | None,
    tenant: str,
    until_s: float | None,
    from_line: int,
    *,
    strict: bool,
) -> Exit:
    from console.kafka import connected, ends
    from console.lines import Lines, outgoing_of, result_key
    from console.pieces import until_all
    from schemas.topics import DELTAS, JOBS, RESULTS

    published, refused, jobs, failed = 0, list[str](), dict[bytes, tuple[int, int]](), 0
    splitter = Lines()
    async with connected(loaded) as log:
        await ends(log, JOBS.name)
        streaming = until_s is not None
        deltas = await ends(log, DELTAS.name) if streaming else {}
        # As long as ids are remembered: the result of one that was used before is there already.
        since_ms = int((time.time() - loaded.settings.dedup_hours * 3600) * 1000)
        results = await ends(log, RESULTS.name) if streaming else {}
        results = {partition: await log.find_since(RESULTS.name, partition, since_ms) for partition in results}
        with screen.progress("publishing", total) as bar:
            while not (strict and refused) and not splitter.ended:
                # What there is now, so that jobs of a slow pipe leave as they come.
                chunk = await asyncio.to_thread(source.read1, CHUNK_BYTES)
                batch = []
                for number, line in splitter.feed(chunk):
                    if number < from_line:
                        continue
                    outgoing = outgoing_of(line, tenant, stream=streaming)
                    if not isinstance(outgoing, str):
                        batch.append(outgoing)
                        continue
                    refused.append(f"line {number}: {outgoing}")
                    screen.note(f"novix: {refused[-1]}")
                    if strict:
                        break
                places = await log.publish(batch)
                published += len(batch)
                bar.advance(len(batch))
                if streaming:
                    jobs.update((key, at) for one, at in zip(batch, places, strict=True) if (key := result_key(one)))
        if jobs:
            try:
                async with asyncio.timeout(until_s):
                    failed = await until_all(log, jobs, deltas, results, screen)
            except TimeoutError:
                raise CommandError(
                    f"not all of {count(len(jobs), 'result')} within {until_s:g} s", Exit.NOT_MET
                ) from None
    summary = count(published, "job") + " published"
    screen.answer(
        {"published": published, "refused": len(refused), "errors": refused[:100]},
        [summary + (f", {count(len(refused), 'line')} refused" if refused else "")],
    )
    return Exit.FAILED if refused or failed else Exit.OK
