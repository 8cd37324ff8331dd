"""What somebody can do to the audit, one row each, and what the verifier must name first: kind, lane and sequence."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from audit_world import (
    KEY,
    NOON,
    OTHER_KEY,
    ROUTER,
    STRANGER,
    WORKER,
    Trail,
    deed,
    entry,
    forged,
    records,
    rehashed,
    replaced,
    trail,
    value_of,
)

from console.audit.checkpoints import CHECKPOINT
from console.audit.tree import leaf_hash
from runtime.progress import GENESIS
from schemas import codec

Named = tuple[str, str, int]


# Records


def a_digit(world: Trail) -> Named:
    replaced(world, WORKER, 2, value_of(world, WORKER, 2).replace(b'"cost_nanousd":2', b'"cost_nanousd":3'))
    return "changed", WORKER, 3


def keys_in_another_order(world: Trail) -> Named:
    """The hash is over sorted keys, so it still holds."""
    told = codec.decode(value_of(world, WORKER, 2))
    told["entries"][0] = dict(reversed(told["entries"][0].items()))
    replaced(world, WORKER, 2, codec.encode(told))
    return "changed", WORKER, 3


def fields_in_another_order(world: Trail) -> Named:
    told = codec.decode(value_of(world, WORKER, 2))
    replaced(world, WORKER, 2, codec.encode({name: told[name] for name in ("lane", "sequence", *sorted(told))}))
    return "changed", WORKER, 3


def a_key_twice(world: Trail) -> Named:
    replaced(world, WORKER, 2, value_of(world, WORKER, 2).replace(b'"job_id":', b'"job_id":"x","job_id":', 1))
    return "changed", WORKER, 3


def another_form_of_a_number(world: Trail) -> Named:
    replaced(world, WORKER, 2, value_of(world, WORKER, 2).replace(b'"submission":1', b'"submission":1e0', 1))
    return "changed", WORKER, 3


def another_form_of_a_letter(world: Trail) -> Named:
    replaced(world, WORKER, 2, value_of(world, WORKER, 2).replace(b'"acme"', b'"\\u0061cme"', 1))
    return "changed", WORKER, 3


def a_line_feed_behind_it(world: Trail) -> Named:
    replaced(world, WORKER, 2, value_of(world, WORKER, 2) + b"\n")
    return "changed", WORKER, 3


def a_sequence_far_ahead(world: Trail) -> Named:
    far = 2**63 - 1
    world.put(forged(value_of(world, WORKER, 9), sequence=far), world._home(WORKER))
    return "removed", WORKER, far


def a_sequence_beyond_all(world: Trail) -> Named:
    world.put(forged(value_of(world, WORKER, 9), sequence=2**64 - 1), world._home(WORKER))
    return "changed", "", 0


def no_value(world: Trail) -> Named:
    records(world, WORKER)[2] = records(world, WORKER)[2][0], None
    return "changed", "", 0


def the_first_removed(world: Trail) -> Named:
    del records(world, WORKER)[0]
    return "removed", WORKER, 2


def one_removed(world: Trail) -> Named:
    del records(world, WORKER)[4]
    return "removed", WORKER, 6


def the_last_signed_one_removed(world: Trail) -> Named:
    del records(world, WORKER)[7:]
    return "cut off", WORKER, 8


def two_swapped(world: Trail) -> Named:
    one, two = value_of(world, WORKER, 4), value_of(world, WORKER, 5)
    replaced(world, WORKER, 4, two)
    replaced(world, WORKER, 5, one)
    return "reordered", WORKER, 6


def one_twice(world: Trail) -> Named:
    records(world, WORKER).insert(5, records(world, WORKER)[4])
    return "inserted", WORKER, 5


def a_lane_under_anothers_name(world: Trail) -> Named:
    home = world._home(WORKER)
    named = [(offset, forged(value or b"", lane=STRANGER)) for offset, value in world.partitions[home]]
    world.partitions[home] = rehashed(named, STRANGER)
    return "inserted", STRANGER, 1


def two_of_one_sequence(world: Trail) -> Named:
    mine = forged(value_of(world, WORKER, 4), entries=[{**entry(world, WORKER, 4), "job_id": "mine"}])
    records(world, WORKER).insert(5, (records(world, WORKER)[4][0] + 1, mine))
    return "inserted", WORKER, 5


def another_chain_from(world: Trail, index: int) -> None:
    """From there on the worker's chain is another, and holds: only what was signed tells."""
    told = {**entry(world, WORKER, index), "tenant": "other"}
    replaced(world, WORKER, index, forged(value_of(world, WORKER, index), entries=[told]))
    home = world._home(WORKER)
    world.partitions[home] = rehashed(world.partitions[home], WORKER)


def hashed_again(world: Trail) -> Named:
    another_chain_from(world, 2)
    return "changed", WORKER, 1


def hashed_again_behind_the_first_checkpoint(world: Trail) -> Named:
    another_chain_from(world, 6)
    return "changed", WORKER, 5


def one_forged_that_nothing_has_signed(world: Trail) -> Named:
    """The next one does not follow it."""
    replaced(world, WORKER, 8, forged(value_of(world, WORKER, 8), entries=[{**entry(world, WORKER, 8), "tenant": "x"}]))
    return "changed", WORKER, 10


def an_entry_moved_to_the_batch_before(world: Trail) -> Named:
    """The same entries in the same order, so the same tree; and every hash fits."""
    home = world._home(WORKER)
    world.write(WORKER, deed("job.conflict", "x"))
    world.write(WORKER, deed("job.conflict", "y"), deed("job.conflict", "z"))
    world.checkpoint()
    both, last = [codec.decode(value_of(world, WORKER, at))["entries"] for at in (10, 11)]
    replaced(world, WORKER, 10, forged(value_of(world, WORKER, 10), entries=[*both, last[0]]))
    replaced(world, WORKER, 11, forged(value_of(world, WORKER, 11), entries=[last[1]]))
    world.partitions[home] = rehashed(world.partitions[home], WORKER)
    return "changed", WORKER, 9


def a_lane_put_in_below_what_is_covered(world: Trail) -> Named:
    """A whole chain of somebody's making, of a lane that never was: it could give a job the end that it lacks."""
    made = Trail(1)
    made.write(STRANGER, deed("job.rejected", "mine"))
    records(world, WORKER).insert(3, (5, made.partitions[0][0][1]))
    return "inserted", STRANGER, 1


def of_another_cluster(world: Trail) -> Named:
    """Its lanes have the same names."""
    other = Trail()
    other.write(WORKER, deed("job.succeeded", "elsewhere"))
    records(world, WORKER).append((99, other.partitions[other._home(WORKER)][0][1]))
    return "inserted", WORKER, 1


def a_beginning_deleted_beyond_every_checkpoint(world: Trail) -> Named:
    for partition in (0, 1):
        world.expire(partition, world.partitions[partition][9][0])
    return "removed", "", 0


def a_beginning_deleted_before_its_time(world: Trail) -> Named:
    world.expire(0, world.partitions[0][2][0])
    return "removed", "", 0


# Checkpoints


def an_old_one_again(world: Trail) -> Named:
    world.signed.append((99, world.signed[0][1]))
    return "forged checkpoint", "", 0


def the_first_taken_away(world: Trail) -> Named:
    del world.signed[0]
    return "forged checkpoint", "", 0


def signed_by_another_key_under_our_name(world: Trail) -> Named:
    _resigned(world, OTHER_KEY.sign)
    return "forged checkpoint", "", 0


def of_another_key(world: Trail) -> Named:
    world.signer = OTHER_KEY
    world.checkpoint()
    return "forged checkpoint", "", 0


def of_another_algorithm(world: Trail) -> Named:
    """64 bytes, as ECDSA on P-256 has them."""
    _resigned(world, lambda message: base64.b64encode(b"\1" * 64).decode())
    return "forged checkpoint", "", 0


def an_empty_signature(world: Trail) -> Named:
    _resigned(world, lambda message: "")
    return "forged checkpoint", "", 0


def a_signature_with_a_tail(world: Trail) -> Named:
    _resigned(world, lambda message: KEY.sign(message) + "\n")
    return "forged checkpoint", "", 0


def more_than_there_is(world: Trail) -> Named:
    """Somebody has the key and signs what nobody wrote."""
    world.jobs(1, 50)
    world.checkpoint()
    for partition in (0, 1):
        world.partitions[partition].pop()
    return "cut off", ROUTER, 11


def a_tree_over_other_entries(world: Trail) -> Named:
    """The chain as it is, and beside it the root of a tree in which an invented entry could be proved."""
    world.heads.lanes[WORKER].tree.peaks[-1] = leaf_hash(b"invented")
    world.checkpoint()
    return "changed", WORKER, 9


def _resigned(world: Trail, sign: Callable[[bytes], str]) -> None:
    """The newest checkpoint with one of its lanes taken out, signed by `sign` under our key's name."""
    offset, value = world.signed[-1]
    told = codec.decode(value or b"")
    told["heads"] = told["heads"][:1]
    del told["signature"]
    told["signature"] = sign(CHECKPOINT + codec.canonical(told))
    world.signed[-1] = offset, codec.canonical(told)


# Completeness


def an_end_twice(world: Trail) -> Named:
    world.write(WORKER, deed("job.failed", "j3", world.now))
    return "incomplete", WORKER, 11


def an_end_by_router_and_worker(world: Trail) -> Named:
    world.write(ROUTER, deed("job.cancelled", "j3", world.now))
    return "incomplete", ROUTER, 11


def an_end_of_what_nobody_accepted(world: Trail) -> Named:
    world.write(WORKER, deed("job.succeeded", "ghost"))
    return "incomplete", WORKER, 11


def one_end_missing_and_another_twice(world: Trail) -> Named:
    """As many ends as jobs."""
    world.write(ROUTER, deed("job.assigned", "j77"))
    world.write(WORKER, deed("job.failed", "j3", world.now))
    return "incomplete", WORKER, 11


def no_end_although_the_deadline_is_long_past(world: Trail) -> Named:
    world.write(ROUTER, deed("job.assigned", "lost", deadline="2026-11-22T12:00:30+00:00"))
    world.now += timedelta(hours=1)
    world.checkpoint()
    return "incomplete", ROUTER, 11


ATTACKS: list[Callable[[Trail], Named]] = [
    a_sequence_far_ahead, a_sequence_beyond_all,
    a_digit, keys_in_another_order, fields_in_another_order, a_key_twice, another_form_of_a_number,
    another_form_of_a_letter, a_line_feed_behind_it, no_value, the_first_removed, one_removed,
    the_last_signed_one_removed, two_swapped, one_twice, a_lane_under_anothers_name,
    two_of_one_sequence, hashed_again, hashed_again_behind_the_first_checkpoint,
    one_forged_that_nothing_has_signed, an_entry_moved_to_the_batch_before,
    a_lane_put_in_below_what_is_covered, of_another_cluster, a_beginning_deleted_beyond_every_checkpoint,
    a_beginning_deleted_before_its_time, an_old_one_again, the_first_taken_away,
    signed_by_another_key_under_our_name, of_another_key, of_another_algorithm, an_empty_signature,
    a_signature_with_a_tail, a_tree_over_other_entries, more_than_there_is, an_end_twice, an_end_by_router_and_worker,
    an_end_of_what_nobody_accepted, one_end_missing_and_another_twice, no_end_although_the_deadline_is_long_past,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_named_first(attack: Callable[[Trail], Named]):
    world = trail()
    named = attack(world)

    [first, *_] = world.verified().problems

    assert (first.kind, first.lane, first.sequence) == named


def test_jobs_are_matched_by_their_ids_and_not_counted():
    world = trail()
    one_end_missing_and_another_twice(world)

    report = world.verified()

    assert report.accepted == report.ended
    assert [one.job for one in report.open] == ["acme/j77"]


def test_a_forged_instant_does_not_hide_that_checkpoints_are_missing():
    world = trail()
    world.now += timedelta(hours=1)
    world.jobs(2, 10)
    world.write(ROUTER, deed("job.rejected", "x").model_copy(update={"at": "~"}))

    assert [one.kind for one in world.verified().problems] == ["cut off"]


def test_what_is_left_of_a_lane_before_the_checkpoint_that_all_begins_from_cannot_be_cut_off():
    world = trail()
    world.now += timedelta(days=31)
    for number in range(4):
        world.write(ROUTER, deed("job.rejected", f"r{number}", world.now))
    del records(world, WORKER)[8:]
    world.checkpoint()
    for partition in (0, 1):
        world.expire(partition, world.partitions[partition][4][0])
    assert world.verified().anchor is not None

    del records(world, WORKER)[2:]

    assert ("cut off", WORKER, 7) in [(one.kind, one.lane, one.sequence) for one in world.verified().problems]


def test_ids_that_read_as_another_jobs_submission_are_two_jobs():
    world = Trail()
    second = {"submission": 2}
    world.write(ROUTER, deed("job.assigned", "a").model_copy(update=second), deed("job.assigned", "a#2"))
    world.write(WORKER, deed("job.succeeded", "a").model_copy(update=second), deed("job.succeeded", "a#2"))
    world.checkpoint()

    assert world.verified().problems == []


@pytest.mark.parametrize("odd", [{"action": ["x"]}, {"action": {}}, {"action": "job.assigned", "submission": []}, {}])
def test_an_entry_of_no_known_shape_breaks_nothing(odd: dict[str, Any]):
    world = trail()
    world.put(forged(value_of(world, ROUTER, 0), lane=STRANGER, sequence=1, previous=GENESIS, entries=[odd]), 0)

    assert world.verified().uncovered == 5


def test_a_job_within_its_deadline_or_just_past_it_is_open_and_no_problem():
    world = trail()
    world.write(ROUTER, deed("job.assigned", "slow", deadline="2026-11-22T12:00:30+00:00"))
    world.now = NOON + timedelta(minutes=15)
    world.checkpoint()

    report = world.verified()

    assert (report.problems, [one.job for one in report.open], report.overdue) == ([], ["acme/slow"], [])
