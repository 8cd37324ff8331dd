"""How popular a model is and how its community rates it, from the Hub's counts: from 0 to 1, recomputable by anybody
who has the entry. Pure. Who has no counts has no score: None, never 0.
"""

import math
from datetime import datetime

from schemas.catalog import CatalogEntry

MOST_DOWNLOADS = 10**8
MOST_LIKES = 10**4
"""Counts at which a share is whole; the Hub's greatest are of this size."""
OF_DOWNLOADS, OF_LIKES, OF_RECENCY = 0.6, 0.3, 0.1
"""Weights of popularity. They add up to one."""
HALF_LIFE_DAYS = 365.0
"""Of recency: a change a year ago counts half."""
PRIOR_LIKES, PRIOR_DOWNLOADS = 1.0, 2_000.0
"""What a rating assumes before it has seen anything: one like for two thousand downloads."""
USUAL_SHARE = 1 / 500
"""Likes for a download at which the rating is one half."""


def share(count: float, most: float) -> float:
    """`log(1 + count) / log(1 + most)`, at most 1: each tenfold counts the same."""
    return min(1.0, math.log1p(max(0.0, count)) / math.log1p(most))


def popularity(entry: CatalogEntry, now: datetime) -> float | None:
    """`0.6 share(downloads) + 0.3 share(likes) + 0.1 * 0.5 ** (days since the last change / 365)`.

    Over what is known: the weight of what is missing is handed to the others. None: neither count is known.
    """
    known = lasting(entry)
    days = age_days(entry, now)
    return None if known is None else known[0] + known[1] * 0.5 ** ((days or 0.0) / HALF_LIFE_DAYS)


def lasting(entry: CatalogEntry) -> tuple[float, float] | None:
    """What of an entry's popularity no passing day changes: the share of its counts, and what its recency weighs.

    `popularity` is the first, and the second times `0.5 ** (days / 365)`. None: neither count is known.
    """
    counts = [
        (OF_DOWNLOADS, None if entry.downloads is None else share(entry.downloads, MOST_DOWNLOADS)),
        (OF_LIKES, None if entry.likes is None else share(entry.likes, MOST_LIKES)),
    ]
    known = [(weight, value) for weight, value in counts if value is not None]
    recency = 0.0 if entry.last_modified is None else OF_RECENCY
    whole = sum(weight for weight, _ in known) + recency
    # Without a count nothing says that anybody uses it: what was changed today would be the most popular of all.
    return (sum(weight * value for weight, value in known) / whole, recency / whole) if known else None


def community_rating(entry: CatalogEntry) -> float | None:
    """How many of those who took it liked it: `r / (r + 1/500)`, where r is (likes + 1) / (downloads + 2000).

    Downloads of all time where they are known, else of 30 days. A few counts move it little (additive smoothing,
    Laplace). None: one of the counts is not known.
    """
    taken = entry.downloads_all_time if entry.downloads_all_time is not None else entry.downloads
    if taken is None or entry.likes is None:
        return None
    rate = (entry.likes + PRIOR_LIKES) / (max(taken, entry.likes) + PRIOR_DOWNLOADS)
    return rate / (rate + USUAL_SHARE)


def age_days(entry: CatalogEntry, now: datetime) -> float | None:
    """Since its last change; None: nobody has told of one."""
    return None if entry.last_modified is None else max(0.0, (now - entry.last_modified).total_seconds() / 86_400)
