"""A simulated broker by hand: what its tests ask of it."""

from typing import Any

from aiokafka.errors import (
    ConcurrentTransactions,
)
from simulation.kafka import BrokerFaults, Fetched, Message, SimBroker, SimRecord
from simulation.kernel import Kernel
from simulation.network import Answer

OUT, IN = ("out", 0), ("in", 0)
LANE = "g.in.0"


def a_broker(**faults: Any) -> SimBroker:
    broker = SimBroker(Kernel(1), faults=BrokerFaults(**faults))
    broker.create_topic("out", 2)
    broker.create_topic("in", 1)
    return broker


def wait(broker: SimBroker, seconds: float) -> None:
    kernel, passed = broker.machine.kernel, list[bool]()
    kernel.call_later(seconds, lambda: passed.append(True))
    kernel.call_later(seconds + 1e-6, lambda: None)  # a kernel that has nothing ahead of it is stuck
    kernel.run(lambda: bool(passed), seconds + 1)


def message(text: str, timestamp: int = 0) -> Message:
    return text.encode(), text.encode(), (), timestamp


def answered(answer: Answer) -> Any:
    """What it says. Fails if it says nothing yet."""
    said: list[tuple[Any, BaseException | None]] = []
    answer.then(lambda value, error: said.append((value, error)))
    [(value, error)] = said
    if error is not None:
        raise error
    return value


def fetched(broker: SimBroker, offset: int = 0, *, committed: bool = True, max_bytes: int = 262_144) -> Fetched:
    answer = broker.fetch({OUT: offset}, committed=committed, max_bytes=max_bytes, max_wait_s=0.1)
    if not answer.done:
        wait(broker, 0.2)
    found: Fetched = answered(answer)[OUT]
    return found


def texts(records: list[SimRecord]) -> list[str]:
    return [(record.value or b"").decode() for record in records]


def opened(broker: SimBroker, lane: str = LANE) -> tuple[int, int]:
    """InitProducerId, asked again until it is answered."""
    for _ in range(100):
        try:
            return broker.init_producer_id(lane, 10.0)
        except ConcurrentTransactions:
            wait(broker, 0.02)
    raise AssertionError("never answered")


def write(broker: SimBroker, producer: tuple[int, int], text: str, sequence: int, lane: str = LANE) -> int:
    broker.add_partitions(lane, *producer, [OUT])
    return broker.produce(OUT, [message(text)], (*producer, sequence), lane)
