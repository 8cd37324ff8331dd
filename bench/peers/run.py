"""`make bench-peers`: everybody in turns, round after round, on one broker and one provider; then the page.

`python -m bench peers [--quick] [--rounds N] [--only WORD ...] [--out FOLDER] [--page]`. Ends with 1 if
something was not measured.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench import proof
from bench.peers import java, page
from bench.peers.competitors import PYTHON, Competitor, parallel
from bench.peers.measures import kill, speed, window
from bench.world import World, world

PACKAGES = ("aiokafka", "faststream", "httpx", "aiohttp", "uvloop")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    speed_rounds: int
    jobs: int
    slow_jobs: int
    """For whoever has one call at a time."""
    window_rounds: int
    watched_s: float
    kill_rounds: int


FULL = Plan(5, 4_000, 1_500, 2, 20.0, 3)
QUICK = Plan(1, 2_000, 500, 1, 8.0, 1)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the page: to `docs/proof`, or to `build/proof` if it is not the whole measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench peers", description="Novix beside its alternatives.")
    parser.add_argument("--quick", action="store_true", help="one round of each, shorter; written to build/proof")
    parser.add_argument("--rounds", type=int, help="rounds of the speed measurement (default 5)")
    parser.add_argument("--only", nargs="*", default=[], help="competitors whose name has one of these words")
    parser.add_argument("--out", type=Path, help="folder for peers.md and peers.json")
    parser.add_argument("--page", action="store_true", help="run nothing: write the page anew from peers.json")
    asked = parser.parse_args(arguments)
    between = files("bench.peers").joinpath("between.md").read_text(encoding="utf-8")
    if asked.page:
        out = asked.out or proof.FOLDER
        return _written(page.read(json.loads((out / "peers.json").read_text(encoding="utf-8")), between), out)
    plan = QUICK if asked.quick else FULL
    plan = replace(plan, speed_rounds=asked.rounds or plan.speed_rounds)
    with tempfile.TemporaryDirectory(prefix="novix-peers-") as folder, world() as here:
        found, absent, more = _everybody(Path(folder))
        found = [one for one in found if not asked.only or any(word in one.name for word in asked.only)]
        origin = proof.origin(" ".join(["python -m bench peers", *arguments]), *PACKAGES, **more)
        rounds = _rounds(here, found, plan)
    told = page.Told(origin, found, absent, rounds, asked.quick, between)
    return _written(told, asked.out or (proof.SCRATCH if asked.quick or asked.only else proof.FOLDER))


def _written(told: page.Told, out: Path) -> int:
    text = page.page(told)
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.md").write_text(text, encoding="utf-8")
    (out / "peers.json").write_text(json.dumps(page.document(told), indent=1) + "\n", encoding="utf-8")
    _say(f"written to {out}")
    return int(any("error" in row for row in told.rounds))


def _everybody(folder: Path) -> tuple[list[Competitor], dict[str, str], dict[str, str]]:
    """Who can be measured here, who cannot and why, and versions to tell."""
    try:
        command, version = java.command(folder, environ=dict(os.environ), say=_say)
    except java.NotHereError as reason:
        return PYTHON, {"Parallel Consumer (JVM)": str(reason)}, {}
    return [*PYTHON, *parallel(command)], {}, {"Parallel Consumer": java.VERSION, "Java": version}


def _rounds(here: World, found: Sequence[Competitor], plan: Plan) -> list[dict[str, Any]]:
    """Every measurement of every round: what else the machine does then weighs on all of them."""
    rows: list[dict[str, Any]] = []

    def turn(name: str, number: int, measure: Callable[[Competitor, str], Awaitable[dict[str, Any]]]) -> None:
        # Each round begins with another one, so that nobody always comes after the same neighbour.
        for place in range(len(found)):
            one = found[(place + number) % len(found)]
            rows.append(_measured(name, number, one, partial(measure, one)))

    for number in range(plan.speed_rounds):
        turn("speed", number, lambda one, prefix: speed(here, one, prefix, _count(one, plan)))
    for number in range(plan.window_rounds):
        turn("window", number, lambda one, prefix: window(here, one, prefix, plan.watched_s))
    for number in range(plan.kill_rounds):
        turn("kill", number, lambda one, prefix: kill(here, one, prefix))
    return rows


def _measured(
    name: str, number: int, one: Competitor, measure: Callable[[str], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """One row. What fails is told, and does not stop the others."""
    began = time.monotonic()
    prefix = f"{name}{number}-{zlib.crc32(one.name.encode()):08x}."
    row: dict[str, Any] = {"measure": name, "round": number, "competitor": one.name}
    try:
        row |= asyncio.run(_awaited(measure(prefix)))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # a TimeoutError is an OSError
        row["error"] = f"{type(error).__name__}: {error}"
    _say(f"{name} {number + 1}, {one.name}: {row.get('error') or 'measured'} ({time.monotonic() - began:.0f} s)")
    return row


async def _awaited(measure: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await measure


def _count(one: Competitor, plan: Plan) -> int:
    return plan.slow_jobs if one.most_at_once == 1 else plan.jobs


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
