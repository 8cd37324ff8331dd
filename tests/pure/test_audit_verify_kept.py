"""What the verifier takes for no tampering, what it says of the jobs' ends, and that no single edit escapes it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from audit_world import NOON, ROUTER, WORKER, Trail, deed, forged, records, trail
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec

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
