"""The pages over an index that a test fills, with a Kafka in memory and processes that say what the test wants."""

from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pages_world
from console_world import NOON, MemoryLog, ms
from starlette.testclient import TestClient

from console.alerting.defaults import built_in
from console.hub.port import Hub
from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from console.live.processes import ProcessNow
from console.live.reader import Brokers, Told
from console.pages.app import create_app
from console.pages.context import Context
from console.pages.guard import COOKIE, Door
from runtime.ports import Outgoing
from runtime.settings import Settings
from schemas.policies import AlertRule

OURS = {"sec-fetch-site": "same-origin"}
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202egpj"""


@dataclass
class Said:
    """A `Live` that says what a test wants."""

    of_brokers: Brokers | None = None
    of_processes: list[ProcessNow] = field(default_factory=list)
    of_budgets: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""
    """Of the brokers."""

    async def brokers(self) -> Told[Brokers]:
        """What they say."""
        return Told(self.of_brokers, self.fault, ms(NOON))

    async def processes(self) -> Told[list[ProcessNow]]:
        """They are well whatever the brokers do."""
        return Told(self.of_processes, "", ms(NOON))

    async def budgets(self) -> Told[list[dict[str, Any]]]:
        """They stand on the brokers."""
        return Told(None if self.fault else self.of_budgets, self.fault, ms(NOON))

    async def rules(self) -> Told[Mapping[str, AlertRule]]:
        """Those that are built in."""
        return Told({rule.id: rule for rule in built_in(0.2)}, "", ms(NOON))


@dataclass
class Pages:
    """One console, and whoever looks at it."""

    store: Store
    index: Index
    log: MemoryLog
    said: Said
    client: TestClient
    door: Door

    def wrote(self, *records: Outgoing) -> None:
        """Records come: to Kafka, and to the index."""
        for record in records:
            partition, offset = self.log.append(record)
            at_ms = ms(NOON) if record.timestamp_ms is None else record.timestamp_ms
            told = facts_of(
                record.topic, partition, offset, at_ms, record.value, record.key, record.headers,
                capture=self.store.capture,
            )  # fmt: skip
            self.store.add([told])

    def get(self, path: str, params: Mapping[str, str] | None = None) -> "Seen":
        """A page that must be there."""
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return Seen(answer.text)

    def post(self, path: str, fields: Mapping[str, Any]) -> Any:
        """A form of our own, sent as a browser does."""
        self.client.get("/alerts")  # a page begins the session
        here = self.door.session_of(self.client.cookies[f"{COOKIE}-80"])
        assert here is not None
        return self.client.post(path, data={"form_token": here.form_token, **fields}, headers=OURS)


@contextmanager
def pages(
    folder: Path, *, kafka: bool = True, capture: bool = False, hub: Hub | None = None, **settings: Any
) -> Iterator[Pages]:
    """A console over an empty index."""
    store = Store(folder / "index.sqlite", capture=capture, now_ms=lambda: ms(NOON))
    index = Index(folder / "index.sqlite")
    log, said = MemoryLog(), Said()

    @asynccontextmanager
    async def connection() -> Any:
        yield log

    context = Context(
        index=index,
        describe=lambda: {"process": "console", "healthy": True},
        settings=Settings(home=folder / "home", **settings),
        capture=capture,
        live=said,
        log=connection if kafka else None,
        hub=hub,
        now_ms=lambda: ms(NOON) + 60_000,
    )
    app = create_app(context)
    door = app.user_middleware[-1].kwargs["door"]
    assert isinstance(door, Door)
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    try:
        yield Pages(store, index, log, said, client, door)
    finally:
        index.close()
        store.close()


class Seen(pages_world.Seen):
    """A page as a browser reads it, with the rows of its tables."""

    def __init__(self, html: str) -> None:
        self.html = html
        self.rows: list[list[str]] = []
        self.outside = True
        super().__init__(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row, or a cell of one."""
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.outside = False
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        """Add it to the cell."""
        super().handle_data(data)
        if not self.outside and self.rows[-1]:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        """What comes after a table is in no cell."""
        self.outside = self.outside or tag == "table"

    def row(self, name: str) -> list[str]:
        """The cells of the row that names it, without the white space around them."""
        return [" ".join(cell.split()) for cell in next(row for row in self.rows if any(name in cell for cell in row))]

    @property
    def is_safe(self) -> bool:
        """Clean, and no text of others steers a terminal or turns a line around."""
        return self.is_clean and "\x1b" not in self.html and "\u202e" not in self.html


def at(second: int) -> datetime:
    """An instant of the afternoon."""
    return datetime.fromtimestamp(ms(NOON) / 1_000 + second, UTC)
