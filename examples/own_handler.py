"""Somebody else's handler on somebody else's topics: the lane engine alone, without jobs, models or a router.

    python examples/own_handler.py topics    # makes its topics, once
    python examples/own_handler.py           # works until SIGTERM

Parcels are weighed and get a label. What happens to one parcel (its key) happens in order; parcels go side by side. The
scale fails at times: then the record rests, and with it its parcel, and no other. Each parcel record leads to exactly
one committed label, or one dead letter, through kills and rebalances; readers want `isolation.level=read_committed`.
"""

import asyncio
import json
import sys
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

from runtime.bus import Bus
from runtime.function import FunctionApplication
from runtime.outcome import GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Delivery, Outgoing, Record
from runtime.service import LaneService
from runtime.settings import Settings, load
from runtime.shell import Role, run
from schemas.failure import FailureKind
from schemas.topics import AUDIT, DLQ, SPANS, Topic

DAY_MS = 86_400_000
PARCELS = Topic("shop.parcels.v1", "parcel", None, "what happens to a parcel", 7 * DAY_MS)
LABELS = Topic("shop.labels.v1", "parcel", None, "the label of a parcel", 7 * DAY_MS)
ROLE = Role("labels", "Labels for parcels", "shop-labels", PARCELS, (LABELS, DLQ, AUDIT))


async def label(delivery: Delivery) -> Outcome:
    """Weigh a parcel; a scale that does not answer is asked again in a fifth of a second, three times in all."""
    parcel = delivery.record.key or b""
    try:
        grams = await weigh(json.loads(delivery.record.value or b""), delivery.attempt)
    except (ValueError, TypeError, KeyError):
        return GiveUp(FailureKind.UNDECODABLE, f"{len(delivery.record.value or b'')} bytes that tell no parcel's size")
    except TimeoutError:
        if delivery.attempt == 3:
            return GiveUp(FailureKind.TIMEOUT, "the scale did not answer three times")
        return RetryAt(datetime.now(UTC) + timedelta(seconds=0.2), FailureKind.TIMEOUT)
    return Publish((Outgoing(LABELS.name, parcel, json.dumps({"grams": grams}).encode()),))


async def weigh(parcel: dict[str, int], attempt: int) -> int:
    """A scale that sleeps in between."""
    await asyncio.sleep(0.01)
    if parcel.get("asleep", 0) >= attempt:
        raise TimeoutError
    return int(parcel["litres"]) * 250


def parcel_of(record: Record) -> Hashable | None:
    """A parcel's events keep their order; an event without a parcel has none."""
    return record.key


def build(settings: Settings) -> LaneService:
    """The application on Kafka: up to 32 parcels at once."""
    return LaneService(settings, FunctionApplication(ROLE.group, PARCELS.name, label, order=parcel_of), window=32)


async def make_topics(settings: Settings) -> None:
    """Its own two, and the three that every lane writes to."""
    async with Bus(settings) as bus:
        await bus.create_topics((PARCELS, LABELS, DLQ, AUDIT, SPANS), partitions=settings.partitions)


if __name__ == "__main__":
    if sys.argv[1:] == ["topics"]:
        asyncio.run(make_topics(load().settings))
    else:
        sys.exit(run(ROLE, build, load().settings))
