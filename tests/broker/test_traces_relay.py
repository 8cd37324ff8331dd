"""The relay on a real broker: an outage loses nothing, what is no span is skipped, the refused is left out alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from otlp_receiver import Receiver, receiving

from console.relay.relay import Relay
from console.relay.sending import Sender, transport_to
from console.relay.target import target_of
from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import Settings, resolve
from runtime.telemetry import CLIENT, SpanDraft, TraceContext, encode_spans
from schemas.topics import SPANS

pytestmark = pytest.mark.broker
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def settings(broker: Any, prefix: str, tmp_path: Path) -> Settings:
    values = {"NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix, "NOVIX_HOME": str(tmp_path)}
    return resolve(values, {}, {}).settings


def record(number: int, name: str = "POST") -> Outgoing:
    draft = SpanDraft(TraceContext(f"{number + 1:032x}", None), f"{number + 1:016x}", name, CLIENT, NOON, NOON, {})
    return Outgoing(SPANS.name, b"lane", encode_spans("novix-router", [draft]))


def ids(numbers: range) -> set[str]:
    return {f"{number + 1:016x}" for number in numbers}


@asynccontextmanager
async def relaying(settings: Settings, receiver: Receiver, **variables: str) -> AsyncIterator[Relay]:
    target = target_of({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **variables})
    assert target is not None
    async with Sender(target, transport_to(target)) as sender:
        relay = Relay(settings, sender, lambda: 0.0)
        await relay.start()
        try:
            yield relay
        finally:
            await relay.stop()


async def until(enough: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not enough():
            await asyncio.sleep(0.02)


async def test_what_was_written_before_and_during_an_outage_arrives_after_it(settings: Settings) -> None:
    async with Bus(settings) as bus:
        await bus.create_topics([SPANS], partitions=2)
        await bus.publish([record(number) for number in range(20)])
        with receiving() as receiver:
            receiver.status = 503
            async with relaying(settings, receiver, OTEL_EXPORTER_OTLP_COMPRESSION="gzip") as relay:
                await until(lambda: receiver.refusals >= 2)
                assert (relay.ready, relay.fault, relay.relayed) == (False, "503", 0)
                await bus.publish([record(number) for number in range(20, 40)])
                receiver.status = 200
                await until(lambda: relay.relayed >= 40)
                assert relay.ready
            assert {span.span_id.hex() for span in receiver.spans()} == ids(range(40))
            assert {told["path"] for told in receiver.headers} == {"/v1/traces"}


async def test_a_relay_that_ends_in_an_outage_leaves_everything_to_the_next(settings: Settings) -> None:
    async with Bus(settings) as bus:
        await bus.create_topics([SPANS], partitions=1)
        await bus.publish([record(number) for number in range(5)])
        with receiving() as receiver:
            receiver.status = 401
            async with relaying(settings, receiver):
                await until(lambda: receiver.refusals >= 1)
            receiver.status = 200
            async with relaying(settings, receiver) as relay:
                await until(lambda: relay.relayed >= 5)
            assert {span.span_id.hex() for span in receiver.spans()} == ids(range(5))


async def test_poison_is_skipped_and_counted_and_takes_no_neighbour_with_it(settings: Settings) -> None:
    async with Bus(settings) as bus:
        await bus.create_topics([SPANS], partitions=1)
        garbage = [Outgoing(SPANS.name, b"k", value, (("x", b"\xff"),)) for value in (b"\x0a\xff no", None)]
        poison = [record(number, "poison") for number in (100, 101)]
        await bus.publish([record(0), *garbage, record(1), poison[0], record(2), poison[1], record(3)])
        with receiving() as receiver:
            async with relaying(settings, receiver) as relay:
                await until(lambda: relay.relayed >= 4)
            assert {span.span_id.hex() for span in receiver.spans()} == ids(range(4))
            assert (relay.refused, relay.skipped) == (2, 2)
