"""A Hub of the sandbox, a store, and the topics as what was written to them: for rounds of the sync."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.sync.client import Asker
from hub.sync.store import Store
from hub.sync.sync import Report, Sync, Wish
from runtime.clock import SystemClock
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport
from runtime.ports import Outgoing
from sandbox.hf.app import Options, create_app
from sandbox.hf.server import serving
from schemas.catalog import CatalogEntry, SourceState
from schemas.topics import CATALOG

ROWS = 120
MODELS = Wish(kinds=("model",))
FULL = Wish(kinds=("model",), full=True)


class World:
    """A Hub, a store, and the topics as what was written to them."""

    def __init__(self, hub: httpx.AsyncClient, base: str, folder: Path, transport: HttpTransport) -> None:
        self.hub = hub
        self.base = base
        self.folder = folder
        self.transport = transport
        self.log: list[Outgoing] = []
        self.store = Store(folder / "hub")
        self.fails = False

    async def publish(self, records: list[Outgoing]) -> None:
        if self.fails and any(record.topic == CATALOG.name for record in records):
            raise ConnectionError
        self.log += records

    def sync(self, states: dict[str, SourceState] | None = None, **more: Any) -> Sync:
        addresses = {"hub": self.base, "router": None} | more
        return Sync(
            self.store, Asker(self.transport, SystemClock()), self.publish, SystemClock(),
            full_every=timedelta(days=1), states=states, **addresses,
        )  # fmt: skip

    @property
    def entries(self) -> dict[str, CatalogEntry]:
        """The catalogue as a reader of the topic folds it."""
        found: dict[str, CatalogEntry] = {}
        for record in self.log:
            if record.topic == CATALOG.name:
                key = (record.key or b"").decode()
                if record.value is None:
                    found.pop(key, None)
                else:
                    found[key] = CatalogEntry.model_validate_json(record.value)
        return found

    def read_back(self) -> Store:
        """A store that knows nothing but the topic."""
        fresh = Store(self.folder / "again")
        entries = {
            (one.key or b"").decode(): None if one.value is None else CatalogEntry.model_validate_json(one.value)
            for one in self.log
            if one.topic == CATALOG.name
        }
        fresh.read_back(entries.items())
        return fresh

    async def ask(self, way: str, **query: str) -> None:
        (await self.hub.post(f"/sandbox/hub/{way}", params=query)).raise_for_status()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    app = create_app(Options(state=tmp_path / "hf", hub_rows=ROWS))
    async with serving(app) as base, httpx.AsyncClient(base_url=base, timeout=30) as client:
        transport = HttpTransport(Egress([base, "http://127.0.0.1:9"], private=PRIVATE_NETWORKS))
        made = World(client, base, tmp_path, transport)
        try:
            yield made
        finally:
            await transport.aclose()
            made.store.close()


def dump(store: Store) -> list[tuple[Any, ...]]:
    return list(store._db.execute("SELECT key, hub_id, marks, formerly FROM entries ORDER BY key"))


def told(report: Report, source: str = "hub") -> SourceState:
    return next(state for state in report.states if state.source == source)
