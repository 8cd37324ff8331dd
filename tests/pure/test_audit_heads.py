"""The checkpoint service's memory: whenever it is stopped, its successor signs what it would have signed itself."""

from datetime import timedelta

import pytest
from audit_world import KEY, NOON, RING, ROUTER, WORKER, Trail, deed
from hypothesis import given, settings
from hypothesis import strategies as st

from console.audit.checkpoints import read
from console.audit.heads import MOST_HELD, PATIENCE, Heads
from schemas import codec
from schemas.audit import Checkpoint


def fold(heads: Heads, world: Trail) -> None:
    """Read both partitions from the beginning, as after a restart."""
    for partition, records in world.partitions.items():
        for offset, value in records:
            heads.take(partition, offset, value, NOON)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_a_successor_goes_on_from_the_newest_checkpoint_as_if_nothing_had_been(sizes: list[int]):
    """It begins from the checkpoint alone, and reads what it covers once more: that changes nothing."""
    world, done = Trail(), 0
    heads = Heads()
    for size in sizes:
        world.jobs(size, done)
        done += size
        fold(heads, world)
        value = heads.checkpoint(KEY, world.now, 30)
        heads = Heads.after(read(value, RING), value)
    whole = Heads()
    fold(whole, world)

    assert {lane: one.tree.root() for lane, one in heads.lanes.items()} == {
        lane: one.tree.root() for lane, one in whole.lanes.items()
    }
    assert heads.offsets == whole.offsets
    assert heads.number == len(sizes)


def test_a_checkpoint_that_did_not_reach_the_log_is_made_again_with_what_came_meanwhile():
    world = Trail()
    world.jobs(1)
    heads = Heads()
    fold(heads, world)
    lost = heads.checkpoint(KEY, NOON, 30)
    world.jobs(1, 1)
    fold(heads, world)
    value = heads.checkpoint(KEY, NOON, 30)
    heads.written(value)

    assert codec.decode(lost)["number"] == codec.decode(value)["number"] == 1
    assert (heads.number, heads.news) == (1, 0)


def test_entries_that_come_while_a_checkpoint_is_written_wait_for_the_next():
    world = Trail()
    world.jobs(1)
    heads = Heads()
    fold(heads, world)
    value = heads.checkpoint(KEY, NOON, 30)
    world.jobs(1, 1)
    fold(heads, world)
    heads.written(value)

    assert heads.news == 2


def batches(count: int) -> list[bytes]:
    world = Trail(1)
    for number in range(count):
        world.write(ROUTER, deed("job.assigned", f"j{number}"))
    return [value or b"" for _, value in world.partitions[0]]


def test_a_batch_waits_for_those_before_it_which_may_be_in_another_partition():
    one, two, three = batches(3)
    heads = Heads()
    heads.take(1, 0, three, NOON)
    heads.take(1, 5, two, NOON)
    checkpoint = Checkpoint.model_validate_json(heads.checkpoint(KEY, NOON, 30))

    assert heads.lanes == {}
    assert checkpoint.offsets == {"1": 0}, "what is held back is read again after a restart"
    assert heads.take(0, 0, one, NOON) is None
    assert heads.lanes[ROUTER].sequence == 3
    assert heads.lanes[ROUTER].tree.size == 3


def test_a_gap_that_nobody_fills_is_signed_as_one():
    one, _, three, four = batches(4)
    heads = Heads()
    for offset, value in enumerate((one, three, four)):
        heads.take(0, offset, value, NOON)

    assert heads.look(NOON + PATIENCE) == 0
    assert heads.look(NOON + PATIENCE + timedelta(seconds=1)) == 1
    standing = heads.lanes[ROUTER]
    assert (standing.run, standing.first, standing.sequence, standing.tree.size) == (2, 3, 4, 2)


def test_what_is_held_back_is_bounded():
    heads = Heads()
    for offset, value in enumerate(batches(MOST_HELD + 3)[1:]):
        heads.take(0, offset, value, NOON)

    assert heads.gaps == 1
    assert heads.lanes[ROUTER].sequence == MOST_HELD + 3


@pytest.mark.parametrize("spoil", [b"", b"nonsense", b"{}", b"[]"])
def test_what_is_no_batch_is_told_and_passed_over(spoil: bytes):
    one, two = batches(2)
    heads = Heads()
    heads.take(0, 0, one, NOON)

    assert heads.take(0, 1, spoil, NOON) is not None
    assert heads.take(0, 2, two.replace(b"acme", b"evil"), NOON) == "its hash is not that of its content"
    assert heads.take(0, 3, two, NOON) is None
    assert (heads.spoilt, heads.lanes[ROUTER].sequence) == (2, 2)


def test_a_batch_that_comes_twice_is_in_the_tree_once():
    one, two = batches(2)
    heads = Heads()
    for offset, value in enumerate((one, two)):
        heads.take(0, offset, value, NOON)

    assert heads.take(0, 2, two, NOON) == "its sequence was there before"
    assert heads.lanes[ROUTER].tree.size == 2


def test_lanes_stand_apart():
    world = Trail()
    world.jobs(3)
    heads = Heads()
    fold(heads, world)

    assert {lane: (one.sequence, one.tree.size) for lane, one in heads.lanes.items()} == {
        ROUTER: (3, 3),
        WORKER: (3, 3),
    }
