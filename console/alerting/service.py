"""Alerts as a process: `novix alerts run`. Folds the topics, looks at the rules, tells each crossing once, and sends
what was told to the webhook.

Who writes alerts is alone: its producer is transactional, so opening it fences every predecessor, and the alerts topic,
read to its end after that, is all that it remembers. Killed at any moment, it tells nothing twice.
"""

import asyncio
import contextlib
import random
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog

from console.alerting.crossings import Told
from console.alerting.measures import Measures, begin_of
from console.alerting.system import GROUPS
from console.alerting.webhook import GROUP, Webhook, in_order_of
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.ending import end
from runtime.follow import Follower
from runtime.function import FunctionApplication
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport, InvalidURL
from runtime.metrics import Metrics
from runtime.patience import once_kafka_answers
from runtime.ports import Clock, LaneId, Outgoing
from runtime.service import LaneService, MissingTopicError, Services
from runtime.settings import BadSettings, Settings, variable
from runtime.shell import Role, Service
from runtime.shell import run as run_role
from runtime.standing import unless
from runtime.transaction import LaneTransaction
from schemas.alerts import Alert
from schemas.topics import (
    ALERTS,
    BREAKERS,
    BUDGETS,
    DECISIONS,
    DLQ,
    LEDGER,
    POLICIES,
    PRICES,
    RESULTS,
)  # fmt: skip

log = structlog.get_logger("novix.alerts")

WRITER = LaneId("novix-alert-rules", ALERTS.name, 0)
"""Whose transactional id is the writer's."""
WINDOW = 64
"""Alerts that are on their way to the webhook at a time, or wait to be sent again."""
CATCH_UP_S = 3_600.0
AGAIN_S = 1.0
LAG_EVERY_S = 15.0
MOST_AT_ONCE = 500
ROLE = Role(
    name="alerts", title="Novix alerts", group=GROUP, receives=ALERTS, sends=(ALERTS, DLQ),
    follows=(BUDGETS, POLICIES, PRICES, BREAKERS, LEDGER, DECISIONS, RESULTS, DLQ),
)  # fmt: skip


class Watch(Service):
    """Looks at the rules again and again and tells their crossings."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._measures = Measures(settings.price_drift)
        self._told = Told()
        self._open = self._was_open = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Raises `MissingTopicError` without the alerts topic."""
        settings, now = self._settings, self._clock.now()
        async with contextlib.AsyncExitStack() as stack:
            bus = await stack.enter_async_context(Bus(settings))
            partitions = await once_kafka_answers(lambda: bus.reader().partitions(ALERTS.name), stop)
            if partitions is None:
                return
            if not partitions:
                raise MissingTopicError(f"{settings.named(ALERTS.name)} is not there; type: novix topics create")
            for topic, fold in self._measures.folds.items():
                follower = Follower(settings, topic, fold, since=begin_of(topic, now), within_s=CATCH_UP_S)
                if not await unless(stop, _entered(stack, follower)):
                    return
            lagging = asyncio.create_task(self._look_at_lags(bus))
            try:
                await self._tell(bus, stop)
            finally:
                await end(lagging)

    async def _tell(self, bus: Bus, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._tell_until_it_breaks(bus, stop)
            except Exception as error:  # of Kafka: fenced by a twin, or away; the next writer reads what was told
                log.warning("alerts.broken", error=type(error).__name__)
                await _pause(stop, AGAIN_S)
            finally:
                self._open = False

    async def _tell_until_it_breaks(self, bus: Bus, stop: asyncio.Event) -> None:
        writer = await LaneTransaction.open(self._settings, WRITER)
        try:
            told = self._told = await _read(bus)
            self._open = self._was_open = True
            while not stop.is_set():
                alerts = self._measures.look(told, self._clock.now())[:MOST_AT_ONCE]
                if alerts:
                    await writer.commit([_outgoing(alert) for alert in alerts], WRITER, None)
                for alert in alerts:
                    told.note(alert)
                    log.info(f"alert.{alert.state}", rule=alert.rule, subject=alert.subject, value=alert.value)
                await _pause(stop, self._settings.alerts_s)
        finally:
            await writer.close()

    async def _look_at_lags(self, bus: Bus) -> None:
        while True:
            for group, topic in GROUPS:
                try:
                    lag = await bus.lag(group, topic.name)
                except Exception as error:
                    log.warning("alerts.lag_unknown", group=group, error=type(error).__name__)
                    continue
                self._measures.lags.note(group, topic.name, sum(lag.values()), self._clock.now())
            await asyncio.sleep(LAG_EVERY_S)

    def describe(self) -> dict[str, Any]:
        """How many rules hold, and what fires."""
        return {"rules": len(self._measures.in_force()), "firing": len(self._told.firing()), "open": self._open}

    @property
    def healthy(self) -> bool:
        """Whether it looks, or reads the topics for the first time, which may take minutes: not while Kafka is away."""
        return self._open or not self._was_open

    @property
    def ready(self) -> bool:
        """Whether it looks."""
        return self._open


def build(settings: Settings) -> Services:
    """The rules and the webhook on these settings."""
    clock = SystemClock()
    hook, transport = webhook_of(settings)
    app = FunctionApplication(GROUP, ALERTS.name, hook.handle, order=in_order_of)

    def resources() -> list[AbstractAsyncContextManager[Any]]:
        return [transport]

    metrics = Metrics.of(settings)
    sending = LaneService(settings, app, window=WINDOW, resources=resources, metrics=metrics)
    return Services({"rules": Watch(settings, clock), "webhook": sending}, metrics=metrics)


def webhook_of(settings: Settings) -> tuple[Webhook, HttpTransport]:
    """The webhook and what it sends with, to be closed by the caller. It may call the one address that is set, also in
    a private network, and no other. Raises `BadSettings` for an address that nobody can be called at; it may hold a
    secret, and is not repeated."""
    url = settings.webhook_url
    try:
        transport = HttpTransport(Egress([url] if url else [], private=PRIVATE_NETWORKS))
    except (InvalidURL, ValueError):
        raise BadSettings(f"{variable('webhook_url')}: these {len(url)} characters are no address") from None
    secret = settings.webhook_secret.get_secret_value()
    return Webhook(url, secret, transport, SystemClock(), random.random), transport


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)


async def _read(bus: Bus) -> Told:
    told, reader = Told(), bus.reader()
    for partition in range(await reader.partitions(ALERTS.name)):
        first, last = await reader.bounds(ALERTS.name, partition)
        async for record in reader.read(ALERTS.name, partition, first, last):
            told.fold(record)
    return told


def _outgoing(alert: Alert) -> Outgoing:
    return Outgoing(ALERTS.name, alert.alert_id.encode(), alert.encode())


async def _entered(stack: contextlib.AsyncExitStack, follower: Follower) -> None:
    await stack.enter_async_context(follower)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
