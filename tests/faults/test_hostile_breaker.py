"""Providers that are ill for a while, flicker or crawl: breakers open by their rules, one trial at a time."""

import json
import time
from collections import Counter

import pytest
from ordeal import CALL_MS, Ordeal, ordeal
from system import MODEL

SETTINGS = {
    "NOVIX_BREAKER_RESET_S": "3",
    "NOVIX_READ_TIMEOUT_S": "90",
    "NOVIX_BACKOFF_FACTOR_S": "0.1",
    "NOVIX_RETRY_BUDGET": "1000",
    "NOVIX_LEARN_LIMITS": "false",
}
RULES = ("took over", "of the last", "in a row", "trial call failed")
OTHER = "meta-llama/Llama-3.3-70B-Instruct"


def openings(run: Ordeal) -> Counter[str]:
    """How often each rule opened a breaker, by its first words."""
    told = [found.json for found in run.stranger.read("novix.breakers.v1") if found.value]
    opened = {(one["by"], one["since"]): one["because"] for one in told if one["state"] == "open"}
    return Counter(next((rule for rule in RULES if rule in why), "other") for why in opened.values())


def opened(run: Ordeal, times: int) -> None:
    """Wait until breakers have opened so often."""
    until = time.monotonic() + 120
    while openings(run).total() < times:
        assert time.monotonic() < until, f"{openings(run)}, not {times}; {run.state()}"
        time.sleep(0.5)  # Kafka tells nobody when a topic grows


def statuses(run: Ordeal) -> Counter[str]:
    return Counter(found.json["status"] for found in run.stranger.until(lambda _: True))


@pytest.mark.row(26)
@pytest.mark.parametrize("trials", [3, pytest.param(20, marks=pytest.mark.long)])
def test_a_provider_that_refuses_everything_gets_single_trial_calls_and_all_drains_when_it_heals(
    broker, tmp_path, proof, trials
):
    """With three seconds between two trials, twenty of them are a minute."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **SETTINGS) as run:
        run.publish(200)
        run.more(20)
        run.system.stub("/admin/behave", {"delay_ms": CALL_MS, "status": 503})
        run.publish(100)
        opened(run, 1 + trials)
        run.system.stub("/admin/behave", {"delay_ms": CALL_MS})
        run.healed()
        run.recover()
        run.until()
        ended = statuses(run)
        run.verdict(note=f"{openings(run).total()} openings, {ended['failed']} jobs had used up their attempts")

    assert ended["succeeded"] > 200
    assert set(ended) <= {"succeeded", "failed"}


@pytest.mark.row(27)
def test_errors_that_never_come_three_in_a_row_open_the_breaker_by_their_share(broker, tmp_path, proof):
    """Two of three calls fail, one at a time, so that they end in the order in which they were made."""
    settings = {**SETTINGS, "NOVIX_MAX_IN_FLIGHT": "1", "NOVIX_MAX_RETRIES": "9"}
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **settings) as run:
        run.system.stub("/admin/behave", {"delay_ms": 5, "statuses": [503, 200, 503]})
        run.publish(60)
        opened(run, 1)
        run.system.stub("/admin/behave", {"delay_ms": 5})
        run.healed()
        run.recover()
        why = openings(run)
        run.verdict(note=", ".join(f"{count} by '{rule}'" for rule, count in why.items()))

    assert why["of the last"] >= 1


@pytest.mark.row(28)
@pytest.mark.parametrize(
    ("slow_ms", "calls_s"), [(2_500, "1"), pytest.param(59_000, "20", marks=pytest.mark.long)], ids=["2.5s", "59s"]
)
def test_a_model_whose_every_call_crawls_opens_its_breaker_and_no_other_model_waits_for_it(
    broker, tmp_path, proof, slow_ms, calls_s
):
    """Its calls succeed, so only the rule for slow calls can open it; the bulkhead keeps places for the others."""
    settings = {
        **SETTINGS, "NOVIX_BREAKER_SLOW_S": calls_s, "NOVIX_BULKHEAD_SHARE": "0.5", "NOVIX_MAX_IN_FLIGHT": "16",
        "NOVIX_BREAKER_WINDOW": "8",
    }  # fmt: skip
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **settings) as run:
        run.system.stub("/admin/behave", {"model": OTHER, "delay_ms": slow_ms})
        crawling = run.publish(24, model=OTHER)
        run.calls_out(8)
        quick = run.publish(150)
        run.stranger.until(lambda found: {one["id"] for one in quick} <= {_id(one) for one in found})
        ended_first = {one["id"] for one in crawling} - {_id(one) for one in run.stranger.until(lambda _: True)}
        opened(run, 1)
        run.system.stub("/admin/behave", {"model": OTHER, "delay_ms": CALL_MS})
        run.healed()
        run.recover(model=OTHER)
        why, models = openings(run), {one["model"] for one in _states(run) if one["state"] == "open"}
        run.verdict(note=f"{len(ended_first)} of 24 slow jobs had not ended when 150 quick ones had")

    assert why["took over"] >= 1
    assert models == {OTHER}
    assert MODEL not in models
    assert ended_first, "the others waited for it"


def _id(found) -> str:
    return (found.key or b"").decode().rpartition("/")[2]


def _states(run: Ordeal) -> list[dict]:
    return [json.loads(found.value) for found in run.stranger.read("novix.breakers.v1") if found.value]
