"""An application with its engine, as a service that a process runs; several of them in one process."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from runtime.cadence import Cadence
from runtime.clock import SystemClock
from runtime.engine import Engine
from runtime.group import GroupMember
from runtime.instance import claim
from runtime.metrics import Metrics
from runtime.metrics.lanes import CountedLanes, LaneMeter
from runtime.outcome import Application
from runtime.patience import once_kafka_answers
from runtime.ports import LogReader
from runtime.reader import KafkaReader
from runtime.settings import Settings
from runtime.shell import Service
from runtime.standing import unless
from runtime.transaction import LaneTransaction

ABSENCES_A_SESSION = 3
"""A third of the session: with the heartbeat before it, which may be another third old, the coordinator has waited for
less than the whole."""


class MissingTopicError(Exception):
    """A topic is not there; `novix topics create` makes it."""


def engine_on(
    settings: Settings, app: Application, reader: LogReader, *, window: int, instance: str,
    meter: LaneMeter | None = None,
) -> Engine:  # fmt: skip
    """The engine of one application on Kafka, as member `instance` of its group. `reader` is the caller's to close."""
    return Engine(
        app, GroupMember(settings, app.group, app.topic, instance),
        lambda lane: LaneTransaction.open(settings, lane), reader, SystemClock(), window=window,
        drain=timedelta(seconds=settings.drain_s),
        cadence=Cadence(longest=timedelta(milliseconds=settings.commit_max_ms), many=settings.commit_max_records),
        window_bytes=settings.max_in_flight_bytes,
        longest_rest=timedelta(seconds=settings.retry_in_memory_s),
        stuck_after=timedelta(seconds=settings.stuck_after_s),
        longest_absence=timedelta(milliseconds=settings.session_timeout_ms) / ABSENCES_A_SESSION,
        meter=meter,
    )  # fmt: skip


class LaneService(Service):
    """Runs `app` on Kafka. `resources` are opened before the first lane and closed after the last. It is ready only
    while `also_ready` says so as well."""

    def __init__(
        self, settings: Settings, app: Application, *, window: int,
        resources: Callable[[], list[AbstractAsyncContextManager[Any]]] = list,
        also_ready: Callable[[], bool] = lambda: True, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._app = app
        self._window = window
        self._resources = resources
        self._also_ready = also_ready
        self.metrics = self._counts = metrics or Metrics()
        self._engine: Engine | None = None
        self._hurried = False

    async def run(self, stop: asyncio.Event) -> None:
        """Join the group and work until `stop`; then drain. Raises `MissingTopicError` without the input topic."""
        settings, app = self._settings, self._app
        instance = claim(settings.named(app.group), settings.instance_id, settings.home)
        try:
            async with contextlib.AsyncExitStack() as stack:
                reader = await stack.enter_async_context(KafkaReader(settings))
                partitions = await once_kafka_answers(lambda: reader.partitions(app.topic), stop)
                if partitions is None:
                    return
                if not partitions:
                    raise MissingTopicError(f"{settings.named(app.topic)} is not there; type: novix topics create")
                if not await unless(stop, _opened(stack, self._resources())):
                    return
                meter = CountedLanes(self._counts, app.group, app.topic)
                self._engine = engine_on(settings, app, reader, window=self._window, instance=instance.id, meter=meter)
                if self._hurried:
                    self._engine.hurry()
                await self._engine.run(stop)
        finally:
            instance.release()

    def hurry(self) -> None:
        """Cut the drain short: what runs is cancelled, what is settled is committed."""
        self._hurried = True
        if self._engine is not None:
            self._engine.hurry()

    def describe(self) -> dict[str, Any]:
        """The engine's state, and what the application says of itself."""
        engine = self._engine.describe() if self._engine is not None else {"state": "connecting"}
        return {**self._app.describe(), **engine}

    @property
    def healthy(self) -> bool:
        """Whether every lane works."""
        return self._engine is not None and self._engine.healthy

    @property
    def ready(self) -> bool:
        """Whether every lane is open, nothing drains, and what the lanes' work needs is there."""
        return self._engine is not None and self._engine.ready and self._also_ready()


async def _opened(stack: contextlib.AsyncExitStack, resources: list[AbstractAsyncContextManager[Any]]) -> None:
    for resource in resources:
        await stack.enter_async_context(resource)


class Services(Service):
    """Several services in one process. One that ends, or raises, stops the others; they drain.

    `resources` are what they share: opened before the first begins, closed when all have drained. `metrics`: what each
    of them counts into.
    """

    def __init__(
        self, services: Mapping[str, Service], *,
        resources: Callable[[], list[AbstractAsyncContextManager[Any]]] = list, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._services = dict(services)
        self.metrics = metrics
        self._resources = resources

    async def run(self, stop: asyncio.Event) -> None:
        """Run all until `stop`. Raises what the first that failed has raised, when all have drained."""
        async with contextlib.AsyncExitStack() as stack:
            if await unless(stop, _opened(stack, self._resources())):
                await self._run(stop)

    async def _run(self, stop: asyncio.Event) -> None:
        ending = asyncio.Event()
        tasks = [asyncio.create_task(service.run(ending)) for service in self._services.values()]
        stopping = asyncio.create_task(stop.wait())
        try:
            ended, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            ending.set()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in sorted(tasks, key=lambda task: task not in ended):
            task.result()

    def hurry(self) -> None:
        """Each of them."""
        for service in self._services.values():
            service.hurry()

    def describe(self) -> dict[str, Any]:
        """The state of each, by its name."""
        return {name: service.describe() for name, service in self._services.items()}

    @property
    def healthy(self) -> bool:
        """Whether all do their work."""
        return all(service.healthy for service in self._services.values())

    @property
    def ready(self) -> bool:
        """Whether all are ready."""
        return all(service.ready for service in self._services.values())
