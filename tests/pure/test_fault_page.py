"""The page of the fault matrix says what its raw file says, and hides nothing: what failed, was not run, or is bare."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matrix.page import FAILED, NOT_COVERED, NOT_HERE, NOT_RUN, PASSED, page, sums
from matrix.raw import Head, Run, line, read
from matrix.rows import INVARIANTS, ROWS

KILL, FREEZE = "tests/faults/test_kill.py::test_kill", "tests/faults/test_members.py::test_freeze"
HEAD = Head(
    "d" * 64, "c" * 40, True, {"CPU": "a processor", "cores": "2"}, "2026-11-22 18:00 UTC", {KILL: [1, 2], FREEZE: [3]}
)


def verdict(**more: Any) -> dict[str, Any]:
    told = {"jobs": 800, "lost": 0, "doubled": 0, "repeated": 12, "ambiguous": 9, "recovery_s": 3.0, "complaints": []}
    return {**told, "note": "", **more}


def run(test: str = KILL, seed: int = 1, **more: Any) -> Run:
    told = {"outcome": "passed", "seconds": 20.0, "verdicts": [verdict()], "command": "make faults N=2", **more}
    return Run(test, HEAD.tests[test], seed, **told)


def verdict_of(row: int, *runs: Run, head: Head = HEAD) -> str:
    return next(one.verdict for one in sums(head, runs) if one.row == row)


def cells(row: int, *runs: Run) -> list[str]:
    told = next(text for text in page(HEAD, runs).splitlines() if text.startswith(f"| {row} |"))
    return [cell.strip() for cell in told.strip("|").split("|")]


def test_a_row_adds_up_what_all_runs_of_its_tests_handed_in():
    runs = run(), run(seed=2, verdicts=[verdict(repeated=3, recovery_s=9.0), verdict(jobs=1, recovery_s=None)])

    assert cells(1, *runs)[2:9] == ["2", "1601", "0", "0", "27", "27", "6.0, 9.0"]
    assert cells(2, *runs)[2:4] == ["2", "1601"], "a test that bears two rows counts in both"
    assert "- **jobs** 1,601, **lost** 0" in page(HEAD, runs), "and once in the sum"
    assert verdict_of(1, *runs) == PASSED


@pytest.mark.parametrize(
    "bad",
    [
        run(outcome="failed", why="3 complaints", verdicts=[verdict(lost=3, complaints=["3 lost"])]),
        run(outcome="passed", verdicts=[]),
        run(outcome="passed", verdicts=[verdict(complaints=["1 lost"])]),
        run(outcome="died", why="exit code -9", verdicts=[]),
        run(outcome="too long", why="exit code 2", verdicts=[]),
    ],
    ids=["failed", "no verdict", "complaints", "died", "hung"],
)
def test_one_run_that_does_not_hold_among_many_makes_its_rows_fail_and_is_named(bad: Run):
    runs = [run(seed=seed) for seed in range(2, 9)] + [bad]

    assert verdict_of(1, *runs) == verdict_of(2, *runs) == FAILED
    assert f"- `{KILL}`, seed 1: {bad.outcome}" in page(HEAD, runs)


def test_a_row_that_no_test_bears_is_not_covered_and_one_that_was_not_run_says_so():
    assert verdict_of(4, run()) == NOT_COVERED
    assert verdict_of(3, run()) == NOT_RUN
    assert "| 4 |" in page(HEAD, [run()])


def test_what_could_not_run_here_says_why_and_counts_as_no_run():
    skipped = run(FREEZE, outcome="skipped", why="needs | root", verdicts=[])

    assert verdict_of(3, skipped) == NOT_HERE
    assert "needs \\| root" in page(HEAD, [skipped])
    assert cells(3, skipped)[2:5] == ["", "", ""]


def test_a_row_whose_tests_did_not_all_run_says_how_many_are_missing():
    head = replace(HEAD, tests={**HEAD.tests, FREEZE: [1, 3]})

    assert verdict_of(1, run(), head=head) == f"{PASSED}; 1 of 2 tests not run"


def test_every_row_is_there_and_none_is_put_off():
    assert set(ROWS) == set(range(1, 53))
    assert verdict_of(50) == NOT_COVERED


def test_the_page_says_commit_machine_seeds_and_command():
    told = page(replace(HEAD, clean=False), [run(), run(seed=7)])

    for word in ("c" * 40, "a processor", "**seeds** 1, 7", "`make faults N=2`", "changes that are in no commit"):
        assert word in told
    assert all(claim in told for claim in INVARIANTS.values())


def test_the_raw_file_is_read_as_it_was_written_and_another_form_is_refused(tmp_path: Path):
    file, runs = tmp_path / "faults.jsonl", [run(), run(FREEZE, seed=2)]
    file.write_text("".join([line(HEAD), *map(line, runs)]))

    assert read(file) == (HEAD, runs)
    file.write_text(line(HEAD) + line(HEAD))
    with pytest.raises(ValueError, match="2 heads"):
        read(file)
