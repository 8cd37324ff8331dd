"""What the replicas of an endpoint cost, and each job's part of it. Pure, integers.

Hugging Face bills a replica by the minute while it initializes and while it runs, not while it is paused or scaled to
zero: a started minute is taken for a whole one.
"""

from collections.abc import Iterable, Mapping

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
