"""Answers as they come: the deltas of jobs that stream, shown until the result, which alone is the truth."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager, suppress
from typing import Any

from console.kafka import Log, ends
from console.screen import Screen
from console.words import shown
from runtime.follow import beside
from schemas import codec
from schemas.topics import DELTAS

CATCH_UP_S = 2.0
Place = tuple[int, int]
"""Partition and offset of a job that was published."""
Take = Callable[[dict[str, Any]], None]
"""Shows one delta to a person."""


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
    """The deltas topic as it is followed for some jobs."""

    def __init__(
        self, log: Log, keys: Container[bytes | None], screen: Screen, since: dict[int, int], take: Take
    ) -> None:
        self._log = log
        self._keys = keys
        self._screen = screen
        self._reached = dict(since)
        self._take = take
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Show what comes, without end; with `--json` each piece as its record is."""
        async for record in self._log.follow(DELTAS.name, dict(self._reached)):
            if record.key in self._keys:
                self._screen.raw(record.value or b"null") if self._screen.as_json else self._take(
                    delta_of(record.value)
                )
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
async def following(
    log: Log, keys: Container[bytes | None], screen: Screen, take: Take, since: dict[int, int] | None = None
) -> AsyncIterator[Following]:
    """Show the pieces of the jobs of these keys, from `since`, else from now on, for the length of the block."""
    follower = Following(log, keys, screen, await ends(log, DELTAS.name) if since is None else since, take)
    async with beside(follower.run()):
        yield follower


async def until_all(
    log: Log, jobs: dict[bytes, Place], deltas: dict[int, int], results: dict[int, int], screen: Screen
) -> int:
    """Show deltas and results of these jobs as they come, each on a line, until each has a result; how many failed.

    `jobs` are keys and where the jobs lie, `deltas` and `results` where to read from: an id that was used before is not
    run again, and its result is there already, unless it was rejected."""
    from console import answers

    def take(delta: dict[str, Any]) -> None:
        text = codec.encode(delta.get("text")).decode()
        told = f"{'piece':9}\t{delta.get('tenant')}/{delta.get('job_id')}\tattempt {delta.get('attempt')}\t{text}"
        screen.line(shown(told))

    left, failed = set(jobs), 0
    async with following(log, jobs, screen, take, deltas) as pieces:
        async for record in answers.results_after(log, results, lambda record: record.key in left):
            key, result = record.key or b"", answers.document(record)
            if result.get("status") == "rejected" and not answers.is_of(result, jobs[key]):
                continue
            left.discard(key)
            failed += result.get("status") != "succeeded"
            if not left:
                await pieces.caught_up()
            screen.raw(record.value or b"null") if screen.as_json else screen.line(answers.line(result))
            if not left:
                break
    return failed
