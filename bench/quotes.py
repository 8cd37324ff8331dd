"""How often a quote's interval holds what was paid, and how near a window's predicted sum comes to its bill.

`python -m bench quotes`, without Kafka. Coverage is measured on halves that the calibration has not seen; the sums on
windows of 1,000 jobs of the same halves; drift on a stream of jobs whose answers grow three times as long half-way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figure import Figure, median, quantile
from bench.predict import NOW, Paid, observed, workload, world
from router.calibration import LEAST, Calibration
from router.quote import Quote, quote, total
from router.view import View

NAME = "quotes"
SEEDS = (1, 2, 3, 4)
JOBS = 10_000
WINDOW = 1_000
STREAM = 4_000
STEP = 250
MOST_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """One job's quote, and what it paid then."""

    quote: Quote
    paid: int

    @property
    def held(self) -> bool:
        """Whether the interval held it."""
        return self.quote.low <= self.paid <= self.quote.high

    @property
    def certain(self) -> bool:
        """Whether the interval is one amount, but for the rounding to whole nano-dollars: the price was known."""
        return self.quote.high - self.quote.low <= 2


@dataclass(frozen=True, slots=True)
class Sum:
    """One window of jobs: what was predicted for all together, between which bounds, and what was billed."""

    predicted: int
    low: int
    high: int
    billed: int

    @property
    def error(self) -> float:
        """Share of the bill."""
        return abs(self.predicted - self.billed) / self.billed


def measure(*, quick: bool) -> list[Figure]:
    """Coverage, width, sums, drift."""
    view = world()
    halves = [held_out(list(workload(seed, JOBS, view)), view) for seed in SEEDS[: 1 if quick else len(SEEDS)]]
    judged = [one for half in halves for one in half]
    uncertain = [one for one in judged if not one.certain]
    windows = [sum_of(half[at : at + WINDOW]) for half in halves for at in range(0, len(half), WINDOW)]
    errors = [100 * one.error for one in windows]
    how = f"{len(halves)} x {JOBS} jobs, four tenants, seven kinds; the first half calibrates, the other is held"
    return [
        Figure(NAME, "coverage of intervals of 90 %", 100 * _share(judged), "%", "90 +- 2", note=how),
        *[
            Figure(NAME, f"coverage, {kind}", 100 * _share(members), "%", note=f"{len(members)} jobs")
            for kind, members in sorted(_by_kind(judged).items())
        ],
        Figure(NAME, "jobs whose price is certain", 100 * (1 - len(uncertain) / len(judged)), "%"),
        Figure(NAME, "coverage, without these", 100 * _share(uncertain), "%"),
        Figure(NAME, "width of an interval over what was paid, p50", _width(uncertain), "", note="without these"),
        Figure(
            NAME, "predicted against billed, error of a window, p50", median(errors), "%", "under 1",
            f"{len(windows)} windows of {WINDOW} jobs",
        ),
        Figure(NAME, "predicted against billed, error of a window, p95", quantile(errors, 0.95), "%"),
        Figure(NAME, "predicted against billed, error of a window, most", max(errors), "%"),
        Figure(NAME, "the router's own estimate against billed, error of a window, p50", _raw(halves), "%"),
        Figure(
            NAME, "windows whose bill lay in the sum's interval of 90 %",
            100 * sum(one.low <= one.billed <= one.high for one in windows) / len(windows), "%", "90",
        ),
        *_drift(view),
    ]  # fmt: skip


def held_out(paid: Sequence[Paid], view: View) -> list[Judged]:
    """Calibrate on the first half, then quote the other, which changes nothing any more."""
    calibration, middle = Calibration(), len(paid) // 2
    for one in paid[:middle]:
        calibration.fold(observed(one, quote(one.job, view, calibration, now=NOW)))
    return [Judged(quote(one.job, view, calibration, now=NOW), one.nanousd) for one in paid[middle:]]


def sum_of(judged: Sequence[Judged]) -> Sum:
    """A window's sum."""
    told = total((one.quote for one in judged), MOST_IN_FLIGHT)
    return Sum(told.predicted, told.low, told.high, sum(one.paid for one in judged))


def stream(view: View, *, adaptive: bool) -> list[float]:
    """Coverage of each `STEP` jobs of a stream that is quoted and folded job by job; longer answers from the middle."""
    calibration, held, shares = Calibration(adaptive=adaptive), [], []
    for one in workload(9, STREAM, view, longer_from=STREAM // 2):
        told = quote(one.job, view, calibration, now=NOW)
        held.append(Judged(told, one.nanousd).held)
        calibration.fold(observed(one, told))
    for at in range(0, STREAM, STEP):
        step = held[at : at + STEP]
        shares.append(sum(step) / len(step))
    return shares


def _drift(view: View) -> list[Figure]:
    shares = {adaptive: stream(view, adaptive=adaptive) for adaptive in (True, False)}
    middle = STREAM // 2 // STEP
    figures = []
    for adaptive, told in shares.items():
        name = "window that adapts" if adaptive else "window of the last 1,000"
        listed = " ".join(f"{100 * share:.0f}" for share in told)
        how = f"of each {STEP} jobs, answers three times as long from job {STREAM // 2} on: {listed}"
        figures += [
            Figure(NAME, f"drift, {name}, coverage in the first {2 * STEP} after it",
                   100 * sum(told[middle : middle + 2]) / 2, "%", note=how),
            Figure(NAME, f"drift, {name}, coverage of the last {2 * STEP}", 100 * sum(told[-2:]) / 2, "%"),
        ]  # fmt: skip
    figures.append(Figure(NAME, "observations until a group speaks for itself", LEAST, "jobs"))
    return figures


def _share(judged: Sequence[Judged]) -> float:
    return sum(one.held for one in judged) / len(judged)


def _by_kind(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    members: dict[str, list[Judged]] = {}
    for one in judged:
        members.setdefault(one.quote.job_id.partition("-")[0], []).append(one)
    return members


def _width(judged: Sequence[Judged]) -> float:
    return median([(one.quote.high - one.quote.low) / one.paid for one in judged if one.paid])


def _raw(halves: Sequence[Sequence[Judged]]) -> float:
    """As `Sum.error`, for the estimates that ranking counts with."""
    errors = []
    for half in halves:
        for at in range(0, len(half), WINDOW):
            window = half[at : at + WINDOW]
            billed = sum(one.paid for one in window)
            errors.append(abs(sum(one.quote.expected for one in window) - billed) / billed)
    return 100 * median(errors)
