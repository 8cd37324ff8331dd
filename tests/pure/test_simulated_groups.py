"""The simulated coordinator of groups keeps Kafka's rules."""

import pytest
from aiokafka.errors import (
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from sim_broker import IN, a_broker, answered, wait
from simulation.kafka import Joined, SimBroker
from simulation.network import Answer


def join(broker: SimBroker, instance: str | None, member_id: str = "", about: bytes = b"in") -> Answer:
    return broker.join_group("g", member_id, instance, 6.0, 60.0, about)


def formed(broker: SimBroker, *instances: str | None) -> list[Joined]:
    """A group with these members, in a stable generation; the first has partition 0."""
    answers = [join(broker, instance) for instance in instances]
    wait(broker, 0.01)
    members: list[Joined] = [answered(answer) for answer in answers]
    [leader] = [member for member in members if member.members]
    assignment = {members[0].member_id: [IN]}
    syncs = [
        broker.sync_group("g", member.generation, member.member_id, assignment if member is leader else {})
        for member in [*(other for other in members if other is not leader), leader]
    ]
    assert all(sync.done for sync in syncs)
    return members


def test_a_static_member_that_is_back_has_its_partitions_in_the_same_generation() -> None:
    broker = a_broker()
    first, second = formed(broker, "a", "b")
    back: Joined = answered(join(broker, "a", about=b"other"))

    assert (back.generation, back.members) == (first.generation, ())
    assert back.leader != back.member_id
    assert answered(broker.sync_group("g", back.generation, back.member_id, {})) == (IN,)
    broker.heartbeat("g", second.generation, second.member_id)
    with pytest.raises(UnknownMemberIdError):
        broker.heartbeat("g", first.generation, first.member_id)


def test_who_is_not_heard_of_for_a_session_is_put_out_and_the_others_join_again() -> None:
    broker = a_broker()
    gone, stays = formed(broker, "a", "b")
    for _ in range(4):
        wait(broker, 1.9)
        if broker.describe_group("g")[0] == "Stable":
            broker.heartbeat("g", stays.generation, stays.member_id)
    with pytest.raises(RebalanceInProgressError):
        broker.heartbeat("g", stays.generation, stays.member_id)
    with pytest.raises(UnknownMemberIdError):
        broker.commit_offsets("g", gone.generation, gone.member_id, {IN: (1, "")})
    again: Joined = answered(join(broker, "b", stays.member_id))

    assert again.generation == stays.generation + 1
    assert [name for name, _ in again.members] == [stays.member_id]
    with pytest.raises(IllegalGenerationError):
        broker.heartbeat("g", stays.generation, stays.member_id)


def test_a_rebalance_waits_for_all_members_and_no_longer_than_its_timeout() -> None:
    broker = a_broker()
    [old] = formed(broker, None)
    new = join(broker, None)
    for _ in range(20):
        wait(broker, 2.9)
        assert not new.done
        with pytest.raises(RebalanceInProgressError):
            broker.heartbeat("g", old.generation, old.member_id)
    wait(broker, 3)
    alone: Joined = answered(new)
    assert [name for name, _ in alone.members] == [alone.member_id]


def test_a_static_member_that_does_not_join_again_stays_until_its_session_ends() -> None:
    broker = a_broker()
    formed(broker, "a")
    new = broker.join_group("g", "", "b", 6.0, 2.0, b"in")
    wait(broker, 5.9)
    assert not new.done
    wait(broker, 0.5)
    assert [name for name, _ in answered(new).members] == [answered(new).member_id]


def test_leaving_divides_the_work_anew_and_an_empty_group_may_be_committed_for() -> None:
    broker = a_broker()
    [one] = formed(broker, None)
    with pytest.raises(UnknownMemberIdError):
        broker.commit_offsets("g", -1, "", {IN: (7, "")})
    broker.leave_group("g", one.member_id)
    assert broker.describe_group("g") == ("Empty", {})
    broker.commit_offsets("g", -1, "", {IN: (7, "")})
    assert broker.committed("g") == {IN: (7, "")}


def test_a_broker_that_is_back_knows_the_group_as_it_was_last_stable() -> None:
    broker = a_broker(load_s=0.0)
    one, two = formed(broker, "a", "b")
    waiting = join(broker, "c")
    broker.stop()
    wait(broker, 30)
    broker.start()

    broker.heartbeat("g", one.generation, one.member_id)
    assert not waiting.done
    state, held = broker.describe_group("g")
    assert (state, held) == ("Stable", {one.member_id: (IN,), two.member_id: ()})


def test_a_frozen_broker_lets_no_timer_pass() -> None:
    broker = a_broker()
    [one] = formed(broker, "a")
    broker.freeze(30)
    wait(broker, 29)
    assert broker.describe_group("g")[0] == "Stable"
    assert list(broker.describe_group("g")[1]) == [one.member_id]
    wait(broker, 2)
    assert broker.describe_group("g")[0] == "Empty"
