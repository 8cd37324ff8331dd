"""What the engine's claims share: a story in virtual time, a log with records, a call that takes a while."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from sim_log import Faults, SimLog
from sim_world import SimHandler, publish
from virtual_time import run

from runtime.outcome import Outcome
from runtime.ports import Delivery

Story = Callable[[], Coroutine[Any, Any, None]]


def told(story: Story) -> Callable[[], None]:
    """A test in virtual time."""

    def test() -> None:
        run(story())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def log_of(*counts: int, faults: Faults | None = None, seed: int = 1) -> SimLog:
    log = SimLog(random.Random(seed), len(counts), faults)
    for partition, count in enumerate(counts):
        for number in range(count):
            log.append(partition, b"%d-%d" % (partition, number))
    return log


def after(seconds: float) -> Any:
    """A call that takes that long."""

    async def do(handler: SimHandler, delivery: Delivery) -> Outcome:
        await asyncio.sleep(seconds)
        return publish(delivery.record)

    return do
