"""The named suites: each has its tests and its figures, a report says what failed, and the documentation names them."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bench.__main__ import ALONE, MEASUREMENTS, ONLY_WHEN_NAMED

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("ci_suites", ROOT / ".ci" / "suites.py")
assert SPEC is not None
assert SPEC.loader is not None
suites = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = suites  # dataclasses look their module up
SPEC.loader.exec_module(suites)


@pytest.mark.parametrize("name", ["discovery", "perf", "multimodal", "governance"])
def test_a_suite_has_tests_and_figures_that_there_are(name: str) -> None:
    suite = suites.SUITES[name]
    files = suites.files_of(suite)

    assert len(files) >= 5
    assert all((ROOT / one).is_file() for one in files)
    assert set(suite.figures) <= {*MEASUREMENTS, *ALONE, *ONLY_WHEN_NAMED}
    assert f"make suite NAME={name}" in (ROOT / "docs" / "performance.md").read_text()


def test_a_suite_cannot_shrink_unseen() -> None:
    with pytest.raises(ValueError, match=r"no test file is called tests/\*/test_gone\.py"):
        suites.files_of(suites.Suite("x", ("tests/*/test_gone.py",)))


def test_a_report_tells_what_failed_and_what_was_not_measured() -> None:
    outcomes = suites.Outcomes()
    for name, when, how in (
        ("one", "setup", "passed"), ("one", "call", "passed"), ("two", "call", "failed"), ("three", "setup", "failed"),
        ("four", "setup", "skipped"),
    ):  # fmt: skip
        outcomes.pytest_runtest_logreport(pytest.TestReport(f"a.py::{name}", ("a.py", 1, ""), {}, how, None, when))

    assert outcomes.counts == {"passed": 1, "failed": 2, "skipped": 1}
    page = suites.page("discovery", "abc", outcomes.counts, outcomes.failed, {})
    assert "Tests: 2 failed, 1 passed, 1 skipped." in page
    assert "- failed: `a.py::two`" in page
    assert "Figures: not measured." in page
    figure = {"name": "search, p95", "value": 12.5, "unit": "ms", "wanted": "under 200 ms"}
    assert "| search, p95 | 12.5 ms | under 200 ms |" in suites.page("discovery", "abc", {}, [], {"figures": [figure]})
