"""A comparison from the facts of its models: table, front, trade-offs, who is best for what. Pure and deterministic."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.compare import choose
from hub.compare.front import front
from hub.compare.matrix import Facts, matrix
from hub.compare.pairs import Pairs
from hub.compare.subject import Subject, common_ground, quality_of, run_on
from hub.compare.words import tradeoffs
from schemas.comparison import (
    MOST_MODELS,
    Analysis,
    ComparisonCriteria,
    DecisionSupport,
    ModelComparison,
)

NEAR = 3
"""Names that are told instead of one that nobody knows."""


class UnknownModel(ValueError):
    """A model is not in the catalogue. `near` are names that are spelt like it."""

    def __init__(self, model: str, near: Sequence[str]) -> None:
        self.model, self.near = model, tuple(near)
        told = f"; near it: {', '.join(near)}" if near else ""
        super().__init__(f"{model[:256]!r} is not in the catalogue{told}")


class TooMany(ValueError):
    """More models than are compared at a time."""

    def __init__(self, number: int) -> None:
        super().__init__(f"{number} models; {MOST_MODELS} are compared at most")


def near(model: str, names: Iterable[str]) -> list[str]:
    """Names spelt like `model`: with another namespace, else by the letters of what follows it, else of all; at most
    three, the nearest first."""
    there = [name for name in dict.fromkeys(names) if name != model]
    short = _short(model)
    found = sorted(name for name in there if _short(name) == short)
    for told, of in ((short, _short), (model.casefold(), str.casefold)):
        spelt: dict[str, str] = {}
        for name in there:
            spelt.setdefault(of(name), name)
        found += (spelt[one] for one in difflib.get_close_matches(told, spelt, n=NEAR, cutoff=0.6))
    return list(dict.fromkeys(found))[:NEAR]


def _short(model: str) -> str:
    return model.rpartition("/")[2].casefold()


def compare(
    criteria: ComparisonCriteria, subjects: Sequence[Subject], *, mix: Mapping[str, Any], now: datetime,
    notes: Sequence[str] = (),
) -> ModelComparison:  # fmt: skip
    """The comparison of `subjects`, in the criteria's order. `mix` is whose jobs their costs were told for."""
    ground = common_ground(subjects, criteria.task, criteria.dataset)
    qualities = [quality_of(subject, ground) for subject in subjects]
    known = [
        choose.known_of(subject.performance, subject.costs, quality, subject.allowed)
        for subject, quality in zip(subjects, qualities, strict=True)
    ]
    facts = [Facts(*three) for three in zip(subjects, qualities, known, strict=True)]
    there = choose.allowed_ones(known)
    pairs = Pairs({subject.id: run for subject in subjects if (run := run_on(subject, ground)) is not None})
    weights = choose.used_weights(there, criteria.weights)
    ranked = choose.ranking(there, weights)
    told = front({one.model: one.point for one in there})
    refused = [one.model for one in known if one.allowed is False]
    said = [*notes, *(f"{model} may not be used: it is in the table, and best for nothing" for model in refused)]
    return ModelComparison(
        criteria=criteria,
        models=tuple(subject.entry for subject in subjects),
        comparison=matrix(facts),
        recommendations=ranked,
        analysis=Analysis(
            performance=tuple(subject.performance for subject in subjects),
            costs=tuple(subject.costs for subject in subjects),
            quality=tuple(qualities),
            paired=tuple(choose.paired(there, pairs)),
            tradeoffs=tradeoffs(there, told.models, pairs),
            front=told.models,
            dominated=dict(told.dominated),
            not_on_front=told.unjudged,
            compared_by=told.by,
        ),
        decision_support=DecisionSupport(
            best_for_speed=choose.for_speed(there),
            best_for_quality=choose.for_quality(there, pairs),
            best_for_cost=choose.for_cost(there),
            best_overall=choose.overall(ranked),
            weights={str(name): value for name, value in weights.items()},
        ),
        mix=dict(mix),
        notes=tuple(said),
        at=now,
    )
