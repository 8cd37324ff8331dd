"""What a run of a mix came to: throughput, latency and cost, of each modality and in all; and two runs side by side.
Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.words import money, span

ALL = "all"


@dataclass(frozen=True, slots=True)
class Ended:
    """One job that has a result."""

    modality: str
    succeeded: bool
    seconds: float
    """From before its publication to its result."""
    cost_nanousd: int


@dataclass(frozen=True, slots=True)
class Measured:
    """Jobs of one modality, or all."""

    jobs: int
    share: float
    """Of all jobs, in percent."""
    succeeded: int
    per_second: float
    p50_ms: float
    p95_ms: float
    cost_nanousd: int


def measured(ended: Sequence[Ended], took_s: float) -> dict[str, Measured]:
    """By modality in their order, and `all` last. Latencies are of all jobs that ended, however."""
    groups: dict[str, list[Ended]] = {}
    for one in ended:
        groups.setdefault(one.modality, []).append(one)
    return {name: _of(members, len(ended), took_s) for name, members in [*sorted(groups.items()), (ALL, list(ended))]}


def _of(members: Sequence[Ended], jobs: int, took_s: float) -> Measured:
    times = sorted(one.seconds * 1_000 for one in members)
    return Measured(
        len(members),
        100 * len(members) / max(1, jobs),
        sum(one.succeeded for one in members),
        len(members) / took_s if took_s > 0 else 0.0,
        quantile(times, 0.5),
        quantile(times, 0.95),
        sum(one.cost_nanousd for one in members),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values, interpolated linearly; 0 for none."""
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def rows(found: Mapping[str, Measured]) -> list[list[str]]:
    """A table's rows: modality, jobs and their share, succeeded, a second, p50, p95, cost."""
    return [
        [
            name,
            f"{one.jobs} ({one.share:.1f} %)",
            str(one.succeeded),
            f"{one.per_second:.2f}",
            span(one.p50_ms),
            span(one.p95_ms),
            money(one.cost_nanousd),
        ]
        for name, one in found.items()
    ]


COLUMNS = ("modality", "jobs", "succeeded", "a second", "p50", "p95", "cost")


def ratios(on: Mapping[str, Measured], off: Mapping[str, Measured]) -> dict[str, dict[str, float | None]]:
    """Each figure with adaptive routing over the same without; None where the latter is 0."""
    names = {"throughput": "per_second", "p50": "p50_ms", "p95": "p95_ms", "cost": "cost_nanousd"}
    return {
        group: {told: _over(getattr(one, field), getattr(off[group], field)) for told, field in names.items()}
        for group, one in on.items()
        if group in off
    }


def _over(above: float, below: float) -> float | None:
    return above / below if below else None


def ratio_lines(told: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """The same in words: `all: throughput x 1.04, p50 x 0.97, ...`."""
    return [
        f"{group}: " + ", ".join(f"{name} {'-' if one is None else f'x {one:.2f}'}" for name, one in figures.items())
        for group, figures in told.items()
    ]


def document(found: Mapping[str, Measured]) -> dict[str, Any]:
    """As JSON."""
    return {
        name: {
            "jobs": one.jobs,
            "share_percent": round(one.share, 3),
            "succeeded": one.succeeded,
            "per_second": round(one.per_second, 3),
            "p50_ms": round(one.p50_ms),
            "p95_ms": round(one.p95_ms),
            "cost_nanousd": one.cost_nanousd,
        }
        for name, one in found.items()
    }
