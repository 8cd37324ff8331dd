"""Models beside each other: what is known of each, which trade is made by choosing one, and who is best at what.

No topic carries these: they are made when somebody asks, from the catalogue, the price book, what jobs have measured,
and `novix.evals.v1`. What nobody knows is None and told as "unknown"; it is never 0, and never a reason to win.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictStr, field_validator

from schemas.base import Contract, TenantId, UtcInstant
from schemas.catalog import CatalogEntry
from schemas.discovery import Interval

MOST_MODELS = 20
UNKNOWN = "unknown"
Dimension = Literal["speed", "quality", "cost"]
DIMENSIONS: tuple[Dimension, ...] = ("speed", "quality", "cost")
ModelId = Annotated[StrictStr, Field(min_length=1, max_length=256)]
Models = tuple[StrictStr, ...]


class Weights(Contract):
    """How much each thing counts for `best_overall`. They need not sum to 1."""

    model_config = ConfigDict(extra="forbid")

    speed: float = Field(default=1.0, ge=0, le=1_000)
    quality: float = Field(default=1.0, ge=0, le=1_000)
    cost: float = Field(default=1.0, ge=0, le=1_000)


class ComparisonCriteria(Contract):
    """What is compared, for whom, and what counts. Echoed in the answer."""

    model_config = ConfigDict(extra="forbid")

    models: tuple[ModelId, ...] = Field(min_length=1, max_length=MOST_MODELS)
    """In the order in which they are shown; the same one twice is one."""
    task: StrictStr | None = Field(default=None, max_length=64)
    """Costs and quality for this task alone."""
    tenant: TenantId | None = None
    """Whose own jobs make the mix that costs are told for, and whose rules say what is allowed."""
    dataset: StrictStr | None = Field(default=None, max_length=256)
    """Quality on this labelled set; None: the one that most of the models were measured on."""
    weights: Weights = Weights()

    @field_validator("models")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))


class Cell(Contract):
    """One fact of one model."""

    text: StrictStr = UNKNOWN
    """As people read it; `unknown` where nobody knows."""
    value: float | int | bool | StrictStr | None = None
    """For programs, in the row's unit; None: unknown."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Jobs, or examples, that it was measured with."""
    window_s: int | None = None
    source: StrictStr = ""
    note: StrictStr = ""


class MatrixRow(Contract):
    """One fact of all models, in their order."""

    name: StrictStr
    what: StrictStr = ""
    unit: StrictStr = ""
    cells: tuple[Cell, ...]
    better: Literal["low", "high", ""] = ""
    """Which values are better; empty: neither."""
    best: tuple[int, ...] = ()
    """Places of the best cells."""


class Matrix(Contract):
    """Every fact of every model."""

    models: Models
    rows: tuple[MatrixRow, ...]


class Performance(Contract):
    """How fast a model has answered. Calls of jobs that needed one call; None: no such job is in the window."""

    model: StrictStr
    p50_ms: float | None = None
    p95_ms: float | None = None
    n: int = 0
    window_s: int | None = None
    """From the first of these calls to now."""
    stated_ms: Interval | None = None
    """As a source states it, where nothing was observed."""
    providers: dict[StrictStr, Interval] = Field(default_factory=dict)
    """p50 by provider."""
    jobs_per_s: float | None = None
    """Of the newest bench run, with the machine that it was measured on."""
    machine: StrictStr = ""
    bench_run: StrictStr = ""


class CostShare(Contract):
    """What one task of the mix adds to the cost of one job."""

    task: StrictStr
    jobs: int
    units: dict[StrictStr, float]
    """Of one job, on average."""
    nanousd: float
    """Of one job of this task."""


class Costs(Contract):
    """What one job of the mix would cost with a model, at its cheapest offer of a known price."""

    model: StrictStr
    provider: StrictStr | None = None
    nanousd: Interval | None = None
    """None: no price is known, or none for what these jobs use."""
    shares: tuple[CostShare, ...] = ()
    paid: Interval | None = None
    """What its jobs have cost here, as their results say."""
    off: float | None = None
    """How far this way of predicting lies from what was paid, `(predicted - paid) / paid`, over `off_n` jobs of the mix
    that the model itself did; None: it did none."""
    off_n: int = 0
    prices: dict[StrictStr, int] = Field(default_factory=dict)
    """The unit prices that it was made with, as the price book names them."""
    price_source: StrictStr = ""
    why_not: StrictStr = ""


class Quality(Contract):
    """What evaluation runs have measured."""

    model: StrictStr
    dataset: StrictStr | None = None
    metric: StrictStr | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    asked: int = 0
    run_id: StrictStr | None = None
    at: UtcInstant | None = None
    others: tuple[StrictStr, ...] = ()
    """Further runs of the model, on sets that are not compared here."""


class PairedTest(Contract):
    """Two models on the same examples, example by example: whether one is better, and how sure that is."""

    model: StrictStr
    other: StrictStr
    metric: StrictStr
    n: int
    """Examples that both were asked."""
    difference: float
    """The model's score less the other's."""
    only_model: int | None = None
    only_other: int | None = None
    """Examples that one of the two alone has right; None: the metric is not one of right and wrong."""
    low: float | None = None
    high: float | None = None
    """Bounds of the difference's 95 % interval, where it was drawn."""
    method: StrictStr
    """`mcnemar-exact` or `paired-bootstrap-1000`."""
    p: float
    """How likely a difference so large is between models that are equally good; two-sided."""
    p_adjusted: float | None = None
    """By Holm, over all tests of the best one; None: of this pair alone."""


class Tradeoff(Contract):
    """What is won and what is given up by taking one model instead of another."""

    instead_of: StrictStr
    take: StrictStr
    gain: dict[StrictStr, float]
    """By dimension, as a ratio of the worse to the better: 2.0 is twice as fast, or half as dear; of quality, the
    difference. Of cost, 0.0: the better one is free."""
    loss: dict[StrictStr, float]
    says: StrictStr


class Analysis(Contract):
    """The parts that a comparison is made of, one entry a model, in their order."""

    performance: tuple[Performance, ...]
    costs: tuple[Costs, ...]
    quality: tuple[Quality, ...]
    paired: tuple[PairedTest, ...] = ()
    """The model of the best quality against each other one that answered the same examples, where both runs kept their
    marks."""
    tradeoffs: tuple[Tradeoff, ...] = ()
    front: Models = ()
    """Pareto front: those that no other is at least as good as in everything and better in something."""
    dominated: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    """Who is not on the front, and who is better than it in everything that counts."""
    not_on_front: Models = ()
    """Those that could not be judged, because something is unknown that is known of others."""
    compared_by: tuple[StrictStr, ...] = ()
    """The dimensions that the front was made with."""


class Best(Contract):
    """Who is best at one thing: several where they cannot be told apart, none where nobody knows."""

    models: Models = ()
    tie: bool = False
    why: StrictStr


class Ranked(Contract):
    """One model of a ranking. `score` is the sum of `value * weight` over its parts."""

    model: StrictStr
    score: float | None
    """None: not ranked; `why` says what is missing."""
    parts: dict[StrictStr, float] = Field(default_factory=dict)
    """From 0 to 1 by dimension: 1 is the best of the compared."""
    why: StrictStr = ""


class DecisionSupport(Contract):
    """Who is best for what."""

    best_for_speed: Best
    best_for_quality: Best
    best_for_cost: Best
    best_overall: Best
    weights: dict[StrictStr, float]
    """As they were used: of the dimensions that are known, summing to 1."""


class ModelComparison(Contract):
    """The answer."""

    criteria: ComparisonCriteria
    models: tuple[CatalogEntry, ...]
    comparison: Matrix
    recommendations: tuple[Ranked, ...]
    """By score; those without one last."""
    analysis: Analysis
    decision_support: DecisionSupport
    mix: dict[StrictStr, Any] = Field(default_factory=dict)
    """What costs were made for: whose jobs, how many, of which tasks."""
    notes: tuple[StrictStr, ...] = ()
    at: UtcInstant
