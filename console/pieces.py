"""Answers as they come: the deltas of jobs that stream, shown until the result, which alone is the truth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from console.kafka import Log, ends
from console.screen import Screen
from console.words import shown
from schemas import codec
from schemas.topics import DELTAS

CATCH_UP_S = 2.0


class Shown:
    """What of one answer stands on the screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._attempt = 0
        self._text = ""

    def take(self, delta: dict[str, Any]) -> None:
        """Show a piece. A new attempt begins on a new line: what the one before it gave counts for nothing."""
        attempt, text = delta.get("attempt"), delta.get("text")
        if not isinstance(attempt, int) or not isinstance(text, str) or attempt < self._attempt:
            return
        if attempt > self._attempt and self._text:
            self._screen.piece("\n")
            self._screen.note(f"novix: attempt {attempt}; what came before it does not count")
        if attempt > self._attempt:
            self._attempt, self._text = attempt, ""
        self._text += text
        self._screen.piece(shown(text))

    def finish(self, text: str) -> None:
        """Show what is missing of the whole answer: its end, or all of it where pieces were lost."""
        whole = text.startswith(shown(self._text))
        if self._text and not whole:
            self._screen.piece("\n")
            self._screen.note("novix: pieces were missing; the whole answer:")
        self._screen.piece((text[len(shown(self._text)) :] if whole else text) + "\n")


def delta_of(value: bytes | None) -> dict[str, Any]:
    """A delta's JSON object; empty if it is none."""
    try:
        document = codec.decode(value or b"")
    except codec.Undecodable:
        return {}
    return document if isinstance(document, dict) else {}


class Following:
    """The deltas topic as it is followed for one job."""

    def __init__(self, log: Log, key: bytes, screen: Screen, since: dict[int, int]) -> None:
        self.shown = Shown(screen)
        self._log = log
        self._key = key
        self._screen = screen
        self._reached = dict(since)
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Show what comes, without end; with `--json` each piece as its record is."""
        async for record in self._log.follow(DELTAS.name, dict(self._reached)):
            if record.key == self._key:
                if self._screen.as_json:
                    self._screen.raw(record.value or b"null")
                else:
                    self.shown.take(delta_of(record.value))
            self._reached[record.partition] = record.offset + 1
            self._moved.set()

    async def caught_up(self) -> None:
        """Wait until what is published by now has been shown; not for long, since the result tells all of it anyway."""
        until = await ends(self._log, DELTAS.name)
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                while any(self._reached.get(partition, 0) < end for partition, end in until.items()):
                    self._moved.clear()
                    await self._moved.wait()


@asynccontextmanager
async def following(log: Log, key: bytes, screen: Screen) -> AsyncIterator[Following]:
    """Show the pieces of one job from now on, for the length of the block."""
    follower = Following(log, key, screen, await ends(log, DELTAS.name))
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_all(log: Log, keys: set[bytes], deltas: dict[int, int], results: dict[int, int], screen: Screen) -> int:
    """Show deltas and results of these jobs as they come, each on a line, until each has a result; how many failed.

    `deltas` and `results` are where the topics ended before the jobs were published."""
    from console import answers

    async def follow() -> None:
        async for record in log.follow(DELTAS.name, deltas):
            if record.key in keys:
                delta = delta_of(record.value)
                text = codec.encode(delta.get("text")).decode()
                line = (
                    f"{'piece':9}\t{delta.get('tenant')}/{delta.get('job_id')}\tattempt {delta.get('attempt')}\t{text}"
                )
                screen.raw(record.value or b"null") if screen.as_json else screen.line(shown(line))

    task, left, failed = asyncio.create_task(follow()), set(keys), 0
    try:
        async for record in answers.results_after(log, results, lambda record: record.key in left):
            left.discard(record.key or b"")
            result = answers.document(record)
            failed += result.get("status") != "succeeded"
            screen.raw(record.value or b"null") if screen.as_json else screen.line(answers.line(result))
            if not left:
                break
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return failed
