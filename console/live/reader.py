"""What Live shows, asked for while somebody looks.

Brokers and processes are asked at most every two seconds, budgets every ten, alert rules every thirty. Each part fails
by itself: without brokers the processes are shown, and the other way round.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import structlog

from console.alerting.defaults import built_in, in_force
from console.exits import CommandError
from console.live import processes, traffic
from console.live.processes import ProcessNow
from console.live.rates import Rates
from console.live.traffic import LANE_GROUPS, TopicNow
from console.money import histories, lanes
from runtime.bus import Bus
from runtime.settings import Settings
from runtime.survey import Group, Survey, Surveyor
from schemas.policies import AlertRule
from schemas.topics import TOPICS

log = structlog.get_logger("novix.console")

LOOK_EVERY_S = 2.0
BUDGETS_EVERY_S = 10.0
RULES_EVERY_S = 30.0
BROKERS_WITHIN_S = 5.0
BUDGETS_WITHIN_S = 15.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """Something that was asked for."""

    value: T | None
    """None: it is not known now."""
    fault: str
    """Why not; empty where it is."""
    at_ms: int
    """When it was asked."""


@dataclass(frozen=True, slots=True)
class Brokers:
    """What the brokers say, joined with what the processes say of their lanes."""

    topics: list[TopicNow]
    groups: tuple[Group, ...]
    brokers: int
    window_s: float
    """Over which rates are counted; grows to a minute as one looks."""
    leaderless: tuple[tuple[str, int], ...]


class Live(Protocol):
    """What the page asks; tests have one that answers from memory."""

    async def brokers(self) -> Told[Brokers]:
        """Topics and groups."""
        ...

    async def processes(self) -> Told[list[ProcessNow]]:
        """Every process that is known."""
        ...

    async def budgets(self) -> Told[list[dict[str, Any]]]:
        """Every budget in its present window."""
        ...

    async def rules(self) -> Told[Mapping[str, AlertRule]]:
        """The alert rules in force, by id."""
        ...


class LiveReader:
    """The real one. `close` it."""

    def __init__(
        self,
        settings: Settings,
        describe: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._describe = describe
        self._clock = clock
        self._surveyor = Surveyor(settings)
        self._rates = Rates()
        self._counted: dict[tuple[str, int, int, int], int] = {}
        self._brokers = _Now(self._ask_brokers, LOOK_EVERY_S, clock)
        self._processes = _Now(self._ask_processes, LOOK_EVERY_S, clock)
        self._budgets = _Now(self._ask_budgets, BUDGETS_EVERY_S, clock)
        self._rules = _Now(self._ask_rules, RULES_EVERY_S, clock)

    async def close(self) -> None:
        """Disconnect."""
        await self._surveyor.close()

    async def brokers(self) -> Told[Brokers]:
        """Topics and groups, as they were at most two seconds ago."""
        return await self._brokers.get()

    async def processes(self) -> Told[list[ProcessNow]]:
        """Every process that is known, as it was at most two seconds ago."""
        return await self._processes.get()

    async def budgets(self) -> Told[list[dict[str, Any]]]:
        """Every budget, as it stood at most ten seconds ago."""
        return await self._budgets.get()

    async def rules(self) -> Told[Mapping[str, AlertRule]]:
        """The alert rules in force, as they were at most half a minute ago."""
        return await self._rules.get()

    async def _ask_brokers(self) -> Brokers:
        told = await self.processes()
        async with asyncio.timeout(BROKERS_WITHIN_S):
            survey = await self._surveyor.look((topic.name for topic in TOPICS), LANE_GROUPS.values())
            self._rates.add(self._clock(), survey.ends)
            counted = await self._count(survey)
        healths = [one.told for one in told.value or ()]
        topics = traffic.topics(survey, self._rates, counted, healths)
        return Brokers(topics, survey.groups, survey.brokers, self._rates.over_s, survey.lacking)

    async def _count(self, survey: Survey) -> dict[tuple[str, int], int]:
        """Records behind short lags; a span that was counted before is not read again."""
        spans = traffic.to_count(survey)
        known = {place: self._counted.get((*place, *span)) for place, span in spans.items()}
        fresh = await self._surveyor.count({place: spans[place] for place, count in known.items() if count is None})
        counted = {place: count for place, count in known.items() if count is not None} | fresh
        self._counted = {(*place, *spans[place]): count for place, count in counted.items()}
        return counted

    async def _ask_processes(self) -> list[ProcessNow]:
        return await processes.now(self._settings, self._describe())

    async def _ask_budgets(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(BUDGETS_WITHIN_S), Bus(self._settings) as bus:
            known = await histories.accounts(bus)
            found = await lanes.lines(bus, known, known.budgeted(), datetime.now(UTC))
        return [lanes.as_document(known, key, line) for key, line in sorted(found.items())]

    async def _ask_rules(self) -> Mapping[str, AlertRule]:
        async with asyncio.timeout(BROKERS_WITHIN_S), Bus(self._settings) as bus:
            told = (await histories.rules(bus, self._settings)).alert_rules()
        return in_force(built_in(self._settings.price_drift), told)


class _Now(Generic[T]):
    """One question that many may ask: it is put again when its answer is older than `every_s`."""

    def __init__(self, ask: Callable[[], Awaitable[T]], every_s: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._every_s = every_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._told: Told[T] | None = None
        self._asked = 0.0

    async def get(self) -> Told[T]:
        async with self._lock:
            if self._told is None or self._clock() - self._asked >= self._every_s:
                self._told = await self._put()
                self._asked = self._clock()
            return self._told

    async def _put(self) -> Told[T]:
        at_ms = time.time_ns() // 1_000_000
        try:
            return Told(await self._ask(), "", at_ms)
        except CommandError as error:
            return Told(None, str(error), at_ms)
        except TimeoutError:
            return Told(None, "Kafka gives no answer in time", at_ms)
        except Exception as error:  # whatever a client library raises: the page says its name and keeps the rest
            log.warning("live.failed", error=type(error).__name__)
            return Told(None, f"Kafka cannot be asked: {type(error).__name__}", at_ms)
