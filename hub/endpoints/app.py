"""The controller as a process: `novix endpoints run`. Commands are a lane, so that state, audit and offset are one
transaction; beside it the looks, which only the lane's owner makes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from hub.endpoints.api import Api, ApiError
from hub.endpoints.controller import Controller, every
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.credentials import CredentialError, credentials
from runtime.follow import Follower
from runtime.function import FunctionHandler
from runtime.http import DEADLINE, MAX_BYTES, PRIVATE_NETWORKS, AsyncBaseTransport, Egress, HttpTransport, Request
from runtime.metrics import Metrics
from runtime.ports import LaneId, LogReader, Record, Resumed
from runtime.service import LaneService, Services
from runtime.settings import Settings
from runtime.shell import Role, Service
from runtime.shell import run as run_role
from schemas import codec
from schemas.topics import (
    AUDIT,
    DECISIONS,
    DLQ,
    ENDPOINT_COMMANDS,
    ENDPOINT_QUOTAS,
    ENDPOINTS,
    RESULTS,
)

GROUP = "novix-endpoints"
ROLE = Role(
    name="endpoints", title="Novix endpoints", group=GROUP, receives=ENDPOINT_COMMANDS,
    sends=(ENDPOINTS, ENDPOINT_COMMANDS, AUDIT, DLQ), follows=(ENDPOINTS, ENDPOINT_QUOTAS, DECISIONS, RESULTS),
)  # fmt: skip
WINDOW = 64
"""Commands in hand at a time, of different endpoints."""
DOORS = "https://*.endpoints.huggingface.cloud"
LOOK_BACK = timedelta(hours=24)
"""How old the decisions are whose jobs may still wait."""
CATCH_UP_S = 600.0
HUB_S, HUB_BYTES = 10.0, 8_388_608


class Commands:
    """The lane application. Commands of one endpoint are carried out one after the other."""

    group = GROUP
    topic = ENDPOINT_COMMANDS.name
    inline = False
    custody = ""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller

    def describe(self) -> dict[str, Any]:
        """The controller's state."""
        return self.controller.describe()

    def order_of(self, record: Record) -> bytes | None:
        """The endpoint."""
        return record.key

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "CommandLane":
        """This process is the owner from here on."""
        await self.controller.take_over(log)
        return CommandLane(self.controller)


class CommandLane(FunctionHandler):
    """The one partition."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller.handle)
        self._controller = controller

    async def close(self) -> None:
        """Somebody else may own it now."""
        self._controller.owner = False


class Watch(Service):
    """Looks every `endpoints_poll_s` while this process owns the commands."""

    def __init__(self, settings: Settings, controller: Controller) -> None:
        self._settings = settings
        self._controller = controller

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        await every(self._settings.endpoints_poll_s, stop, self._look)

    async def _look(self) -> None:
        if self._controller.owner:
            await self._controller.look()

    def describe(self) -> dict[str, Any]:
        """Whether it looks."""
        return {"owner": self._controller.owner}

    @property
    def healthy(self) -> bool:
        """It waits for the lane where it is not the owner."""
        return True


def transport(settings: Settings) -> HttpTransport:
    """What carries the calls: to the management API, the Hub, and the endpoints' health routes."""
    origins = [settings.endpoints_url, settings.hf_hub_url, DOORS]
    return HttpTransport(Egress([origin for origin in origins if origin], private=PRIVATE_NETWORKS))


def api_of(settings: Settings, http: AsyncBaseTransport) -> Api:
    """The management API with the installation's token."""
    tokens = credentials(settings)

    def token() -> str | None:
        try:
            current = tokens.current()
        except CredentialError as error:
            raise ApiError(f"no token: {error}", again=True) from None
        return None if current is None else current.get_secret_value()

    return Api(settings.endpoints_url, http, token)


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Api]:
    """The management API for the length of a block."""
    http = transport(settings)
    try:
        yield api_of(settings, http)
    finally:
        await http.aclose()


def build(settings: Settings) -> Services:
    """The controller on these settings."""
    clock, metrics, http = SystemClock(), Metrics.of(settings), transport(settings)
    bus = Bus(settings)
    controller = Controller(api_of(settings, http), bus.publish, clock, newest=Newest(settings.hf_hub_url, http).of)
    controller.namespaces = tuple(one.strip() for one in settings.endpoints_namespaces.split(",") if one.strip())
    commands = Commands(controller)

    def resources() -> list[AbstractAsyncContextManager[Any]]:
        since = clock.now() - LOOK_BACK
        folds = {
            ENDPOINTS: (controller.fold_state, None), ENDPOINT_QUOTAS: (controller.fold_quota, None),
            DECISIONS: (controller.waiting.decided, since), RESULTS: (controller.waiting.ended, since),
        }  # fmt: skip
        followers = [
            Follower(settings, topic, fold, since=begin, within_s=CATCH_UP_S) for topic, (fold, begin) in folds.items()
        ]
        return [contextlib.aclosing(http), bus, *followers]

    lane = LaneService(settings, commands, window=WINDOW, metrics=metrics)
    watch = Watch(settings, controller)
    return Services({"commands": lane, "watch": watch}, resources=resources, metrics=metrics)


class Newest:
    """The newest revision of a model, by the Hub. Public models are told without a token."""

    def __init__(self, hub_url: str, http: AsyncBaseTransport) -> None:
        self._hub = hub_url.rstrip("/")
        self._http = http

    async def of(self, model: str) -> str | None:
        """`sha` of its main branch; None where the Hub does not say."""
        extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), HUB_S)}
        request = Request(
            "GET", f"{self._hub}/api/models/{model}", headers=[("accept", "application/json")],
            extensions={**extensions, DEADLINE: HUB_S, MAX_BYTES: HUB_BYTES},
        )  # fmt: skip
        try:
            response = await self._http.handle_async_request(request)
            try:
                told = codec.decode(await response.aread()) if response.status_code == 200 else None
            finally:
                await response.aclose()
        except Exception:  # the network, or no JSON: it is asked again later
            return None
        sha = told.get("sha") if isinstance(told, dict) else None
        return sha[:64] if isinstance(sha, str) and sha else None


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)
