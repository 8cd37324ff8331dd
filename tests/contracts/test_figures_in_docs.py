"""What the docs say of published runs is what the runs' own files say: no figure outlives the run that it came from."""

import json
import re
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from bench.peers import page as peers
from bench.peers.competitors import LOOP, NOVIX, WORKER_ALONE
from bench.proof import FOLDER

SIMULATION = (FOLDER.parent / "simulation.md").read_text(encoding="utf-8")
PERFORMANCE = (FOLDER.parent / "performance.md").read_text(encoding="utf-8")
README = (FOLDER.parent.parent / "README.md").read_text(encoding="utf-8")
MEANT = 100_000


def stored(name: str) -> dict[str, Any]:
    """The raw file of a published proof."""
    document: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return document


def numbers(words: str, text: str) -> list[int]:
    """Every number in what a pattern meets, which it does once; commas are of thousands where no blank follows."""
    [found] = re.findall(words, " ".join(text.split()))
    return [int(one.replace(",", "")) for one in re.findall(r"\d+(?:,\d{3})*", found)]


def test_the_schedules_that_were_run_by_hand_are_those_of_their_file() -> None:
    told = stored("simulation.json")
    parts = told["parts"]
    of_commit: dict[str, int] = {}
    for part in parts:
        of_commit[part["commit"]] = of_commit.get(part["commit"], 0) + part["schedules"]
    seeds = sorted(part["seeds"] for part in parts)

    assert numbers(r"[\d,]+ schedules of the hundred thousand", SIMULATION) == [told["schedules"]]
    assert numbers(r"of a hundred thousand schedules [\d,]+ have been run", README) == [told["schedules"]]
    assert numbers(r"seeds \d+ to [\d,]+\d, at", SIMULATION) == [seeds[0][0], seeds[-1][1]]
    assert numbers(r"at \d+ commits \([\d, ]+\)", SIMULATION) == [len(of_commit), *of_commit.values()]
    assert numbers(r"with [\d,]+ faults", SIMULATION) == [told["totals"]["faults"]]
    if left := MEANT - told["schedules"]:
        assert numbers(r"other [\d,]+ have not been run", SIMULATION) == [left]
    assert all(one[1] + 1 == other[0] for one, other in pairwise(seeds)), "seeds are missing"


def test_each_schedule_that_failed_is_named() -> None:
    failed = [seed for part in stored("simulation.json")["parts"] for seed in part["failed"]]

    assert len(failed) == stored("simulation.json")["failed"]
    assert [seed for seed in failed if not re.search(rf"\b{seed}\b", SIMULATION)] == []


@pytest.mark.parametrize(("name", "row"), [(NOVIX, "router and worker together"), (WORKER_ALONE, "worker alone")])
def test_the_ratios_beside_the_loop_are_those_of_the_peers(name: str, row: str) -> None:
    ratios = peers._ratios(peers.read(stored("peers.json"), ""), name)
    [line] = [line for line in PERFORMANCE.splitlines() if line.startswith(f"| {row} against the ")]

    assert f"**{median(ratios):.1f} times** ({min(ratios):.1f} to {max(ratios):.1f}" in line


def test_speed_and_window_are_those_of_the_peers() -> None:
    told = peers.read(stored("peers.json"), "")
    fast = {name: median(told.numbers(name, "speed", "jobs_s")) for name in (NOVIX, WORKER_ALONE, LOOP)}
    use = told.numbers(NOVIX, "window", "use")

    assert f"Novix {fast[NOVIX]:,.0f}, its worker alone {fast[WORKER_ALONE]:,.0f}, the loop {fast[LOOP]:,.0f} |" in (
        PERFORMANCE
    )
    assert f"**{median(use):.2f}** ({min(use):.2f} to {max(use):.2f})" in PERFORMANCE
