"""What the Model Hub's pages and its API ask of everything behind them. Tests have a stand-in (`tests/support`).

Methods that are not `async` block, and are called in threads. What is not there at all answers None: a page says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hub.catalog.ages import Age
from runtime.registry import Named
from schemas.catalog import CatalogEntry
from schemas.comparison import ComparisonCriteria, ModelComparison
from schemas.discovery import Criteria, Discovery, Interval
from schemas.endpoints import EndpointState
from schemas.evals import EvalRun
from schemas.recommendation import ModelRecommendation
from schemas.registry import Admission, Rules


class NotThere(Exception):
    """A part that the pages ask is not there (yet); the message says which, and what brings it."""


class Broken(NotThere):
    """A part was there and is damaged; it is made anew."""


class BadQuestion(Exception):
    """A question that has no answer as it was put: the message names value, size and limit."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card's text as its repository has it."""

    text: str
    revision: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Governance:
    """What the registry says now."""

    version: str
    """What its fold stands at, as decisions name it."""
    admissions: Sequence[Admission]
    rules: Sequence[Rules]
    aliases: Sequence[Named]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tenant may use a model; `ok` None: nothing says."""

    ok: bool | None
    says: str


class Hub(Protocol):
    """All that the pages of the Model Hub ask, and the API."""

    def search(self, criteria: Criteria) -> Discovery:
        """Raises `BadQuestion`, `NotThere`."""
        ...

    async def discover(self, criteria: Criteria) -> Discovery:
        """The same, with what router and own endpoints say now, and on a miss the Hub. Takes as long as the slowest of
        them; who does not answer makes the answer partial. Raises `BadQuestion`, `NotThere`."""
        ...

    def model(self, model: str) -> CatalogEntry | None:
        """Raises `NotThere`."""
        ...

    def expected(self, model: str, tenant: str) -> tuple[Interval | None, Interval | None]:
        """How long a job of the tenant's own mix takes, and what it costs: observed, else predicted. Raises
        `NotThere`."""
        ...

    def whole(self, entry: CatalogEntry, tenant: str) -> dict[str, Any]:
        """All that is known of a model, as `console.hub.whole` has it. Raises `NotThere`."""
        ...

    def compare(self, criteria: ComparisonCriteria) -> ModelComparison:
        """Raises `BadQuestion`, `NotThere`."""
        ...

    def recommend(self, sentence: str, tenant: str, top: int) -> ModelRecommendation:
        """Raises `BadQuestion`, `NotThere`."""
        ...

    def runs(self, model: str) -> Sequence[EvalRun]:
        """Evaluations and bench runs, the newest first. Raises `NotThere`."""
        ...

    def verdict(self, model: str, tenant: str) -> Verdict:
        """Raises `NotThere`."""
        ...

    def governance(self) -> Governance:
        """Raises `NotThere`."""
        ...

    def ages(self, entry: CatalogEntry) -> Sequence[Age]:
        """How old each source's word of an entry is. Raises `NotThere`."""
        ...

    def endpoints(self) -> Sequence[EndpointState]:
        """Raises `NotThere`."""
        ...

    async def card(self, entry: CatalogEntry) -> Card | None:
        """The README of a repository; None: it has none. Raises `NotThere`."""
        ...
