"""The page of a run, and the file it is made from. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.figure import median
from bench.peers.competitors import LOOP, NOVIX, PYTHON, WORKER_ALONE, Competitor, parallel
from bench.peers.measures import IDEAL_S, KILL_IN_FLIGHT, RAMP_S, SPEED_IN_FLIGHT, WARM_UP, WINDOW_IN_FLIGHT
from bench.proof import Origin

WINDOW_FIGURE = "window at 1,000 calls of 1 s, 1 % of 10 s (the figure was set without slow ones)"
Row = dict[str, Any]
MISSING = "not measured"
MEASURES = ("speed", "window", "kill")
HOW = """\
Median of the rounds ({rounds}), in brackets lowest and highest. All in turns on one
Apache Kafka node and one stub provider, with broker, provider and the reader of the results on the same cores; topics
of six partitions, deleted after each turn.
A job is a chat request of 600 bytes, its result a record.

- **jobs/s** (until the last result; until 95 of 100), **CPU, memory**: {speed} calls at once, a provider that answers
  at once, {warm} jobs before, to warm up. CPU is user and system time of all the competitor's processes; memory the
  highest resident set of each, added up, here or at the window.
- **window**: {window} calls at once of 1 s, each hundredth of 10 s; calls a second over the {ideal} that a full window
  makes, looked at from {ramp} s after the first call on, never short of work.
- **lost, doubled, calls again**: {jobs} jobs{fewer}, {kill} at once, calls of 200 ms, each hundredth of 2 s; `kill -9`
  of all its processes when half of the results are there, started again at once; counted by a read_committed reader.
  *Calls again* are calls beyond one a job, which a provider is paid for. What a *guarantee* leaves open kills need
  not meet: where nothing is lost here, none came in the moment in which an early commit loses something.
- **until all done**, from the kill on: whoever comes back as a new member of its group waits until the session of the
  dead one ends, 10 s for Python's client; Novix comes back under the instance id that it had.
- **who reads what**: everybody reads jobs as Novix's producers write them, and has the same to do with each: take it
  apart, one POST, one result. Novix does more (decision, reservation, audit, trace, ledger). *{alone}* reads jobs
  with a router's assignment, 2 kB instead of 600 bytes: what it costs beside the loop is what a worker does beside the
  call."""


@dataclass(frozen=True, slots=True)
class Told:
    """All that a run has found out."""

    origin: Origin
    competitors: Sequence[Competitor]
    absent: dict[str, str]
    """Who could not run here, and why."""
    rounds: Sequence[Row]
    quick: bool
    between: str
    """What stands between the figures that are wanted and those that were reached, in people's words."""

    def of(self, name: str, measure: str) -> list[Row]:
        """The rows of one competitor and measurement that came to an end."""
        return [
            row for row in self.rounds if row["competitor"] == name and row["measure"] == measure and "error" not in row
        ]

    def numbers(self, name: str, measure: str, key: str) -> list[float]:
        """One number of each of them; of what is told process by process, the sum."""
        found = [row[key] for row in self.of(name, measure)]
        return [float(sum(one) if isinstance(one, list) else one) for one in found]


def document(told: Told) -> dict[str, Any]:
    """The raw rounds, for `peers.json`."""
    return {
        "origin": told.origin.document(), "quick": told.quick, "absent": told.absent,
        "competitors": [one.name for one in told.competitors], "rounds": list(told.rounds),
    }  # fmt: skip


def read(stored: Row, between: str) -> Told:
    """What `document` stored."""
    known = {one.name: one for one in [*PYTHON, *parallel([])]}
    competitors = [known[name] for name in stored["competitors"]]
    return Told(Origin(**stored["origin"]), competitors, stored["absent"], stored["rounds"], stored["quick"], between)


def page(told: Told) -> str:
    """`peers.md`."""
    quick = ["**A quick run: one round of each, shorter than the published one.**", ""] if told.quick else []
    return "\n".join(
        [
            "# Novix beside what people would pick instead",
            "",
            *quick,
            "Written by `make bench-peers`; the raw rounds are in `peers.json`. Ratios last; absolute numbers belong "
            "to their machine.",
            "",
            *told.origin.lines(),
            "",
            *_table(told),
            "",
            *_how(told),
            "",
            *_figures(told),
            "",
            *_failures(told),
        ]
    )  # fmt: skip


def _table(told: Told) -> list[str]:
    names = (
        "jobs/s",
        "first 95 %",
        "CPU a job, us",
        "peak memory, MB",
        "window",
        "lost",
        "doubled",
        "calls again",
        "until all done, s",
    )
    lines = [f"| what | guarantee | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for one in told.competitors:
        cells = [
            _spread(told.numbers(one.name, "speed", "jobs_s"), 0),
            _spread(told.numbers(one.name, "speed", "most_jobs_s"), 0),
            _spread(told.numbers(one.name, "speed", "cpu_us"), 0),
            _most(told, one.name),
            _spread(told.numbers(one.name, "window", "use"), 2),
            _spread(told.numbers(one.name, "kill", "lost"), 0),
            _spread(told.numbers(one.name, "kill", "doubled"), 0),
            _spread(told.numbers(one.name, "kill", "calls_again"), 0),
            _spread(told.numbers(one.name, "kill", "took_s"), 1),
        ]
        lines.append(f"| {one.name} | {one.guarantee} | {' | '.join(cells)} |")
    for name, reason in told.absent.items():
        lines.append(f"| {name} | not run: {reason} |{' - |' * len(names)}")
    return lines


def _how(told: Told) -> list[str]:
    kills = {one.name: rows[0]["jobs"] for one in told.competitors if (rows := told.of(one.name, "kill"))}
    most = max(kills.values(), default=0)
    fewer = ", ".join(f"{count:,} for {name}" for name, count in kills.items() if count != most)
    turns = {which: len({row["round"] for row in told.rounds if row["measure"] == which}) for which in MEASURES}
    return [
        *HOW.format(
            rounds=", ".join(f"{count} of {which}" for which, count in turns.items()), speed=SPEED_IN_FLIGHT,
            warm=f"{WARM_UP:,}", window=f"{WINDOW_IN_FLIGHT:,}", ramp=f"{RAMP_S:.0f}",
            ideal=f"{WINDOW_IN_FLIGHT / IDEAL_S:.0f}", kill=KILL_IN_FLIGHT, jobs=f"{most:,}",
            fewer=f" ({fewer}: what it does in such a time)" if fewer else "", alone=WORKER_ALONE,
        ).splitlines(),
        "",
        *(f"- **{one.name}**: {one.settings}." for one in told.competitors),
    ]  # fmt: skip


def _figures(told: Told) -> list[str]:
    """Design figures beside what was reached; the ratios are of the same round."""
    lines = ["## The figures that the project sets itself", "", "| figure | wanted | reached | |", "|---|---|---|---|"]
    for what, words, values, wanted, at_least in [
        ("router and worker against the loop, CPU a job", "at most 2.5 times", _ratios(told, NOVIX), 2.5, False),
        ("worker alone against the loop", "at most 1.8 times", _ratios(told, WORKER_ALONE), 1.8, False),
        ("router and worker, CPU a job, us", "600, then 400", told.numbers(NOVIX, "speed", "cpu_us"), 600.0, False),
        (WINDOW_FIGURE, "at least 0.95", told.numbers(NOVIX, "window", "use"), 0.95, True),
        ("results lost by a kill", "0", told.numbers(NOVIX, "kill", "lost"), 0.0, False),
        ("results doubled by a kill", "0", told.numbers(NOVIX, "kill", "doubled"), 0.0, False),
    ]:
        verdict = "-"
        if values:
            reached = median(values) >= wanted if at_least else median(values) <= wanted
            verdict = "reached" if reached else f"**missed**{_by(median(values), wanted)}"
        lines.append(f"| {what} | {words} | {_spread(values, 2 if 0 < wanted < 10 else 0)} | {verdict} |")
    split = told.of(NOVIX, "speed")
    if split:
        router, worker = (median([row["cpu_us"][place] for row in split]) for place in (0, 1))
        lines += ["", f"Of Novix's CPU a job the router takes {router:.0f} us, the worker {worker:.0f} us (medians)."]
    return [*lines, "", told.between.strip()]


def _by(value: float, wanted: float) -> str:
    """How far a figure is from what is wanted, in hundredths of that; from nothing there is no share."""
    return f" by {abs(value / wanted - 1):.0%}" if wanted else ""


def _ratios(told: Told, name: str) -> list[float]:
    loop = {row["round"]: sum(row["cpu_us"]) for row in told.of(LOOP, "speed")}
    return [sum(row["cpu_us"]) / loop[row["round"]] for row in told.of(name, "speed") if row["round"] in loop]


def _failures(told: Told) -> list[str]:
    failed = [row for row in told.rounds if "error" in row]
    lines = [f"- {row['measure']} {row['round'] + 1}, {row['competitor']}: {row['error']}" for row in failed]
    return ["## Not measured", "", *lines, ""] if failed else []


def _most(told: Told, name: str) -> str:
    peaks = [max(told.numbers(name, which, "peak_mb"), default=0.0) for which in ("speed", "window")]
    return f"{max(peaks):.0f}" if max(peaks) else MISSING


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return MISSING
    middle, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"
