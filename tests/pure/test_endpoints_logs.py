"""Logs of an endpoint in numbers: each line counts once however often it is pulled, and none of it is kept."""

from hypothesis import given
from hypothesis import strategies as st

from hub.endpoints.logs import counted
from schemas.endpoints import LogCounts

LINES = [f"2026-11-23T09:00:{at:02} INFO ready" for at in range(10)]


def test_a_line_counts_once_however_often_it_is_pulled():
    first = counted(LogCounts(), LINES[:4])
    assert (first.lines, counted(first, LINES[:4])) == (4, first)
    assert counted(first, LINES).lines == 10
    assert counted(first, LINES[1:]).lines == 10, "the oldest lines are pulled no more"


def test_of_lines_that_are_all_newer_than_what_was_counted_each_counts():
    first = counted(LogCounts(), LINES[:3])
    assert counted(first, LINES[6:]).lines == 7


def test_errors_and_warnings_are_told_apart():
    told = counted(
        LogCounts(),
        ["INFO fine", "WARNING near", "ERROR gone", "Traceback (most recent call last):", "ERROR after a WARN",
         "terror is no level", "thread 'main' panicked at x"],
    )  # fmt: skip
    assert (told.lines, told.warnings, told.errors) == (7, 1, 4)


def test_no_line_stands_in_what_is_told():
    told = counted(LogCounts(), ["ERROR the prompt was: my secret plan"])
    assert "plan" not in told.model_dump_json()
    assert "prompt" not in told.model_dump_json()


@given(st.lists(st.integers(1, 5), max_size=8), st.integers(4, 12))
def test_however_a_log_grows_every_line_of_it_is_counted(steps: list[int], tail: int):
    """As long as no more lines come between two pulls than one pull shows."""
    log, known = list[str](), LogCounts()
    for step in steps:
        log += [f"{len(log) + at} INFO line" for at in range(min(step, tail - 3))]
        known = counted(known, log[-tail:])
    assert known.lines == len(log)


def test_an_empty_log_changes_nothing():
    assert counted(LogCounts(), []) == LogCounts()
    assert counted(LogCounts(lines=3, mark="abc"), []).lines == 3
