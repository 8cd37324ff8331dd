"""New partitions of a topic, as far as it can be told without a broker: when its group is asked to divide anew."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocol

from runtime import growth
from runtime.growth import Growth

TOPIC = "inference.jobs.v1"


class Cluster:
    """In aiokafka's place: how many partitions there are, which of them members hold, and how often it was asked."""

    def __init__(self, partitions: int, held: list[int]) -> None:
        self.partitions, self.held = partitions, held
        self.asked = self.rejoined = 0
        self._client = SimpleNamespace(cluster=self)
        self._coordinator = self

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(self.partitions))

    def request_rejoin(self) -> None:
        self.rejoined += 1

    async def describe_consumer_groups(self, _: list[str]) -> list[Any]:
        self.asked += 1
        held = ConsumerProtocol.ASSIGNMENT(0, [(TOPIC, self.held)], b"").encode()
        member = ("member", "instance", "client", "host", b"", held)
        return [SimpleNamespace(groups=[(0, "group", "Stable", "consumer", "sticky", [member])])]


@pytest.fixture(autouse=True)
def at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LOOK_EVERY_S", 0.0)


def growth_of(cluster: Any) -> Growth:
    return Growth(cluster, cluster, "group", TOPIC)


async def test_a_group_that_reads_all_is_asked_once_and_again_when_there_are_more_partitions():
    cluster = Cluster(2, [0, 1])
    looks = growth_of(cluster)
    for _ in range(3):
        await looks.look()
    assert (cluster.asked, cluster.rejoined) == (1, 0)

    cluster.partitions = 3
    await looks.look()
    assert (cluster.asked, cluster.rejoined) == (2, 1)


async def test_after_an_assignment_it_is_looked_whether_somebody_reads_every_partition():
    """A static member that was restarted may be handed what it had before the topic grew, or another had left."""
    cluster = Cluster(2, [0, 1])
    looks = growth_of(cluster)
    await looks.look()
    cluster.held = [0]
    looks.assigned()
    await looks.look()

    assert (cluster.asked, cluster.rejoined) == (2, 1)
