"""Money on a real broker: who may spend what changes while it runs, and every end is told in the ledger."""

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from money_world import BUDGETS, LEDGER, POLICIES, audited, say
from stranger import Stranger
from system import Process, chat

from schemas.topics import TOPICS

SECRET = "whsec-canary"
WITHIN_S = 60


def run(novix: Stranger, tenant: str) -> dict:
    return novix.run(chat(uuid.uuid4().hex, tenant=tenant))


def until_it_ends_as(novix: Stranger, tenant: str, *ends: tuple[str, str | None]) -> dict:
    """Publish a job after the other until one ends so: a change is live some time after it was said."""
    until = time.monotonic() + WITHIN_S
    while True:
        result = run(novix, tenant)
        end = result["status"], (result["error"] or {}).get("kind")
        if end in ends:
            return result
        assert time.monotonic() < until, f"still {end}, not {ends}"


def test_a_job_reserves_settles_and_says_the_same_in_ledger_result_and_bill(novix, tenant):
    before = len(novix.system.stub("/admin/bill"))
    say(novix, BUDGETS, kind="budget", id="month", tenant=tenant, window="month", limit_nanousd=10**9)
    result = run(novix, tenant)
    novix.quiet()
    [entry] = [
        entry
        for found in novix.read(LEDGER)
        for entry in found.json["entries"]
        if entry["tenant"] == tenant and found.partition == novix.home(tenant)
    ]

    [(_, _, used_in, used_out)] = novix.system.stub("/admin/bill")[before:]
    assert result["cost_nanousd"] == entry["cost_nanousd"] == used_in * 50 + used_out * 100
    assert (entry["kind"], entry["status"], entry["decision_id"]) == ("settle", "succeeded", result["decision_id"])
    assert result["money"]["reserved_nanousd"] == entry["reserved_nanousd"] >= entry["cost_nanousd"]
    assert result["money"]["paid_nanousd"] == entry["cost_nanousd"]


def test_a_budget_that_is_set_binds_the_next_jobs_and_one_that_is_taken_away_frees_them(novix, tenant):
    say(novix, BUDGETS, kind="tenant", tenant=tenant, over_limit="refuse")
    until_it_ends_as(novix, tenant, ("succeeded", None))
    novix.cli("budget", "set", tenant, "none", "--limit", "0", "--window", "day")
    refused = until_it_ends_as(novix, tenant, ("rejected", "over_budget"))
    say(novix, BUDGETS, kind="budget", id="none", tenant=tenant, window="day", limit_nanousd=0, removed=True)
    until_it_ends_as(novix, tenant, ("succeeded", None))

    assert "budget none" in refused["error"]["message"]
    assert refused["cost_nanousd"] == 0


def test_a_tier_that_is_changed_holds_for_the_next_jobs(novix, tenant):
    tier = f"tier-{tenant}"
    say(novix, POLICIES, kind="tier", tier=tier, requests_per_minute=1)
    say(novix, BUDGETS, kind="tenant", tenant=tenant, tier=tier, over_limit="refuse")
    refused = until_it_ends_as(novix, tenant, ("rejected", "over_rate"))
    say(novix, POLICIES, kind="tier", tier=tier, requests_per_minute=1_000_000)
    until_it_ends_as(novix, tenant, ("succeeded", None))

    assert refused["error"]["retryable"]


def test_every_decision_of_this_installation_is_made_again_byte_for_byte(novix):
    """From the topics alone: budgets, tiers and terms changed between them."""
    novix.quiet()
    told = json.loads(novix.cli("replay", "--since", "1h", "--json").stdout)

    assert told["different"] == 0, told["differences"]
    assert told["not_decided_again"] == {}
    assert told["same"] == told["decisions"] > 0


def test_nothing_that_was_reserved_here_is_open_and_nothing_was_spent_untold(novix):
    novix.quiet()
    audit = audited(novix.read(*(topic.name for topic in TOPICS)), [], limit=10**9)
    assert not [one for one in audit.complaints if "charges" not in one], str(audit)
    assert audit.ledger == audit.results > 0


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Somebody's server for alerts, that refuses the first it is sent."""
    taken: list[tuple[dict[str, str], bytes]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(503 if len(taken) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", taken
    finally:
        server.shutdown()
        server.server_close()


def wait(done, what: str) -> None:
    until = time.monotonic() + WITHIN_S
    while not done():
        assert time.monotonic() < until, f"no {what} within {WITHIN_S} s"
        time.sleep(0.05)


def looks(process: Process) -> bool:
    return process.health()[1].get("rules", {}).get("open", False)


@pytest.fixture
def alarm(novix):
    """`novix alerts run` as a process, and what its webhook was sent."""
    with receiver() as (url, taken):
        process = novix.system.process(("-m", "console", "alerts", "run"), "alerts")
        process.environment |= {
            "NOVIX_WEBHOOK_URL": url, "NOVIX_WEBHOOK_SECRET": SECRET, "NOVIX_ALERTS_S": "0.1",
        }  # fmt: skip
        try:
            process.start()
            wait(lambda: looks(process), "alerts that look")
            yield process, taken
        finally:
            process.stop()


def test_a_crossing_is_told_once_through_a_kill_and_its_webhook_is_signed_and_sent_until_it_is_taken(
    novix, tenant, alarm
):
    process, taken = alarm
    cost = run(novix, tenant)["cost_nanousd"]
    say(
        novix,
        BUDGETS,
        kind="budget",
        id="b",
        tenant=tenant,
        window="total",
        limit_nanousd=10_000 * cost,
        alert_percent=[1],
    )
    until_it_ends_as(novix, tenant, ("succeeded", None))

    def told() -> list[dict]:
        return [found.json for found in novix.read("novix.alerts.v1") if found.json["tenant"] == tenant]

    assert told() == []
    novix.publish(*(chat(f"more-{number}", tenant=tenant) for number in range(100)))
    wait(told, "alert")
    process.kill()
    process.start()
    wait(lambda: looks(process), "alerts that are back")
    wait(lambda: len(taken) >= 2, "alert that was sent again")
    novix.quiet()
    assert process.terminate() == 0

    [alert] = told()
    assert (alert["state"], alert["threshold"], alert["on"]) == ("firing", 1.0, "budget")
    fields, body = taken[-1]
    stamp, digest = (part.split("=", 1)[1] for part in fields["novix-signature"].split(","))
    assert digest == hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert json.loads(body)["alert_id"] == alert["alert_id"]
    assert len({fields["idempotency-key"] for fields, _ in taken}) == 1
