"""The explorer's pages over honest records, in this process: a server on loopback, for browsers and for scripts."""

import asyncio
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import explorer_story
import uvicorn
from browser import WITHIN_MS
from console_world import Story
from explorer_live import said, write_logs
from explorer_story import NEEDLE, Told
from playwright.sync_api import Page
from pydantic import SecretStr
from starlette.applications import Starlette

from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from console.pages.app import create_app
from console.pages.context import Context
from console.pages.render import job_url
from runtime.settings import Settings
from schemas.alerts import Alert
from schemas.topics import ALERTS, DLQ, JOBS, RESULTS

WITHIN_S = 30
BATCH = 2_000
"""Records of one transaction."""
PICTURED = ("jobs", "job", "live", "costs", "dead letters", "dead letter", "alerts", "logs")
"""Pages of which docs/images has pictures."""
# All that a page draws by script is drawn; what is live goes on.
_DRAWN = """() => document.readyState === "complete" && [...document.querySelectorAll("[data-scatter],[data-plot]")]
    .every(one => one.hidden || one.querySelector("canvas"))"""


TEATIME = datetime(2026, 11, 22, 15, tzinfo=UTC)
"""When the afternoon is over, and the pages are looked at: the same every time, so all of it is."""


def afternoon(folder: Path, ends: datetime = TEATIME) -> list[Told]:
    """What the real router and workers wrote in the simulated afternoon, which `ends` then; and an alert or two."""
    return [*explorer_story.happened(folder / "records.jsonl", ends), *_alerts(ends)]


def _alerts(now: datetime) -> Iterator[Told]:
    firing = Alert(
        alert_id="a" * 32, rule="budget-90", on="budget", severity="critical", tenant="billing",
        subject="billing/b total", value=0.97, threshold=0.9, unit="share", message="billing/b has spent 97% of $0.003",
        at=now - timedelta(minutes=1),
    )  # fmt: skip
    over = _but(
        firing, alert_id="b" * 32, rule="breaker-open", on="breaker", tenant=None, subject="groq/acme/small", value=1,
        threshold=1, unit="breakers", severity="warning", message="groq/acme/small is open",
    )  # fmt: skip
    ends = _but(over, state="resolved", value=0, message="groq/acme/small is closed", at=now)
    for at, alert in enumerate((firing, over, ends)):
        yield Told(ALERTS.name, 0, at, _ms(alert.at), alert.alert_id.encode(), alert.encode(), ())


def _but(alert: Alert, **changed: Any) -> Alert:
    return Alert.model_validate({**alert.model_dump(), **changed})


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """An application on a port of its own, in a thread; yields its origin."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(WITHIN_S)
        listener.close()


@contextmanager
def context_of(folder: Path, **more: Any) -> Iterator[Context]:
    """What pages need, over an empty index."""
    store = Store(folder / "explorer.sqlite")
    index = Index(folder / "explorer.sqlite")
    try:
        yield Context(index, lambda: {"process": "console", "healthy": True}, **more)
    finally:
        index.close()
        store.close()


@dataclass
class Explorer:
    """The pages, and the store behind them."""

    origin: str
    store: Store
    told: Sequence[Told]
    _added: int = 0
    _addresses: dict[str, str] = field(default_factory=dict)

    def add(self, records: Iterable[tuple[str, int, int, int, bytes]]) -> None:
        """Fold records in: topic, partition, offset, timestamp in ms, value."""
        self.store.add([facts_of(*record) for record in records])

    def more(self, job_id: str) -> None:
        """A job that was published and has ended just now."""
        self._added += 1
        story = Story(job_id=job_id, tenant="search", began=TEATIME, offset=1_000_000 + self._added)
        self.add(story.records)

    def quick(self, count: int) -> None:
        """So many jobs that took no time to speak of, before the others."""
        began = TEATIME - timedelta(hours=1)
        patterns = [_Pattern(status) for status in ("succeeded", "succeeded", "succeeded", "rejected")]
        rows: list[tuple[str, int, int, int, bytes]] = []
        for number in range(count):
            rows += patterns[number % len(patterns)].records(number, began + timedelta(seconds=number * 3_000 // count))
            if len(rows) >= BATCH:
                self.add(rows)
                rows.clear()
        self.add(rows)

    def results(self) -> list[dict[str, Any]]:
        """The terminal results of the afternoon."""
        return [json.loads(one.value or b"") for one in self.told if one.topic == RESULTS.name]

    def count(self, status: str) -> int:
        """How many submissions of the afternoon ended so."""
        return Counter(result["status"] for result in self.results())[status]

    def result(self, job_id: str, tenant: str = "search") -> dict[str, Any]:
        """The last result of a job of the afternoon."""
        return [one for one in self.results() if (one["tenant"], one["job_id"]) == (tenant, job_id)][-1]

    def address(self, name: str) -> str:
        """A page of each kind."""
        if not self._addresses:
            self._addresses = self._all()
        return self._addresses[name]

    def _all(self) -> dict[str, str]:
        failed = next(one for one in self.results() if one["status"] == "failed")
        letter = next(one for one in self.told if one.topic == DLQ.name)
        waiting = Story(job_id="waiting", tenant="search", began=TEATIME, offset=999_999)
        self.add([record for record in waiting.records if record[0] == JOBS.name])
        trace_id = self.result(NEEDLE)["trace_id"]
        return {
            "jobs": "/", "jobs of a search": "/?q=tenant%3Dsearch+min%3D1s", "nothing found": "/?q=tenant%3Dnobody",
            "job": job_url("search", NEEDLE), "job that failed": job_url(failed["tenant"], failed["job_id"]),
            "job that waits": job_url("search", "waiting"), "trace": f"/traces/{trace_id}?all=1", "live": "/live",
            "costs": "/costs", "dead letters": "/letters",
            "dead letter": f"/letters/{letter.partition}/{letter.offset}", "alerts": "/alerts",
            "logs": f"/logs?trace={trace_id}", "missing": "/nothing",
        }  # fmt: skip

    def settled(self, page: Page) -> None:
        """Wait until a page has drawn what it draws."""
        page.wait_for_function(_DRAWN, timeout=WITHIN_MS)


class _Pattern:
    """One job's records as bytes, into which identity, trace and instants of another job are put: each is as long as it
    was, so what is encoded stays so. Encoding a hundred thousand jobs would take minutes."""

    def __init__(self, status: str) -> None:
        self._began = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self._story = Story(job_id="haystack-0000000", tenant="stacked", status=status, began=self._began)
        self._records = self._story.records
        ends = {moment for span in self._story.spans for moment in (span.start, span.end)}
        self._instants = [_ms(moment) for moment in ends if moment is not None]

    def records(self, number: int, began: datetime) -> list[tuple[str, int, int, int, bytes]]:
        """The records of job `number`, which took 820 ms from `began`, a whole second, on."""
        trace_id = f"{number + 1:032x}"
        later_ms = round((began - self._began).total_seconds()) * 1_000
        parts = [
            (self._story.job_id, f"haystack-{number:07}"),
            (self._story.trace.trace_id, trace_id),
            (self._began.isoformat()[:19], began.isoformat()[:19]),
            (str(_ms(self._began)), str(_ms(began))),
        ]
        swaps = [(old.encode(), new.encode()) for old, new in parts]
        swaps.append((bytes.fromhex(self._story.trace.trace_id), bytes.fromhex(trace_id)))
        swaps += [(_nanos(one), _nanos(one + later_ms)) for one in self._instants]
        told = []
        for topic, partition, _, timestamp_ms, value in self._records:
            for old, new in swaps:
                value = value.replace(old, new)  # noqa: PLW2901 - one swap after the other
            told.append((topic, partition, number + 10, timestamp_ms + later_ms, value))
        return told


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


def _nanos(moment_ms: int) -> bytes:
    """As protobuf writes a fixed64."""
    return struct.pack("<Q", moment_ms * 1_000_000)


@contextmanager
def explorer(told: Sequence[Told], folder: Path, *, token: str = "", **more: Any) -> Iterator[Explorer]:
    """The pages over these records, until the block ends; they want the `token`, if there is one. `more` goes to the
    pages' `Context`."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder / "explorer.sqlite", now_ms=_now_ms)
    store.add([facts_of(*_of(one)) for one in told])
    index = Index(folder / "explorer.sqlite")
    write_logs(folder / "logs", told)
    settings = Settings(home=folder / "home", log_dir=str(folder / "logs"), console_token=SecretStr(token))
    describe = {"process": "console", "healthy": True}
    context = Context(index, lambda: describe, settings=settings, live=said(told), now_ms=_now_ms, **more)
    try:
        with served(create_app(context)) as origin:
            yield Explorer(origin, store, told)
    finally:
        index.close()
        store.close()


def _now_ms() -> int:
    return _ms(TEATIME)


def _of(one: Told) -> tuple[Any, ...]:
    return one.topic, one.partition, one.offset, one.timestamp_ms, one.value, one.key, one.headers
