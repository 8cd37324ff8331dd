"""What another process's news of a breaker means for ours. Pure: both are compared by the wall clock.

Clocks of different machines differ; the news are advisory, so what that spoils is a trial call more, or a provider
found to be ill once more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from schemas.breakers import BreakerState

LATER_S = 2.0
"""We try so much later than who found it: by then it has told how its trial went."""
TRIAL_S = 30.0
"""The longest that we leave the provider to somebody else's trial call."""
STALE_S = 600.0
"""News of a breaker that could be tried so long ago say nothing: nobody used it since, or who opened it is gone."""

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What ours should become. `half-open`: it stays open, and leaves the trial to the other process for a while."""

    state: State
    retry_in_s: float
    since: datetime


def adoption(
    news: BreakerState, *, state: State, since: datetime | None, now: datetime, longest_s: float
) -> Adoption | None:
    """What to do about `news` when ours is in `state` `since` then (None: it never changed); None: nothing.

    News as old as what we know are passed over: so are our own when they come back; and news of a breaker that never
    changed, which come with a hold. No wait is longer than `longest_s`, whatever the other process has set.
    """
    if news.since is None:
        return None
    began = min(news.since, now)
    if since is not None and began <= since:
        return None
    if news.state == "closed":
        return None if state == "closed" else Adoption("closed", 0.0, began)
    if news.state == "half-open":
        left = (began + timedelta(seconds=TRIAL_S) - now).total_seconds()
        return Adoption("half-open", left, began) if state == "open" and left > 0 else None
    left = (news.retry_at - now).total_seconds() if news.retry_at is not None else longest_s
    if left < -STALE_S:
        return None
    return Adoption("open", max(0.0, min(left, longest_s) + LATER_S), began)
