"""The named suites: what a part of Novix promises, proved by its tests and measured by its figures, in one command.

Run: `make suite NAME=discovery`, or `.venv/bin/python .ci/suites.py discovery [--quick] [--only tests|figures]`. Writes
`build/proof/suite-NAME.md`: the commit, the machine, what passed and failed, and the figures. Ends with 1 where a test
failed or a figure could not be measured.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROOF = ROOT / "build" / "proof"


@dataclass(frozen=True)
class Suite:
    """Tests by patterns of their paths, figures by the names of `python -m bench`."""

    what: str
    tests: tuple[str, ...]
    figures: tuple[str, ...] = ()


SUITES: Mapping[str, Suite] = {
    "discovery": Suite(
        "search, facets and their order: right answers, relevance on judged queries, time",
        ("tests/*/test_hub_discovery_*.py", "tests/*/test_hub_index_*.py", "tests/*/test_hub_search_*.py",
         "tests/*/test_relevance_*.py"),
        ("discovery",),
    ),
    "perf": Suite(
        "latency and throughput of inference: what Novix adds, how many jobs a second, what models are measured at",
        ("tests/*/test_bench_models.py", "tests/*/test_measuring.py", "tests/*/test_known*.py",
         "tests/*/test_compare*.py"),
        ("cpu", "window", "latency"),
    ),
    "multimodal": Suite(
        "texts, pictures, sounds and videos through the same topics: every modality, their files, their cost",
        ("tests/*/test_modalities.py", "tests/*/test_media*.py", "tests/*/test_payload*.py",
         "tests/*/test_router_media.py", "tests/*/test_router_decide_media.py", "tests/*/test_tasks.py"),
        ("tasks", "payload"),
    ),
    "governance": Suite(
        "who may use which model: rules, admissions, scans, aliases, and that nothing refused is called",
        ("tests/*/test_governance*.py", "tests/*/test_registry*.py", "tests/*/test_licenses.py",
         "tests/*/test_pickle_scan*.py", "tests/*/test_router_denied.py"),
    ),
}  # fmt: skip


def files_of(suite: Suite, root: Path = ROOT) -> list[str]:
    """The suite's test files, in order. Raises ValueError for a pattern that meets none: a suite must not shrink
    unseen."""
    found = set[str]()
    for pattern in suite.tests:
        met = {str(path.relative_to(root)) for path in root.glob(pattern)}
        if not met:
            raise ValueError(f"no test file is called {pattern}")
        found |= met
    return sorted(found)


class Outcomes:
    """Counts how tests ended; a test that failed to be set up has failed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.counts[report.outcome] += 1
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.counts["failed"] += 1
            self.failed.append(report.nodeid)


def page(name: str, commit: str, outcomes: Mapping[str, int], failed: Iterable[str], told: dict[str, Any]) -> str:
    """The report."""
    suite, told_outcomes = SUITES[name], ", ".join(f"{count} {kind}" for kind, count in sorted(outcomes.items()))
    lines = [f"# Suite {name}", "", f"{suite.what}.", "", f"Commit `{commit}`. {told.get('machine', '')}".rstrip(), ""]
    lines += [f"Tests: {told_outcomes or 'not run'}.", *(f"- failed: `{test}`" for test in failed), ""]
    if figures := told.get("figures"):
        lines += ["| measured | | wanted |", "|---|---|---|"]
        lines += [f"| {one['name']} | {one['value']:,} {one['unit']} | {one['wanted']} |" for one in figures]
    elif suite.figures:
        lines.append("Figures: not measured.")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=SUITES)
    parser.add_argument("--quick", action="store_true", help="fewer rows, jobs and rounds for the figures")
    parser.add_argument("--only", choices=("tests", "figures"))
    asked = parser.parse_args()
    suite, outcomes, told = SUITES[asked.name], Outcomes(), dict[str, Any]()
    PROOF.mkdir(parents=True, exist_ok=True)
    code = 0
    if asked.only != "figures":
        files = [str(ROOT / one) for one in files_of(suite)]
        words = ["--rootdir", str(ROOT), "-q", "-m", "not long", "-o", "faulthandler_timeout=300", *files]
        code = int(pytest.main(words, plugins=[outcomes]))
    if suite.figures and asked.only != "tests":
        words = ["-m", "bench", "--json", *(["--quick"] if asked.quick else []), *suite.figures]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False, stdout=subprocess.PIPE)
        code = code or done.returncode
        told = json.loads(done.stdout) if done.stdout.strip() else {}
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    path = PROOF / f"suite-{asked.name}.md"
    path.write_text(
        page(asked.name, git.stdout.strip() or "unknown", outcomes.counts, outcomes.failed, told), encoding="utf-8"
    )
    print(f"{path.relative_to(ROOT)}: {'passed' if code == 0 else 'FAILED'}")
    return int(code != 0)


if __name__ == "__main__":
    raise SystemExit(main())
