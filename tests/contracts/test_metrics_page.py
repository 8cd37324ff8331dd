"""/metrics, /healthz and /readyz as a scraper and an orchestrator see them: over HTTP, of each kind of process."""

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from faststream import FastStream
from metrics_worlds import Told
from metrics_worlds_work import Unwritable
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain
from starlette.testclient import TestClient

import console.alerting.service
import console.audit.service
import hub.app
import hub.endpoints.app
import router.app
import workers.app
from console.index.reading import Index
from console.index.store import Store
from console.pages.app import create_app
from console.pages.context import Context
from runtime import shell
from runtime.health import serve_health
from runtime.metrics import Metrics
from runtime.service import LaneService
from runtime.settings import Settings
from runtime.shell import Service
from sandbox.kafka.process import free_port
from workers.worker import WorkerApplication

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
"""What Prometheus sends."""


async def asked(port: int, path: str, accept: str = "*/*") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path, headers={"accept": accept})


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", plain),
        (OPEN_METRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", open_metrics),
    ],
    ids=["text", "OpenMetrics"],
)
async def test_a_scraper_gets_the_form_that_it_asks_for(accept: str, content_type: str, read: Any) -> None:
    metrics = Metrics()
    metrics.events("novix_decisions_total").of("assigned", "chat-completion").inc(2)
    async with serve_health(0, "toy", dict, lambda: True, metrics=metrics) as port:
        answer = await asked(port, "/metrics", accept)

    assert (answer.status_code, answer.headers["content-type"].split("; escaping")[0]) == (200, content_type)
    assert answer.headers["cache-control"] == "no-store"
    families = {family.name: family for family in read(answer.text)}
    [sample] = families["novix_decisions"].samples
    assert (sample.name, sample.value) == ("novix_decisions_total", 2)
    assert families["novix_process_info"].samples[0].labels == {"process": "toy"}
    assert families["novix_build_info"].samples[0].labels["version"]
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000


async def test_what_keeps_a_process_is_told_by_name_on_both_addresses() -> None:
    lane = {"lane": "g.t.0", "state": "stopped", "reason": "LogCut: the log was cut"}
    service = Told({"router": {"lanes": [lane]}}, well=False)
    async with serve_health(0, "router", service.describe, lambda: service.healthy, lambda: False) as port:
        told = [await asked(port, path) for path in ("/healthz", "/readyz")]
        service.well = True
        after = [await asked(port, path) for path in ("/healthz", "/readyz")]

    assert [one.status_code for one in told] == [503, 503]
    assert told[0].json() == told[1].json()
    assert told[0].json()["reasons"] == ["router: lane g.t.0 is stopped: LogCut: the log was cut"]
    assert [one.status_code for one in after] == [200, 503]
    assert (after[0].json()["healthy"], after[0].json()["ready"]) == (True, False)


async def test_a_process_under_the_shell_serves_what_its_service_counts() -> None:
    class Counting(Told):
        metrics = Metrics()

    port, stop, service = free_port("127.0.0.1", random.Random()), asyncio.Event(), Counting({})
    Counting.metrics.events("novix_decisions_total").of("assigned", "chat-completion").inc()
    app = cast(FastStream, type("App", (), {"exit": lambda self: None})())
    running = asyncio.create_task(shell._run(router.app.ROLE, Settings(health_port=port), service, stop, app))
    while True:
        try:
            answer = await asked(port, "/metrics")
            break
        except httpx.ConnectError:
            await asyncio.sleep(0.01)
    stop.set()
    await running

    names = {family.name for family in plain(answer.text)}
    assert {"novix_decisions", "novix_loop_lag_seconds", "novix_loop_blocked", "novix_ready"} <= names


def services(home: Path) -> Mapping[str, Service]:
    """Each kind of process that runs under the shell, before it has reached Kafka."""
    settings = Settings(home=home)
    return {
        "router": router.app.build(settings),
        "workers": workers.app.build(settings),
        "worker-text": workers.app.build(settings, ["text"]),
        "alerts": console.alerting.service.build(settings),
        "audit": console.audit.service.build(settings),
        "hub-sync": hub.app.build(settings),
        "endpoints": hub.endpoints.app.build(settings),
    }


@pytest.mark.parametrize("name", ["router", "workers", "worker-text", "alerts", "audit", "hub-sync", "endpoints"])
async def test_each_kind_of_process_says_why_it_is_not_ready_yet_and_can_be_scraped(name: str, tmp_path: Path) -> None:
    service = services(tmp_path)[name]
    metrics = service.metrics or Metrics()
    async with serve_health(
        0, name, service.describe, lambda: service.healthy, lambda: service.ready, metrics=metrics
    ) as port:
        ready, page = await asked(port, "/readyz"), await asked(port, "/metrics")

    assert ready.status_code == 503
    assert ready.json()["reasons"]
    assert all(isinstance(reason, str) for reason in ready.json()["reasons"])
    told = {family.name: family for family in plain(page.text)}
    assert told["novix_ready"].samples[0].value == 0
    assert told["novix_process_info"].samples[0].labels["process"] == name


async def test_a_worker_that_cannot_note_its_calls_is_healthy_but_not_ready_and_says_why(tmp_path: Path) -> None:
    """With a full disk it makes no call: whoever sends it work would wait."""
    service = workers.app.build(Settings(home=tmp_path), ["text"])
    assert isinstance(service, LaneService)
    shop = cast(WorkerApplication, service._app).workshop
    service._engine = cast(Any, Told({}, well=True))  # an engine that is well
    assert service.ready

    shop.intents = Unwritable()
    async with serve_health(0, "w", shop.describe, lambda: service.healthy, lambda: service.ready) as port:
        health, ready = await asked(port, "/healthz"), await asked(port, "/readyz")

    assert (health.status_code, ready.status_code) == (200, 503)
    assert ready.json()["reasons"] == ["calls cannot be noted: the disk is full"]


class Pages:
    """The console's pages over an empty index."""

    def __init__(self, home: Path) -> None:
        Store(home / "index.sqlite").close()
        self.index = Index(home / "index.sqlite")
        self.state: dict[str, Any] = {
            "process": "console", "healthy": True, "records": 7, "last_record_ms": 1_795_000_000_500, "fault": None,
        }  # fmt: skip
        self.ends = False
        context = Context(
            index=self.index, describe=lambda: self.state, settings=Settings(home=home), ending=lambda: self.ends
        )
        self.client = TestClient(create_app(context), base_url="http://127.0.0.1")


def test_the_console_tells_what_it_has_read_and_why_it_is_not_ready(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    told = {family.name: family.samples[0].value for family in plain(pages.client.get("/metrics").text)}
    assert told["novix_console_records"] == 7
    assert told["novix_console_last_record_timestamp_seconds"] == 1_795_000_000.5
    assert (told["novix_console_fault"], told["novix_ready"]) == (0, 1)
    assert pages.client.get("/readyz").status_code == 200

    pages.state |= {"fault": "OperationalError", "healthy": False}
    ready = pages.client.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["OperationalError"])
    assert pages.client.get("/healthz").status_code == 503
    pages.state |= {"fault": None, "healthy": True}
    pages.ends = True
    assert json.loads(pages.client.get("/readyz").text)["reasons"] == ["it is about to end"]
    pages.index.close()
