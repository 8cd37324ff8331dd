"""Every call that the sandbox's Hugging Face received, never its content: in the same file as the bill."""

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.hf.bill import stamp

SCHEMA = """
create table if not exists calls (
    number integer primary key, at text not null, method text not null, path text not null, model text,
    session text, trace text, request_id text not null, status integer, aborted integer not null default 0,
    fault text, queued_ms integer, duration_ms integer);
"""


@dataclass(slots=True)
class Call:
    """One call as it goes through the server. Its fields grow; `stop` is set once, when nobody wants the answer."""

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    model: str | None
    """As the path or the body names it, without suffix; not checked against anything."""
    inference_id: str
    request_id: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has left, or an injected fault has cut the answer short: work for it ends at the next token."""
    status: int | None = None
    answered: bool = False
    """The last byte of an answer has been given to the socket."""
    aborted: bool = False
    """The client left before the answer was complete."""
    fault: str | None = None
    queued_ms: int | None = None

    @property
    def session(self) -> str | None:
        """`X-HF-Session-id`: groups cost."""
        return self.headers.get("x-hf-session-id")

    @property
    def trace(self) -> str | None:
        """`X-Amzn-Trace-Id`: comes back in `x-request-id`."""
        return self.headers.get("x-amzn-trace-id")


class CallLog:
    """All calls, in order of arrival; a call is listed from its arrival on, its outcome is added when it ends."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        book.executescript(SCHEMA)

    async def idle(self) -> None:
        """Return once no call is running: then the book may be closed."""
        await self._idle.wait()

    def begin(self, call: Call) -> int:
        """Write that `call` has come; return its number."""
        row = {
            "at": stamp(call.at),
            "method": call.method,
            "path": call.path,
            "model": call.model,
            "session": call.session,
            "trace": call.trace,
            "request_id": call.request_id,
            "fault": call.fault,
        }
        query = f"insert into calls ({', '.join(row)}) values ({', '.join(f':{name}' for name in row)})"  # noqa: S608, fixed
        number = self._book.execute(query, row).lastrowid
        if number is None:
            raise RuntimeError("the call log gave no number")
        self._running += 1
        self._idle.clear()
        return number

    def left(self, number: int) -> None:
        """Write at once that the client of a running call has gone."""
        self._book.execute("update calls set aborted = 1 where number = ?", (number,))

    def end(self, number: int, call: Call, duration_ms: int) -> None:
        """Write how it ended. The status is None if nothing was answered."""
        row = (call.status, call.aborted, call.queued_ms, duration_ms, number)
        query = "update calls set status = ?, aborted = ?, queued_ms = ?, duration_ms = ? where number = ?"
        self._book.execute(query, row)
        self._running -= 1
        if self._running == 0:
            self._idle.set()

    def listing(
        self,
        *,
        since: datetime | None = None,
        session: str | None = None,
        trace: str | None = None,
        limit: int = 10_000,
    ) -> list[dict[str, Any]]:
        """The newest `limit` calls that match, oldest first. `duration_ms` is None while a call runs."""
        where, values = ["1 = 1"], []
        for clause, value in (("at >= ?", since and stamp(since)), ("session = ?", session), ("trace = ?", trace)):
            if value is not None:
                where.append(clause)
                values.append(value)
        query = f"select * from calls where {' and '.join(where)} order by number desc limit ?"  # noqa: S608, fixed
        rows = self._book.execute(query, [*values, limit]).fetchall()
        return [dict(row) | {"aborted": bool(row["aborted"])} for row in reversed(rows)]
