"""One process's metrics: a registry of its own, what counts into it, and how it is told."""

import platform
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import accumulate
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from runtime.metrics.bounded import Bounded
from runtime.metrics.table import METRICS, Spec
from runtime.settings import Settings

MOST_MODELS = 200
MOST_PROVIDERS = 50
MOST_ENDPOINTS = 200
MOST_WORDS = 100
"""Of any other label whose values our own code chooses from a list that may grow."""
NANO = 1_000_000_000

SPECS = {spec.name: spec for spec in METRICS}
State = Callable[[], dict[str, dict[tuple[str, ...], float]]]
"""What a scrape asks: by metric of the table, by the values of its labels."""


class Count:
    """A number that only grows. The client library's own takes a lock, which one event loop needs not."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """So much more; never less than 0."""
        self.value += amount


class Spread:
    """How many observations were at most each bound; as cheap as that can be (the client library's own goes through
    the bounds one by one, with a lock around each number)."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and how many were at most that, as the exposition has them."""
        told = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(told, map(float, accumulate(self.counts)), strict=True))


class Events(Collector):
    """A counter or histogram of the table. `of` gives what is counted into for one set of label values: a caller that
    counts often keeps it."""

    def __init__(self, spec: Spec, registry: CollectorRegistry) -> None:
        self._spec = spec
        self._children: dict[tuple[str, ...], Any] = {}
        if not spec.labels:
            self.of()
        registry.register(self)

    def of(self, *values: str) -> Any:
        """The `Count` or `Spread` with these label values, in the table's order. Raises ValueError for too few."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._spec.labels):
                raise ValueError(f"{self._spec.name} has {len(self._spec.labels)} labels, not {len(values)}")
            child = self._children[values] = Spread(self._spec.buckets) if self._spec.buckets else Count()
        return child

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        spec = self._spec
        if spec.kind == "histogram":
            spreads = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
            for values, spread in self._children.items():
                spreads.add_metric(values, buckets=spread.buckets(), sum_value=spread.sum)
            yield spreads
            return
        counts = CounterMetricFamily(spec.name.removesuffix("_total"), spec.help, labels=spec.labels)
        for values, count in self._children.items():
            counts.add_metric(values, count.value)
        yield counts


class Money(Collector):
    """Counters of US dollars, kept in whole nano-dollars and divided once, when they are told: so rounding never adds
    up, and `round(value * 1e9)` is the exact sum up to nine million dollars of one process's life (2**53 nano-dollars).
    """

    def __init__(self, spec: Spec, registry: CollectorRegistry) -> None:
        self._spec = spec
        self._nanousd: defaultdict[tuple[str, ...], int] = defaultdict(int)
        if not spec.labels:
            self._nanousd[()] = 0
        registry.register(self)

    def add(self, nanousd: int, *values: str) -> None:
        """So many nano-dollars more."""
        self._nanousd[values] += nanousd

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        family = CounterMetricFamily(self._spec.name.removesuffix("_total"), self._spec.help, labels=self._spec.labels)
        for values, nanousd in self._nanousd.items():
            family.add_metric(values, nanousd / NANO)
        yield family


class _Told(Collector):
    """What is asked at the scrape: gauges, and counts that somebody else keeps."""

    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        """Nothing before the first scrape: what there is depends on the process."""
        return []

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, samples in self._state().items():
            spec = SPECS[name]
            made = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
            family = made(name.removesuffix("_total"), spec.help, labels=spec.labels)
            for values, value in samples.items():
                family.add_metric(values, value)
            yield family


class Metrics:
    """What one process tells at `/metrics`. Nothing of it is global: several may live in one interpreter.

    Label values from outside are bounded: `model` and `provider` by number, what comes later is `other`. `tenants`: the
    ones that have counters of their own (money and jobs); none unless an operator lists them. One event loop owns it.
    """

    def __init__(
        self, *, tenants: frozenset[str] = frozenset(), models: int = MOST_MODELS, providers: int = MOST_PROVIDERS
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.models = Bounded(models)
        self.providers = Bounded(providers)
        self.tenants = Bounded(0, tenants)
        self.tells_tenants = bool(tenants)
        self.words = Bounded(MOST_WORDS)
        self.endpoints = Bounded(MOST_ENDPOINTS)
        self._events: dict[str, Events] = {}
        self._money: dict[str, Money] = {}
        self._asked: list[State] = []
        build = Gauge("novix_build_info", SPECS["novix_build_info"].help, SPECS["novix_build_info"].labels,
                      registry=self.registry)  # fmt: skip
        build.labels(version(), platform.python_version()).set(1)

    @classmethod
    def of(cls, settings: Settings) -> "Metrics":
        """With the tenants that the settings list (`metrics_tenants`, comma-separated)."""
        listed = settings.metrics_tenants
        return cls(tenants=frozenset(name.strip() for name in listed.split(",") if name.strip()))

    def events(self, name: str) -> Events:
        """A counter or histogram of the table; from now on it is told. Raises KeyError for one that is not there."""
        if name not in self._events:
            self._events[name] = Events(SPECS[name], self.registry)
        return self._events[name]

    def money(self, name: str) -> Money:
        """A counter of US dollars of the table; from now on it is told."""
        if name not in self._money:
            self._money[name] = Money(SPECS[name], self.registry)
        return self._money[name]

    def ask(self, state: State) -> None:
        """Ask `state` at each scrape. A metric is told by one of those who are asked."""
        self.registry.register(_Told(state))

    def who(self, provider: str, model: str) -> tuple[str, str]:
        """The labels `provider` and `model`."""
        return self.providers(provider), self.models(model)

    def page(self, accept: str) -> tuple[bytes, str]:
        """What a scraper that accepts this is sent, and its content type: OpenMetrics 1.0, or Prometheus's text."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type


def version() -> str:
    """Of the installed distribution; empty where Novix runs from a tree that is not installed."""
    try:
        return metadata.version("novix")
    except metadata.PackageNotFoundError:
        return ""
