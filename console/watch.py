"""Jobs on their way, seen from the topics: a live table on a terminal, a line now and then elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from console.kafka import Log, ends
from console.screen import Screen
from console.words import money
from runtime.ports import Record
from schemas import codec
from schemas.decision import DecisionBatch
from schemas.topics import DECISIONS, RESULTS

SHOW_EVERY_S = 0.25
LINE_EVERY_S = 2.0


class Tally:
    """What a tenant's results add up to."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.paid = 0
        """Nano-dollars, with what is `unsure`."""
        self.unsure = 0
        """Of calls that gave no answer and may have been charged: their ceilings."""
        self.cut = 0
        """How many such calls."""

    def add(self, record: Record, tenant: str) -> dict[str, Any] | None:
        """Count a record of the results topic; the result if it is this tenant's."""
        result = codec.decode(record.value or b"null")
        if not isinstance(result, dict) or result.get("tenant") != tenant:
            return None
        self.ids.append(result["job_id"])
        self.paid += result["cost_nanousd"]
        unsure = [attempt["cost_nanousd"] for attempt in result.get("attempts") or () if attempt.get("ambiguous")]
        self.unsure += sum(unsure)
        self.cut += len(unsure)
        return result


class Watch:
    """Follows one tenant's decisions and results."""

    def __init__(self, log: Log, tenant: str, screen: Screen, in_flight: Callable[[], int]) -> None:
        self._log = log
        self._tenant = tenant
        self._screen = screen
        self._in_flight = in_flight
        self._tally = Tally()
        self._decided = 0
        self._expected = 0
        self._news = asyncio.Event()
        self.results: dict[str, dict[str, Any]] = {}

    def expect(self, jobs: int) -> None:
        """So many jobs have been published by now."""
        self._expected = jobs

    async def until(self, count: int) -> dict[str, dict[str, Any]]:
        """Wait for `count` distinct results."""
        while len(self.results) < count:
            self._news.clear()
            await self._news.wait()
        return self.results

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read both topics from their present ends and show what comes, while the block runs."""
        starts = {topic: await ends(self._log, topic) for topic in (DECISIONS.name, RESULTS.name)}
        tasks = [
            asyncio.create_task(self._follow(DECISIONS.name, starts[DECISIONS.name], self._decision)),
            asyncio.create_task(self._follow(RESULTS.name, starts[RESULTS.name], self._result)),
            asyncio.create_task(self._show()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, topic: str, starts: dict[int, int], take: Callable[[Record], None]) -> None:
        async for record in self._log.follow(topic, starts):
            take(record)
            self._news.set()

    def _decision(self, record: Record) -> None:
        batch = DecisionBatch.model_validate_json(record.value or b"{}")
        self._decided += sum(1 for decision in batch.decisions if decision.tenant == self._tenant)

    def _result(self, record: Record) -> None:
        result = self._tally.add(record, self._tenant)
        if result is not None:
            self.results[result["job_id"]] = result

    async def _show(self) -> None:
        if self._screen.lively:
            await self._show_table()
        else:
            await self._show_lines()

    async def _counts(self) -> dict[str, str]:
        in_flight = await asyncio.to_thread(self._in_flight)
        return {
            "queued": str(max(0, self._expected - self._decided)),
            "routed": str(self._decided),
            "in flight": str(in_flight),
            "done": str(len(self.results)),
            "cost so far": money(self._tally.paid),
        }

    async def _show_table(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table

        with Live(console=Console(stderr=True), refresh_per_second=8) as live:
            while True:
                counts = await self._counts()
                table = Table(*counts)
                table.add_row(*counts.values())
                live.update(table)
                await asyncio.sleep(SHOW_EVERY_S)

    async def _show_lines(self) -> None:
        shown, shown_at = "", 0.0
        while True:
            line = "  ".join(f"{name} {value}" for name, value in (await self._counts()).items())
            if line != shown and time.monotonic() - shown_at >= LINE_EVERY_S:
                self._screen.line(line)
                shown, shown_at = line, time.monotonic()
            await asyncio.sleep(SHOW_EVERY_S)
