"""New partitions of a topic, as far as it can be told without a broker: when its group is asked to divide anew."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError

from runtime import growth
from runtime.growth import Growth

TOPIC = "inference.jobs.v1"


class Cluster:
    """In aiokafka's place: how many partitions there are, which of them members hold, and how often it was asked."""

    def __init__(self, partitions: int, held: list[int]) -> None:
        self.partitions, self.held = partitions, held
        self.state, self.error, self.topic, self.asked, self.rejoined = "Stable", 0, TOPIC, 0, 0
        self._client = SimpleNamespace(cluster=self)
        self._coordinator = self

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(self.partitions))

    def request_rejoin(self) -> None:
        self.rejoined += 1

    async def describe_consumer_groups(self, _: list[str]) -> list[Any]:
        self.asked += 1
        if self.error < 0:
            raise KafkaError("no coordinator")
        held = ConsumerProtocol.ASSIGNMENT(0, [(self.topic, self.held)], b"").encode()
        member = ("member", "instance", "client", "host", b"", held)
        return [SimpleNamespace(groups=[(self.error, "group", self.state, "consumer", "sticky", [member])])]


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


@pytest.mark.parametrize("seen", ["dividing", "loading", "silent", "no metadata"])
async def test_a_group_of_which_nothing_is_known_is_not_asked_to_divide_its_work_anew(seen: str):
    """It would be at that for ever; and without a coordinator the lanes go on."""
    cluster = Cluster(2, [])
    if seen == "dividing":
        cluster.state = "CompletingRebalance"
    elif seen == "no metadata":
        cluster.partitions = 0
    else:
        cluster.error = 15 if seen == "loading" else -1
    looks = growth_of(cluster)
    for _ in range(3):
        await looks.look()
    assert (cluster.asked, cluster.rejoined) == (0 if seen == "no metadata" else 3, 0)

    cluster.state, cluster.error, cluster.partitions = "Stable", 0, 2
    await looks.look()
    assert cluster.rejoined == 1


@pytest.mark.parametrize(("topic", "held"), [("inference.text.v1", [0, 1, 2]), (TOPIC, [0, 1, 7])])
async def test_only_the_topics_own_partitions_that_there_are_count_as_read(topic: str, held: list[int]):
    """A topic that was made anew may have fewer of them than the one before."""
    cluster = Cluster(3, held)
    cluster.topic = topic
    await growth_of(cluster).look()
    assert cluster.rejoined == 1


async def test_between_two_looks_and_after_an_assignment_some_time_passes(monkeypatch: pytest.MonkeyPatch):
    """A group that was asked to divide its work anew is not asked so again with every poll until it has."""
    monkeypatch.setattr(growth, "LOOK_EVERY_S", 1e9)
    cluster = Cluster(2, [0])
    looks = growth_of(cluster)
    for _ in range(3):
        await looks.look()
    assert (cluster.asked, cluster.rejoined) == (1, 1)

    looks = growth_of(cluster)
    looks.assigned()
    await looks.look()
    assert cluster.asked == 1


async def test_a_coordinator_that_never_answers_keeps_nobody_from_polling(monkeypatch: pytest.MonkeyPatch):
    async def never(_: list[str]) -> list[Any]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(growth, "ASK_S", 0.001)
    cluster = Cluster(2, [0])
    cluster.describe_consumer_groups = never  # type: ignore[method-assign]
    await asyncio.wait_for(growth_of(cluster).look(), 30)
    assert cluster.rejoined == 0
