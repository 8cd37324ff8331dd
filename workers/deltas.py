"""Pieces of answers on `inference.deltas.v1` as they come: provisional, outside every transaction, never waited for."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import structlog

from runtime.bus import Bus
from runtime.ending import end
from runtime.ports import Outgoing
from runtime.settings import Settings
from schemas import headers
from schemas.assignment import Candidate
from schemas.delta import Delta
from schemas.topics import DELTAS
from workers.assigned import Assigned

log = structlog.get_logger("novix.deltas")

MOST_PENDING_CHARS = 4_194_304
"""Of text that waits to be published, of all streams together: beyond it pieces are dropped."""
LONGEST_CHARS = 65_536
"""Of one delta's text."""
PAUSE_S = 0.02
"""Between two publications: what a fast stream brings meanwhile is one delta."""
AGAIN_S = 2.0
PUBLISH_S = 5.0
SETTLE_S = 1.0
"""What a result waits for the pieces before it, at most."""
CLOSE_S = 2.0

Publish = Callable[[list[Outgoing]], Awaitable[Any]]
"""Publishes records together; none of them: gets ready for the first."""


class _Stream:
    """The text of one attempt that is not published yet, and the number of its next delta."""

    __slots__ = ("attempt", "candidate", "job", "number", "pieces")

    def __init__(self, job: Assigned, candidate: Candidate, attempt: int) -> None:
        self.job = job
        self.candidate = candidate
        self.attempt = attempt
        self.number = 0
        self.pieces: list[str | None] = []
        """None: here some were dropped."""


class OnKafka:
    """Publishes on Kafka; connects when it is first needed, and anew after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bus: Bus | None = None

    async def __aenter__(self) -> "OnKafka":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def __call__(self, records: list[Outgoing]) -> None:
        """Write `records`. Raises LookupError where the topic is not there, and what the client raises."""
        try:
            if self._bus is None:
                self._bus = Bus(self._settings)
                if not await self._bus.reader().partitions(DELTAS.name):
                    raise LookupError(DELTAS.name)
            await self._bus.publish(records)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()


class Deltas:
    """Publishes what streamed answers bring, while the block runs. One event loop owns it.

    Whoever tells a piece does not wait: it is put into a buffer of its stream, and what is there is published together,
    at most every `PAUSE_S`. Where the broker is too slow or away, pieces are dropped and counted, and the numbers of
    their stream have a gap.
    """

    def __init__(self, publish: Publish, *, most_pending_chars: int = MOST_PENDING_CHARS) -> None:
        self._publish = publish
        self._most = most_pending_chars
        self._pending: dict[int, _Stream] = {}
        """Streams with text that waits, by object."""
        self._chars = 0
        self._to_publish = asyncio.Event()
        self._ready = False
        """It has connected."""
        self._quiet = asyncio.Event()
        """Nothing waits to be published, or it cannot be published now."""
        self._quiet.set()
        self._mute = False
        """The last publication failed."""
        self._published = 0
        self._dropped = 0
        self._closes = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Deltas":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closes.set()
        self._to_publish.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_S)
            await end(self._task)

    def of(self, job: Assigned, candidate: Candidate, attempt: int) -> Callable[[str], None]:
        """Who is told the pieces of one attempt's answer, in their order."""
        stream = _Stream(job, candidate, attempt)
        if not self._ready:  # to connect takes longer than a short answer
            self._to_publish.set()

        def told(text: str) -> None:
            self._add(stream, text)

        return told

    def describe(self) -> dict[str, int]:
        """State for /healthz: deltas that were published, that were dropped, and characters that wait."""
        return {"published": self._published, "dropped": self._dropped, "pending_chars": self._chars}

    async def settled(self) -> None:
        """What was told so far is on the topic, so that it stands before the result. Waits for `SETTLE_S` at most, and
        not at all while the broker is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await self._quiet.wait()

    async def flush(self) -> None:
        """Publish what waits now. Raises what the publisher raises; the pieces are lost then, and counted."""
        streams = list(self._pending.values())
        self._pending.clear()
        self._chars = 0
        records = [record for stream in streams for record in _records(stream)]
        if not records and (self._ready or self._closes.is_set()):
            return
        try:
            async with asyncio.timeout(PUBLISH_S):
                await self._publish(records)
        except BaseException:
            self._dropped += len(records)
            self._mute = True
            self._quiet.set()
            raise
        self._ready, self._mute = True, False
        if not self._pending:
            self._quiet.set()
        self._published += len(records)

    def _add(self, stream: _Stream, text: str) -> None:
        if not text:
            return
        if self._chars + len(text) > self._most:
            self._dropped += 1
            if not stream.pieces or stream.pieces[-1] is not None:
                stream.pieces.append(None)
            return
        stream.pieces.append(text)
        self._chars += len(text)
        self._pending[id(stream)] = stream
        if not self._mute:
            self._quiet.clear()
        self._to_publish.set()

    async def _run(self) -> None:
        """Publish what waits, again and again; when it is closed, once more."""
        while True:
            await self._to_publish.wait()
            closing = self._closes.is_set()
            self._to_publish.clear()
            pause_s = PAUSE_S
            try:
                await self.flush()
            except Exception as error:
                log.warning("deltas.mute", error=type(error).__name__)
                pause_s = AGAIN_S
            if closing:
                return
            with contextlib.suppress(TimeoutError):  # what comes in a burst goes out as one
                async with asyncio.timeout(pause_s):
                    await self._closes.wait()


def _records(stream: _Stream) -> list[Outgoing]:
    """What waits of one stream as records, numbered on; a number is left out where pieces were dropped."""
    pieces, stream.pieces = stream.pieces, []
    records, texts = [], []
    for piece in [*pieces, None]:
        if piece is not None:
            texts.append(piece)
            continue
        text = "".join(texts)
        texts = []
        for start in range(0, len(text), LONGEST_CHARS):
            records.append(_record(stream, text[start : start + LONGEST_CHARS]))
            stream.number += 1
        stream.number += 1
    stream.number -= 1  # the last one was only the end
    return records


def _record(stream: _Stream, text: str) -> Outgoing:
    job, (tenant, job_id, submission) = stream.job, stream.job.identity
    delta = Delta(
        tenant=tenant, job_id=job_id, submission=submission, attempt=stream.attempt, number=stream.number, text=text,
        model=stream.candidate.model, provider=stream.candidate.provider, trace_id=job.trace.trace_id,
    )  # fmt: skip
    identity = (headers.IDENTITY, f"{tenant}/{job_id}/{submission}".encode())
    told = (*job.trace.child_of(job.span).headers(), identity)
    return Outgoing(DELTAS.name, f"{tenant}/{job_id}".encode(), delta.encode(), told)
