"""Checkpoints as a process: `novix audit checkpoint`. Follows the audit topic, signs where every lane is.

Where it has read to stands in each checkpoint, beside what it knew there: both are written in one record, so that
nothing is covered twice or left out, whenever it is killed. Its producer is transactional: opening it fences every
predecessor, and of two that run at once one alone writes. What it holds is a tree's peaks for each lane.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import structlog

from console.audit.checkpoints import Forged, read
from console.audit.heads import Heads
from console.audit.keys import KeyProblem, Ring, Signer, signer_of
from console.audit.live import key_file
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.patience import once_kafka_answers
from runtime.ports import Clock, LaneId, Outgoing, Record
from runtime.reader import KafkaReader
from runtime.service import MissingTopicError
from runtime.settings import BadSettings, Settings, variable
from runtime.shell import Role, Service
from runtime.shell import run as run_role
from runtime.transaction import LaneTransaction
from schemas.topics import AUDIT, CHECKPOINTS

log = structlog.get_logger("novix.audit")

GROUP = "novix-audit-checkpoints"
WRITER = LaneId(GROUP, CHECKPOINTS.name, 0)
"""Whose transactional id is the writer's."""
AGAIN_S = 1.0
LOOK_S = 0.25
"""Between two looks whether a checkpoint is due."""
GROWTH_S = 15.0
"""Between two looks whether the audit topic has more partitions."""
ROLE = Role(
    name="audit", title="Novix audit", group=GROUP, receives=AUDIT, sends=(CHECKPOINTS,), follows=(CHECKPOINTS,)
)  # fmt: skip


class Unknown(Exception):
    """The newest checkpoint cannot be gone on from: it was forged, or another key signed it."""


class Checkpoints(Service):
    """Signs checkpoints until it is told to stop."""

    def __init__(self, settings: Settings, signer: Signer, clock: Clock) -> None:
        self._settings = settings
        self._signer = signer
        self._clock = clock
        self._heads = Heads()
        self._open = self._was_open = False
        self.written = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Raises `MissingTopicError` without the topics."""
        async with Bus(self._settings) as bus:
            for topic in (AUDIT.name, CHECKPOINTS.name):
                count = await once_kafka_answers(partial(bus.reader().partitions, topic), stop)
                if count is None:
                    return
                if not count:
                    raise MissingTopicError(f"{self._settings.named(topic)} is not there; type: novix topics create")
            while not stop.is_set():
                try:
                    await self._work(bus, stop)
                except Unknown as error:
                    log.error("audit.checkpoint_unknown", reason=str(error))
                    await _pause(stop, self._settings.audit_checkpoint_s)
                except Exception as error:  # of Kafka: fenced by a twin, or away; the next one reads what was written
                    log.warning("audit.broken", error=type(error).__name__)
                    await _pause(stop, AGAIN_S)
                finally:
                    self._open = False

    async def _work(self, bus: Bus, stop: asyncio.Event) -> None:
        reader = bus.reader()
        writer = await LaneTransaction.open(self._settings, WRITER)
        following: asyncio.Task[None] | None = None
        try:
            heads = self._heads = await standing(reader, Ring.of(self._signer))
            partitions = await reader.partitions(AUDIT.name)
            following = asyncio.create_task(self._follow(reader, heads, partitions))
            self._open = self._was_open = True
            last, looked = 0.0, self._clock.monotonic()
            while not stop.is_set():
                if following.done():
                    following.result()
                await _pause(stop, LOOK_S)
                heads.look(self._clock.now())
                now = self._clock.monotonic()
                if self._is_due(heads, now - last) or (heads.news and stop.is_set()):
                    await self._write(writer, heads)
                    last = now
                if now - looked > GROWTH_S:
                    looked = now
                    if await reader.partitions(AUDIT.name) != partitions:
                        return
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await writer.close()

    async def _follow(self, reader: KafkaReader, heads: Heads, partitions: int) -> None:
        starts = {partition: heads.offsets.get(partition, 0) for partition in range(partitions)}
        records: AsyncIterator[Record] = reader.follow(AUDIT.name, starts)
        async with contextlib.aclosing(records) as followed:  # type: ignore[type-var]
            async for record in followed:
                why = heads.take(record.partition, record.offset, record.value, self._clock.now())
                if why is not None:
                    log.error("audit.spoilt", partition=record.partition, offset=record.offset, reason=why)

    def _is_due(self, heads: Heads, age_s: float) -> bool:
        settings = self._settings
        return bool(heads.news) and (
            age_s >= settings.audit_checkpoint_s or heads.news >= settings.audit_checkpoint_entries
        )

    async def _write(self, writer: LaneTransaction, heads: Heads) -> None:
        settings, at = self._settings, self._clock.now()
        entries = heads.news
        value = heads.checkpoint(self._signer, at, settings.audit_checkpoint_s)
        await writer.commit([Outgoing(CHECKPOINTS.name, None, value)], WRITER, None)
        heads.written(value)
        self.written += 1
        log.info("audit.checkpoint", number=heads.number, lanes=len(heads.lanes), entries=entries)

    def describe(self) -> dict[str, Any]:
        """How far it is."""
        heads = self._heads
        return {
            "checkpoint": heads.number, "lanes": len(heads.lanes), "uncovered": heads.news, "spoilt": heads.spoilt,
            "gaps": heads.gaps, "key": self._signer.id, "open": self._open,
        }  # fmt: skip

    @property
    def healthy(self) -> bool:
        """Whether it follows, or is just starting."""
        return self._open or not self._was_open

    @property
    def ready(self) -> bool:
        """Whether it follows."""
        return self._open


async def standing(reader: KafkaReader, keys: Ring) -> Heads:
    """How everything stood at the newest checkpoint. Raises `Unknown`.

    Somebody's nonsense at the end of the topic is passed over, as far as one fetch reaches: who verifies names it.
    """
    first, end = await reader.bounds(CHECKPOINTS.name, 0)
    step, newest, why = 8, None, ""
    while newest is None and end > first:
        begin = max(first, end - step)
        async for record in reader.read(CHECKPOINTS.name, 0, begin, end):
            try:
                checkpoint = read(record.value, keys)
            except Forged as error:
                why = str(error)
                continue
            newest = checkpoint, record.value or b""
        end, step = begin, step * 4
    if newest is None:
        if why:
            raise Unknown(f"no checkpoint is signed by this key: {why}")
        return Heads()
    return Heads.after(*newest)


def build(settings: Settings) -> Checkpoints:
    """The service on these settings. Raises `BadSettings` for a key that cannot be used."""
    try:
        signer = signer_of(key_file(settings))
    except KeyProblem as error:
        raise BadSettings(f"{variable('audit_key_file')}: {error}") from None
    return Checkpoints(settings, signer, SystemClock())


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
