"""A recommendation of models for a task told in a sentence: what was understood, who was considered, who was left out
and why, and what else there is. Everything that decided is in the answer: whoever has the same catalogue and the same
observations gets the same bytes."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from schemas.base import Contract, Nanousd, TenantId, UtcInstant
from schemas.discovery import Criteria, Interval, Part, SourceNote, Wordlist

MAX_SENTENCE_CHARS = 2_000
MAX_TOP = 20
Preference = Literal["cheap", "fast", "best", "small", "popular", "recent"]
Factor = Literal["task", "language", "domain", "relevance", "quality", "speed", "cost", "popularity", "size", "recent"]
Count = Annotated[StrictInt, Field(ge=0, le=10**18)]


class TaskDescription(Contract):
    """What somebody wants done."""

    sentence: StrictStr = Field(min_length=1, max_length=MAX_SENTENCE_CHARS)
    task: StrictStr | None = Field(default=None, max_length=64)
    """One of `schemas.tasks.MODALITIES`, for whoever knows it: the sentence is then not asked for one."""


class Constraints(Contract):
    """What a model must be to be recommended. A value that is not known does not pass, except where said."""

    licenses: Wordlist = ()
    """Any of them: SPDX ids (without a version: every version), families of `hub.licenses`, or `open-source`."""
    denied_licenses: Wordlist = ()
    """None of them, told alike."""
    commercial: StrictBool = False
    """A licence that allows commercial use without terms of its maker's own: permissive, public domain or copyleft."""
    permissive: StrictBool = False
    min_parameters: Count | None = None
    max_parameters: Count | None = None
    max_bytes: Count | None = None
    """Of its weights."""
    max_memory_bytes: Count | None = None
    """What it needs to run: its weights and a fifth more."""
    max_nanousd_per_request: Nanousd | None = None
    max_nanousd_per_mtok: Nanousd | None = None
    """Of input and output together at three to one."""
    max_nanousd_per_month: Count | None = None
    requests_per_month: Count | None = None
    """A month has 30 days. With a budget per month: that budget over these is a ceiling per request."""
    max_latency_ms: Annotated[StrictInt, Field(ge=1)] | None = None
    latency_quantile: Literal["p50", "p95"] = "p50"
    """`p95`: the upper end of what was measured must lie below the ceiling."""
    min_context_tokens: Count | None = None
    min_downloads: Count | None = None
    min_likes: Count | None = None
    recent_days: Annotated[StrictInt, Field(ge=1, le=36_500)] | None = None
    """Created so many days ago at most."""
    regions: Wordlist = ()
    """Some offer works in these regions only."""
    denied_regions: Wordlist = ()
    """Some offer works in none of these."""
    providers: Wordlist = ()
    denied_providers: Wordlist = ()
    authors: Wordlist = ()
    denied_authors: Wordlist = ()
    denied_names: Wordlist = ()
    """Families of models that are out: neither their own name nor that of what they were made from has the word."""
    denied_languages: Wordlist = ()
    """A model that is for nothing but these is out."""
    libraries: Wordlist = ()
    """Any of them, as library or tag."""
    denied_libraries: Wordlist = ()
    tags: Wordlist = ()
    """All of them."""
    denied_tags: Wordlist = ()
    denied_tasks: Wordlist = ()
    served: StrictBool | None = None
    gated: StrictBool | None = None
    """False: nobody has to ask for access."""
    approved: StrictBool = False
    """Only what the registry lets the tenant use."""
    safe: StrictBool = False
    """Scanned, and nothing found."""
    custom_code: StrictBool | None = None
    """False: it is known to need no code of its author's."""
    tools: StrictBool = False
    structured_output: StrictBool = False


class Condition(Contract):
    """One thing that was understood, and the words that said it."""

    name: StrictStr
    """`task`, `language`, `domain`, `preference`, or a field of `Constraints`."""
    value: StrictStr
    words: StrictStr = ""
    """As they stand in the sentence; empty: the context said it."""


class TaskAnalysis(Contract):
    """What was understood of a task."""

    task: StrictStr | None = None
    """None: the sentence names no task that Novix knows, or it is `topic` alone that is searched for."""
    tasks: tuple[StrictStr, ...] = ()
    """Everything it may mean, likeliest first."""
    modality: StrictStr | None = None
    languages: tuple[StrictStr, ...] = ()
    """BCP 47."""
    domains: tuple[StrictStr, ...] = ()
    topic: StrictStr = ""
    """Words that are no condition: models are searched by them."""
    preferences: tuple[Preference, ...] = ()
    constraints: Constraints = Constraints()
    understood: tuple[Condition, ...] = ()
    not_understood: tuple[StrictStr, ...] = ()
    """Parts of the sentence that sound like a condition and were not understood: none of them is applied."""


class RecommendationContext(Contract):
    """Who asks, and what holds beside the sentence."""

    tenant: TenantId = "default"
    at: UtcInstant
    """When it is: for what is recent."""
    constraints: Constraints = Constraints()
    """Held together with the sentence's: of two ceilings the lower one counts."""
    weights: dict[Factor, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    """In place of the usual ones; all are then divided by their sum."""
    top: Annotated[StrictInt, Field(ge=1, le=MAX_TOP)] = 3


class Recommended(Contract):
    """One model, and why it is in. `score` is the sum of `value * weight` over its parts."""

    model: StrictStr
    rank: StrictInt
    score: float
    parts: tuple[Part, ...]
    why: tuple[StrictStr, ...]
    task: StrictStr | None = None
    license: StrictStr | None = None
    """SPDX id; None: unknown."""
    parameters: StrictInt | None = None
    revision: StrictStr | None = None
    latency: Interval | None = None
    cost: Interval | None = None
    """Of one request; None: unknown."""
    quality: float | None = None
    downloads: StrictInt | None = None
    approved: StrictBool | None = None


class Excluded(Contract):
    """One model that was considered and is out, with every constraint that it fails."""

    model: StrictStr
    reasons: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """`name` is the constraint, `value` the reason in words; `rank` for those that were only not good enough."""


class Alternative(Contract):
    """Another model that keeps all constraints and is better in one thing than the first one recommended."""

    model: StrictStr
    says: StrictStr
    """What is gained and what is paid for it."""
    score: float
    latency: Interval | None = None
    cost: Interval | None = None
    cost_delta_nanousd: float | None = None
    """Of one request, against the first one's; None: one of the two is unknown."""
    latency_delta_ms: float | None = None
    quality: float | None = None
    quality_delta: float | None = None


class Alternatives(Contract):
    """What else there is; empty where nothing is known to be better."""

    higher_quality: tuple[Alternative, ...] = ()
    lower_cost: tuple[Alternative, ...] = ()
    faster_inference: tuple[Alternative, ...] = ()
    specialized: tuple[Alternative, ...] = ()


class Applied(Contract):
    """One constraint as it was applied."""

    name: StrictStr
    value: StrictStr
    removed: StrictInt = 0
    """Candidates that fail it; one candidate may fail several."""


class Searched(Contract):
    """One search for candidates."""

    criteria: Criteria
    hits: StrictInt
    taken: StrictInt


class Reasoning(Contract):
    """How the answer came about."""

    task_analysis: TaskAnalysis
    searches: tuple[Searched, ...] = ()
    considered: StrictInt = 0
    excluded: tuple[Excluded, ...] = ()
    """Every candidate that is not recommended."""
    weights: dict[Factor, float] = Field(default_factory=dict)
    """Of the factors, summing to 1."""
    constraints: tuple[Applied, ...] = ()


class ModelRecommendation(Contract):
    """The answer."""

    task: TaskDescription
    context: RecommendationContext
    recommendations: tuple[Recommended, ...] = ()
    reasoning: Reasoning
    alternatives: Alternatives = Alternatives()
    notes: tuple[StrictStr, ...] = ()
    """What its reader should know: conditions that were not understood, sources that were down, unknown prices."""
    sources: tuple[SourceNote, ...] = ()
    partial: StrictBool = False
