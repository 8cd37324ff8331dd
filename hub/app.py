"""The Model Hub's sync as a process: `novix hub serve`, or `faststream run hub.app:app`.

It keeps `novix.catalog.v1` as its sources are. One process an installation: a second one waits for the first's lock.
"""

import asyncio
import contextlib
import fcntl
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from hub.sync.client import Asker
from hub.sync.opening import NEEDED, TopicsMissing, folder_of, opened, remember
from hub.sync.sides import GROUP, sides
from hub.sync.store import Store
from hub.sync.sync import Report, Sync, Wish
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport
from runtime.metrics import Metrics
from runtime.patience import once_kafka_answers
from runtime.ports import Clock
from runtime.settings import Settings
from runtime.shell import Role, Service, application
from runtime.shell import run as run_role
from schemas.topics import CATALOG, ENDPOINTS, OFFERS, REGISTRY, SOURCES

log = structlog.get_logger("novix.hub")

ROLE = Role(
    name="hub-sync", title="Novix hub", group=GROUP, receives=ENDPOINTS, sends=(CATALOG, SOURCES, REGISTRY),
    follows=(OFFERS, REGISTRY, CATALOG, SOURCES),
)  # fmt: skip
LOOK_S = 0.2
AGAIN_S = 5.0
"""After a round that Kafka broke."""
WISH, LOCK = "wish.json", "sync.lock"


class Taken(Exception):
    """Another process keeps this installation's catalogue."""


def hub_of(settings: Settings) -> str | None:
    """The Hub that is read, by its address; None: none.

    The sandbox's is read unless somebody says no; Hugging Face's own only where somebody says so: half a million rows
    are fetched from it.
    """
    if settings.hub_sync == "off":
        return None
    if settings.hub_url:
        return settings.hub_url
    is_ours = bool(settings.sandbox_url) and settings.hf_hub_url == settings.sandbox_url
    return settings.hf_hub_url if settings.hub_sync == "on" or is_ours else None


def router_of(settings: Settings) -> str | None:
    """The router whose list of models is read; None: none."""
    return settings.hf_router_url or None if settings.hub_sync != "off" else None


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of an installation's catalogue. Raises `Taken`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken(f"another process keeps the catalogue of {folder.parent}") from None
        yield


@contextlib.asynccontextmanager
async def syncing(settings: Settings, bus: Bus, clock: Clock) -> AsyncIterator[Sync]:
    """The sync of an installation, its store opened and up to date. Raises `TopicsMissing`, and Kafka's errors."""
    hub, router = hub_of(settings), router_of(settings)
    store = Store(folder_of(settings.home))
    transport = HttpTransport(Egress([one for one in (hub, router) if one], private=PRIVATE_NETWORKS))
    try:
        states = await opened(store, bus.reader())
        yield Sync(
            store, Asker(transport, clock), bus.publish, clock, hub=hub, router=router, states=states,
            full_every=timedelta(seconds=settings.hub_full_s),
        )  # fmt: skip
        await remember(store, bus.reader())
    finally:
        await transport.aclose()
        store.close()


class Syncing(Service):
    """Rounds every `hub_sync_s`; at once where a side topic or `novix hub sync` asks for one."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self.metrics = metrics
        self._sync: Sync | None = None
        self._changed = asyncio.Event()
        self._last: Report | None = None
        self._failed = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Raises `TopicsMissing` where a topic is not there."""
        folder = folder_of(self._settings.home)
        while not stop.is_set():
            try:
                with only_one(folder):
                    await self._run(stop)
                    return
            except Taken as taken:
                self._failed = str(taken)
                await _pause(stop, AGAIN_S)

    async def _run(self, stop: asyncio.Event) -> None:
        async with Bus(self._settings) as bus:
            partitions = await once_kafka_answers(lambda: bus.reader().partitions(NEEDED[0].name), stop)
            if partitions is None:
                return
            while not stop.is_set():
                try:
                    async with contextlib.AsyncExitStack() as stack:
                        opening = stack.enter_async_context(syncing(self._settings, bus, self._clock))
                        self._sync = await _unless(stop, opening)  # half a million records may have to be read back
                        if self._sync is not None:
                            await self._rounds(self._sync, stop)
                except TopicsMissing:
                    raise
                except Exception as error:  # of Kafka, of the disk: what was written is noted, the rest comes again
                    self._failed = type(error).__name__
                    log.warning("hub.broken", error=type(error).__name__)
                    await _pause(stop, AGAIN_S)

    async def _rounds(self, sync: Sync, stop: asyncio.Event) -> None:
        app = sides(self._settings, sync.store, self._changed.set)
        await app.start()
        try:
            while not stop.is_set():
                await self._round(sync, Wish(), stop)
                until = self._clock.monotonic() + self._settings.hub_sync_s
                while not stop.is_set() and self._clock.monotonic() < until:
                    wish = self._wish()
                    if wish is not None:
                        await self._asked(sync, wish, stop)
                    if self._changed.is_set():
                        self._changed.clear()
                        await _unless(stop, sync.sides())
                    await _pause(stop, LOOK_S)
        finally:
            await app.stop()

    async def _round(self, sync: Sync, wish: Wish, stop: asyncio.Event) -> Report | None:
        report: Report | None = await _unless(stop, sync.round(wish))
        if report is not None:
            self._last, self._failed = report, ""
            log.info("hub.synced", written=report.written, calls=report.calls, took_ms=int(report.took_s * 1000))
        return report

    # What `novix hub sync` asks of the process that holds the lock: a file comes, and another answers

    def _wish(self) -> dict[str, Any] | None:
        path = folder_of(self._settings.home) / WISH
        try:
            told = json.loads(path.read_bytes())
            path.unlink()
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and isinstance(told.get("id"), str) else None

    async def _asked(self, sync: Sync, told: dict[str, Any], stop: asyncio.Event) -> None:
        wish = wish_of(told)
        report = await self._round(sync, wish, stop)
        if report is not None:
            answer = folder_of(self._settings.home) / f"answer-{told['id'][:32]}.json"
            fresh = answer.with_suffix(".new")
            fresh.write_text(json.dumps(described(report)))
            fresh.replace(answer)

    def describe(self) -> dict[str, Any]:
        """How each source was, and what is being read."""
        sync = self._sync
        if sync is None:
            return {"state": "opening", "fault": self._failed}
        states = {
            key: {
                "state": state.state,
                "rows": state.rows,
                "changed": state.changed,
                "refused": sum(state.refused.values()),
                "complete_at": None if state.complete_at is None else state.complete_at.isoformat(),
                "error": state.error,
            }
            for key, state in sorted(sync.states.items())
        }  # fmt: skip
        told = {"sources": states, "reading": sync.reading, "catalogued": sync.written, "fault": self._failed}
        return told if self._last is not None else {"state": "in its first round", **told}

    @property
    def healthy(self) -> bool:
        """Whether it works, or waits for its turn; a source that is down is no fault of this process."""
        return not self._failed or self._sync is None

    @property
    def ready(self) -> bool:
        """Whether a round was made."""
        return self._last is not None and not self._failed


def wish_of(told: dict[str, Any]) -> Wish:
    """A wish as a file has it; what is nonsense is left out."""
    kinds = tuple(kind for kind in ("model", "dataset", "space") if kind in (told.get("kinds") or ()))
    limit = told.get("limit")
    return Wish(
        kinds=kinds or Wish().kinds,  # type: ignore[arg-type]
        full=True if told.get("full") is True else None,
        limit=limit if isinstance(limit, int) and limit > 0 else None,
    )


def described(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "sources": [state.model_dump(mode="json") for state in report.states],
        "written": report.written, "facts": report.facts, "took_s": round(report.took_s, 3), "calls": report.calls,
        "waited_s": round(report.waited_s, 3),
    }  # fmt: skip


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _unless(stop: asyncio.Event, work: Any) -> Any:
    """What `work` answers; None if `stop` comes first: a reading goes on where it was."""
    task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            return None
        return task.result()
    finally:
        stopping.cancel()


def build(settings: Settings) -> Service:
    """The sync on these settings."""
    return Syncing(settings, SystemClock(), Metrics.of(settings))


app = application(ROLE, build)


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)
