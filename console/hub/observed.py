"""What Novix has observed of models: how fast they answered, what their jobs cost, which jobs a tenant sends.

Read from the explorer's memory (`console/index`), model by model when somebody asks, and kept for a second: a result is
seen a second after the index has it. Any thread may call.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from console.index.calls import Call, Use
from console.telling.evidence import mapping, whole
from hub.compare.mix import Mix, Used, usual
from hub.evals.made import percentile
from schemas.comparison import Performance
from schemas.discovery import Interval
from schemas.tasks import MODALITIES

WINDOW_MS = 7 * 24 * 3600 * 1000
FRESH_S = 1.0
SAME_S = 60.0
"""Where nothing was written meanwhile: the window moves on."""
MIX_S = 30.0
MOST_KEPT = 2_000
"""Models, and tenants, that are remembered; the one that nobody has asked for longest is forgotten first."""


class Seen(Protocol):
    """`console.index.reading.Index` as it is asked here."""

    def changes(self) -> int: ...

    def served_models(self) -> list[str]: ...

    def calls(self, model: str, since_ms: int = 0) -> list[Call]: ...

    def compute(self, model: str, since_ms: int = 0) -> list[tuple[str, int]]: ...

    def calls_mark(self, model: str) -> tuple[int, int]: ...

    def use(self, model: str) -> Use: ...

    def newest_results(self, tenant: str, since_ms: int = 0) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Speed:
    """What was observed of one model."""

    latency: Interval | None
    """p50 of calls; nine of ten lie between `low` and `high`, their 5th and 95th percentiles."""
    p95_ms: float | None
    providers: dict[str, Interval]
    paid: Interval | None
    """What its jobs cost, on average; nine of ten between."""

    def performance(self, model: str) -> Performance:
        """As a comparison tells it."""
        told = self.latency
        if told is None:
            return Performance(model=model)
        return Performance(
            model=model, p50_ms=told.value, p95_ms=self.p95_ms, n=told.n, window_s=told.window_s,
            providers=self.providers,
        )  # fmt: skip


NOTHING = Speed(None, None, {}, None)


def speed_of(calls: Sequence[Call], now_ms: int) -> Speed:
    """What these jobs tell of their model. Latency: of jobs that needed one call, the time of that call. Pure."""
    if not calls:
        return NOTHING
    single = [one for one in calls if one.attempts == 1 and one.call_ms is not None]
    by_provider: dict[str, list[Call]] = {}
    for one in single:
        by_provider.setdefault(one.provider, []).append(one)
    costs = sorted(one.cost_nanousd for one in calls)
    paid = Interval(
        value=sum(costs) / len(costs), low=percentile(costs, 5) or 0.0, high=percentile(costs, 95) or 0.0,
        unit="nanousd", source="observed", n=len(costs), window_s=_window(calls, now_ms),
    )  # fmt: skip
    times = sorted(_ms(one) for one in single)
    return Speed(
        _interval(single, now_ms),
        percentile(times, 95),
        {name: told for name, rows in sorted(by_provider.items()) if (told := _interval(rows, now_ms)) is not None},
        paid,
    )


def _interval(calls: Sequence[Call], now_ms: int) -> Interval | None:
    times = sorted(_ms(one) for one in calls)
    p5, p50, p95 = (percentile(times, per_cent) for per_cent in (5, 50, 95))
    if p5 is None or p50 is None or p95 is None:
        return None
    window_s = _window(calls, now_ms)
    return Interval(value=p50, low=p5, high=p95, unit="ms", source="observed", n=len(times), window_s=window_s)


def _ms(call: Call) -> int:
    return call.call_ms or 0


def _window(calls: Sequence[Call], now_ms: int) -> int:
    """Seconds from the first of them to now."""
    return max(0, now_ms - min(one.ended_ms for one in calls)) // 1_000


def mix_of(tenant: str, results: Sequence[dict[str, Any]], now_ms: int, oldest_ms: int | None = None) -> Mix:
    """A tenant's jobs as they are priced: each with its task and units. Pure."""
    used = []
    for one in results:
        usage, task = one.get("usage"), one.get("task")
        if isinstance(usage, dict) and isinstance(task, str) and task in MODALITIES:
            units = {name: count for name, told in usage.items() if (count := whole(told)) is not None}
            used.append(Used(task, units, _served(one), whole(one.get("cost_nanousd"))))
    if not used:
        return usual()
    window_s = None if oldest_ms is None else max(0, now_ms - oldest_ms) // 1_000
    return Mix(tenant, used, window_s=window_s)


def _served(result: dict[str, Any]) -> str | None:
    """The one model that did a job in one call; None: several calls, of whomever, are in its cost."""
    attempts, model = result.get("attempts"), mapping(result.get("served")).get("model")
    return model if isinstance(model, str) and isinstance(attempts, list) and len(attempts) == 1 else None


@dataclass(frozen=True, slots=True)
class _Kept:
    made_s: float
    looked_s: float
    changes: int
    """Of the whole index, when it was looked at."""
    mark: tuple[int, int]
    speed: Speed


class Observed:
    """Asks the index, and remembers for a moment."""

    def __init__(
        self,
        index: Seen,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._speeds: OrderedDict[str, _Kept] = OrderedDict()
        self._mixes: OrderedDict[str, tuple[float, Mix]] = OrderedDict()
        self._computes: OrderedDict[str, tuple[float, list[tuple[str, int]]]] = OrderedDict()
        self._models: tuple[float, int, frozenset[str]] | None = None

    def models(self) -> frozenset[str]:
        """Every model that served a job."""
        with self._lock:
            known, changes = self._models, self._index.changes()
            if known is None or (known[1] != changes and self._monotonic() - known[0] >= FRESH_S):
                known = self._models = (self._monotonic(), changes, frozenset(self._index.served_models()))
            return known[2]

    def speed(self, model: str) -> Speed:
        """What was observed of a model; `NOTHING` of one that served no job."""
        if model not in self.models():
            return NOTHING
        with self._lock:
            known = self._speeds[model] = self._looked(model, self._speeds.get(model))
            _touch(self._speeds, model)
            return known.speed

    def _looked(self, model: str, known: "_Kept | None") -> "_Kept":
        """What is remembered of a model, looked up anew where anything of it may have changed."""
        changes, now = self._index.changes(), self._monotonic()
        if known is not None and now - known.made_s < SAME_S:
            if changes == known.changes or now - known.looked_s < FRESH_S:
                return known
            if self._index.calls_mark(model) == known.mark:
                return replace(known, looked_s=now, changes=changes)
        mark, at_ms = self._index.calls_mark(model), self._now_ms()
        return _Kept(now, now, changes, mark, speed_of(self._index.calls(model, at_ms - WINDOW_MS), at_ms))

    def compute_ms(self, model: str, provider: str) -> float | None:
        """Mean compute time of a job of the model's, as its results tell it and it is charged: of those that this
        provider did, else of all. None: no result tells of any. The time of a call is no stand-in: the way there and
        the wait in a queue are in it."""
        if model not in self.models():
            return None
        with self._lock:
            known, now = self._computes.get(model), self._monotonic()
            if known is None or now - known[0] >= MIX_S:
                known = self._computes[model] = (now, self._index.compute(model, self._now_ms() - WINDOW_MS))
            _touch(self._computes, model)
        own = [spent for name, spent in known[1] if name == provider] or [spent for _, spent in known[1]]
        return sum(own) / len(own) if own else None

    def mix(self, tenant: str) -> Mix:
        """The tenant's newest jobs of seven days; a usual one where there are none."""
        with self._lock:
            known, now = self._mixes.get(tenant), self._monotonic()
            if known is None or now - known[0] >= MIX_S:
                at_ms = self._now_ms()
                results = self._index.newest_results(tenant, at_ms - WINDOW_MS)
                published = [at for one in results if (at := _published_ms(one)) is not None]
                mix = mix_of(tenant, results, at_ms, min(published, default=None))
                known = self._mixes[tenant] = (now, mix)
            _touch(self._mixes, tenant)
            return known[1]

    def use(self, model: str) -> Use:
        """How much a model has been used through Novix."""
        return self._index.use(model)


def _published_ms(result: dict[str, Any]) -> int | None:
    return whole(mapping(result.get("received")).get("timestamp_ms"))


def _touch(kept: "OrderedDict[str, Any]", key: str) -> None:
    kept.move_to_end(key)
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
