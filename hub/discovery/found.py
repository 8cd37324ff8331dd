"""What is expected of a hit: how long it takes and what it costs, and how that is known. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hub.discovery.known import Known
from hub.index.offers import cost_of, latency_of
from schemas.catalog import CatalogEntry
from schemas.discovery import Interval

LEAST = 19
"""Models with an expected and an observed time, from which on their errors say how wrong an expected time may be: with
fewer, the outermost of them is not far enough out."""
OUTSIDE = 0.05
"""On either side: nine of ten lie within."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How observed times stood to the expected ones, here."""

    low: float
    high: float
    n: int


def spread(pairs: Iterable[tuple[float, float]]) -> Spread | None:
    """From (expected, observed) times of models that have both; None of fewer than `LEAST`.

    Split conformal prediction (Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005): of n ratios
    observed / expected the floor((n + 1) * 0.05)-th smallest and largest bound another one nine times of ten, whatever
    its distribution, as long as the models that were run are like those that were not.
    """
    ratios = sorted(observed / expected for expected, observed in pairs if expected > 0 and observed > 0)
    if len(ratios) < LEAST:
        return None
    cut = math.floor((len(ratios) + 1) * OUTSIDE) - 1
    return Spread(ratios[cut], ratios[-1 - cut], len(ratios))


def latency(entry: CatalogEntry, known: Known, errors: Spread | None = None) -> Interval | None:
    """What Novix has observed; else the best of what its offers state; else a guess from its size; else None.

    `errors`: how wrong such expectations were here, which then makes the interval.
    """
    observed = known.latency(entry.id)
    if observed is not None:
        return observed
    expected = latency_of(entry)
    if expected is None or errors is None:
        return expected
    low, high = min(1.0, errors.low) * expected.value, max(1.0, errors.high) * expected.value
    return expected.model_copy(update={"low": low, "high": high, "n": errors.n})


def cost(entry: CatalogEntry, known: Known) -> Interval | None:
    """What a job has cost; else what a usual one costs at stated prices; else None."""
    return known.cost(entry.id) or cost_of(entry)
