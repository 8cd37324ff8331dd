"""What Novix has measured and knows of models, as discovery and comparison ask for it (`hub.discovery.known.Known`).

Observed times and costs come from the explorer's memory; prices, rules, breakers, endpoints and evaluations are folds
of their topics. All answers come from memory, from any thread: whoever folds does it under the lock that readers take.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from console.hub.observed import NOTHING, Observed, Seen, Speed
from hub.compare.mix import CannotPrice, Mix, off_by, priced, usual
from hub.compare.subject import Subject
from hub.discovery.known import Offer
from hub.evals.kept import Runs
from hub.index.offers import blended
from router.catalogue import Catalogue
from router.catalogue import Offer as Row
from router.health import Health
from router.prices.book import PriceBook
from runtime.follow import Follower
from runtime.ports import Record
from runtime.registry import BUILT_IN, Registry
from runtime.settings import Settings
from schemas.assignment import Price
from schemas.catalog import CatalogEntry, SourceState
from schemas.comparison import Costs
from schemas.discovery import Interval
from schemas.endpoints import EndpointState
from schemas.evals import EvalRun
from schemas.job import DEFAULT_TENANT
from schemas.topics import BREAKERS, ENDPOINTS, EVALS, PRICES, REGISTRY, SOURCES, Topic
from schemas.units import UNITS

MOST_ENDPOINTS = 10_000
MOST_SOURCES = 100
OFFERS_S = 1.0
Fold = Callable[[Record], None]
Priced = tuple[Row | None, str, Price, bool]
"""The catalogue's row, who serves it, what it takes, and whether it can be asked now."""


class World:
    """The folds, and the explorer's memory beside them."""

    def __init__(
        self,
        catalogue: Catalogue,
        seen: Seen | None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.prices, self.registry, self.runs, self.health = PriceBook(), Registry(), Runs(), Health()
        self.endpoints: dict[str, EndpointState] = {}
        self.sources: dict[str, SourceState] = {}
        """How each source of the catalogue is, by its key."""
        self.observed = Observed(seen, now_ms=lambda: int(now().timestamp() * 1_000)) if seen is not None else None
        """None: there is no explorer's memory here, so nothing that was observed is known."""
        self.lock = threading.RLock()
        self._catalogue = catalogue
        self._now = now
        self._by_model: tuple[str, dict[str, list[str]]] = ("", {})
        self._named: tuple[tuple[str, str, int, frozenset[str]] | None, frozenset[str]] = (None, frozenset())
        """What `named` answers, and the versions that it was made of."""

    @property
    def folds(self) -> dict[Topic, Fold]:
        """What each topic's records are given to."""
        folds: dict[Topic, Fold] = {
            PRICES: self.prices.fold,
            REGISTRY: self.registry.fold,
            EVALS: self.runs.fold,
            BREAKERS: self.health.fold,
            ENDPOINTS: self._endpoint,
            SOURCES: self._source,
        }
        return {topic: self._locked(fold) for topic, fold in folds.items()}

    def followers(self, settings: Settings) -> list[AbstractAsyncContextManager[Any]]:
        """What keeps the folds at the end of their topics; caught up once they are entered."""
        return [Follower(settings, topic, fold) for topic, fold in self.folds.items()]

    def of(self, tenant: str | None) -> "Measured":
        """What is known, with costs for this tenant's own jobs."""
        return Measured(self, tenant)

    def speed(self, model: str) -> Speed:
        """What was observed of a model."""
        return NOTHING if self.observed is None else self.observed.speed(model)

    def compute_ms(self, model: str, provider: str) -> float | None:
        """Compute time that results of the model tell; None: none does."""
        return None if self.observed is None else self.observed.compute_ms(model, provider)

    def mix(self, tenant: str | None) -> Mix:
        """A tenant's own jobs; a usual one where there are none."""
        return usual() if self.observed is None or tenant is None else self.observed.mix(tenant)

    def rows(self, model: str) -> "list[Priced]":
        """The offers of a model that have a known price. Those that nobody here serves are told by the price book
        alone, and have no row."""
        with self.lock:
            now = self._now()
            catalogue = self.prices.priced(self._catalogue, now)
            shut = self.health.shut(now)
            found: list[Priced] = [
                (row, row.provider, row.price, row.live and (row.provider, model) not in shut)
                for row in catalogue.by_model.get(model, ())
                if row.price is not None and row.price.is_known and row.base_url
            ]
            named = {provider for _, provider, _, _ in found}
            for provider in self._providers(model):
                event = self.prices.price_at(provider, model, now)
                if provider not in named and event is not None and event.price is not None and event.price.is_known:
                    found.append((None, provider, event.price, event.is_live and (provider, model) not in shut))
            return found

    def tasks(self, model: str) -> frozenset[str]:
        """What the catalogue's offers of a model do."""
        return frozenset().union(*(row.tasks for row in self._catalogue.by_model.get(model, ())))

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        """What the registry says; None: nobody has said anything that concerns this model and tenant."""
        with self.lock:
            standing = self.registry.now()
        who = tenant or DEFAULT_TENANT
        verdict = standing.allowed(model, who)
        silent = standing.rules_of(who) is BUILT_IN and standing.admission_of(model, who) is None
        return (None, "") if verdict.ok and silent else (verdict.ok, verdict.says)

    def named(self) -> frozenset[str]:
        """Every model that anything is known of here."""
        observed = frozenset[str]() if self.observed is None else self.observed.models()
        with self.lock:
            standing = self.registry.now()
            at = (standing.version, self.prices.version, self.runs.version, observed)
            if at != self._named[0]:
                self._providers("")
                said = frozenset(one.model for one in standing.admissions.values())
                said |= frozenset(one.model for one in standing.known.values())
                priced_ones = frozenset(self._by_model[1]) | frozenset(self._catalogue.by_model)
                self._named = at, observed | self.runs.models | said | priced_ones
            return self._named[1]

    def _providers(self, model: str) -> list[str]:
        if self._by_model[0] != self.prices.version:
            made: dict[str, list[str]] = {}
            for provider, name, tier in self.prices.known:
                if tier == "standard":
                    made.setdefault(name, []).append(provider)
            self._by_model = (self.prices.version, made)
        return self._by_model[1].get(model, [])

    def _endpoint(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self.endpoints.pop(key, None)
            return
        try:
            state = EndpointState.model_validate_json(record.value)
        except ValidationError:
            return
        if key in self.endpoints or len(self.endpoints) < MOST_ENDPOINTS:
            self.endpoints[key] = state

    def _source(self, record: Record) -> None:
        try:
            state = SourceState.model_validate_json(record.value or b"")
        except ValidationError:
            return
        key = f"{state.source}/{state.kind}"
        if key in self.sources or len(self.sources) < MOST_SOURCES:
            self.sources[key] = state

    def _locked(self, fold: Fold) -> Fold:
        def folded(record: Record) -> None:
            with self.lock:
                fold(record)

        return folded


class Measured:
    """`hub.discovery.known.Known`, for one tenant."""

    def __init__(self, world: World, tenant: str | None) -> None:
        self._world = world
        self._tenant = tenant

    def measured(self) -> Collection[str]:
        """The models that anything is known of."""
        return self._world.named()

    def latency(self, model: str) -> Interval | None:
        """p50 of the calls of jobs that needed one."""
        return self._world.speed(model).latency

    def cost(self, model: str) -> Interval | None:
        """Of one of the tenant's own jobs of the tasks that the model does; else of a usual one."""
        return self.costs(model, None).nanousd

    def quality(self, model: str, task: str | None) -> float | None:
        """Of the newest evaluation."""
        with self._world.lock:
            return self._world.runs.quality(model, task)

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        """What the registry says for `tenant`, else for ours."""
        return self._world.allowed(model, tenant or self._tenant)

    def offers(self, model: str) -> Sequence[Offer]:
        """Who serves it at a known price, and whether it can be asked now."""
        speed = self._world.speed(model)
        return [
            Offer(
                provider,
                tuple(sorted(row.regions)) if row is not None else (),
                blended(price.input_nanousd_per_million_tokens, price.output_nanousd_per_million_tokens)
                if price.is_free or (_by_tokens(price) and not _by_more(price))
                else None,
                speed.providers.get(provider),
                live,
            )
            for row, provider, price, live in self._world.rows(model)
        ]

    def costs(self, model: str, mix: Mix | None) -> Costs:
        """What a job of `mix` costs at the cheapest offer that can be asked. Without one: of the tenant's own jobs of
        the tasks that this model does, or of a usual one where it has none."""
        speed, rows = self._world.speed(model), self._world.rows(model)
        if not rows:
            return Costs(model=model, paid=speed.paid, why_not="no price of it is known")
        jobs = self._mix(model) if mix is None else mix
        best: Costs | None = None
        why = ""
        tasks = {job.task for job in jobs.jobs}
        # Rows of one model may differ by task: those that do what is priced, all of it if any row does.
        doing = [one for one in rows if one[0] is None or tasks & one[0].tasks]
        rows = [one for one in doing if one[0] is None or tasks <= one[0].tasks] or doing
        if not rows:
            return Costs(model=model, paid=speed.paid, why_not=f"no offer of it does {', '.join(sorted(tasks))}")
        live = [one for one in rows if one[3]]
        for _, provider, price, _ in live or rows:
            try:
                compute_ms = self._world.compute_ms(model, provider) if price.nanousd_per_compute_ms else None
                told = priced(jobs, price, compute_ms=compute_ms)
            except CannotPrice as error:
                why = why or str(error)
                continue
            if best is None or best.nanousd is None or told.each.value < best.nanousd.value:
                off, off_n = off_by(jobs, model, price, compute_ms=compute_ms)
                best = Costs(
                    model=model, provider=provider, nanousd=told.each, shares=told.shares, paid=speed.paid, off=off,
                    off_n=off_n,
                    prices={unit.price: getattr(price, unit.price) for unit in UNITS if getattr(price, unit.price)},
                    price_source=f"{price.source} of {price.as_of}",
                    why_not="" if live else "none of its offers can be asked now",
                )  # fmt: skip
        return best or Costs(model=model, paid=speed.paid, why_not=why)

    def subject(self, entry: CatalogEntry, mix: Mix, task: str | None) -> Subject:
        """Everything that a comparison takes of one model."""
        model = entry.id
        with self._world.lock:
            runs = self._world.runs.of(model)
            bench = self._world.runs.bench(model, task)
        performance = self._world.speed(model).performance(model)
        if bench is not None:
            told = {"jobs_per_s": bench.jobs_per_s, "machine": bench.machine, "bench_run": bench.run_id}
            performance = performance.model_copy(update=told)
        ok, why = self.allowed(model, None)
        return Subject(entry, performance, self.costs(model, mix), tuple(runs), ok, why)

    def runs(self, model: str) -> list[EvalRun]:
        """Its evaluations and bench runs, the newest first."""
        with self._world.lock:
            return self._world.runs.of(model)

    def _mix(self, model: str) -> Mix:
        tasks = self._world.tasks(model)
        own = self._world.mix(self._tenant).of(tasks)
        if own.jobs or not tasks:
            return own
        return next((told for task in sorted(tasks) if (told := usual(task)).jobs), own)


def _by_tokens(price: Price) -> bool:
    return bool(price.input_nanousd_per_million_tokens or price.output_nanousd_per_million_tokens)


def _by_more(price: Price) -> bool:
    """Whether it charges anything beside tokens: then a price a token tells too little."""
    tokens = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
    return any(getattr(price, unit.price) for unit in UNITS if unit.name not in tokens)
