"""A recommendation, as the command and the pages both give it."""

from datetime import datetime
from typing import Protocol

from hub.discovery.known import Known
from hub.recommend.recommend import recommend
from schemas.discovery import Criteria, Discovery
from schemas.recommendation import Constraints, ModelRecommendation, RecommendationContext, TaskDescription


class Searched(Protocol):
    """`hub.index.store.Index` as it is asked here."""

    def search(self, criteria: Criteria, *, known: Known, now: datetime | None = None) -> Discovery: ...


def recommended(
    catalogue: Searched,
    known: Known,
    sentence: str,
    tenant: str,
    top: int,
    at: datetime,
    *,
    constraints: Constraints | None = None,
    task: str | None = None,
) -> ModelRecommendation:
    """Which models a sentence asks for. `known` is the tenant's own. Blocks for some tenths of a second.

    Raises pydantic's ValidationError (a ValueError) for a sentence or tenant that is too long or empty.
    """
    context = RecommendationContext(tenant=tenant, at=at, constraints=constraints or Constraints(), top=top)
    return recommend(
        TaskDescription(sentence=sentence, task=task),
        context,
        search=lambda criteria: catalogue.search(criteria, known=known, now=at),
        known=known,
    )
