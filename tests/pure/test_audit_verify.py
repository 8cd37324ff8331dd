"""The verifier finds each kind of tampering and names the first record that is not as it was signed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from audit_world import KEY, NOON, OTHER_KEY, ROUTER, WORKER, Trail, deed, forged, rehashed
from hypothesis import given, settings
from hypothesis import strategies as st

from console.audit.checkpoints import made
from console.audit.verify import Report
from schemas import codec
from schemas.topics import AUDIT, CHECKPOINTS


def trail() -> Trail:
    """Ten jobs, two checkpoints over eight of them; the router's batches on partition 0, the worker's on 1."""
    made = Trail()
    made.jobs(4)
    made.checkpoint()
    made.jobs(4, 4)
    made.checkpoint()
    made.jobs(2, 8)
    return made


def first(report: Report) -> tuple[str, str, int, str]:
    """Kind, lane, sequence and place of the first problem."""
    problem = report.problems[0]
    return problem.kind, problem.lane, problem.sequence, str(problem.place)


def records(world: Trail, lane: str) -> list[tuple[int, bytes | None]]:
    """The records of a lane's partition."""
    return world.partitions[world._home(lane)]


def place(world: Trail, lane: str, index: int) -> str:
    """Where a lane's batch stands."""
    return f"{AUDIT.name}/{world._home(lane)}/{records(world, lane)[index][0]}"


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


# What is no tampering


def test_a_lane_whose_records_moved_to_another_partition_holds_when_the_topic_has_grown():
    world = Trail(3)
    for partition in (2, 0, 1):
        for number in range(3):
            world.write(ROUTER, deed("job.assigned", f"{partition}-{number}"), partition=partition)
    world.checkpoint()

    report = world.verified()

    assert report.problems == []
    assert report.proved == 9


def test_a_lane_that_an_operator_let_begin_anew_holds_once_a_checkpoint_says_so_and_is_told_of():
    world = trail()
    world.begin_anew(ROUTER)
    world.write(ROUTER, deed("job.rejected", "again"))
    assert world.verified().problems[0].kind == "inserted"

    world.checkpoint()
    world.jobs(1, 20)
    report = world.verified()

    assert report.problems == []
    assert "began anew" in report.notes[0]


def test_what_retention_has_deleted_is_told_and_the_rest_is_proved_from_the_checkpoint_that_covers_it():
    world = trail()
    world.now += timedelta(days=31)
    world.jobs(4, 10)
    world.checkpoint()
    for partition in (0, 1):
        world.expire(partition, world.partitions[partition][6][0])

    report = world.verified()

    assert report.problems == []
    assert report.anchor is not None
    assert report.anchor.number == 2
    assert any("older records are not here" in note for note in report.notes)


def test_records_that_are_gone_before_their_time_are_no_retention():
    world = trail()
    world.expire(0, world.partitions[0][2][0])

    report = world.verified()

    assert report.problems[0].kind == "removed"
    assert "they are kept 30 days" in report.problems[0].message
    assert world.verified(retention=timedelta(0)).problems == []


@pytest.mark.parametrize("lane", [ROUTER, WORKER])
@pytest.mark.parametrize("index", [0, 1, 5, -1])
def test_what_is_left_after_retention_is_held_against_the_checkpoint_as_well(lane: str, index: int):
    world = trail()
    world.now += timedelta(days=31)
    world.jobs(4, 10)
    world.checkpoint()
    for partition in (0, 1):
        world.expire(partition, world.partitions[partition][6][0])
    offset, value = records(world, lane)[index]
    told = codec.decode(value or b"")
    told["entries"][0]["tenant"] = "other"
    home = world._home(lane)
    world.partitions[home][index] = offset, forged(value or b"", entries=told["entries"])

    kinds = [problem.kind for problem in world.verified().problems]
    assert "changed" in kinds


# Completeness


def test_each_accepted_job_has_one_end_and_the_open_ones_are_listed():
    world = Trail()
    world.write(ROUTER, deed("job.assigned", "open"), deed("job.rejected", "refused"), deed("job.assigned", "done"))
    world.write(WORKER, deed("job.failed", "done"))
    world.checkpoint()

    report = world.verified()

    assert report.problems == []
    assert [(one.job, one.lane, one.sequence) for one in report.open] == [("acme/open", ROUTER, 1)]


@pytest.mark.parametrize(
    ("deeds", "said"),
    [
        ([(WORKER, "job.succeeded"), (WORKER, "job.failed")], "the job acme/j has ended 2 times"),
        ([(WORKER, "job.succeeded"), (ROUTER, "job.cancelled")], "the job acme/j has ended 2 times"),
        ([(ROUTER, "job.assigned")], "the job acme/j was accepted 2 times"),
    ],
)
def test_two_ends_of_a_job_are_named(deeds: list[tuple[str, str]], said: str):
    world = Trail()
    world.write(ROUTER, deed("job.assigned", "j"))
    for lane, action in deeds:
        world.write(lane, deed(action, "j"))
    world.checkpoint()

    problem = world.verified().problems[0]

    assert problem.kind == "incomplete"
    assert said in problem.message
    assert problem.place is not None


def test_an_end_without_an_acceptance_is_named_unless_the_beginning_is_not_there():
    world = Trail()
    world.write(WORKER, deed("job.succeeded", "ghost"))
    world.checkpoint()

    assert "the job acme/ghost has ended and was never accepted" in world.verified().problems[0].message


def test_a_job_that_is_open_for_too_long_is_a_problem_where_one_asks_for_it():
    world = Trail()
    world.write(ROUTER, deed("job.assigned", "stuck", NOON))
    world.now += timedelta(hours=3)
    world.jobs(1)
    world.checkpoint()

    assert world.verified().problems == []
    assert world.verified(open_for=timedelta(hours=4)).problems == []
    assert "acme/stuck" in world.verified(open_for=timedelta(hours=2)).problems[0].message


# Any single edit


def _removed(many: list[tuple[int, bytes | None]], index: int, _: bytes) -> None:
    del many[index]


def _doubled(many: list[tuple[int, bytes | None]], index: int, _: bytes) -> None:
    many.insert(index, many[index])


def _swapped(many: list[tuple[int, bytes | None]], index: int, _: bytes) -> None:
    other = (index + 1) % len(many)
    many[index], many[other] = many[other], many[index]


def _flipped(many: list[tuple[int, bytes | None]], index: int, noise: bytes) -> None:
    offset, value = many[index]
    at = noise[0] * 256 + noise[1]
    flipped = bytearray(value or b"")
    flipped[at % len(flipped)] ^= 1 << noise[2] % 8
    many[index] = offset, bytes(flipped)


EDITS: list[Callable[[list[tuple[int, bytes | None]], int, bytes], None]] = [_removed, _doubled, _swapped, _flipped]


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(EDITS), st.sampled_from(["0", "1", "signed"]), st.integers(0, 3), st.binary(min_size=3, max_size=3)
)
def test_any_single_edit_of_what_is_signed_is_named(
    edit: Callable[[list[tuple[int, bytes | None]], int, bytes], None], which: str, index: int, noise: bytes
):
    world = Trail()
    for number in range(4):
        world.jobs(1, number)
        world.checkpoint()
    world.jobs(1, 4)
    world.checkpoint()
    many = world.signed if which == "signed" else world.partitions[int(which)]
    edit(many, index, noise)

    assert world.verified().problems != []
