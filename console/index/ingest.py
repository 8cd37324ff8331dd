"""Fills the index from the topics: a FastStream application with one batch subscriber, manual acknowledgement.

Its group is the store's own, so an empty disk reads everything anew and no lane group ever sees it as a member. A
record counts as read when its rows are in the file; a batch that could not be written is read again.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from console.index.facts import SOURCES, facts_of, not_read
from console.index.rows import Facts
from console.index.store import Store
from runtime.settings import Settings

log = structlog.get_logger("novix.console")

MAX_RECORDS = 500
POLL_MS = 150
WAIT_AFTER_FAULT_S = 1.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A record as FastStream's parser wants it, without the headers: it would fail on those that are no UTF-8. We read
    them ourselves."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    told: tuple[tuple[str, bytes], ...] = ()
    """The headers as they came."""
    headers: tuple[tuple[str, bytes], ...] = ()


class Ingest:
    """The subscriber and its state. `start` joins the group, `stop` leaves it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._prefix = settings.topic_prefix
        self._store = store
        self.records = 0
        self.last_record_ms: int | None = None
        self.fault: str | None = None
        """Class name of what keeps rows from being written; None while all is well."""
        self.group = settings.named(f"novix-console-{store.id}")
        self.broker = KafkaBroker(
            settings.kafka_bootstrap.split(","), security=security(settings), client_id=self.group, logger=None
        )
        subscriber = self.broker.subscriber(
            *(settings.named(topic) for topic in SOURCES),
            batch=True,
            group_id=self.group,
            # One process fills a store; a static member is back at once after a restart, without waiting out a session.
            group_instance_id="console",
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_records=MAX_RECORDS,
            batch_timeout_ms=POLL_MS,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            title="console",
            description="What every topic tells of jobs, money, audit and health, for the pages.",
            parser=_parse,
            decoder=_undecoded,
        )
        subscriber(self._take)
        self.app = FastStream(self.broker, logger=None)

    async def start(self) -> None:
        """Connect and read on from where this store was. Raises Kafka's errors."""
        await self.app.start()

    async def stop(self) -> None:
        """Leave the group. What was not acknowledged is read again."""
        await self.app.stop()

    async def _take(self, _body: Any, message: KafkaMessage) -> None:
        raw: Any = message.raw_message
        try:
            await asyncio.to_thread(self._fold, raw)
        except Exception as error:
            # Acknowledged is only what is in the file: go back to the batch's first records, after a while.
            self.fault = type(error).__name__
            log.error("ingest.failed", error=self.fault, records=len(raw))
            await asyncio.sleep(WAIT_AFTER_FAULT_S)
            await message.nack()
            return
        await message.ack()
        self.fault = None
        self.records += len(raw)
        self.last_record_ms = max(record.timestamp for record in raw)

    def _fold(self, raw: Sequence[Arrived]) -> None:
        """Read and write in a thread: the pages' event loop goes on meanwhile."""
        self._store.add(facts_or_none(one, self._prefix, capture=self._store.capture) for one in raw)


def facts_or_none(one: Arrived, prefix: str, *, capture: bool) -> Facts:
    """A record's rows. `facts_of` takes any bytes; should it fail all the same, that one record is counted and not read
    again for ever."""
    topic = one.topic.removeprefix(prefix)
    where = (topic, one.partition, one.offset, one.timestamp)
    try:
        return facts_of(*where, one.value, one.key, one.told, capture=capture)
    except Exception as error:
        log.error(
            "record.not_read", topic=topic, partition=one.partition, offset=one.offset, error=type(error).__name__
        )
        return not_read(*where)


async def _parse(message: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    return await original(
        tuple(Arrived(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in message)
    )


async def _undecoded(_message: Any) -> None:
    """The handler reads the raw records; FastStream has nothing to decode."""


def security(settings: Settings) -> BaseSecurity | None:
    """How FastStream shall connect; None for a plain listener."""
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    tls = ssl.create_default_context(cafile=settings.kafka_ca_file or None) if protocol.endswith("SSL") else None
    if protocol == "SSL":
        return BaseSecurity(ssl_context=tls)
    kinds = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    kind = kinds[settings.kafka_sasl_mechanism]
    return kind(settings.kafka_username, settings.kafka_password.get_secret_value(), ssl_context=tls)
