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


@pytest.mark.parametrize(("asked", "left"), [("", ["quick"]), ("long", ["long", "quick"]), ("not broker", ["quick"])])
def test_long_tests_are_left_out_of_every_days_run_unless_they_are_named_and_that_is_counted(
    asked: str, left: list[str]
):
    rungs = runpy.run_path(str(ROOT / ".ci" / "rungs.py"))["Rungs"]()
    items = [
        SimpleNamespace(name=name, get_closest_marker=lambda mark, name=name: mark if mark == name else None)
        for name in ("long", "quick")
    ]
    told: list[SimpleNamespace] = []

    def deselected(items: list[SimpleNamespace]) -> None:
        told.extend(items)

    hook = SimpleNamespace(pytest_deselected=deselected)
    rungs.pytest_collection_modifyitems(SimpleNamespace(option=SimpleNamespace(markexpr=asked), hook=hook), items)

    assert [item.name for item in items] == left
    assert rungs.left_out == len(told) == 2 - len(left)
