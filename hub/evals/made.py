"""A run as it is kept: what jobs brought, as `EvalRun`. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hub.evals.labelled import LabelledSet
from hub.evals.names import Names, understood
from hub.evals.ways import way_of
from schemas.evals import EvalRun, Score

NO_RESULT = "no_result"
"""Of a job whose result did not come in time."""
NO_USE = "unusable_output"
"""Of a job that succeeded with an output that no answer can be read from."""
UNMAPPED = "unmapped_label"
"""Of a job whose answer is a label that neither is the set's nor is said to mean one."""
NO_NAMES = Names()
SEED = 20_261_122
"""Of every bootstrap: a run that is scored again has the same intervals."""
MOST_WORD_CHARS = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one job ended."""

    kind: str | None
    """The failure's; None: it succeeded."""
    output: Any = None
    cost_nanousd: int = 0
    calls: int = 0
    call_ms: int | None = None
    """In all its calls."""
    total_ms: int | None = None
    provider: str | None = None
    published: bool = True
    """False: it was never sent, because it would have been refused."""
    began_s: float = 0.0
    """Monotonic seconds of its publication, and of its result."""
    ended_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        """It has an output."""
        return self.kind is None


@dataclass(frozen=True, slots=True)
class About:
    """What a run is about, whatever it brings."""

    run_id: str
    model: str
    task: str
    tenant: str
    started_at: datetime
    ended_at: datetime
    machine: str
    budget_nanousd: int | None = None
    provider: str | None = None
    revision: str | None = None
    notes: Mapping[str, Any] | None = None


def predictions(labelled: LabelledSet, outcomes: Sequence[Outcome]) -> list[Any]:
    """What each job's output says, in the model's own labels; None: nothing."""
    way = way_of(labelled.task)
    return [
        way.prediction(example, outcome.output) if outcome.succeeded else None
        for example, outcome in zip(labelled.examples, outcomes, strict=True)
    ]


def evaluated(
    about: About, labelled: LabelledSet, outcomes: Sequence[Outcome], names: Names = NO_NAMES
) -> EvalRun:  # fmt: skip
    """The run of an evaluation: each example with how its job ended. Those without a usable answer count as wrong.

    Where not one answer has a label of the set, there is no score: how good the model is is unknown, not 0.
    """
    way, raw = way_of(labelled.task), predictions(labelled, outcomes)
    read = understood(labelled, raw, names)
    scored = bool(outcomes) and not read.is_foreign
    scores = way.scores(labelled.examples, read.said, SEED) if scored else ()
    marks = way.marks(labelled.examples, read.said) if scored else ()
    useless = sum(one is None and outcome.succeeded for one, outcome in zip(raw, outcomes, strict=True))
    foreign = sum(one is not None and said is None for one, said in zip(raw, read.said, strict=True))
    if labels := read.told():
        about = replace(about, notes={**(about.notes or {}), "labels": labels})
    return _run(
        about,
        outcomes,
        kind="eval",
        dataset=labelled.name,
        dataset_digest=labelled.digest,
        split=labelled.split,
        answered=sum(one is not None for one in read.said),
        scores=tuple(scores),
        marks=tuple(float(number) for row in marks for number in row),
        unusable={NO_USE: useless, UNMAPPED: foreign},
        left_out=labelled.left_out,
    )


def benched(about: About, dataset: str, digest: str, outcomes: Sequence[Outcome]) -> EvalRun:
    """The run of a bench: how fast and how dear, not how good."""
    answered = sum(one.succeeded for one in outcomes)
    return _run(
        about, outcomes, kind="bench", dataset=dataset, dataset_digest=digest, split="", answered=answered, scores=(),
        marks=(), unusable={}, left_out={},
    )  # fmt: skip


def _run(
    about: About,
    outcomes: Sequence[Outcome],
    *,
    kind: str,
    dataset: str,
    dataset_digest: str,
    split: str,
    answered: int,
    scores: tuple[Score, ...],
    marks: tuple[float, ...],
    unusable: Mapping[str, int],
    left_out: Mapping[str, int],
) -> EvalRun:
    failed = Counter(one.kind[:MOST_WORD_CHARS] for one in outcomes if one.kind is not None)
    failed.update({kind: number for kind, number in unusable.items() if number})
    # As `console.hub.observed` counts them: the time of a call, of jobs that needed one.
    calls = sorted(one.call_ms for one in outcomes if one.succeeded and one.calls == 1 and one.call_ms is not None)
    totals = sorted(one.total_ms for one in outcomes if one.succeeded and one.total_ms is not None)
    providers = Counter(one.provider for one in outcomes if one.provider)
    notes = {
        **(about.notes or {}),
        "latency_of": "calls of jobs that needed one call",
        "latency_n": len(calls),
        "total_p50_ms": percentile(totals, 50),
        "total_p95_ms": percentile(totals, 95),
        "providers": dict(sorted(providers.items())),
        "not_sent": sum(not one.published for one in outcomes),
    }
    if left_out:
        notes["left_out"] = dict(left_out)
    return EvalRun(
        run_id=about.run_id,
        model=about.model,
        revision=about.revision,
        provider=about.provider or (next(iter(providers)) if len(providers) == 1 else None),
        task=about.task,
        tenant=about.tenant,
        dataset=dataset,
        dataset_digest=dataset_digest,
        split=split[:128],
        asked=len(outcomes),
        answered=answered,
        failed=dict(sorted(failed.items())),
        scores=scores,
        cost_nanousd=sum(one.cost_nanousd for one in outcomes),
        cost_is_known=not any(one.kind == NO_RESULT for one in outcomes),
        latency_p50_ms=percentile(calls, 50),
        latency_p95_ms=percentile(calls, 95),
        jobs_per_s=per_second(outcomes),
        machine=about.machine[:256],
        started_at=about.started_at,
        ended_at=about.ended_at,
        kind="bench" if kind == "bench" else "eval",
        budget_nanousd=about.budget_nanousd,
        notes=notes,
        marks=marks,
    )


def percentile(ordered: Sequence[int], per_cent: int) -> float | None:
    """Nearest rank: the ceil(n * p / 100)th smallest; None of nothing."""
    return float(ordered[math.ceil(len(ordered) * per_cent / 100) - 1]) if ordered else None


def per_second(outcomes: Sequence[Outcome]) -> float | None:
    """Jobs that succeeded, over the time from the first publication to the last result; None below two."""
    done = [one for one in outcomes if one.succeeded]
    if len(done) < 2:
        return None
    took = max(one.ended_s for one in done) - min(one.began_s for one in done)
    return len(done) / took if took > 0 else None
