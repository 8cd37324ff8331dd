"""`make soak MINUTES=60`: mixed load, random faults, samples, the checker's verdict; then page, picture and file.

`python -m bench soak [--minutes M] [--seed N] [--rate JOBS_A_SECOND] [--out FOLDER]`. Needs what the tests need. Ends
with 1 if the checker complains, a process ended by itself, or something grows.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ordeal import CALL_MS, IN_FLIGHT, PER_FREEZE
from proof import Proof
from schedule import WORKERS, Faults, Step, schedule
from stranger import installation
from system import ROUTER, Process

from bench import proof as published
from bench.soak import page
from bench.soak.load import Mixed
from bench.soak.sampling import Sampler, Watched
from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.home import BrokerError
from schemas.topics import RESULTS

PACKAGES = ("aiokafka", "faststream", "httpx", "aiohttp", "uvloop")
RATE = 12.0
APART = 8.0
"""Faults come so many times as far apart as in the fault tests: 2 to 28 s, so that between them work is as usual."""
SETTINGS = {
    "NOVIX_SESSION_TIMEOUT_MS": "6000", "NOVIX_HEARTBEAT_INTERVAL_MS": "1000", "NOVIX_MAX_IN_FLIGHT": str(IN_FLIGHT),
    "NOVIX_LOG_LEVEL": "info", "NOVIX_BREAKER_RESET_S": "2", "NOVIX_DRAIN_S": "20", "NOVIX_BACKOFF_FACTOR_S": "0.2",
    "NOVIX_DEDUP_MAX": "1000",
}  # fmt: skip
"""A session that is missed soon, but not by a machine that is busy for some seconds. Memories of a router's lane that
are full within minutes, so that what goes on growing has no bound; of the last `load.KEPT` jobs some are published
again."""
CALM_S = 20.0
"""Before the first fault."""
PUBLISHED_MINUTES = 30
"""A shorter run is no proof: it goes to `build/proof` (`SCRATCH`), unless `--out` says otherwise."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run."""

    length_s: float
    seed: int
    rate: float
    """Jobs a second."""


def main(arguments: Sequence[str]) -> int:
    """Run, judge, write."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description="Mixed load under random faults.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=RATE, help=f"jobs a second (default {RATE:g})")
    parser.add_argument("--out", type=Path, help="folder for soak.md, soak.svg and soak.json")
    parser.add_argument("--page", action="store_true", help="run nothing: write the page anew from soak.json")
    asked = parser.parse_args(arguments)
    if asked.page:
        out = asked.out or published.FOLDER
        return _written(page.read(json.loads((out / "soak.json").read_text(encoding="utf-8"))), out)
    origin = published.origin(" ".join(["python -m bench soak", *arguments]), *PACKAGES)
    told = _run(Plan(asked.minutes * 60, asked.seed, asked.rate), origin)
    return _written(told, asked.out or (published.FOLDER if asked.minutes >= PUBLISHED_MINUTES else published.SCRATCH))


def _written(told: page.Told, out: Path) -> int:
    stored = page.document(told)
    told = page.read(stored)  # rounded as in the file: whoever makes the page again from it has the same
    text = page.page(told)
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "soak.md").write_text(text, encoding="utf-8")
    (out / "soak.svg").write_text(page.drawing(told), encoding="utf-8")
    (out / "soak.json").write_text(json.dumps(stored) + "\n", encoding="utf-8")
    _say(f"written to {out}")
    return 0 if told.passed else 1


def _run(plan: Plan, origin: published.Origin) -> page.Told:
    with tempfile.TemporaryDirectory(prefix="novix-soak-") as name:
        folder = Path(name)
        with (
            LocalBroker(folder / "kafka", flags=("-Xmx512m",), say=_say) as broker,
            _world(broker, folder, plan.seed) as run,
        ):
            run.healthy(within_s=120)
            told = _watched(run, broker, plan, origin)
            if not told.passed:
                published.SCRATCH.mkdir(parents=True, exist_ok=True)
                for log in [*folder.glob("*.log"), broker.log_path]:
                    shutil.copy(log, published.SCRATCH)
                _say(f"the processes' logs are in {published.SCRATCH}")
            return told


@contextmanager
def _world(broker: LocalBroker, folder: Path, seed: int) -> Iterator[Mixed]:
    """The installation, started, and somebody who notes its committed offsets.

    Of `system.processes` the first (router and workers) are those that faults hit; one of each more is spared.
    """
    with installation(broker.bootstrap, folder, start=False, crew=WORKERS + 1, **SETTINGS) as stranger:
        stranger.system.stub("/admin/behave", {"delay_ms": CALL_MS})
        stranger.system.workers[WORKERS].name = "worker-spared"
        stranger.system.workers.append(stranger.system.process(ROUTER, "router-spared", instance="router-spared"))
        run = Mixed(stranger, dice=random.Random(seed))
        run.prepare()
        stranger.system.start()
        looking = threading.Thread(target=run.look, daemon=True)
        looking.start()
        try:
            yield run
        finally:
            run.over()
            looking.join(20)


def _watched(run: Mixed, broker: LocalBroker, plan: Plan, origin: published.Origin) -> page.Told:
    """The load and the faults for so long, the samples meanwhile, and the verdict."""
    hit, spared = run.system.processes[: WORKERS + 1], run.system.processes[WORKERS + 1 :]
    watched = [*map(_process, [*spared, *hit]), Watched("broker", lambda: _pid(broker))]
    sampler = Sampler(watched, run.system.settings, max(2.0, plan.length_s / 600))
    faults = Faults(run, broker, hit)
    born = [_process(one).pid() for one in spared]
    sampler.start()
    begun = _load(run, faults, sampler, plan)
    strays: list[str] = []
    try:
        faults.heal()
    except AssertionError as stuck:
        strays.append(str(stuck))
    if [_process(one).pid() for one in spared] != born:
        strays.append("a process that no fault hits has ended")
    sampler.close()
    run.proof = Proof("soak", [])
    with suppress(AssertionError):  # what it says stands in what is handed in
        run.verdict(excused=True, zombies=faults.freezes * PER_FREEZE)
    codes = {one.name: one.child.returncode for one in run.system.processes if one.child is not None}
    strays += [f"{name} ended with {code}" for name, code in codes.items() if code]
    statuses = Counter(str(found.json["status"]) for found in run.stranger.read(RESULTS.name))
    return page.Told(
        origin, plan.seed, plan.length_s, plan.rate, sampler.samples, [one.name for one in spared], begun,
        run.proof.handed_in[0], dict(statuses), [*faults.strays, *strays],
    )  # fmt: skip


def _load(run: Mixed, faults: Faults, sampler: Sampler, plan: Plan) -> list[tuple[float, str]]:
    """Publish each second, begin each fault at its time; which faults began, and when."""
    steps = _steps(plan.seed, plan.length_s)
    begun: list[tuple[float, str]] = []
    due, told_at = CALM_S, 0.0
    while (now := sampler.now_s()) < plan.length_s:
        faults.publish(round(plan.rate))
        while steps and now >= due + steps[0].after_s:
            step = steps.pop(0)
            due += step.after_s
            begun.append((now, str(step)))
            faults.do(step)
        if now - told_at >= 60:
            told_at = now
            _say(f"{now / 60:.0f} min, {len(run.wanted):,} jobs, {len(begun)} faults")
        faults.meanwhile(max(0.0, 1.0 - (sampler.now_s() - now)))
    return begun


def _steps(seed: int, length_s: float) -> list[Step]:
    """The faults of the run, the last one well before its end."""
    until = length_s - CALM_S * 2
    steps, at = [], 0.0
    for step in schedule(seed, max(1.0, until / APART)):
        at += step.after_s * APART
        if at < until:
            steps.append(replace(step, after_s=step.after_s * APART))
    return steps


def _process(one: Process) -> Watched:
    url = f"http://127.0.0.1:{one.environment['NOVIX_HEALTH_PORT']}/healthz"
    return Watched(one.name, lambda: one.child.pid if one.child is not None and one.running else None, url)


def _pid(broker: LocalBroker) -> int | None:
    try:
        return broker.pid
    except BrokerError:
        return None


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)
