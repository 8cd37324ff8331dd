"""Who is beaten by whom: the Pareto front. Pure.

A model dominates another if it is at least as good in every dimension and better in one (V. Pareto, "Manuale di
economia politica", 1906). Values are such that less is better; quality comes with its sign turned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.comparison import DIMENSIONS, Dimension

Point = Mapping[Dimension, float | None]
"""Less is better. None: unknown."""


@dataclass(frozen=True, slots=True)
class Front:
    """Who stands on the front, and why the others do not."""

    models: tuple[str, ...]
    dominated: Mapping[str, str]
    """Model -> the first of the front that dominates it."""
    unjudged: tuple[str, ...]
    """Something is unknown of them that is known of others."""
    by: tuple[Dimension, ...]


def front(points: Mapping[str, Point]) -> Front:
    """The front over the dimensions of which anything is known; in the order of `points`."""
    by = tuple(one for one in DIMENSIONS if any(point.get(one) is not None for point in points.values()))
    known = {
        model: tuple(value for one in by if (value := point.get(one)) is not None) for model, point in points.items()
    }
    whole = {model: values for model, values in known.items() if by and len(values) == len(by)}
    best = {
        model: values for model, values in whole.items() if not any(dominates(one, values) for one in whole.values())
    }
    return Front(
        tuple(best),
        # Whoever is beaten at all is beaten by one of the front, for to dominate is transitive.
        {
            model: next(other for other, others in best.items() if dominates(others, values))
            for model, values in whole.items()
            if model not in best
        },
        tuple(model for model in points if model not in whole),
        by,
    )


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
