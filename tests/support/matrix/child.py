"""One process of pytest, told by its arguments: list every test that bears a row, or run some. Writes lines of JSON.

`child.py list FILE [PATH ...]`, `child.py run FILE TEST ...`: run from the repository's root.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

LONG_S, QUICK_S = 2_400, 600
"""What a test may take, with the start of its broker, before it counts as hung."""


class Listing:
    """Every collected test that bears a row: name, rows, how long it may take, and what it shares with its file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        lines = []
        for item in session.items:
            rows = sorted({row for mark in item.iter_markers("row") for row in mark.args})
            limit = LONG_S if item.get_closest_marker("long") else QUICK_S
            told = {"test": item.nodeid, "rows": rows, "limit_s": limit, "shares": _shares(item)}
            lines += [json.dumps(told)] if rows else []
        self._file.write_text("".join(f"{line}\n" for line in lines))


def _shares(item: pytest.Item) -> bool:
    """Whether it needs an installation of its module's, which would have to be begun anew for each test alone."""
    info = getattr(item, "_fixtureinfo", None)
    known = {} if info is None else info.name2fixturedefs
    return any(one.scope == "module" and one.baseid.startswith("tests") for found in known.values() for one in found)


class Telling:
    """How each test ended, told when it has: nothing is lost if the next one takes the process with it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reports: dict[str, list[pytest.TestReport]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reports = self._reports[report.nodeid]
        reports.append(report)
        if report.when != "teardown":
            return
        worst = next((one for one in reports if one.failed), None) or next(
            (one for one in reports if one.skipped), report
        )
        told = {
            "test": report.nodeid,
            "outcome": worst.outcome,
            "why": "" if worst.passed else _why(worst),
            "seconds": round(sum(one.duration for one in reports), 1),
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def _why(report: pytest.TestReport) -> str:
    """A skip's reason, or the words of the error."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
    return " ".join(lines[:6]) or report.longreprtext[-300:]


def main() -> int:
    verb, file, *tests = sys.argv[1:]
    if verb == "list":
        return int(pytest.main(["--collect-only", "-qq", "-m", "row", *tests], plugins=[Listing(Path(file))]))
    return int(pytest.main(["-q", "-o", "faulthandler_timeout=300", *tests], plugins=[Telling(Path(file))]))


if __name__ == "__main__":
    raise SystemExit(main())
