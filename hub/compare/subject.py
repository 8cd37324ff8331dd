"""One model as a comparison takes it: what the catalogue says, and what Novix has measured and knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.catalog import CatalogEntry
from schemas.comparison import Costs, Performance, Quality
from schemas.evals import EvalRun, Score

BETTER_LOW = frozenset({"wer"})
"""Metrics of which less is better."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that is known of one model."""

    entry: CatalogEntry
    performance: Performance
    costs: Costs
    runs: Sequence[EvalRun] = field(default=())
    """Its evaluations."""
    allowed: bool | None = None
    """None: no rule and no admission speaks of it."""
    allowed_why: str = ""

    @property
    def id(self) -> str:
        """The model's."""
        return self.entry.id


Ground = tuple[str, str, str, str]
"""What runs must share to be compared: task, dataset, digest of its examples, metric."""


def primary(run: EvalRun) -> Score | None:
    """The score that stands for a run's quality: its first, as `hub.evals.ways` orders them."""
    return run.scores[0] if run.scores else None


def ground_of(run: EvalRun) -> Ground | None:
    """What other runs must share with it; None for one without a score."""
    score = primary(run)
    return None if score is None else (run.task, run.dataset, run.dataset_digest, score.metric)


def common_ground(subjects: Sequence[Subject], task: str | None, dataset: str | None) -> Ground | None:
    """The ground on which most of the models were measured; of several, the one of the newest run."""
    found: dict[Ground, list[EvalRun]] = {}
    models: dict[Ground, set[str]] = {}
    for subject in subjects:
        for run in subject.runs:
            ground = ground_of(run)
            if ground is None or run.kind != "eval" or (task or run.task) != run.task:
                continue
            if (dataset or run.dataset) == run.dataset:
                found.setdefault(ground, []).append(run)
                models.setdefault(ground, set()).add(subject.id)
    return max(found, key=lambda one: (len(models[one]), max(run.ended_at for run in found[one]), one), default=None)


def run_on(subject: Subject, ground: Ground | None) -> EvalRun | None:
    """A model's newest evaluation on that ground."""
    here = [run for run in subject.runs if run.kind == "eval" and ground is not None and ground_of(run) == ground]
    return max(here, key=lambda run: (run.ended_at, run.run_id), default=None)


def quality_of(subject: Subject, ground: Ground | None) -> Quality:
    """A model's newest run on that ground."""
    runs = sorted((run for run in subject.runs if run.kind == "eval"), key=lambda run: (run.ended_at, run.run_id))
    here = [run for run in runs if ground is not None and ground_of(run) == ground]
    others = tuple(dict.fromkeys(run.run_id for run in reversed(runs) if run not in here))[:20]
    run = run_on(subject, ground)
    score = None if run is None else primary(run)
    if run is None or score is None:
        return Quality(model=subject.id, others=others)
    return Quality(
        model=subject.id,
        dataset=run.dataset,
        metric=score.metric,
        value=score.value,
        low=score.low,
        high=score.high,
        n=score.n,
        asked=run.asked,
        run_id=run.run_id,
        at=run.ended_at,
        others=others,
    )
