"""One decision with what came of it, and how long calls took. Values only."""

import functools
import statistics
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from router.arrival import Arrival
from router.replay import Stored
from schemas.assignment import Price
from schemas.base import MAX_NANOUSD
from schemas.units import OUTPUT_TOKENS, PARTS, UNITS
from schemas.values import frozen

LEAST_SEEN = 5
"""Calls below which nothing is said of how long a model takes."""
MOST_SEEN = 1_000
"""Calls of one model at one provider that are kept, the newest."""
_WHOLE = 1_000_000
_WHOLES = tuple(
    (whole.name, whole.price, _WHOLE // whole.per, tuple((part.name, part.price) for part in PARTS[whole.name]))
    for whole in UNITS
    if not whole.part_of
)


@frozen
class Used:
    """What a job that succeeded really took."""

    model: str
    provider: str
    usage: Mapping[str, int]
    paid_nanousd: int
    """For the answer."""
    lost_nanousd: int
    """For attempts that gave none."""
    called_ms: int
    """Of the call that gave the answer."""

    @property
    def whole_nanousd(self) -> int:
        """All that the job cost."""
        return self.paid_nanousd + self.lost_nanousd


@frozen
class Ended:
    """What is kept of a terminal result: small, for a span has a million of them."""

    task: str
    cost_nanousd: int
    units: tuple[str, ...] = ()
    packed: tuple[str, str, tuple[int, ...], int, int, int] | None = None

    @property
    def used(self) -> Used | None:
        """What the job took; None for one that did not succeed."""
        if self.packed is None:
            return None
        model, provider, counts, *money = self.packed
        return Used(model, provider, dict(zip(self.units, counts, strict=True)), *money)


@frozen
class Past:
    """One decision, its job, and how it ended, if that is known."""

    stored: Stored
    arrival: Arrival
    ended: Ended | None = None

    @property
    def used(self) -> Used | None:
        """What the job took, if it succeeded."""
        return None if self.ended is None else self.ended.used


def ended_of(result: Mapping[str, Any]) -> Ended | None:
    """What is kept of a result; None where it is none that a lane writes."""
    try:
        used, task, cost = used_of(result), str(result.get("task")), int(result.get("cost_nanousd") or 0)
        if used is None:
            return Ended(sys.intern(task), cost)
        counts = tuple(int(count) for count in used.usage.values())
        names = sys.intern(used.model), sys.intern(used.provider)
        money = used.paid_nanousd, used.lost_nanousd, used.called_ms
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return Ended(sys.intern(task), cost, _one_of(tuple(used.usage)), (*names, counts, *money))


@functools.lru_cache(maxsize=1_024)
def _one_of(units: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, kept once."""
    return units


def used_of(result: Mapping[str, Any]) -> Used | None:
    """What a result tells of money and tokens; None for one that is no success, or tells nothing."""
    if result.get("status") != "succeeded" or not isinstance(result.get("served"), Mapping):
        return None
    served, attempts = result["served"], result.get("attempts") or []
    last = attempts[-1] if attempts else {}
    cost = int(result.get("cost_nanousd") or 0)
    lost = sum(int(one.get("cost_nanousd") or 0) for one in attempts[:-1])
    return Used(
        served["model"], served["provider"], result.get("usage") or {}, max(0, cost - lost), min(cost, lost),
        int(last.get("duration_ms") or 0),
    )  # fmt: skip


def repriced(price: Price, usage: Mapping[str, int], *, most_output: int | None = None) -> int:
    """What these units cost at another price, in nano-dollars, a started one counted whole.

    The bill's own sum (`workers.cost.charge`): `ceil(sum(units * rate))`; a part of a unit with a price of its own
    (cached tokens) is charged at it and taken out of the whole, and one that was not told counts as all of it where it
    is dearer; never more than a job may cost. `most_output` cuts the tokens of output. Any other unit that was not
    counted is free.
    """
    total = 0
    for name, field, scale, parts in _WHOLES:
        count, rest = usage.get(name, 0), getattr(price, field)
        if name == OUTPUT_TOKENS and most_output is not None:
            count = min(count, most_output)
        for part, own in parts:
            each, told = getattr(price, own), usage.get(part)
            if each and told is not None and told <= count:
                total += told * each * scale
                count -= told
            elif each > rest:
                rest = each
        total += count * rest * scale
    return min(-(-total // _WHOLE), MAX_NANOUSD)


class Observed:
    """How long calls that succeeded took, by task, model and provider: what a slower choice is told by."""

    def __init__(self, results: Iterable[Ended] = ()) -> None:
        self._seen: dict[tuple[str, str, str], list[int]] = {}
        self._means: dict[tuple[str, str, str], int | None] = {}
        for result in results:
            self.note(result)

    def note(self, result: Ended) -> None:
        """Take in one result."""
        used = result.used
        if used is not None and used.called_ms > 0:
            key = (result.task, used.model, used.provider)
            seen = self._seen.setdefault(key, [])
            seen.append(used.called_ms)
            del seen[:-MOST_SEEN]
            self._means.pop(key, None)

    def typical_ms(self, task: str, model: str, provider: str) -> int | None:
        """The mean call; None where too few were seen."""
        key = (task, model, provider)
        if key not in self._means:
            seen = self._seen.get(key, [])
            self._means[key] = round(statistics.fmean(seen)) if len(seen) >= LEAST_SEEN else None
        return self._means[key]
