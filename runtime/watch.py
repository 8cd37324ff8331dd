"""Looks from time to time whether the lanes of a process get on, and says so once when one does not."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from runtime import vitals
from runtime.admit import Window
from runtime.ports import Clock, LogReader
from runtime.runner import LaneRunner
from runtime.showing import signs_of

log = structlog.get_logger("novix.engine")

EVERY_S = 5.0
ASK_S = 5.0
"""For the broker to say where a partition ends."""
LONGEST = timedelta(seconds=2 * (EVERY_S + ASK_S))
"""Between two looks; what is longer was no time in which anything could have been seen."""

STALLED_S = 300.0
"""Without a poll for so long Kafka's client leaves the group (`max.poll.interval.ms`): nothing comes of such a process
any more."""


class PollStalled(Exception):
    """The process does not poll: something that every round waits for does not return."""


class Watch:
    """Asks the broker itself where each partition ends: what the consumer believes may be what is wrong."""

    def __init__(self, reader: LogReader, clock: Clock, stuck_after: timedelta) -> None:
        self._reader = reader
        self._clock = clock
        self._stuck_after = stuck_after

    async def run(self, runners: Mapping[int, LaneRunner], window: Window, rounds: Callable[[], int]) -> None:
        """Look for ever; each look is kept in the runner's `end` and `pulse`. `rounds`: polls that were begun.

        Raises `PollStalled`, told by looks rather than by the clock: who was frozen has not looked either.
        """
        last, finished, polled, silent = self._clock.monotonic(), 0, rounds(), 0
        while True:
            await self._clock.sleep(EVERY_S)
            begun = rounds()
            polled, silent = begun, silent + 1 if begun == polled else 0
            if silent * EVERY_S >= STALLED_S:
                raise PollStalled(f"no poll was begun for {STALLED_S:.0f} s; the process ends, to be started again")
            await asyncio.gather(*(self._ask_end(runner) for runner in runners.values()))
            now, before = self._clock.monotonic(), finished
            finished = sum(runner.finished for runner in runners.values())
            for runner in runners.values():
                self._look(runner, window, others=finished > before, elapsed=timedelta(seconds=now - last))
            last = now

    async def _ask_end(self, runner: LaneRunner) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                _, runner.end = await self._reader.bounds(runner.id.topic, runner.id.partition)
        except Exception as error:
            runner.end = None
            log.debug("lane.end_unknown", lane=str(runner.id), error=type(error).__name__)

    def _look(self, runner: LaneRunner, window: Window, *, others: bool, elapsed: timedelta) -> None:
        was_stuck = runner.pulse.stuck
        runner.pulse = vitals.look(
            runner.pulse, signs_of(runner, room=window.free > 0), others=others, elapsed=elapsed,
            stuck_after=self._stuck_after, longest=LONGEST,
        )  # fmt: skip
        if runner.pulse.stuck and not was_stuck:
            log.error("lane.stuck", lane=str(runner.id), reason=runner.pulse.reason)
        elif was_stuck and not runner.pulse.stuck:
            log.info("lane.moves_again", lane=str(runner.id))
