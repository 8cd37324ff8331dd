"""What a measurement says: one number, its unit, and what design or documentation wants of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    measurement: str
    """Which measurement it comes from: a name of `bench.__main__.MEASUREMENTS`."""
    name: str
    value: float
    unit: str
    wanted: str = ""
    """The figure that the project sets itself, in words; empty where there is none."""
    note: str = ""
    """How it was measured, where the name does not say it."""


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones."""
    return quantile(values, 0.5)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, interpolated linearly. Raises ValueError for none."""
    if not values:
        raise ValueError("no value was measured")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures as lines of text, one table a measurement."""
    lines: list[str] = []
    last = ""
    wide = max((len(one.name) for one in figures), default=0)
    for one in figures:
        if one.measurement != last:
            lines += ["", one.measurement]
            last = one.measurement
        value = f"{one.value:,.2f}" if abs(one.value) < 10 and one.value != int(one.value) else f"{one.value:,.0f}"
        wanted = f"  (wanted: {one.wanted})" if one.wanted else ""
        lines.append(f"  {one.name:{wide}}  {value:>9} {one.unit}{wanted}".rstrip())
        if one.note:
            lines.append(f"  {'':{wide}}            {one.note}")
    return lines


def document(machine: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """The same for programs."""
    return {"machine": machine, "figures": [asdict(one) for one in figures]}
