"""Membership of a group, as far as it can be told without a broker: what aiokafka's answers and errors amount to."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from runtime.evictions import EVICTIONS
from runtime.group import GroupMember, OffsetUnknown, _Listener
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
        ({SOURCE: OffsetAndMetadata(0, "n1")}, Position(0, "n1")),
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


async def test_a_rebalance_puts_nobody_out_and_the_loss_of_the_generation_does(member: GroupMember):
    coordinator = SimpleNamespace(generation=4)
    member._consumer = SimpleNamespace(_coordinator=coordinator)
    told: list[list[int]] = []

    async def changed(partitions: list[int]) -> None:
        told.append(partitions)

    listener = _Listener(member, changed, changed)
    await listener.on_partitions_assigned([])
    for generation, twin in ((4, False), (-1, True)):
        coordinator.generation = generation
        for _ in range(EVICTIONS):
            await listener.on_partitions_revoked([SOURCE])
        assert (member.evictions.twin_within_s is not None) is twin
    assert told == [[], *[[3]] * (2 * EVICTIONS)]


async def test_a_coordinator_that_is_loading_does_not_end_the_heartbeats_and_a_refusal_does(member: GroupMember):
    async def loading() -> bool:
        raise KafkaError("Unexpected exception in heartbeat task: GroupLoadInProgressError()")

    async def forbidden() -> bool:
        raise GroupAuthorizationFailedError("novix-toy")

    assert await member._heartbeats(loading)() is False
    with pytest.raises(GroupAuthorizationFailedError):
        await member._heartbeats(forbidden)()


async def test_only_a_heartbeat_that_is_answered_as_to_a_member_says_that_it_is_in_its_group(member: GroupMember):
    """Who is refused, or hears nothing, may have been left behind, and that is looked after."""
    heard: list[float] = []
    member.belonging.heard = heard.append  # type: ignore[method-assign, assignment]

    async def answered() -> bool:
        return True

    async def refused() -> bool:
        return False

    async def loading() -> bool:
        raise KafkaError("GroupLoadInProgressError()")

    for ask in (refused, loading, answered):
        assert heard == []
        await member._heartbeats(ask)()
    assert len(heard) == 1


async def test_a_member_is_silent_a_session_after_it_asked_what_was_answered_last(member: GroupMember):
    """However late the answer came: the coordinator counts from the question."""
    loop = asyncio.get_running_loop()
    assert member.silent()

    async def answered_late() -> bool:
        await asyncio.sleep(0.2)
        return True

    asked_at = loop.time()
    assert await member._heartbeats(answered_late)()
    assert not member.silent()
    assert member._confirmed_at - asked_at < 0.1
    member._session_s = loop.time() - member._confirmed_at - 0.01
    assert member.silent()


async def test_a_member_that_is_joining_is_in_no_generation_and_does_not_ask_the_coordinator(member: GroupMember):
    """As after a freeze in the middle of a join: aiokafka would forget its member id for the refusal, and the join end
    the process as FENCED_INSTANCE_ID."""

    class Coordinator:
        generation = -1
        asked = 0

        async def _do_heartbeat(self) -> bool:
            self.asked += 1
            return True

        def need_rejoin(self, subscription: Any) -> bool:
            return False

    coordinator = Coordinator()
    member._consumer = SimpleNamespace(_coordinator=coordinator, _subscription=SimpleNamespace(subscription=None))
    assert not await member.heartbeat()
    assert coordinator.asked == 0

    coordinator.generation = 1
    assert await member.heartbeat()


class Coordinator:
    """In the place of aiokafka's group coordinator."""

    generation = 4

    def __init__(self, answer: "bool | Exception", rejoin: bool = False) -> None:
        self._answer, self._rejoin = answer, rejoin

    async def _do_heartbeat(self) -> bool:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def need_rejoin(self, subscription: Any) -> bool:
        return self._rejoin


@pytest.mark.parametrize(
    ("coordinator", "sure"),
    [
        (Coordinator(True), True),
        (Coordinator(False), False),
        (Coordinator(KafkaError("the coordinator is away")), False),
        (Coordinator(TimeoutError()), False),
        (Coordinator(True, rejoin=True), False),
    ],
)
async def test_only_an_answered_heartbeat_of_a_member_that_need_not_join_again_confirms_it(
    member: GroupMember, coordinator: Coordinator, sure: bool
):
    member._consumer = SimpleNamespace(_coordinator=coordinator, _subscription=SimpleNamespace(subscription=None))

    assert await member.heartbeat() is sure


class Places:
    """In aiokafka's place: one assigned partition, its position, and whether it is paused."""

    def __init__(self) -> None:
        self.paused: list[TopicPartition] = []
        state = SimpleNamespace(position=0, has_valid_position=True)
        self._state = state
        held = SimpleNamespace(state_value=lambda source: state)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=held))

    def assignment(self) -> set[TopicPartition]:
        return {SOURCE}

    def seek(self, source: TopicPartition, offset: int) -> None:
        self._state.position = offset

    def pause(self, source: TopicPartition) -> None:
        self.paused.append(source)


async def test_a_partition_that_is_assigned_again_is_paused_and_has_no_position_until_its_lane_seeks(
    member: GroupMember,
):
    """The place that it has meanwhile is nobody's: taken for the lane's own it would be committed."""
    member._consumer = places = Places()
    member.hold_back(3)
    member.seek(3, 41)
    assert member.position(3) == 41

    member.hold_back(3)

    assert places.paused == [SOURCE, SOURCE]
    assert member.position(3) is None
