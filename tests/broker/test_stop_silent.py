"""A provider that says nothing: calls end with their jobs' deadlines, and on SIGTERM the worker ends all the same."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from stranger import Stranger, installation
from system import chat

from schemas.topics import RETRY_TIERS

SILENT = "google/gemma-4-31B-it"
BUSY = "Qwen/Qwen3-32B"
WITHIN_S = 60


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation whose worker waits for answers as long as a job allows, and two seconds when it is to stop."""
    folder = tmp_path_factory.mktemp("silent")
    with installation(
        broker.bootstrap, folder, NOVIX_BREAKER="false", NOVIX_READ_TIMEOUT_S="600", NOVIX_DRAIN_S="2"
    ) as stranger:
        stranger.system.stub("/admin/behave", {"model": SILENT, "stall": True})
        yield stranger


def test_a_call_ends_with_its_jobs_deadline_and_no_other_is_made(novix: Stranger, tenant: str):
    novix.run(chat("first", tenant))  # deadlines count from now: the lanes are open
    until = datetime.now().astimezone() + timedelta(seconds=3)
    result = novix.run(chat("short", tenant, model=SILENT, deadline=until.isoformat()))

    [attempt] = result["attempts"]
    ended = datetime.fromisoformat(attempt["started_at"]) + timedelta(milliseconds=attempt["duration_ms"])
    assert (result["status"], result["error"]["kind"], attempt["kind"]) == ("failed", "timeout", "timeout")
    assert attempt["ambiguous"] is True
    assert abs(ended - until) < timedelta(seconds=3)
    assert novix.system.calls()[f"{tenant}/short"] == 1


def test_a_worker_that_is_told_to_stop_ends_and_what_waits_takes_its_attempts_along(novix: Stranger, tenant: str):
    """One job hangs in a call, one rests after its first: the call is cut, the other waits in a retry topic."""
    worker, stub = novix.system.worker, novix.system.stub
    stub("/admin/behave", {"model": BUSY, "fail_first": 1, "fail_headers": {"retry-after": "4"}})
    novix.publish(chat("hangs", tenant, model=SILENT), chat("rests", tenant, model=BUSY))
    until = time.monotonic() + WITHIN_S
    while not (any(lane["resting"] for lane in worker.lanes()) and stub("/admin/state")["in_flight"]):
        assert time.monotonic() < until, worker.health()
        time.sleep(0.05)  # nobody tells

    assert worker.terminate(within_s=30) == 0
    [left] = novix.read(*(tier.name for _, tier in RETRY_TIERS))
    assert left.key == f"{tenant}/rests".encode()
    assert left.header("novix-attempt") == "1"

    stub("/admin/behave", {"model": SILENT})
    worker.start()
    rested, hung = novix.result("rests", tenant), novix.result("hangs", tenant)
    assert [attempt["kind"] for attempt in rested["attempts"]] == ["overloaded", None]
    assert [attempt["kind"] for attempt in hung["attempts"]] == ["interrupted", None]
    assert hung["attempts"][0]["ambiguous"] is True
    calls = novix.system.calls()
    assert (calls[f"{tenant}/rests"], calls[f"{tenant}/hangs"]) == (2, 2)
    assert len(novix.results_of(tenant)) == 2
    stub("/admin/behave", {"model": SILENT, "stall": True})
