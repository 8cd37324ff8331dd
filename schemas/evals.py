"""Evaluations and bench runs of models: what was measured, with how many examples, and how sure one may be."""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr

from schemas.base import Contract, TenantId, UtcInstant

Metric = Literal["accuracy", "f1", "precision", "recall", "wer", "ndcg"]
MOST_MARKS = 30_000
"""Three numbers for each of 10,000 examples."""


class Score(Contract):
    """One measured value with its interval."""

    metric: Metric
    value: float
    low: float
    high: float
    """Bounds of the 95 % interval."""
    method: StrictStr = Field(max_length=64)
    """How the interval was made: `wilson`, `bootstrap-1000`."""
    n: int = Field(ge=0)
    average: StrictStr = Field(default="", max_length=64)
    """Over what it is an average, where there are several ways: `macro` (labels count alike), `micro`, `tokens` (of an
    answer); empty: there is one way."""


class EvalRun(Contract):
    """One model on one labelled set. On `novix.evals.v1`, keyed `model/dataset/run_id`, kept for ever."""

    run_id: StrictStr = Field(min_length=1, max_length=128)
    model: StrictStr = Field(min_length=1, max_length=256)
    revision: StrictStr | None = Field(default=None, max_length=64)
    provider: StrictStr | None = Field(default=None, max_length=64)
    task: StrictStr = Field(max_length=64)
    tenant: TenantId
    dataset: StrictStr = Field(max_length=256)
    """Name of the labelled set: a file's, or the Hub's `namespace/name`."""
    dataset_digest: StrictStr = Field(default="", max_length=80)
    """sha256 over its examples, so that runs are compared on the same ones."""
    split: StrictStr = Field(default="", max_length=128)
    asked: int = Field(ge=0)
    answered: int = Field(ge=0)
    """Examples with a usable answer; the others count as wrong, and are told here."""
    failed: dict[StrictStr, int] = Field(default_factory=dict)
    """By failure kind."""
    scores: Annotated[tuple[Score, ...], Field(max_length=16)] = ()
    cost_nanousd: int = Field(default=0, ge=0)
    cost_is_known: bool = True
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    jobs_per_s: float | None = None
    machine: StrictStr = Field(default="", max_length=256)
    started_at: UtcInstant
    ended_at: UtcInstant
    kind: Literal["eval", "bench"] = "eval"
    budget_nanousd: int | None = Field(default=None, ge=0)
    notes: dict[StrictStr, Any] = Field(default_factory=dict)
    marks: Annotated[tuple[float, ...], Field(max_length=MOST_MARKS)] = ()
    """What each example brought to the first score, example after example in the set's order, so that two runs on the
    same examples are compared in pairs. Accuracy: 1 right, 0 wrong. nDCG: its value. Word error rate: wrong words and
    words. F1 of words: how many names were found, given, and are there. Empty: not kept."""
