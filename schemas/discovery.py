"""One form of a search among models, for command line, API and page, and one form of its answer."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from schemas.base import Contract, Nanousd, TenantId, UtcInstant
from schemas.catalog import CatalogEntry, Kind

MAX_QUERY_CHARS = 1_000
MAX_PAGE = 100
Word = Annotated[StrictStr, Field(min_length=1, max_length=128)]
Wordlist = Annotated[tuple[Word, ...], Field(max_length=32)]
Order = Literal["relevance", "trending", "downloads", "likes", "recent", "cheapest", "fastest", "quality", "smallest"]


class Criteria(Contract):
    """What is looked for. Unknown fields are refused; within a list any of its words will do, lists hold together."""

    model_config = ConfigDict(extra="forbid")

    text: StrictStr = Field(default="", max_length=MAX_QUERY_CHARS)
    kind: Kind = "model"
    tasks: Wordlist = ()
    modalities: Wordlist = ()
    libraries: Wordlist = ()
    languages: Wordlist = ()
    licenses: Wordlist = ()
    """SPDX ids, in any case."""
    authors: Wordlist = ()
    tags: Wordlist = ()
    """All of them."""
    min_parameters: StrictInt | None = Field(default=None, ge=0)
    max_parameters: StrictInt | None = Field(default=None, ge=0)
    max_bytes: StrictInt | None = Field(default=None, ge=0)
    unknown_size: StrictBool = False
    """With a limit of size: models of unknown size too."""
    providers: Wordlist = ()
    regions: Wordlist = ()
    served: StrictBool | None = None
    """Somebody serves it now. Provider, region, price and latency are asked of one and the same offer."""
    max_nanousd_per_mtok: Nanousd | None = None
    """Of input and output together at three to one; an unknown price does not pass."""
    max_latency_ms: StrictInt | None = Field(default=None, ge=1)
    """Observed p50, else predicted; unknown does not pass."""
    trending: StrictBool = False
    popular: StrictBool = False
    recent_days: StrictInt | None = Field(default=None, ge=1, le=3_650)
    approved: StrictBool = False
    """Only what the registry lets `tenant` use."""
    gated: StrictBool | None = None
    tenant: TenantId | None = None
    order: Order = "relevance"
    limit: StrictInt = Field(default=20, ge=1, le=MAX_PAGE)
    offset: StrictInt = Field(default=0, ge=0, le=10_000)
    facets: StrictBool = True


class Interval(Contract):
    """A predicted or measured value and between what it lies nine times of ten."""

    value: float
    low: float
    high: float
    unit: Literal["ms", "nanousd"]
    source: Literal["observed", "predicted", "stated"]
    n: int = Field(default=0, ge=0)
    window_s: int | None = None


class Part(Contract):
    """One addend of a score."""

    name: StrictStr
    """`bm25`, `name`, `embedding`, `quality`, `cost`, `popularity`; in another order than relevance, that order."""
    value: float
    """0 to 1."""
    weight: float
    says: StrictStr = ""


class Found(Contract):
    """One hit, and why it stands where it stands: `score` is the sum of `value * weight` over its parts."""

    entry: CatalogEntry
    score: float
    parts: tuple[Part, ...] = ()
    latency: Interval | None = None
    cost: Interval | None = None
    """Of one job of the tenant's own mix, or of a usual one."""
    quality: float | None = None
    approved: StrictBool | None = None
    why_not: StrictStr = ""


class FacetValue(Contract):
    """One value of a facet and how many hits have it."""

    value: StrictStr
    count: int


class Facet(Contract):
    """The values of one field among the hits."""

    name: StrictStr
    values: tuple[FacetValue, ...]
    estimated: StrictBool = False
    """Counted in a sample, because there are too many hits."""


class Insights(Contract):
    """What the hits are like."""

    popular_tasks: tuple[FacetValue, ...] = ()
    trending: tuple[StrictStr, ...] = ()
    quality_distribution: tuple[FacetValue, ...] = ()
    recommendations: tuple[StrictStr, ...] = ()


class SourceNote(Contract):
    """How one source of the answer was."""

    source: StrictStr
    ok: StrictBool
    as_of: UtcInstant | None = None
    detail: StrictStr = ""


class Removal(Contract):
    """What one constraint has removed."""

    reason: StrictStr
    examples: tuple[StrictStr, ...] = ()
    """The most used of them; where a model has a reason of its own, after its id."""


class Discovery(Contract):
    """The answer to a search."""

    criteria: Criteria
    total: int
    """Entries of that kind in the catalogue."""
    filtered: int
    """Hits."""
    filtered_is_exact: StrictBool = True
    models: tuple[Found, ...]
    facets: tuple[Facet, ...] = ()
    related: tuple[StrictStr, ...] = ()
    insights: Insights = Insights()
    weights: dict[StrictStr, float] = Field(default_factory=dict)
    sources: tuple[SourceNote, ...] = ()
    partial: StrictBool = False
    """A source did not answer: what only it knows is missing."""
    took_ms: float = 0.0
    removed: dict[StrictStr, Any] = Field(default_factory=dict)
    """How many hits each constraint alone has removed, by its name. `one_offer`: provider, region, price and latency
    are each met, but by different offers."""
    removals: dict[StrictStr, Removal] = Field(default_factory=dict)
    """Why, and which, by the same names."""
