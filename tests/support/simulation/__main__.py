"""`python -m simulation --seeds N`: run N schedules, say what holds and what does not, and how to see it again."""

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from simulation.harsh import plan as harsher
from simulation.installation import catalogue_file
from simulation.plants import planted
from simulation.schedule import plan
from simulation.story import run

WARM = (1, 4, 6)
"""Schedules that are run before all others, and told of nowhere. Each of the others is a fork of what they leave: code
and caches are warm, and none sees what another has left. A fork ends with its schedule: what died in it is never
unwound."""
LONGEST_S = 300.0
"""Of one schedule, in seconds of a processor: beyond, something turns and turns without the virtual clock moving on."""
HUNG_S = 20 * LONGEST_S
"""In real seconds: beyond, it waits for something real. A busy machine has made a schedule last ten minutes."""
SHOWN = 8
"""Complaints of a failed schedule."""


@dataclass
class Tally:
    """What has been run."""

    schedules: int = 0
    failed: dict[int, list[str]] = field(default_factory=dict)
    """Complaints by seed."""
    counts: Counter[str] = field(default_factory=Counter)
    digests: dict[int, str] = field(default_factory=dict)

    def take(self, told: dict[str, Any]) -> None:
        """One schedule is over."""
        self.schedules += 1
        self.counts.update(told["counts"])
        self.digests[told["seed"]] = told["digest"]
        if told["complaints"]:
            self.failed[told["seed"]] = told["complaints"]

    @property
    def digest(self) -> str:
        """Over all of them, in the order of their seeds."""
        lines = (f"{seed} {digest}\n" for seed, digest in sorted(self.digests.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 if every schedule held."""
    wanted = _parser().parse_args(arguments)
    seeds = range(wanted.first, wanted.first + wanted.seeds)
    began, tally = time.monotonic(), Tally()
    warm()
    told_at = began
    jobs = 1 if wanted.trace else wanted.jobs
    for told in each(seeds, jobs, wanted.plant, trace=wanted.trace, harsh=wanted.harsh):
        tally.take(told)
        if told["complaints"]:
            _tell_failure(told["seed"], told["complaints"], wanted.plant, harsh=wanted.harsh)
            if wanted.stop and len(tally.failed) >= wanted.stop:
                break
        if time.monotonic() - told_at >= 10:
            told_at = time.monotonic()
            rate = tally.schedules / (told_at - began)
            _say(f"{tally.schedules} of {len(seeds)}, {rate:.1f} a second, {len(tally.failed)} failed")
    took_s = time.monotonic() - began
    _say(_summed(tally, took_s))
    if wanted.report:
        file = Path(wanted.report)
        before = json.loads(file.read_text())["parts"] if file.exists() else []
        file.write_text(json.dumps(report([*before, part(tally, seeds, took_s)]), indent=1) + "\n")
    return 1 if tally.failed else 0


def warm() -> None:
    """Run a few schedules in this process, which must end with `os._exit`."""
    gc.disable()
    for seed in WARM:
        run(seed)
    gc.freeze()


def each(
    seeds: Iterable[int], jobs: int, plant: str = "", *, trace: bool = False, harsh: bool = False
) -> Iterator[dict[str, Any]]:
    """The outcome of each schedule, `jobs` of them at a time, each in a fork of this process."""
    context = get_context("fork")
    left, running = iter(seeds), dict[Connection, tuple[Any, int]]()
    try:
        while True:
            while len(running) < jobs and (seed := next(left, None)) is not None:
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(target=_child, args=(seed, plant, trace, harsh, theirs))
                child.start()
                theirs.close()
                running[ours] = child, seed
            if not running:
                return
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                child, seed = running.pop(ready)
                try:
                    yield ready.recv()
                except EOFError:
                    child.join()
                    yield _lost(seed, child.exitcode)
                ready.close()
                child.join()
    finally:
        for child, _ in running.values():
            child.terminate()


def _child(seed: int, plant: str, trace: bool, harsh: bool, sink: Connection) -> None:
    faulthandler.dump_traceback_later(HUNG_S, exit=True)
    faulthandler.register(signal.SIGPROF, chain=True)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    of = harsher if harsh else plan
    if trace:
        _say(str(of(seed)))
    with planted(plant):
        outcome = run(seed, trace=_say if trace else None, logs=trace, of=of)
        sink.send({**vars(outcome), "counts": dict(outcome.counts)})
    sink.close()
    os._exit(0)  # see `WARM`


def _lost(seed: int, code: int | None) -> dict[str, Any]:
    slow = f"{-signal.SIGPROF}: over {LONGEST_S:.0f} s of a processor; 1: over {HUNG_S:.0f} s"
    what = f"the schedule ended with its process, exit code {code} ({slow})"
    return {"seed": seed, "complaints": [what], "digest": "", "counts": {}}


def part(tally: Tally, seeds: Sequence[int], took_s: float) -> dict[str, Any]:
    """What one run of the command ran, for publishing."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "schedules": tally.schedules,
        "seeds": [seeds[0], seeds[-1]],
        "failed": {str(seed): complaints[:SHOWN] for seed, complaints in sorted(tally.failed.items())},
        "took_s": round(took_s, 1),
        "a_second": round(tally.schedules / took_s, 2),
        "totals": dict(sorted(tally.counts.items())),
        "digest": tally.digest,
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def report(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All that was run, part by part: many schedules take hours, and need not run in one go."""
    totals = sum((Counter(one["totals"]) for one in parts), Counter[str]())
    return {
        "schedules": sum(one["schedules"] for one in parts),
        "failed": sum(len(one["failed"]) for one in parts),
        "took_s": round(sum(one["took_s"] for one in parts), 1),
        "totals": dict(sorted(totals.items())),
        "parts": list(parts),
    }


def _tell_failure(seed: int, complaints: Sequence[str], plant: str, *, harsh: bool) -> None:
    _say(f"seed {seed} fails:")
    for complaint in complaints[:SHOWN]:
        _say(f"  {complaint[:400]}")
    more = f"{f' PLANT={plant}' if plant else ''}{' HARSH=1' if harsh else ''}"
    _say(f"  again: make simulate SEEDS=1 FIRST={seed}{more}")


def _summed(tally: Tally, took_s: float) -> str:
    counts = tally.counts
    told = f"{tally.schedules} schedules in {took_s:.0f} s ({tally.schedules / max(took_s, 0.001):.1f} a second): "
    told += f"{counts['jobs']} records, {counts['calls']} calls, {counts['faults']} faults, "
    told += f"{counts['processes']} processes, {counts['virtual seconds'] / 3600:.1f} virtual hours; "
    told += f"{len(tally.failed)} failed"
    if tally.failed:
        told += f" ({', '.join(map(str, sorted(tally.failed)[:20]))})"
    return f"{told}; digest {tally.digest[:16]}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, metavar="N", help="how many schedules")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes at a time")
    parser.add_argument("--plant", default="", metavar="NAME", help="plant a bug: see simulation/plants.py")
    parser.add_argument("--stop", type=int, default=0, metavar="N", help="stop after so many failed schedules")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens, and what processes log")
    parser.add_argument(
        "--harsh", action="store_true", help="schedules of the other generator: see simulation/harsh.py"
    )
    parser.add_argument(
        "--report", default="", metavar="FILE", help="add counts, time, machine and digest to this JSON"
    )
    return parser


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]])  # noqa: S606 - this, once more
    code = main()
    shutil.rmtree(catalogue_file().parent, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)
