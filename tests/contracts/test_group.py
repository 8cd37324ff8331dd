"""Membership of a group, as far as it can be told without a broker: what aiokafka's answers and errors amount to."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from runtime.evictions import EVICTIONS
from runtime.group import GroupMember, OffsetUnknown
from runtime.membership import InstanceTaken, PositionLost
from runtime.ports import Position
from runtime.settings import Settings

SOURCE = TopicPartition("inference.jobs.v1", 3)


class Answers:
    """In aiokafka's place: answers with what it was given, or raises it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.asked: tuple[Any, ...] = ()

    async def list_consumer_group_offsets(self, group: str, partitions: list[TopicPartition]) -> Any:
        return self._answer

    async def getmany(self, *sources: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        self.asked = sources
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
async def member() -> GroupMember:
    return GroupMember(Settings(), "novix-toy", SOURCE.topic, "host-0")


@pytest.mark.parametrize(
    ("answer", "position"),
    [
        ({SOURCE: OffsetAndMetadata(7, "n1")}, Position(7, "n1")),
        ({SOURCE: OffsetAndMetadata(7, None)}, Position(7, "")),
        ({SOURCE: OffsetAndMetadata(-1, "")}, None),
    ],
)
async def test_a_committed_position_is_what_the_coordinator_says(member: GroupMember, answer: Any, position: Any):
    member._admin = Answers(answer)

    assert await member.committed(3) == position


async def test_a_coordinator_that_does_not_answer_for_the_partition_is_not_taken_for_a_first_start(member: GroupMember):
    """While it loads, it sends an error and no partitions; aiokafka drops the error."""
    member._admin = Answers({})

    with pytest.raises(OffsetUnknown):
        await member.committed(3)


async def test_an_offset_out_of_range_is_one_partitions_and_other_errors_are_not(member: GroupMember):
    member._consumer = Answers(OffsetOutOfRangeError({SOURCE: 41}))
    with pytest.raises(PositionLost) as lost:
        await member.poll(0, 1)
    assert (lost.value.partition, lost.value.offset) == (3, 41)

    member._consumer = Answers(NoOffsetForPartitionError(SOURCE))
    assert await member.poll(0, 1) == []

    member._consumer = Answers(KafkaError("the heartbeat task ended"))
    with pytest.raises(KafkaError):
        await member.poll(0, 1)


async def test_only_the_partitions_that_are_asked_for_are_polled(member: GroupMember):
    member._consumer = answers = Answers({})
    await member.poll(0, 1, {3})
    assert answers.asked == (SOURCE,)

    await member.poll(0, 1)
    assert answers.asked == ()


async def test_a_member_that_is_put_out_again_and_again_has_a_twin(member: GroupMember):
    member._consumer = Answers({})
    for at in range(EVICTIONS - 1):
        member.evictions.put_out(at)
    await member.poll(0, 1)

    member.evictions.put_out(EVICTIONS)
    with pytest.raises(InstanceTaken, match=r"host-0.*NOVIX_INSTANCE_ID"):
        await member.poll(0, 1)


async def test_a_coordinator_that_is_loading_does_not_end_the_heartbeats_and_a_refusal_does(member: GroupMember):
    async def loading() -> bool:
        raise KafkaError("Unexpected exception in heartbeat task: GroupLoadInProgressError()")

    async def forbidden() -> bool:
        raise GroupAuthorizationFailedError("novix-toy")

    assert await member._heartbeats(loading)() is False
    with pytest.raises(GroupAuthorizationFailedError):
        await member._heartbeats(forbidden)()
