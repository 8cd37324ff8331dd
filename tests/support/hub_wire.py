"""A Hub that is a socket and answers in bytes, and a sync over it: for what a stand-in for HTTP would smooth over."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.sync.client import Asker
from hub.sync.store import Store
from hub.sync.sync import Sync, Wish
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport
from runtime.ports import Outgoing
from schemas.catalog import CatalogEntry, SourceState
from schemas.topics import CATALOG, SOURCES

FULL = Wish(kinds=("model",), full=True)
SOME = Wish(kinds=("model",), full=False)
STALL = b"stall"
"""No answer: the call stays open."""
Answers = Callable[[str], bytes]


class Clock:
    """Nothing is waited; what would have been is counted."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Wire:
    """`answers` is told the target of a request and gives the bytes of the answer."""

    def __init__(self, folder: Path, base: str, transport: HttpTransport) -> None:
        self.base = base
        self.answers: Answers = lambda target: reply([])
        self.asked: list[str] = []
        self.log: list[Outgoing] = []
        self.clock = Clock()
        self.store = Store(folder)
        self.transport = transport
        self.sync = self.made()

    def made(self, states: dict[str, SourceState] | None = None, **more: Any) -> Sync:
        """A sync over this Hub, as a process that has just begun makes it."""
        self.sync = Sync(
            self.store, Asker(self.transport, self.clock), self._publish, self.clock,
            full_every=timedelta(days=1), states=states, **({"hub": self.base, "router": None} | more),
        )  # fmt: skip
        return self.sync

    async def _publish(self, records: list[Outgoing]) -> None:
        self.log += records

    async def served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            self.asked.append(target)
            answer = self.answers(target)
            if answer == STALL:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    @property
    def states(self) -> dict[str, SourceState]:
        """As a process that begins anew reads them from the topic."""
        told = [one for one in self.log if one.topic == SOURCES.name]
        return {(one.key or b"").decode(): SourceState.model_validate_json(one.value or b"") for one in told}

    @property
    def written(self) -> list[str]:
        """Keys of the catalogue's records, in their order."""
        return [(one.key or b"").decode() for one in self.log if one.topic == CATALOG.name]

    @property
    def entries(self) -> dict[str, CatalogEntry]:
        """The catalogue by id, as a reader of the topic folds it."""
        found = {one.key: one.value for one in self.log if one.topic == CATALOG.name}
        entries = [CatalogEntry.model_validate_json(value) for value in found.values() if value is not None]
        return {one.id: one for one in entries}

    async def round(self, wish: Wish = FULL, source: str = "hub") -> SourceState:
        report = await self.sync.round(wish)
        return next(state for state in report.states if state.source == source)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    made: list[Wire] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made[0].served(reader, writer)

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = HttpTransport(Egress([base, base.replace("127.0.0.1", "localhost")], private=PRIVATE_NETWORKS))
    made.append(Wire(tmp_path / "hub", base, transport))
    try:
        yield made[0]
    finally:
        await transport.aclose()
        server.close()
        made[0].store.close()


def row(number: int, **more: Any) -> dict[str, Any]:
    """A model, changed at an hour of its number."""
    stamp = f"2026-11-22T{number % 24:02}:00:00.000Z"
    return {"_id": f"{number:024x}", "id": f"a/m{number:04}", "sha": f"{number:040x}", "likes": number,
            "createdAt": stamp, "lastModified": stamp, **more}  # fmt: skip


def reply(
    told: Any, *headers: str, status: str = "200 OK", after: str | None = None, length: int | None = None
) -> bytes:
    """An answer. `after`: the address of the next page; `length`: said instead of the body's."""
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    lines = [f"HTTP/1.1 {status}", "connection: close", *headers]
    if after is not None:
        lines.append(f'link: <{after}>; rel="next"')
    if not any(one.lower().startswith("transfer-encoding") for one in headers):
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def asked_for(target: str, name: str) -> str:
    """A parameter of a request's target."""
    return parse_qs(urlsplit(target).query).get(name, [""])[0]


def by_cursor(pages: dict[str, bytes]) -> Answers:
    """A list whose pages are told by their cursors; what is none of it is not found."""
    return lambda target: pages.get(asked_for(target, "cursor"), reply({"error": "x"}, status="404 Not Found"))
