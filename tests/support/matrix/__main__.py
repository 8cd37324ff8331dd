"""`python -m matrix [--times N] [--rows 1,2] [--afresh]`: runs the fault matrix and writes `docs/proof/faults.md`.

What stands in the raw file already, for the same tree, test and seed, is not run again: an interrupted run goes on
where it was, rows that are run apart add up. Ends with 1 if a row has no test or a run did not hold.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matrix import place
from matrix.page import NOT_COVERED, holds, page, sums
from matrix.raw import Head, Run, line, read

ROOT = Path(__file__).resolve().parents[3]
CHILD = Path(__file__).with_name("child.py")
FOLDERS = ("tests/faults", "tests/broker")
FOLDER = ROOT / "docs" / "proof"
RAW, PAGE = FOLDER / "faults.jsonl", FOLDER / "faults.md"
OLD = ROOT / "build" / "proof"
"""For raw files of another tree: an hour of runs is not thrown away for an edit."""
LEAVE_S = 60
"""For a process that was interrupted to stop what it started."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A test that bears rows."""

    test: str
    rows: list[int]
    limit_s: int
    shares: bool


def listed(root: Path = ROOT, folders: Sequence[str] = FOLDERS) -> list[Listed]:
    """Every test that bears a row, as pytest collects it. Raises RuntimeError if it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "listed"
        command = [sys.executable, str(CHILD), "list", str(file), *folders]
        done = subprocess.run(command, cwd=root, env=_environment(), capture_output=True, text=True, check=False)
        if not file.exists() or done.returncode not in (0, 5):
            raise RuntimeError(f"the tests cannot be collected: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return [Listed(**json.loads(told)) for told in file.read_text().splitlines()]


def units(tests: Sequence[Listed]) -> list[list[Listed]]:
    """What runs in one process: a test alone, or those of a file that share an installation."""
    shared: dict[str, list[Listed]] = defaultdict(list)
    alone: list[list[Listed]] = []
    for one in tests:
        if one.shares:
            shared[one.test.partition("::")[0]].append(one)
        else:
            alone.append([one])
    return [*alone, *shared.values()]


def ran(unit: Sequence[Listed], seed: int, command: str) -> Iterator[Run]:
    """Run these tests in a process of their own; one run of each, however it ends."""
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        told, proof, log = (Path(folder) / name for name in ("told", "proof", "log"))
        environment = _environment(NOVIX_PROOF=str(proof), NOVIX_FAULT_SEED=str(seed))
        arguments = [sys.executable, str(CHILD), "run", str(told), *(one.test for one in unit)]
        with log.open("wb") as sink:
            child = subprocess.Popen(
                arguments, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
            hung = _waited(child, sum(one.limit_s for one in unit))
        ends = {one["test"]: one for one in _lines(told)}
        verdicts = _lines(proof)
        for one in unit:
            end = ends.get(one.test)
            if end is None:
                tail = log.read_text(errors="replace")[-300:]
                end = {
                    "outcome": "too long" if hung else "died",
                    "why": f"exit code {child.returncode}: {tail}",
                    "seconds": 0,
                }
            mine = [verdict for verdict in verdicts if verdict["test"] == one.test]
            yield Run(one.test, one.rows, seed, end["outcome"], end["seconds"], _here(end["why"]), mine, command, load)


def _waited(child: "subprocess.Popen[bytes]", limit_s: float) -> bool:
    """Wait for its end; whether it had to be ended. Interrupted first: it stops the brokers that it started."""
    try:
        child.wait(limit_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as reason:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if isinstance(reason, KeyboardInterrupt):
            raise
        return True
    return False


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []


def _environment(**more: str) -> dict[str, str]:
    """Ours, without the path that makes this package importable: what tests start must find the rooms alone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, **more}


def _here(why: str) -> str:
    """Without the names of this machine's folders."""
    return why.replace(str(ROOT), ".").replace(tempfile.gettempdir(), "TMP").replace(str(Path.home()), "~")


def begun(tests: Sequence[Listed], *, afresh: bool) -> tuple[Head, list[Run]]:
    """The raw file to go on with: the one that is there if it speaks of this tree, else a new one."""
    commit, clean = place.commit(ROOT)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    of = {one.test: one.rows for one in tests}
    head = Head(place.tree(ROOT), commit, clean, place.machine(), now, of)
    if RAW.exists() and not afresh:
        before, runs = read(RAW)
        if (before.tree, before.machine) == (head.tree, head.machine):
            return before, runs
        kept = OLD / f"faults-{before.commit[:12]}-{before.tree[:8]}.jsonl"
        kept.parent.mkdir(parents=True, exist_ok=True)
        RAW.replace(kept)
        say(
            f"{RAW.name} speaks of another tree or machine; it is kept as {kept.relative_to(ROOT)}, and a new one begun"
        )
    return head, []


def write(head: Head, runs: Sequence[Run]) -> None:
    """Raw file and page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    RAW.write_text("".join([line(head), *map(line, runs)]), encoding="utf-8")
    PAGE.write_text(page(head, runs), encoding="utf-8")


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"faults: {text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument(
        "--times", type=int, default=3, metavar="N", help="runs of each test, each with a seed of its own"
    )
    parser.add_argument("--rows", default="", metavar="1,2,16", help="these rows alone")
    parser.add_argument("--seed", type=int, default=1, help="the first of the seeds")
    parser.add_argument("--afresh", action="store_true", help="forget what the raw file has")
    asked = parser.parse_args()
    rows = {int(row) for row in asked.rows.split(",") if row}
    command = f"make faults N={asked.times}" + (f" ROWS={asked.rows}" if rows else "")
    tests = listed()
    chosen = [one for one in tests if not rows or rows & {*one.rows}]
    head, runs = begun(tests, afresh=asked.afresh)
    done = {(run.test, run.seed) for run in runs}
    for seed in range(asked.seed, asked.seed + asked.times):
        for unit in units(chosen):
            if todo := [one for one in unit if (one.test, seed) not in done]:
                for run in ran(todo, seed, command):
                    runs.append(run)
                    say(_told(run))
                write(head, runs)
    write(head, runs)
    return _judged(head, runs, rows)


def _told(run: Run) -> str:
    numbers = ", ".join(f"{sum(one[name] for one in run.verdicts)} {name}" for name in ("lost", "doubled", "repeated"))
    word = run.outcome if run.outcome != "passed" or holds(run) else "no verdict"
    rows = ", ".join(map(str, run.rows))
    return f"row {rows}, seed {run.seed}: {word} in {run.seconds:.0f} s, {numbers}  {run.test} {run.why[:200]}"


def _judged(head: Head, runs: Sequence[Run], rows: set[int]) -> int:
    bare = [one.row for one in sums(head, runs) if one.verdict == NOT_COVERED and (not rows or one.row in rows)]
    broken = [run for run in runs if run.outcome != "skipped" and not holds(run)]
    if bare:
        say(f"{NOT_COVERED}: rows {', '.join(map(str, bare))}")
    say(f"{len(runs)} runs, {len(broken)} did not hold; {PAGE.relative_to(ROOT)}")
    return 1 if bare or broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
