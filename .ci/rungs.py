"""Runs all tests, rung by rung from the cheapest, and says what each cost and what could not run. Run: `make test`.

Arguments go to pytest: `.venv/bin/python .ci/rungs.py tests/pure -x`. Tests that are marked `long` are left out unless
`-m` names them, and it is said. Rungs that `CI_RAN` names have just passed in `make check` of the same run: they are
not run again, and it is said. Two files run beside each other (`-n 0`: one after the other): a test of real processes
mostly waits. The seconds of a rung are those of its tests, so that together they are more than the run took.

On real processes a busy machine can spoil a test's set-up. So at most two tests of the browser, broker and faults rungs
that failed are run twice more, alone: only if both of them pass both times does the run pass, and it names them as
unsteady, with what they said when they failed. `make faults` repeats nothing.
"""

import os
import subprocess
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
    "browser": "a real Chromium",
    "broker": "a real Apache Kafka",
    "faults": "kills and lying providers, on a real Apache Kafka",
}


REAL = frozenset({"browser", "broker", "faults"})
"""Rungs of real processes, whose timing is the machine's."""
MOST_UNSTEADY, TRIES = 2, 2

SHORT = "not long"
BESIDE = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
"""No more than two: each of them may have a broker, a browser or a cluster of its own."""

RAN = frozenset(os.environ.get("CI_RAN", "").split())


class Rungs:
    """Adds up outcomes and times by the folder that a test lies in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.skipped: dict[tuple[str, str], int] = Counter()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rung = report.nodeid.split("/")[1]
        self.seconds[rung] += report.duration
        if report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skipped[rung, why.removeprefix("Skipped: ")] += 1
        if report.failed:
            self.failed.add(report.nodeid)
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
        if terminalreporter.config.option.markexpr == SHORT:
            terminalreporter.write_line(
                "left out here: those that are marked long; make faults runs those of its rows, -m long all"
            )
        if self.skipped:
            terminalreporter.section("could not run here")
            for (rung, why), count in sorted(self.skipped.items()):
                terminalreporter.write_line(f"{rung}: {count} x {why}")


def may_be_repeated(failed: set[str]) -> bool:
    """Whether so few tests failed, all of them on real processes, that they are tried again."""
    return 0 < len(failed) <= MOST_UNSTEADY and all(test.split("/")[1] in REAL for test in failed)


def repeated(failed: set[str]) -> bool:
    """Run them again, alone, in processes of their own; whether they passed each time."""
    for count in range(1, TRIES + 1):
        print(f"== again, alone, {count} of {TRIES}: {' '.join(sorted(failed))}", flush=True)
        done = subprocess.run([sys.executable, "-m", "pytest", "--rootdir", str(ROOT), *sorted(failed)], check=False)
        if done.returncode:
            return False
    print(f"== UNSTEADY, {len(failed)}: failed once above, then passed {TRIES} times: {' '.join(sorted(failed))}")
    return True


def options_for(given: list[str]) -> list[str]:
    """What pytest is told beside what it was `given`."""
    # A test that hangs shows where; the run itself is bounded by whoever started it.
    options = ["--rootdir", str(ROOT), "-o", "faulthandler_timeout=300", "--durations=20"]
    if "-m" not in given:
        options += ["-m", SHORT]
    if "-n" not in given:
        options += BESIDE
    return options


def main() -> int:
    folders = [f"tests/{rung}" for rung in RUNGS if rung not in RAN and any((ROOT / "tests" / rung).glob("test_*.py"))]
    given = sys.argv[1:]
    named = any(argument.startswith("tests") for argument in given)
    rungs = Rungs()
    code = int(pytest.main([*options_for(given), *given, *([] if named else folders)], plugins=[rungs]))
    if code == pytest.ExitCode.TESTS_FAILED and may_be_repeated(rungs.failed) and repeated(rungs.failed):
        return 0
    return code


if __name__ == "__main__":
    raise SystemExit(main())
