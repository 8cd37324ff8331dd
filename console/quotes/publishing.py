"""Publishing a file with quotes, and within a total: quote, publish, and stop where the rule says so.

The rule itself stands in `console/quotes/allowance.py`. Kafka is asked through the console's own bus.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from console import answers
from console.kafka import Log, ends
from console.lines import Lines, outgoing_of, result_key
from console.money.amounts import dollars
from console.quotes.allowance import Allowance
from console.quotes.earlier import CHUNK_BYTES, Published
from console.quotes.known import Known
from console.quotes.lines import job_in, quoted
from console.words import count, money
from router.quote import Quote, Sums
from runtime.follow import beside
from runtime.ports import Outgoing
from schemas.job import ReadableJob
from schemas.topics import RESULTS

BATCH = 200
"""Jobs that are published together at most: what is quoted leaves soon."""
MOST_TOLD = 100
"""Refused lines whose reason is kept; the others are counted."""


@dataclass(slots=True)
class Told:
    """How far it came."""

    published: int = 0
    before: int = 0
    """Jobs that were published before, and were not again."""
    refused: int = 0
    """Lines that are no job, or a job that would not be taken."""
    errors: list[str] = field(default_factory=list)
    """`line 3: why`, of the first of them."""
    next_line: int | None = None
    """The first line that was not published for the total's sake; None: the file's end was reached."""
    stopped: str = ""
    """Why it stopped before the end."""
    again: bool = True
    """Whether the same command goes on where it stopped: not with a pipe, whose lines cannot be looked at twice."""


class Publisher:
    """Publishes line after line. One owner; `feed` until it says no, then `flush`."""

    def __init__(
        self,
        log: Log,
        known: Known,
        tenant: str,
        allowance: Allowance | None,
        wait_s: float,
        note: Callable[[str], None],
        before: Mapping[bytes, Published] | None = None,
    ) -> None:
        self._log = log
        self._known = known
        self._tenant = tenant
        self._allowance = allowance
        self._wait_s = wait_s
        self._note = note
        self._before = before or {}
        self._batch: list[Outgoing] = []
        self._news = asyncio.Event()
        self._deaf = False
        self.told = Told()
        self.sums = Sums()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Count results as they come, while the block runs; from before the first of the jobs was published."""
        if self._allowance is None:
            yield
            return
        starts = await ends(self._log, RESULTS.name)
        if self._before:
            await self._catch_up(starts, self._allowance)
        async with beside(self._listen(starts, self._allowance)) as listening:
            listening.add_done_callback(lambda _: self._end_of_news())
            yield

    async def _catch_up(self, until: dict[int, int], allowance: Allowance) -> None:
        """Count what was published before, and those of its results that are there."""
        for one in self._before.values():
            allowance.before(one.place, one.ceiling_nanousd, one.again)
        first_ms = min(one.timestamp_ms for one in self._before.values())
        reader = self._log.reader()
        for partition, end in until.items():
            start = await self._log.find_since(RESULTS.name, partition, first_ms)
            async for record in reader.read(RESULTS.name, partition, start, end):
                allowance.result(answers.document(record))

    def _end_of_news(self) -> None:
        """Nobody listens any more: whoever waits for a result waits in vain."""
        self._deaf = True
        self._news.set()

    async def feed(self, number: int, line: bytes) -> bool:
        """Quote and publish one line; False: it may not be published, and nothing behind it either."""
        outgoing = outgoing_of(line, self._tenant)
        if isinstance(outgoing, str):
            self._refuse(number, outgoing)
            return True
        if self._before and result_key(outgoing) in self._before:
            self.told.before += 1
            return True
        job = job_in(outgoing)
        if isinstance(job, ReadableJob):
            one = await self._known.quote(job.job, datetime.now(UTC))
            self.sums.add(one)
            return await self._offer(number, outgoing, one)
        if self._allowance is None:  # the router tells whoever sent it
            await self._take(outgoing)
        else:
            self._refuse(number, job if isinstance(job, str) else f"{job.kind}: {job.message}")
        return True

    async def _offer(self, number: int, outgoing: Outgoing, one: Quote) -> bool:
        """Publish a job that was quoted, if it may be; False: neither it nor anything behind it."""
        if self._allowance is None:
            await self._take(quoted(outgoing, one))
            return True
        if not one.taken or not one.model:
            self._refuse(number, f"would be {one.verdict}: {one.kind}: {one.message}")
            return True
        if not await self._room(number, one, self._allowance):
            return False
        await self._take(quoted(outgoing, one, ceiling=one.bound))
        return True

    async def flush(self) -> None:
        """Publish what is quoted."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        places = await self._log.publish(batch)
        self.told.published += len(batch)
        if self._allowance is not None:
            self._allowance.placed(places)

    async def _take(self, outgoing: Outgoing) -> None:
        self._batch.append(outgoing)
        if len(self._batch) >= BATCH:
            await self.flush()

    def _refuse(self, number: int, why: str) -> None:
        why = f"line {number}: {why}"
        self.told.refused += 1
        if len(self.told.errors) < MOST_TOLD:
            self.told.errors.append(why)
        self._note(f"novix: {why}")

    async def _room(self, number: int, one: Quote, allowance: Allowance) -> bool:
        """Whether the job fits, now or once results of those before it have come."""
        why = ""
        while not allowance.send(one.bound):
            await self.flush()
            if not allowance.open_jobs:
                left = f"{money(allowance.left)} is left of {money(allowance.limit)}"
                why = f"it may cost {money(one.bound)}, and {left}"
            elif one.bound > allowance.left and not await self._some_result():
                why = f"no room within {self._wait_s:g} s; {count(allowance.open_jobs, 'job')} without a result"
            if why:
                self.told.next_line, self.told.stopped = number, why
                return False
        return True

    async def _some_result(self) -> bool:
        """Wait for a result of ours; False: none came in time."""
        if self._deaf:
            return False
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s):
                await self._news.wait()
                return not self._deaf
        return False

    async def _listen(self, starts: dict[int, int], allowance: Allowance) -> None:
        async for record in self._log.follow(RESULTS.name, starts):
            if allowance.result(answers.document(record)):
                self._news.set()


async def publish_all(
    publisher: Publisher, source: io.BufferedReader, from_line: int, advance: Callable[[int], None], *, strict: bool
) -> None:
    """Publish a file's lines, from `from_line` on, as far as may be; what was quoted is published whatever ends it."""
    splitter, told = Lines(), publisher.told
    async with publisher.listening():
        try:
            while not splitter.ended:
                # What there is now, so that jobs of a slow pipe leave as they come.
                chunk = await asyncio.to_thread(source.read1, CHUNK_BYTES)
                for number, line in splitter.feed(chunk):
                    if number < from_line:
                        continue
                    if not await publisher.feed(number, line) or (strict and told.refused):
                        return
                    advance(1)
                await publisher.flush()
        finally:
            await publisher.flush()


def document(told: Told, allowance: Allowance | None, sums: Sums, most_in_flight: int) -> dict[str, Any]:
    """How far it came, as JSON; money in nano-dollars."""
    total = sums.total(most_in_flight)
    found: dict[str, Any] = {
        "published": told.published,
        "refused": told.refused,
        "errors": told.errors,
        "quoted_nanousd": total.predicted,
    }
    if allowance is not None:
        found |= {
            "published_before": told.before,
            "limit_nanousd": allowance.limit,
            "spent_nanousd": allowance.spent,
            "reserved_nanousd": allowance.open_nanousd,
            "without_result": allowance.open_jobs,
            "next_line": told.next_line,
            "stopped": told.stopped,
            "same_command_goes_on": told.again,
        }
    return found


def lines(told: Told, allowance: Allowance | None, sums: Sums, most_in_flight: int) -> list[str]:
    """How far it came, in words."""
    total = sums.total(most_in_flight)
    refused = f", {count(told.refused, 'line')} refused" if told.refused else ""
    before = f", {count(told.before, 'job')} before" if told.before else ""
    found = [f"{count(told.published, 'job')} published{before}{refused}, quoted {money(total.predicted)} in all"]
    if allowance is None:
        return found
    found.append(
        f"of {money(allowance.limit)}: spent {money(allowance.spent)} ({count(allowance.ended, 'result')}), "
        f"reserved {money(allowance.open_nanousd)} ({count(allowance.open_jobs, 'job')} without a result)"
    )
    if told.next_line is not None:
        found.append(f"stopped before line {told.next_line}: {told.stopped}; {_go_on(told, allowance)}")
    return found


def _go_on(told: Told, allowance: Allowance) -> str:
    """How to go on without passing the total."""
    if not told.again:
        rest = dollars(max(0, allowance.left))
        return f"go on with --from-line {told.next_line} --max-total {rest}, and no more"
    if allowance.open_jobs:
        return "the same command goes on, within the same total"
    return "a higher --max-total goes on, and counts what was spent"
