"""What an endpoint costs, by what was seen of it: started minutes of each replica. Pure, integers.

`bill = ceil(sum of (started minutes of a replica * price of its hour) / 60)`: by the minute while it initializes and
while it runs, not while it is paused or scaled to zero (Hugging Face's pricing page of Inference Endpoints).
"""

import math
from collections.abc import Iterable
from datetime import datetime

from hub.endpoints.machine import BILLED
from schemas.endpoints import CostMetrics, EndpointStatus

MINUTE_S = 60


def metered(
    costs: CostMetrics,
    *,
    status: EndpointStatus,
    replicas: int,
    changed_at: datetime,
    now: datetime,
    hour_nanousd: int | None,
    renewed: bool = False,
) -> CostMetrics:
    """`costs` after a look at `now`: in `status`, with so many `replicas`, since `changed_at`.

    `renewed`: the replicas are others than before (an update, or a start that was missed): those before ended when it
    changed. A change that is seen late counts from when it happened, as the API told it. Replicas keep the price that
    they began with: another one counts for those that come after them.
    """
    billed = replicas if status in BILLED else 0
    open_, ended = list(costs.running_since), list[datetime]()
    if renewed:
        ended, open_ = open_, []
    elif billed < len(open_):
        open_, ended = open_[:billed], open_[billed:]
    minutes = sum(_minutes(start, changed_at) for start in ended)
    ended_hour = costs.ended_hour_nanousd + minutes * (costs.nanousd_per_hour or 0)
    keeps = bool(open_) and costs.nanousd_per_hour is not None
    price = costs.nanousd_per_hour if keeps or hour_nanousd is None else hour_nanousd
    open_ += [changed_at] * (billed - len(open_))
    unknown = costs.total_nanousd is None and costs.since is not None
    unknown |= price is None and bool(open_)
    running = sum(_minutes(start, now) for start in open_)
    total = -(-(ended_hour + running * (price or 0)) // 60)
    ended_minutes = costs.ended_minutes + minutes
    return CostMetrics(
        nanousd_per_hour=price,
        billed_s=(ended_minutes + running) * MINUTE_S,
        total_nanousd=None if unknown else total,
        since=costs.since or min(open_, default=None),
        ended_hour_nanousd=ended_hour,
        ended_minutes=ended_minutes,
        running_since=tuple(open_),
    )


def total_of(costs: Iterable[CostMetrics]) -> int | None:
    """Of several endpoints; None where one is not known."""
    found = [one.total_nanousd if one.since is not None else 0 for one in costs]
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None


def _minutes(start: datetime, end: datetime) -> int:
    return max(0, math.ceil((end - start).total_seconds() / MINUTE_S))
