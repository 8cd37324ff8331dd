"""What the verdict on a schedule excuses: calls of ordered jobs that rest while their lane goes to another machine."""

import json
from dataclasses import replace

from simulation.installation import Size, new_folder
from simulation.kafka import Commit
from simulation.provider import Call
from simulation.schedule import plan
from simulation.verdict_left import left_behind
from stranger import Found
from verdict import RESULTS, TEXT

PLAN = replace(plan(0), size=Size(workers=2, routers=1, partitions=1, machines=2, max_in_flight=1))
JOURNALS = {"a" * 12: "machine-0", "b" * 12: "machine-1"}
RESTS, FREE = "ants/rests", "ants/free"


def assigned(offset: int, trace: str, *, ordered: bool = True) -> tuple[Found, float]:
    tenant, id = trace.split("/")
    document = {"job": {"tenant": tenant, "id": id}, "submission": 1}
    headers = [("novix-ordered", b"1")] if ordered else []
    return Found(TEXT, 0, offset, b"key", json.dumps(document).encode(), headers), 1.0


def result(trace: str, at: float) -> tuple[Found, float]:
    tenant, id = trace.split("/")
    document = {"tenant": tenant, "job_id": id, "submission": 1}
    return Found(RESULTS, 0, 0, b"key", json.dumps(document).encode(), []), at


def commit(at: float, custody: str, offset: int = 0) -> Commit:
    return Commit(at, "novix-worker-text", (TEXT, 0), offset, f"n2,0,{'0' * 64},{custody},", "lane")


def call(number: int, trace: str, status: int = 500, process: str = "worker-0", at: float = 2.0) -> Call:
    return Call(number, at, trace, 1, process, "model", status=status)


WRITTEN = [assigned(0, RESTS), assigned(1, FREE, ordered=False)]
WAY = [commit(1.5, "a" * 12), commit(5.0, f"{'b' * 12}+{'a' * 12}")]


def test_failed_calls_of_an_ordered_job_that_another_machine_took_over_need_not_be_told() -> None:
    left = left_behind(PLAN, WRITTEN, WAY, [call(0, RESTS), call(1, RESTS, 401)], JOURNALS)
    assert left.calls == {0, 1}
    assert left.beyond({RESTS: 1, FREE: 1}) == {}
    assert left.beyond({RESTS: 2}) == {RESTS: 1}  # one is guessed for each job, and for no other
    assert left.beyond({"bees/other": 1}) == {"bees/other": 1}


def test_no_more_calls_are_guessed_than_a_process_may_have_had_in_hand() -> None:
    many = [assigned(number, f"ants/j{number}") for number in range(3)]
    left = left_behind(PLAN, many, WAY, [call(0, "ants/j0")], JOURNALS)
    assert left.window == 2
    assert left.beyond({"ants/j0": 1, "ants/j1": 1}) == {}
    assert len(left.beyond({"ants/j0": 1, "ants/j1": 1, "ants/j2": 1})) == 3


def test_nothing_else_is_excused() -> None:
    failed = call(0, RESTS)
    for written, commits, calls, why in [
        (WRITTEN, [WAY[0], commit(5.0, "a" * 12)], [failed], "the lane was opened on its own machine again"),
        (WRITTEN, [WAY[0], commit(5.0, "b" * 12)], [failed], "nobody named the journal"),
        (WRITTEN, [commit(5.0, WAY[1].metadata.split(",")[3])], [failed], "nobody had the lane before"),
        (WRITTEN, WAY, [failed, call(1, RESTS, 200)], "it was answered"),
        (WRITTEN, WAY, [call(0, FREE)], "it could wait in a retry topic"),
        (WRITTEN, WAY, [call(0, RESTS, at=6.0)], "it was called after the lane was taken over"),
        (WRITTEN, WAY, [call(0, RESTS, process="worker-1")], "its own machine knows of it"),
        ([*WRITTEN, result(RESTS, 3.0)], WAY, [failed], "it had ended by then"),
        (WRITTEN, [WAY[0], replace(WAY[1], offset=1)], [failed], "it was committed past"),
    ]:  # fmt: skip
        left = left_behind(PLAN, written, commits, calls, JOURNALS)
        assert not left.calls, why
        assert left.beyond({RESTS: 1}) == {RESTS: 1}, why


def test_each_schedule_begins_in_an_empty_folder_whatever_a_killed_one_left() -> None:
    """Named by the process id, a folder came again: the notes of a killed schedule were told of as another's."""
    folders = [new_folder() for _ in range(2)]
    try:
        assert folders[0] != folders[1]
        assert not any(list(folder.iterdir()) for folder in folders)
    finally:
        for folder in folders:
            folder.rmdir()
