"""The verifier finds each kind of tampering and names the first record that is not as it was signed."""

from datetime import timedelta

import pytest
from audit_world import KEY, NOON, OTHER_KEY, ROUTER, WORKER, Trail, first, forged, place, records, rehashed, trail

from console.audit.checkpoints import made
from schemas import codec
from schemas.topics import CHECKPOINTS


def test_the_lanes_of_this_world_stand_on_partitions_of_their_own():
    assert {Trail()._home(ROUTER), Trail()._home(WORKER)} == {0, 1}


def test_an_audit_that_nobody_touched_holds_and_says_how_much_of_it_is_proved():
    report = trail().verified()

    assert report.problems == []
    assert (report.records, report.entries, report.proved, report.uncovered) == (20, 20, 16, 4)
    assert (report.lanes, report.checkpoints, report.accepted, report.ended, report.open) == (2, 2, 10, 10, [])


def test_a_changed_entry_is_named():
    world = trail()
    offset, value = records(world, WORKER)[2]
    assert value is not None
    records(world, WORKER)[2] = offset, value.replace(b'"cost_nanousd":2', b'"cost_nanousd":1')

    assert first(world.verified()) == ("changed", WORKER, 3, place(world, WORKER, 2))


def test_a_removed_batch_is_named_by_the_one_behind_it():
    world = trail()
    where = place(world, ROUTER, 3)
    del records(world, ROUTER)[2]

    report = world.verified()

    assert first(report) == ("removed", ROUTER, 4, where)
    assert "sequence 3 is missing" in report.problems[0].message


def test_the_first_batch_of_a_lane_cannot_be_removed_either():
    world = trail()
    where = place(world, ROUTER, 1)
    del records(world, ROUTER)[0]

    assert first(world.verified()) == ("removed", ROUTER, 2, where)


def test_two_batches_in_each_others_place_are_reordered():
    world = trail()
    where = place(world, ROUTER, 1)
    one, two = records(world, ROUTER)[1], records(world, ROUTER)[2]
    records(world, ROUTER)[1], records(world, ROUTER)[2] = (one[0], two[1]), (two[0], one[1])

    assert first(world.verified()) == ("reordered", ROUTER, 3, where)


def test_a_batch_that_stands_there_twice_is_inserted():
    world = trail()
    world.put(records(world, ROUTER)[3][1], world._home(ROUTER))

    assert first(world.verified()) == ("inserted", ROUTER, 4, place(world, ROUTER, -1))


def test_the_first_batch_written_again_is_no_new_beginning():
    world = trail()
    world.put(records(world, ROUTER)[0][1], world._home(ROUTER))

    assert first(world.verified()) == ("inserted", ROUTER, 1, place(world, ROUTER, -1))


def test_a_batch_of_somebody_elses_making_is_inserted():
    world = trail()
    _, value = records(world, ROUTER)[4]
    assert value is not None
    told = codec.decode(value)
    mine = forged(value, entries=[{**told["entries"][0], "job_id": "mine"}])
    index = 4
    world.partitions[world._home(ROUTER)].insert(index, (records(world, ROUTER)[3][0] + 1, mine))

    report = world.verified()

    assert first(report)[:2] == ("inserted", ROUTER)
    assert "sequence 5 was there before" in report.problems[0].message


@pytest.mark.parametrize("left", [0, 1, 5, 7])
def test_a_tail_that_was_cut_off_is_named_by_what_the_newest_checkpoint_signed(left: int):
    world = trail()
    where = place(world, WORKER, left - 1) if left else "None"
    del records(world, WORKER)[left:]

    kind = "cut off" if left else "removed"
    assert first(world.verified()) == (kind, WORKER, left + 1, where)


def test_what_nothing_signed_covers_can_be_cut_off_and_only_the_lanes_commit_metadata_would_tell():
    world = trail()
    del records(world, WORKER)[8:]

    assert world.verified().problems == []
    assert world.verified().open != []


def test_a_chain_that_was_hashed_again_after_a_change_is_found_by_the_signed_checkpoints_alone():
    world = trail()
    home = world._home(WORKER)
    offset, value = records(world, WORKER)[5]
    assert value is not None
    told = codec.decode(value)
    told["entries"][0]["detail"]["cost_nanousd"] = 0
    world.partitions[home][5] = offset, codec.encode(told)
    world.partitions[home] = rehashed(world.partitions[home], WORKER)

    report = world.verified()

    assert first(report) == ("changed", WORKER, 5, place(world, WORKER, 4))
    assert "checkpoint 2" in report.problems[0].message
    assert "sequences 5 to 8" in report.problems[0].message


def test_two_lanes_that_change_their_names_are_found():
    world = trail()
    for home, other in ((world._home(ROUTER), WORKER), (world._home(WORKER), ROUTER)):
        world.partitions[home] = [
            (offset, forged(value or b"", lane=other)) for offset, value in world.partitions[home]
        ]
        world.partitions[home] = rehashed(world.partitions[home], other)

    kinds = {(problem.kind, problem.lane) for problem in world.verified().problems}
    assert {("changed", ROUTER), ("changed", WORKER)} <= kinds


def test_a_record_that_is_no_batch_is_named():
    world = trail()
    world.put(b"\xff nonsense", 0)
    world.put(None, 1)

    report = world.verified()

    assert [problem.kind for problem in report.problems] == ["changed", "changed"]
    assert "not JSON" in report.problems[0].message


# Checkpoints


@pytest.mark.parametrize("field", ["at", "number", "previous", "every_s", "offsets", "heads", "signature", "key"])
def test_every_field_of_a_checkpoint_is_signed(field: str):
    world = trail()
    offset, value = world.signed[1]
    told = codec.decode(value or b"")
    changes = {
        "at": "2026-11-22T12:00:01Z", "number": 3, "previous": "1" * 64, "every_s": 31.0, "offsets": {"0": 1},
        "heads": told["heads"][:1], "signature": told["heads"][0]["signature"], "key": OTHER_KEY.id,
    }  # fmt: skip
    world.signed[1] = offset, codec.canonical(told | {field: changes[field]})

    report = world.verified()

    assert first(report) == ("forged checkpoint", "", 0, f"{CHECKPOINTS.name}/0/{offset}")


@pytest.mark.parametrize("field", ["run", "first", "sequence", "hash", "size", "root", "peaks", "signature", "lane"])
def test_every_field_of_a_head_is_signed(field: str):
    world = trail()
    offset, value = world.signed[1]
    told = codec.decode(value or b"")
    before = told["heads"][0][field]
    told["heads"][0][field] = before + 1 if isinstance(before, int) else before[::-1]
    world.signed[1] = offset, codec.canonical(told)

    assert first(world.verified())[0] == "forged checkpoint"


def test_a_checkpoint_of_another_key_is_forged():
    world = trail()
    world.signer = OTHER_KEY
    world.checkpoint()

    report = world.verified()

    assert report.problems[0].kind == "forged checkpoint"
    assert f"it names the key {OTHER_KEY.id}; yours is {KEY.id}" in report.problems[0].message


def test_a_checkpoint_in_the_middle_cannot_be_taken_away_or_repeated():
    removed, repeated = trail(), trail()
    for world in (removed, repeated):
        world.jobs(2, 10)
        world.checkpoint()
    del removed.signed[1]
    repeated.signed.append((99, repeated.signed[0][1]))

    assert "checkpoint 3 stands after 1: 1 are missing" in removed.verified().problems[0].message
    assert "checkpoint 1 stands after 3" in repeated.verified().problems[0].message


def test_two_writers_with_one_key_are_a_fork_that_is_found():
    world = trail()
    heads = world.heads
    twin = made(KEY, heads.lanes, heads.offsets, number=2, previous="ab" * 32, at=NOON, every_s=30)
    world.signed.append((99, twin))

    assert first(world.verified())[0] == "forged checkpoint"


def test_newer_checkpoints_that_were_cut_off_are_missed_as_soon_as_entries_go_on_without_them():
    world = trail()
    world.now += timedelta(hours=1)
    world.jobs(2, 10)
    world.checkpoint()
    assert world.verified().problems == []

    world.signed.pop()

    problem = world.verified().problems[0]
    assert problem.kind == "cut off"
    assert "promised another within 30 s" in problem.message


def test_an_older_state_of_everything_is_found_by_whoever_kept_a_checkpoint():
    world = trail()
    kept = world.verified()
    assert kept.newest is not None
    mine = (kept.newest.number, kept.newest_digest)
    older = trail()
    older.signed.pop()
    older.partitions = {one: many[:4] for one, many in older.partitions.items()}

    assert world.verified(kept=mine).problems == []
    assert older.verified().problems == []
    assert "which you have kept, is not here" in older.verified(kept=mine).problems[0].message


def test_without_any_checkpoint_nothing_is_proved():
    world = trail()
    world.signed.clear()

    problem = world.verified().problems[0]
    assert problem.kind == "removed"
    assert "nothing here is proved by a signature" in problem.message
