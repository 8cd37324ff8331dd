"""One way to read topics batch by batch: a FastStream application with one subscriber, manual acknowledgement and
read_committed.

At least once: a batch is acknowledged by whoever takes it, when what it says is where it has to be.
"""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from runtime.settings import Settings

Take = Callable[[Sequence["Arrived"]], Awaitable[bool]]
"""Whether a batch was taken: then it is acknowledged, else read again."""
LEAVE_S = 30.0
"""For the batch that is being taken when the application stops."""


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


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads what."""

    topics: Sequence[str]
    """Logical names."""
    group: str
    """Without the prefix."""
    title: str
    description: str
    most: int
    """Records of one batch."""
    poll_ms: int = 150
    instance: str | None = None
    """Name of a static member: it is back at once after a restart, without waiting out a session."""


def application(settings: Settings, reading: Reading, take: Take) -> FastStream:
    """It joins its group with `start`, and leaves it with `stop`; what was not acknowledged is read again.

    `take` must not raise: FastStream would read on.
    """
    group = settings.named(reading.group)
    broker = KafkaBroker(
        settings.kafka_bootstrap.split(","), security=_security(settings), client_id=group, logger=None,
        graceful_timeout=LEAVE_S,
    )  # fmt: skip

    async def taken(_body: Any, message: KafkaMessage) -> None:
        raw: Any = message.raw_message
        if await take(raw):
            await message.ack()
        else:
            await message.nack()

    broker.subscriber(
        *(settings.named(topic) for topic in reading.topics),
        batch=True,
        group_id=group,
        group_instance_id=reading.instance,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_records=reading.most,
        batch_timeout_ms=reading.poll_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.heartbeat_interval_ms,
        title=reading.title,
        description=reading.description,
        parser=_parsed,
        decoder=_undecoded,
    )(taken)
    return FastStream(broker, logger=None)


async def _parsed(message: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    return await original(
        tuple(Arrived(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in message)
    )


async def _undecoded(_message: Any) -> None:
    """Whoever takes a batch reads the raw records; FastStream has nothing to decode."""


def _security(settings: Settings) -> BaseSecurity | None:
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
