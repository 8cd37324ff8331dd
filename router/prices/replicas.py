"""What the replicas of an endpoint cost, and each job's part of it. Pure, integers.

Hugging Face bills a replica by the minute while it initializes and while it runs, not while it is paused or scaled to
zero: a started minute is taken for a whole one.
"""

from collections.abc import Iterable, Mapping

from schemas.assignment import Price
from schemas.values import frozen

MINUTES_PER_HOUR = 60
SECONDS_PER_MINUTE = 60


@frozen
class Allocation:
    """A bill, cut up among the jobs that were done meanwhile."""

    jobs: Mapping[str, int]
    """Nano-dollars by job."""
    unallocated: int
    """Of a time in which no job was done. With the jobs' it is the bill, to the nano-dollar."""


def billed(hour_nanousd: int, seconds: Iterable[float]) -> int:
    """The bill for replicas that were billed for these spans, each `seconds` long: started minutes at a sixtieth of the
    hourly price, the sum rounded up once. Raises ValueError for a span below nothing."""
    minutes = 0
    for span in seconds:
        if not 0 <= span < float("inf"):
            raise ValueError("a span of time must be 0 or more")
        whole, rest = divmod(span, SECONDS_PER_MINUTE)
        minutes += int(whole) + (1 if rest else 0)
    return -(-minutes * hour_nanousd // MINUTES_PER_HOUR)


def allocate(bill_nanousd: int, compute_ms: Mapping[str, int]) -> Allocation:
    """Cut a bill up by the compute time that each job took; its idle time goes with them in the same shares.

    Largest remainders (Hamilton's method): each job gets the whole nano-dollars of its share, and those left over go to
    the largest fractions, of equal ones to the first by id. The parts sum to the bill exactly, and no part is further
    than a nano-dollar from its share. Jobs that took no time at all share alike; without jobs nothing is allocated.
    Raises ValueError for a negative bill or time.
    """
    if bill_nanousd < 0 or any(ms < 0 for ms in compute_ms.values()):
        raise ValueError("neither a bill nor a time is below 0")
    if not compute_ms:
        return Allocation({}, bill_nanousd)
    total = sum(compute_ms.values())
    weights = dict(compute_ms) if total else dict.fromkeys(compute_ms, 1)
    total = total or len(weights)
    parts = {job: bill_nanousd * weight // total for job, weight in weights.items()}
    left = bill_nanousd - sum(parts.values())
    by_remainder = sorted(weights, key=lambda job: (-(bill_nanousd * weights[job] % total), job))
    for job in by_remainder[:left]:
        parts[job] += 1
    return Allocation(parts, 0)


LEAST_SERVED = 20
"""Jobs that an endpoint must have served before what they cost says what the next one will."""
MS_PER_HOUR = 3_600_000
SOURCE = "Inference Endpoints"


def price_of(hour_nanousd: int | None, total_nanousd: int | None, served: int, as_of: str) -> Price | None:
    """What a call to an endpoint costs, to compare it with others; None: the price of its hour is not known.

    `total / served`: what it has cost so far, its idle time with it, by each job that it served: the price of its hour
    through the jobs of an hour, as they were. Until `LEAST_SERVED` jobs were served nobody knows how many an hour will
    bring, and a call counts with its compute time on one replica: `hour / 3,600,000` a millisecond. Both are rounded
    up; the first to two digits, so that not every job makes another price.
    """
    if hour_nanousd is None:
        return None
    if total_nanousd is not None and total_nanousd > 0 and served >= LEAST_SERVED:
        return Price(nanousd_per_call=rounded_up(-(-total_nanousd // served)), source=SOURCE, as_of=as_of)
    return Price(nanousd_per_compute_ms=-(-hour_nanousd // MS_PER_HOUR), source=SOURCE, as_of=as_of)


def rounded_up(amount: int, digits: int = 2) -> int:
    """The next amount that has so many digits before its zeros: 1,234 as 1,300. Amounts are not below 0."""
    unit: int = 10 ** max(0, len(str(amount)) - digits)
    return -(-amount // unit) * unit
