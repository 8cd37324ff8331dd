"""A thousand jobs on one dollar, while router and worker are killed: the provider's own bill says what was spent."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from money_world import BUDGETS, DECISIONS, DOLLAR, LEDGER, RESULTS, audited, dear_catalogue, is_spent, say
from ordeal import CALL_MS, IN_FLIGHT, Ordeal, ordeal
from stranger import Stranger
from system import Process, chat

from schemas.topics import TOPICS

SEED = 6
JOBS, TENANT = 1_000, "acme"
ALERTS, TOLD = ("-m", "console", "alerts", "run"), "novix.alerts.v1"
VICTIMS = (("worker",), ("router", "alerts"), ("router", "worker"), ("worker", "alerts"))
PATIENCE = timedelta(minutes=10)
"""Of each job: so long it waits for money, unless its tenant says otherwise meanwhile."""


def publish(run: Ordeal) -> list[dict]:
    """All at once."""
    deadline = (datetime.now(UTC) + PATIENCE).isoformat()
    jobs = [chat(f"job-{number}", tenant=TENANT, deadline=deadline) for number in range(JOBS)]
    run.wanted += [(TENANT, job["id"], 1) for job in jobs]
    run.stranger.publish(*jobs)
    return jobs


@contextmanager
def alerting(run: Ordeal) -> Iterator[Process]:
    """`novix alerts run`, until the end."""
    process = run.system.process(ALERTS, "alerts").start()
    try:
        yield process
    finally:
        process.stop()


def provider_fails(run: Ordeal, status: int, headers: dict[str, str]) -> None:
    """The next 40 calls are refused so."""
    first = len(run.system.stub("/admin/calls")) + 40
    how = {"delay_ms": CALL_MS, "fail_first": first, "fail_status": status, "fail_headers": headers}
    run.system.stub("/admin/behave", how)


def fired(stranger: Stranger) -> list[float]:
    """At which shares of a budget alerts fired, as they stand in the log."""
    alerts = [found.json for found in stranger.read(TOLD)]
    return [alert["threshold"] for alert in alerts if (alert["on"], alert["state"]) == ("budget", "firing")]


@pytest.mark.row(1)
def test_a_thousand_jobs_on_one_dollar_spend_all_of_it_and_never_more_whatever_is_killed(broker, tmp_path, proof):
    """Each job costs about 0.0012 dollars and reserves two calls at their ceiling; some are published twice, some of
    the provider's answers are 500s and 429s, and every job may fall back to another provider."""
    dice = random.Random(proof.seed(SEED))
    catalogue = dear_catalogue(tmp_path, "groq", "together")
    settings = {
        "NOVIX_CATALOGUE": str(catalogue), "NOVIX_BREAKER": "false", "NOVIX_BACKOFF_FACTOR_S": "0.05",
        "NOVIX_RETRY_BUDGET": "1000", "NOVIX_ALERTS_S": "0.2",
    }  # fmt: skip
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, **settings) as run, alerting(run) as alerts:
        stranger, worker, router = run.stranger, run.system.worker, run.system.router
        say(stranger, BUDGETS, kind="budget", id="dollar", tenant=TENANT, window="total", limit_nanousd=DOLLAR)
        run.system.start()
        run.healthy()
        jobs = publish(run)
        for number, victims in enumerate(VICTIMS):
            run.more(dice.randint(40, 110))
            provider_fails(run, *((500, {}), (429, {"retry-after": "0"}))[number % 2])
            doomed = [{"router": router, "worker": worker, "alerts": alerts}[name] for name in victims]
            for process in doomed:
                process.kill()
            for process in doomed:
                process.start()
            if number == 0:
                stranger.publish(*jobs[::5])

        run.wait(lambda: is_spent(stranger.read(DECISIONS, LEDGER), DOLLAR), "budget that is used up", within_s=150)
        say(stranger, BUDGETS, kind="tenant", tenant=TENANT, over_limit="refuse")
        run.wait(lambda: len(fired(stranger)) >= 3, "alert of a budget that is used up")
        assert alerts.terminate() == 0
        verdict = run.verdict(excused=True, samples=False, note="a budget of one dollar")
        records = stranger.read(*(topic.name for topic in TOPICS))
        shares, audit = fired(stranger), audited(records, run.system.stub("/admin/bill"), limit=DOLLAR)
        again = json.loads(stranger.cli("replay", "--since", "1h", "--json").stdout)

    assert not audit.complaints, str(audit)
    assert audit.ledger == audit.results
    assert audit.billed <= audit.ledger <= DOLLAR, str(audit)
    assert audit.ledger >= 0.99 * DOLLAR, str(audit)
    assert audit.ledger - audit.billed <= audit.ambiguous_nanousd, str(audit)
    deaths = sum("worker" in victims for victims in VICTIMS)
    assert audit.ambiguous.total() <= verdict.repeated.total() + deaths * IN_FLIGHT, (
        "more than calls, and intents of some"
    )
    left = [found.json for found in records if found.topic == RESULTS and found.json["status"] == "rejected"]
    assert {result["error"]["kind"] for result in left} == {"over_budget"}
    assert sorted(shares) == [50, 80, 100], "each share is told once, although whoever tells it was killed twice"
    assert (again["same"], again["different"], again["not_decided_again"]) == (JOBS, 0, {})
