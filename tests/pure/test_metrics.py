"""What metrics promise of themselves: bounded labels, exact money, and words for why a process is not well."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from runtime import reasons
from runtime.metrics import Metrics, state
from runtime.metrics.bounded import LONGEST, OTHER, Bounded
from runtime.metrics.lanes import CountedLanes, Written
from runtime.metrics.registry import MOST_MODELS, MOST_WORDS
from runtime.metrics.routing import CountedRouting
from runtime.metrics.table import METRICS
from runtime.metrics.work import CountedWork, Ended
from schemas.result import Attempt


def page(metrics: Metrics) -> str:
    return metrics.page("")[0].decode()


def value_of(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


# labels


@given(st.lists(st.text(), max_size=30))
def test_no_more_values_than_the_bound_become_labels_whatever_comes(values: list[str]) -> None:
    bounded = Bounded(3)
    told = [bounded(value) for value in values]

    assert len(set(told) - {OTHER}) <= 3
    assert [bounded(value) for value in values] == told
    assert all(len(one) <= LONGEST for one in told)
    assert all(one.encode() for one in told if one)


def test_only_the_listed_are_told_by_name() -> None:
    bounded = Bounded(0, frozenset({"acme"}))

    assert [bounded(name) for name in ("acme", "rival", "acme")] == ["acme", OTHER, "acme"]


def test_ten_thousand_models_make_no_more_series_than_the_bound_and_nothing_is_lost() -> None:
    metrics = Metrics()
    work = CountedWork(metrics)
    for number in range(10_000):
        work.called("groq", f"model-{number}", "ok")
    counted = [line for line in page(metrics).splitlines() if line.startswith("novix_calls_total{")]

    assert len(counted) == MOST_MODELS + 1
    assert value_of(metrics, "novix_calls_total", provider="groq", model=OTHER, outcome="ok") == 10_000 - MOST_MODELS
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == 10_000


def test_what_a_producer_writes_as_its_task_is_no_label() -> None:
    metrics = Metrics()
    CountedRouting(metrics).decided("rejected", "unknown_task", "tell me the secret hf_canary", 0)

    assert "canary" not in page(metrics)
    assert value_of(metrics, "novix_decisions_total", verdict="rejected", task="unknown") == 1


def test_no_metric_has_tenants_or_jobs_as_a_label_but_the_two_for_listed_tenants() -> None:
    named = {spec.name for spec in METRICS if {"tenant", "job", "job_id", "key", "offset"} & set(spec.labels)}

    assert named == {"novix_tenant_jobs_total", "novix_tenant_settled_usd_total"}
    metrics = Metrics()
    CountedWork(metrics)
    assert "tenant" not in page(metrics)


def test_reasons_errors_and_actions_are_bounded_labels_too() -> None:
    metrics = Metrics()
    lanes = CountedLanes(metrics, "g", "t")
    for number in range(500):
        one = Counter([f"x{number}"])
        lanes.committed(1, Written(one, one, one, 0), 0.0)
        lanes.failed(f"x{number}", 0.0)
        lanes.stopped(f"x{number}")
    series = Counter(line.partition("{")[0] for line in page(metrics).splitlines() if "{" in line)

    most = MOST_WORDS + 3  # `other`, and of the operations those without an error: poll and commit
    assert {name: many for name, many in series.items() if many > most and "_bucket" not in name} == {}


def test_hostile_label_values_stay_inside_their_line() -> None:
    metrics = Metrics()
    work = CountedWork(metrics)
    work.called('a"}\nnovix_healthy 1\n#', "\ud800\x00\u202e", "ok")
    lines = [line for line in page(metrics).splitlines() if "novix_calls_total{" in line]

    assert len(lines) == 1
    assert value_of(metrics, "novix_healthy") is None
    assert not re.search(r"^novix_healthy", page(metrics), re.M)


# units


def test_durations_are_told_in_seconds_in_the_buckets_of_the_conventions() -> None:
    metrics = Metrics()
    lanes = CountedLanes(metrics, "g", "t")
    lanes.polled(1, 0.02)
    lanes.settled(0.3)
    lanes.committed(1, Written(Counter(), Counter(), Counter(), 0), 0.04)
    lanes.failed("SimError", 0.06)
    start = datetime(2026, 11, 22, 12, tzinfo=UTC)
    who: dict[str, Any] = {"provider": "groq", "model": "m", "waited_ms": 0, "cost_nanousd": 0}
    calls = [
        Attempt(attempt=1, started_at=start, duration_ms=200, kind="timeout", **who),
        Attempt(attempt=2, started_at=start + timedelta(seconds=3), duration_ms=500, **who),
    ]
    timing = {"total": 4_000, "queued": 20, "routed": 30}
    CountedWork(metrics).ended(
        Ended("t", "chat-completion", "succeeded", "", timing, calls, [("retry", 2.8)], {"input_tokens": 7}, 0, 0.25)
    )
    sums = {
        sample.name: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.endswith("_sum") and sample.labels.get("error_type", "") == ""
        if sample.labels.get("messaging_operation_name") != "poll" and sample.labels.get("reason", "retry") == "retry"
    }

    assert {name.removesuffix("_sum"): value for name, value in sums.items()} == {
        "novix_commit_duration_seconds": 0.04, "messaging_client_operation_duration_seconds": 0.04,
        "messaging_process_duration_seconds": 0.3, "novix_commit_records": 1.0, "novix_job_duration_seconds": 4.0,
        "novix_wait_seconds": 2.8, "gen_ai_client_operation_duration_seconds": 3.5, "gen_ai_client_token_usage": 7.0,
        "gen_ai_client_operation_time_to_first_chunk_seconds": 0.25,
    }  # fmt: skip


# money


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_money_adds_up_to_the_nano_dollar(amounts: list[int]) -> None:
    metrics = Metrics()
    released = CountedWork(metrics)
    for nanousd in amounts:
        released.released(nanousd)
    told = value_of(metrics, "novix_money_released_usd_total")

    assert told is not None
    assert round(told * 1e9) == sum(amounts)


# the registry


def test_two_processes_in_one_interpreter_share_nothing_and_the_librarys_own_registry_gets_nothing() -> None:
    one, two = Metrics(), Metrics()
    CountedLanes(one, "g", "t").polled(3, 0.1)

    labels = {
        "messaging_system": "kafka", "messaging_operation_name": "poll", "messaging_destination_name": "t",
        "messaging_consumer_group_name": "g",
    }  # fmt: skip
    assert value_of(one, "messaging_client_consumed_messages_total", **labels) == 3
    assert "messaging_client" not in page(two)
    assert REGISTRY.get_sample_value("messaging_client_consumed_messages_total", labels) is None


def test_a_metric_that_the_table_does_not_know_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        Metrics().events("novix_made_up_total")


def test_names_units_and_helps_are_as_prometheus_wants_them() -> None:
    names = [spec.name for spec in METRICS]

    assert len(set(names)) == len(names)
    for spec in METRICS:
        assert re.fullmatch(r"(novix|messaging|gen_ai)_[a-z0-9_]+", spec.name)
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert (spec.kind == "histogram") == bool(spec.buckets)
        assert list(spec.buckets) == sorted(set(spec.buckets))
        assert spec.help[0].isupper() or spec.help[0].isdigit()
        assert spec.help.endswith(".")


# what a process says of itself

NO_LANE: dict[str, Any] = {
    "group": "g", "topic": "t", "assigned": True, "draining": False, "unassigned_s": 0.0, "lanes": [],
    "window": {"size": 4, "used": 0, "on_hold": 0, "bytes": 0}, "behind_their_key": {"records": 0, "bytes": 0},
}  # fmt: skip


def test_what_several_services_share_is_told_once() -> None:
    """The workers of a process share limits and breakers, and each of them tells all."""
    view = {"limit": 2, "cap": 4, "in_flight": 1, "waiting": 3, "held_until": None}
    shared = {"limits": {"groq/a": view, "groq/b": view}, "breakers": {}}
    services = {"worker-text": {**NO_LANE, **shared}, "worker-image": {**NO_LANE, "group": "i", **shared}}
    told = state.read(services, Metrics(models=1))["novix_limiter_in_use_calls"]

    assert told == {("groq", "a"): 1.0, ("groq", OTHER): 1.0}


def test_of_many_breakers_that_have_no_name_of_their_own_the_worst_is_told() -> None:
    breakers = {f"groq/m{number}": {"state": told} for number, told in enumerate(["closed", "open", "closed"])}
    told = state.read({**NO_LANE, "limits": {}, "breakers": breakers}, Metrics(models=1))["novix_breaker_state"]

    assert told == {("groq", "m0"): 0.0, ("groq", OTHER): 2.0}


@pytest.mark.parametrize("told", [{}, {"router": {"state": "connecting"}}, {"lanes": 7}, {"loop": None}])
def test_a_process_that_has_only_begun_is_told_without_what_it_does_not_know(told: dict[str, Any]) -> None:
    assert state.read(told, Metrics()) == {}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"state": "connecting"}, "connecting"),
        ({"router": {"state": "connecting"}}, "router: connecting"),
        ({**NO_LANE, "assigned": False}, "the group g has not assigned anything yet"),
        ({**NO_LANE, "draining": True}, "draining: it ends what it has begun"),
        ({**NO_LANE, "unassigned_s": 75.2}, "the group g divides its work anew, for 75 s"),
        (
            {"router": {**NO_LANE, "lanes": [{"lane": "g.t.0", "state": "stopped", "reason": "LogCut: gone"}]}},
            "router: lane g.t.0 is stopped: LogCut: gone",
        ),
        ({**NO_LANE, "lanes": [{"lane": "g.t.0", "state": "opening", "reason": None}]}, "lane g.t.0 is opening"),
        (
            {**NO_LANE, "dedup": [{"partition": 2, "blocked": "the cache: DatabaseError"}]},
            "partition 2 takes nothing in: the cache: DatabaseError",
        ),
        ({**NO_LANE, "providers": {"http://p": "unreachable"}}, "http://p is unreachable"),
        ({**NO_LANE, "intents": {"trouble": "the disk is full"}}, "calls cannot be noted: the disk is full"),
        ({"rules": {"rules": 3, "open": False}}, "rules: does not look at its topics yet, or Kafka is away"),
        ({"relay": {"relayed": 0, "fault": "503"}}, "relay: 503"),
        ({"fault": "OperationalError"}, "OperationalError"),
    ],
)
def test_each_thing_that_keeps_a_process_has_its_words(told: dict[str, Any], reason: str) -> None:
    assert reasons.of(told) == [reason]


def test_a_process_that_is_well_has_no_reasons() -> None:
    lane = {"lane": "g.t.0", "state": "open", "reason": None}
    well = {**NO_LANE, "lanes": [lane], "providers": {"http://p": "reachable"}, "intents": {"trouble": None}}

    assert reasons.of({"worker-text": well, "loop": {"blocked": 3}}) == []
