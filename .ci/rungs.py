"""Runs all tests, rung by rung from the cheapest, and says what each cost and what could not run. Run: `make test`.

Arguments go to pytest: `.venv/bin/python .ci/rungs.py tests/pure -x`. Tests that are marked `long` are left out unless
`-m` names them, and it is said how many. Rungs that `CI_RAN` names have just passed in
`make check` of the same run: they are not run again, and it is said.
"""

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUNGS: Mapping[str, str] = {
    "pure": "needs nothing",
    "contracts": "sockets on loopback, golden files",
    "flows": "the whole pipeline in one process",
    "broker": "a real Apache Kafka",
    "faults": "kills and lying providers, on a real Apache Kafka",
}


RAN = frozenset(os.environ.get("CI_RAN", "").split())


class Rungs:
    """Adds up outcomes and times by the folder that a test lies in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.skipped: dict[tuple[str, str], int] = Counter()
        self.left_out = 0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if "long" in config.option.markexpr:
            return
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        self.left_out = len(long)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rung = report.nodeid.split("/")[1]
        self.seconds[rung] += report.duration
        if report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skipped[rung, why.removeprefix("Skipped: ")] += 1
        if report.when == "call" or not report.passed:
            self.outcomes[rung][report.outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        whole = sum(self.seconds.values()) or 1.0
        terminalreporter.section("rungs")
        for rung, needs in RUNGS.items():
            told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes[rung].items()))
            if rung in RAN:
                told = "passed in `make check` just before"
            spent = self.seconds[rung]
            terminalreporter.write_line(
                f"{rung:10} {spent:7.1f} s {spent / whole:5.0%}  {told or 'none ran'} ({needs})"
            )
        if self.left_out:
            terminalreporter.write_line(f"left out here: {self.left_out} long ones; make faults runs them")
        if self.skipped:
            terminalreporter.section("could not run here")
            for (rung, why), count in sorted(self.skipped.items()):
                terminalreporter.write_line(f"{rung}: {count} x {why}")


def main() -> int:
    folders = [f"tests/{rung}" for rung in RUNGS if rung not in RAN and any((ROOT / "tests" / rung).glob("test_*.py"))]
    # A test that hangs shows where; the run itself is bounded by whoever started it.
    options = ["--rootdir", str(ROOT), "-o", "faulthandler_timeout=300", "--durations=20"]
    given = sys.argv[1:]
    named = any(argument.startswith("tests") for argument in given)
    return int(pytest.main([*options, *given, *([] if named else folders)], plugins=[Rungs()]))


if __name__ == "__main__":
    raise SystemExit(main())
