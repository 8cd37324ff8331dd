"""An application with its engine, as a service that a process runs."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from runtime.cadence import Cadence
from runtime.clock import SystemClock
from runtime.engine import Engine
from runtime.group import GroupMember
from runtime.instance import claim
from runtime.outcome import Application
from runtime.reader import KafkaReader
from runtime.settings import Settings
from runtime.shell import Service
from runtime.transaction import LaneTransaction


class MissingTopicError(Exception):
    """A topic is not there; `novix topics create` makes it."""


class LaneService(Service):
    """Runs `app` on Kafka. `resources` are opened before the first lane and closed after the last."""

    def __init__(
        self, settings: Settings, app: Application, *, window: int,
        resources: Callable[[], list[AbstractAsyncContextManager[Any]]] = list,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._app = app
        self._window = window
        self._resources = resources
        self._engine: Engine | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Join the group and work until `stop`; then drain. Raises `MissingTopicError` without the input topic."""
        settings, app = self._settings, self._app
        instance = claim(settings.named(app.group), settings.instance_id, settings.home)
        try:
            async with contextlib.AsyncExitStack() as stack:
                for resource in self._resources():
                    await stack.enter_async_context(resource)
                reader = await stack.enter_async_context(KafkaReader(settings))
                if not await reader.partitions(app.topic):
                    raise MissingTopicError(f"{settings.named(app.topic)} is not there; type: novix topics create")
                longest = timedelta(milliseconds=settings.commit_max_ms)
                self._engine = Engine(
                    app, GroupMember(settings, app.group, app.topic, instance.id),
                    lambda lane: LaneTransaction.open(settings, lane), reader, SystemClock(), window=self._window,
                    drain=timedelta(seconds=settings.drain_s),
                    cadence=Cadence(longest=longest, many=settings.commit_max_records),
                )  # fmt: skip
                await self._engine.run(stop)
        finally:
            instance.release()

    def describe(self) -> dict[str, Any]:
        """The engine's state."""
        return self._engine.describe() if self._engine is not None else {"state": "connecting"}

    @property
    def healthy(self) -> bool:
        """Whether every lane works."""
        return self._engine is not None and self._engine.healthy
