"""Whole installations in simulated worlds: every schedule holds, planted bugs are found, and a seed is a schedule.

Each runs in processes of its own (`python -m simulation`), as `make simulate` does: what dies there is never unwound.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.plants import PLANTS
from simulation.schedule import HARMLESS, LATER_FAULTS, OTHER_FAULTS, PROCESS_FAULTS, plan

ROOT = Path(__file__).parents[2]
SCHEDULES = 1_000
HARSH = 24
QUICK_PLANTS = ("commit-the-highest", "forget-the-held", "forget-the-order")
"""Found within the first few schedules; the others are looked for with `-m long` alone."""


def simulation(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "support"), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-m", "simulation", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_thousand_schedules_hold() -> None:
    """I1 to I9 and the money, after each of them; a failure prints its seed and how to see it again."""
    told = simulation("--seeds", str(SCHEDULES))
    assert told.returncode == 0, told.stdout[-4_000:] + told.stderr[-2_000:]
    assert f"{SCHEDULES} schedules" in told.stdout


def test_harsh_schedules_hold() -> None:
    """Another generator's: scenes of faults, odd sizes and settings; a failure's line names it."""
    told = simulation("--harsh", "--seeds", str(HARSH))
    assert told.returncode == 0, told.stdout[-4_000:] + told.stderr[-2_000:]
    assert f"{HARSH} schedules" in told.stdout


def test_a_failure_of_a_harsh_schedule_says_how_to_see_it_again() -> None:
    told = simulation("--harsh", "--plant", "commit-the-highest", "--stop", "1", "--seeds", "40")
    assert re.search(r"again: make simulate SEEDS=1 FIRST=\d+ PLANT=commit-the-highest HARSH=1", told.stdout)


def test_a_seed_is_a_schedule_to_the_byte(tmp_path: Path) -> None:
    """Two runs, one by one and two at a time, tell the same digest of all that happened."""
    digests = []
    for jobs in ("1", "2"):
        report = tmp_path / f"{jobs}.json"
        simulation("--seeds", "12", "--first", "5000", "--jobs", jobs, "--report", str(report))
        digests.append([part["digest"] for part in json.loads(report.read_text())["parts"]])
    assert digests[0] == digests[1]


def found(name: str) -> None:
    told = simulation("--plant", name, "--stop", "1", "--seeds", str(PLANTS[name].within))
    assert told.returncode == 1, f"not found within {PLANTS[name].within} schedules: {PLANTS[name].says}"
    assert re.search(rf"again: make simulate SEEDS=1 FIRST=\d+ PLANT={name}", told.stdout), told.stdout[-2_000:]


@pytest.mark.parametrize("name", QUICK_PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    found(name)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(PLANTS.keys() - set(QUICK_PLANTS)))
def test_a_planted_bug_is_found_within_its_number_of_schedules(name: str) -> None:
    found(name)


def test_every_kind_of_fault_happens_and_some_schedules_have_none() -> None:
    plans = [plan(seed) for seed in range(200)]
    kinds = {fault.kind for one in plans for fault in one.faults}
    assert kinds == {*PROCESS_FAULTS, *OTHER_FAULTS, *LATER_FAULTS} >= HARMLESS
    assert any(not one.faults for one in plans)
    assert {one.size.machines for one in plans} == {1, 2}
