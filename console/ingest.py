"""Fills the store from the topics: a FastStream application with one batch subscriber, manual acknowledgement.

Its group is the store's own, so an empty disk reads everything anew and no lane group ever sees it as a member. A
record counts as read when its rows are in the file; a batch that could not be written is read again.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from console.facts import facts_of
from console.store import Store
from runtime.settings import Settings
from schemas.topics import DECISIONS, JOBS, RESULTS, SPANS

log = structlog.get_logger("novix.console")

SOURCES = (JOBS.name, DECISIONS.name, RESULTS.name, SPANS.name)
MAX_RECORDS = 500
POLL_MS = 150
WAIT_AFTER_FAULT_S = 1.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A record as FastStream's parser wants it, without the headers: it would fail on those that are no UTF-8."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
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
            description="Every job's arrival, decision, result and spans, for the pages.",
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
            facts = [
                facts_of(r.topic.removeprefix(self._prefix), r.partition, r.offset, r.timestamp, r.value) for r in raw
            ]
            await asyncio.to_thread(self._store.add, facts)
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


async def _parse(message: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    return await original(tuple(Arrived(r.topic, r.partition, r.offset, r.timestamp, r.value) for r in message))


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
