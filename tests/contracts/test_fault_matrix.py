"""Every row of the fault matrix has a test, and the page of it says nothing that its raw file does not."""

import runpy
from types import SimpleNamespace

import pytest
from matrix.__main__ import PAGE, RAW, ROOT, Listed, listed, units
from matrix.page import page
from matrix.raw import read
from matrix.rows import ROWS


@pytest.fixture(scope="module")
def tests() -> list[Listed]:
    """As pytest collects them, in a process of its own."""
    return listed()


def test_every_row_has_a_test(tests: list[Listed]):
    covered = {row for one in tests for row in one.rows}

    assert sorted(row for row in ROWS if row not in covered) == []
    assert covered <= set(ROWS), "a test bears a row that there is not"


def test_tests_that_share_an_installation_share_a_process_and_others_have_one_each(tests: list[Listed]):
    made = units(tests)

    assert sorted(one.test for unit in made for one in unit) == sorted(one.test for one in tests)
    for unit in made:
        files = {one.test.partition("::")[0] for one in unit}
        assert len(unit) == 1 or (len(files) == 1 and all(one.shares for one in unit))


def test_the_page_is_what_its_raw_file_gives():
    """No number on it without a run behind it: who edits the page, or loses the file, is found out."""
    assert PAGE.exists() == RAW.exists()
    if RAW.exists():
        assert PAGE.read_text(encoding="utf-8") == page(*read(RAW))


def test_every_number_on_the_page_is_of_a_test_that_is_still_there(tests: list[Listed]):
    if RAW.exists():
        named = {one.test for one in tests}
        gone = [run.test for run in read(RAW)[1] if run.test not in named]
        assert gone == []


def test_long_tests_are_left_out_of_every_days_run_unless_they_are_named_and_that_is_said():
    rungs = runpy.run_path(str(ROOT / ".ci" / "rungs.py"))
    said: list[str] = []
    for given, left_out in (([], True), (["tests/pure", "-x"], True), (["-m", "long"], False), (["-m", ""], False)):
        options = rungs["options_for"](given)
        asked = (options + given)[(options + given).index("-m") + 1]
        assert (asked == "not long") is left_out
        reporter = SimpleNamespace(
            section=said.append, write_line=said.append,
            config=SimpleNamespace(option=SimpleNamespace(markexpr=asked)),
        )  # fmt: skip
        said.clear()
        rungs["Rungs"]().pytest_terminal_summary(reporter)
        assert any("marked long" in line for line in said) is left_out


def test_two_files_run_beside_each_other_unless_somebody_says_how_many():
    options_for = runpy.run_path(str(ROOT / ".ci" / "rungs.py"))["options_for"]
    assert options_for([])[-5:] == ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    assert "--dist" not in options_for(["-n", "0"])
