"""Reads the span topic and hands each record on: a FastStream application with manual acknowledgement.

At least once: a record is acknowledged when the receiver has taken it, so an outage of any length loses nothing that
the topic still holds; after a crash the last batch is sent again, under the same trace and span ids.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import structlog

from console.batches import Arrived, Reading, application
from console.relay.sending import LONGEST_WAIT_S, Answer, Sender, bodies, is_readable, wait_after
from runtime.ports import Dice
from runtime.settings import Settings
from schemas.topics import SPANS

log = structlog.get_logger("novix.relay")

GROUP = "novix-relay"
MAX_RECORDS = 100
"""Read together: some 50 MB at most, for a record has half a MiB."""
POLL_MS = 200
TRIES = 3
"""At one request, before the batch is read anew: so long the group hears nothing of who waits."""


class Relay:
    """The subscriber and what it counts. `start` joins the group, `stop` leaves it."""

    def __init__(self, settings: Settings, sender: Sender, dice: Dice) -> None:
        self._sender = sender
        self._dice = dice
        self._ending = asyncio.Event()
        self._failures = 0
        self.relayed = 0
        """Records that the receiver took."""
        self.skipped = 0
        """Records that hold no spans."""
        self.refused = 0
        """Records that the receiver refuses for what is in them, each alone."""
        self.rejected_spans = 0
        """Spans that it said to have rejected in what it took."""
        self.fault: str | None = None
        """Why nothing is taken at present: a status, or the class name of an error."""
        reading = Reading(
            [SPANS.name], GROUP, "relay", "Every span, for an OpenTelemetry back end.", MAX_RECORDS, POLL_MS
        )
        self._app = application(settings, reading, self._take)

    async def start(self) -> None:
        """Connect and read on from where the group is. Raises Kafka's errors."""
        await self._app.start()

    async def stop(self) -> None:
        """Leave the group. What was not taken is read again by the next."""
        self._ending.set()
        await self._app.stop()

    @property
    def ready(self) -> bool:
        """Whether the receiver takes what it is sent."""
        return self.fault is None

    def describe(self) -> dict[str, Any]:
        """What was counted, for /healthz and metrics."""
        return {
            "relay": {
                "relayed": self.relayed,
                "skipped": self.skipped,
                "refused": self.refused,
                "rejected_spans": self.rejected_spans,
                "fault": self.fault,
            }
        }

    async def _take(self, raw: Sequence[Arrived]) -> bool:
        values = [one.value for one in raw if one.value is not None and is_readable(one.value)]
        try:
            taken = await self.hand_over(values)
        except Exception as error:  # a fault of ours must not end the reading
            self.fault = type(error).__name__
            log.error("relay.failed", error=self.fault, records=len(values))
            await self._rest(LONGEST_WAIT_S)
            return False
        if taken and len(values) < len(raw):
            self.skipped += len(raw) - len(values)
            log.warning("relay.skipped", records=len(raw) - len(values), in_all=self.skipped)
        return taken

    async def hand_over(self, values: Sequence[bytes]) -> bool:
        """Send all, in their order. False: not all were taken by now, and the batch is to be read again."""
        for body in bodies(values):
            if not await self._deliver(body):
                return False
        return True

    async def _deliver(self, body: list[bytes]) -> bool:
        for _ in range(TRIES):
            answer = await self._sender.post(body)
            if answer.meaning == "taken":
                self._taken(answer, len(body))
                return True
            if answer.meaning == "refused":
                return await self._fewer(body, answer)
            self._failures += 1
            if self.fault != answer.why:
                log.warning("relay.waits", why=answer.why, records=len(body))
            self.fault = answer.why
            await self._rest(wait_after(self._failures, self._dice(), answer.wait_s))
            if self._ending.is_set():
                break
        return False

    async def _fewer(self, body: list[bytes], answer: Answer) -> bool:
        """Find the record that is refused: halves, and at last one alone, which is left out."""
        if len(body) == 1:
            self.refused += 1
            self.fault, self._failures = None, 0
            log.warning("relay.refused", status=answer.why, size_bytes=len(body[0]), in_all=self.refused)
            return True
        half = len(body) // 2
        return await self._deliver(body[:half]) and await self._deliver(body[half:])

    def _taken(self, answer: Answer, records: int) -> None:
        if self.fault is not None:
            log.info("relay.goes_on", after_failures=self._failures)
        self.fault, self._failures = None, 0
        self.relayed += records
        self.rejected_spans += answer.rejected

    async def _rest(self, seconds: float) -> None:
        """Wait, unless the process is told to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
