"""What is decided about dedicated endpoints: wakes, sleeps, orders, quotas, costs. Values in, values out."""

import itertools
from datetime import timedelta

import pytest
from endpoints_world import BEGIN, order, spec_of, state_of
from hypothesis import given
from hypothesis import strategies as st

from hub.endpoints import observe
from hub.endpoints.costs import metered, total_of
from hub.endpoints.decide import WAKE_AGAIN, next_step, wake_at
from hub.endpoints.machine import BILLED, STEPS, follows
from hub.endpoints.orders import Around, Call, Nothing, Refused, answer
from hub.endpoints.quota import quota_of, refusal
from hub.endpoints.waiting import Lag
from hub.endpoints.wire import Machine, body_of, seen_of
from sandbox.hf.endpoints.machine import Machine as Replicas
from sandbox.hf.endpoints.machine import Times
from schemas.endpoints import CostMetrics, EndpointQuota

L4 = ("aws", "us-east-1", "nvidia-l4", "x1")
PRICES = {L4: Machine(800_000_000, "available", 16, 0)}


def after(seconds: float):
    return BEGIN + timedelta(seconds=seconds)


def lag(jobs: int = 1, *, oldest: float = 0, deadline: float | None = 3_600, lost: int = 0) -> Lag:
    return Lag(jobs, after(oldest), None if deadline is None else after(deadline), None, lost)


# wakes and sleeps


def test_a_job_that_waits_wakes_what_sleeps():
    (wake,) = next_step(state_of("scaledToZero"), lag(3), after(1))
    assert (wake.action, wake.namespace, wake.name, wake.tenant) == ("resume", "acme", "small", "default")
    assert wake.reason.startswith("3 jobs wait")


@pytest.mark.parametrize("status", ["paused", "failed", "deleted", "refused", "pending", "initializing", "updating"])
def test_nothing_but_sleep_is_ended_by_a_job(status: str):
    assert next_step(state_of(status), lag(), after(1)) == []


def test_no_job_wakes_an_endpoint_that_was_told_not_to_wake():
    state = state_of("scaledToZero", spec_of(scaling={"wake_on_lag": False}))
    assert next_step(state, lag(), after(1)) == []


def test_jobs_that_a_start_cannot_help_any_more_wake_nobody():
    assert next_step(state_of("scaledToZero"), lag(2, deadline=None, lost=2), after(1)) == []
    assert next_step(state_of("scaledToZero"), lag(3, lost=2), after(1)) != []


def test_a_batch_waits_for_others_and_not_beyond_what_the_first_deadline_allows():
    state = state_of("scaledToZero", spec_of(scaling={"batch_wait_s": 900}), cold_start_s=200.0)
    assert wake_at(state, lag(deadline=None)) == after(900)
    assert wake_at(state, lag(deadline=3_600)) == after(900)
    assert wake_at(state, lag(deadline=700)) == after(700 - 1.5 * 200 - 10)
    assert next_step(state, lag(deadline=700), after(389)) == []
    assert next_step(state, lag(deadline=700), after(390)) != []
    assert wake_at(state, Lag()) is None


def test_what_has_nothing_to_do_sleeps_after_its_rest_and_not_before():
    running = state_of("running", ready=True, url="https://x.endpoints.huggingface.cloud")
    assert next_step(running, Lag(), after(119)) == []
    (sleep,) = next_step(running, Lag(), after(120))
    assert sleep.action == "scale_to_zero"
    assert next_step(running, Lag(last_end=after(60)), after(179)) == []
    assert next_step(running, Lag(last_end=after(60)), after(180)) != []
    assert next_step(running, lag(), after(500)) == []
    used = running.model_copy(update={"last_used_at": after(490)})  # by somebody who is not of Novix
    assert next_step(used, Lag(), after(500)) == []


@pytest.mark.parametrize("scaling", [{"min_replicas": 1}, {"sleep_after_s": None}])
def test_what_must_not_sleep_is_left_alone(scaling: dict):
    running = state_of("running", spec_of(scaling=scaling), ready=True)
    assert next_step(running, Lag(), after(100_000)) == []


def test_what_is_decided_twice_from_the_same_has_one_id_and_another_time_another():
    state = state_of("scaledToZero")
    first, second = next_step(state, lag(1), after(1)), next_step(state, lag(5), after(3))
    assert first[0].id == second[0].id
    later = state.model_copy(update={"since": after(600)})
    assert next_step(later, lag(1, oldest=700), after(701))[0].id != first[0].id
    assert next_step(state, lag(1, oldest=50), after(51))[0].id != first[0].id  # the first wake was refused


# orders


def around(states=(), most: int = 5, per_hour: int | None = None, prices=PRICES, jobs: int = 0) -> Around:
    return Around(states, EndpointQuota(most=most, nanousd_per_hour=per_hour), prices, lag(jobs))


def shown(status: str = "running", **more):
    body = body_of(spec_of(**more))
    return seen_of({**body, "status": {"state": status, "readyReplica": 1, "targetReplica": 1}})


def test_an_order_whose_work_is_done_makes_no_call():
    there = state_of("running")
    for action, status in (
        ("create", "running"), ("update", "running"), ("pause", "paused"), ("resume", "running"),
        ("resume", "pending"), ("resume", "updating"), ("scale_to_zero", "scaledToZero"),
    ):  # fmt: skip
        assert isinstance(answer(order(action), there, shown(status), around([there])), Nothing), (action, status)
    assert isinstance(answer(order("delete"), there, None, around([there])), Nothing)


def test_an_order_whose_work_is_not_done_makes_its_call():
    there = state_of("running")
    assert answer(order("create"), None, None, around()) == Call("create", spec_of())
    newer = spec_of(revision="abc")
    assert answer(order("update", spec=newer), there, shown(), around([there])) == Call("update", newer)
    for action, status in (
        ("pause", "running"), ("resume", "paused"), ("resume", "scaledToZero"), ("resume", "failed"),
        ("scale_to_zero", "running"), ("delete", "failed"), ("delete", "running"),
    ):  # fmt: skip
        assert answer(order(action), there, shown(status), around([there])) == Call(action), (action, status)


@pytest.mark.parametrize(
    ("action", "seen", "words"),
    [
        ("create", shown(revision="other"), "exists and is another one"),
        ("update", None, "create it"),
        ("pause", None, "no such endpoint"),
        ("resume", None, "no such endpoint"),
        ("scale_to_zero", shown("paused"), "it is paused"),
        ("scale_to_zero", shown("initializing"), "it is initializing"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_by_name(action: str, seen, words: str):
    told = answer(order(action), None, seen, around())
    assert isinstance(told, Refused)
    assert words in told.reason


def test_a_spec_of_another_endpoint_or_another_tenant_is_refused():
    assert isinstance(answer(order("create", spec=spec_of("other")), None, None, around()), Refused)
    assert isinstance(answer(order("create", spec=spec_of(tenant="mallory")), None, None, around()), Refused)
    assert isinstance(answer(order("create", spec=None), None, None, around()), Refused)


def test_a_machine_that_is_not_there_is_refused_with_those_that_are():
    told = answer(order("create", spec=spec_of(instance_type="nvidia-l5")), None, None, around())
    assert isinstance(told, Refused)
    assert "nvidia-l4/x1" in told.reason
    gone = {L4: Machine(800_000_000, "not_available", 16, 0)}
    assert "not available" in answer(order("create"), None, None, around(prices=gone)).reason
    assert isinstance(answer(order("create"), None, None, around(prices={})), Call)  # nobody has said anything


# quotas


def test_a_quota_counts_endpoints_and_their_dearest_hour():
    one, two = state_of("running", spec_of("one")), state_of("scaledToZero", spec_of("two"))
    assert refusal(spec_of(), [one, two], EndpointQuota(most=3), PRICES) == ""
    assert "has 2 endpoints and may have 2" in refusal(spec_of(), [one, two], EndpointQuota(most=2), PRICES)
    assert refusal(spec_of(), [one, two], EndpointQuota(most=9, nanousd_per_hour=2_400_000_000), PRICES) == ""
    told = refusal(spec_of(), [one, two], EndpointQuota(most=9, nanousd_per_hour=2_399_999_999), PRICES)
    assert told == (
        "1 replicas cost 800000000 nano-dollars an hour, the tenant's other endpoints 1600000000; "
        "together they may cost 2399999999"
    )


def test_the_dearest_hour_is_that_of_all_replicas():
    grows = spec_of(scaling={"max_replicas": 4})
    assert refusal(grows, [], EndpointQuota(most=1, nanousd_per_hour=3_199_999_999), PRICES)
    assert not refusal(grows, [], EndpointQuota(most=1, nanousd_per_hour=3_200_000_000), PRICES)


def test_others_and_what_is_gone_do_not_count_and_its_own_old_self_does_not_either():
    states = [
        state_of("running", spec_of("a", tenant="other")), state_of("deleted", spec_of("b")),
        state_of("refused", spec_of("c")), state_of("running", spec_of("small")),
    ]  # fmt: skip
    assert refusal(spec_of(), states, EndpointQuota(most=1, nanousd_per_hour=800_000_000), PRICES) == ""


def test_an_unknown_price_is_not_nothing():
    assert "not known" in refusal(spec_of(), [], EndpointQuota(most=1, nanousd_per_hour=10**12), {})
    assert refusal(spec_of(), [], EndpointQuota(most=1), {}) == ""


def test_who_was_given_no_quota_may_have_none():
    assert quota_of({}, "anybody").most == 0
    everybody = {"*": EndpointQuota(most=2), "big": EndpointQuota(tenant="big", most=9)}
    assert (quota_of(everybody, "anybody").most, quota_of(everybody, "big").most) == (2, 9)


# costs


def look(costs: CostMetrics, status: str, at: float, *, replicas: int = 1, changed: float | None = None, **more):
    when = after(at if changed is None else changed)
    return metered(
        costs, status=status, replicas=replicas, changed_at=when, now=after(at), hour_nanousd=600_000_000, **more
    )


def test_started_minutes_are_whole_and_a_change_counts_from_when_it_happened():
    costs = look(CostMetrics(), "initializing", 10, changed=3)
    assert costs.total_nanousd == 10_000_000
    costs = look(costs, "running", 64, changed=50)  # 61 s by now
    assert (costs.total_nanousd, costs.billed_s) == (20_000_000, 120)
    costs = look(costs, "scaledToZero", 130, changed=123)  # it had run for 120 s
    assert costs.total_nanousd == 20_000_000
    assert look(costs, "scaledToZero", 9_999).total_nanousd == 20_000_000


def test_paused_and_asleep_cost_nothing():
    for status in set(STEPS) - BILLED:
        assert look(CostMetrics(), status, 500, replicas=3).total_nanousd == 0


def test_each_replica_is_billed_for_its_own_minutes():
    costs = look(look(CostMetrics(), "running", 0), "running", 30, replicas=3)
    assert len(costs.running_since) == 3
    costs = look(costs, "running", 90, replicas=1)  # two of them end after a minute each
    assert costs.billed_s == 60 * (2 + 1 + 1)


def test_an_unknown_price_is_an_unknown_bill():
    costs = metered(
        CostMetrics(), status="running", replicas=1, changed_at=BEGIN, now=after(60), hour_nanousd=None
    )  # fmt: skip
    assert costs.total_nanousd is None
    assert total_of([costs, look(CostMetrics(), "running", 0)]) is None
    assert total_of([CostMetrics(), look(look(CostMetrics(), "running", 0), "running", 60)]) == 10_000_000


@given(st.lists(st.tuples(st.integers(1, 4_000), st.integers(1, 4_000)), min_size=1, max_size=6))
def test_any_runs_cost_their_started_minutes(runs: list[tuple[int, int]]):
    costs, at, minutes = CostMetrics(), 0, 0
    for run_s, rest_s in runs:
        costs = look(costs, "initializing", at)
        costs = look(costs, "scaledToZero", at + run_s)
        minutes += -(-run_s // 60)
        at += run_s + rest_s
    assert costs.total_nanousd == minutes * 10_000_000
    assert costs.billed_s == minutes * 60


# states


def test_the_states_of_the_sandbox_follow_each_other_as_ours_do():
    """Every step that the sandbox's machine takes is one of the table's, whatever is done to it and whenever."""

    @given(
        st.lists(
            st.tuples(
                st.integers(1, 900),
                st.sampled_from(["pause", "sleep", "begin", "fail", "update", "used", "scale", "load", "nothing"]),
            ),
            max_size=30,
        ),
        st.booleans(),
    )
    def lives(steps: list[tuple[int, str]], capacity: bool):
        machine = Replicas(
            "acme/small", "gpu", 800_000_000, 0, 3, timedelta(minutes=15), BEGIN, times=Times(), capacity=capacity
        )
        machine.begin(BEGIN)
        at = 0
        for seconds, what in steps:
            at += seconds
            now = after(at)
            machine.advance(now)
            do(machine, what, now)
        seen = [line.partition(":")[0] for _, line in machine.lines]
        for old, new in itertools.pairwise(seen):
            assert old == new or follows(old, new), (old, new)
        running = [span for span in machine.spans if span.end is None]
        assert len(running) == (machine.target if machine.state in BILLED else 0)

    lives()


def do(machine: Replicas, what: str, now) -> None:
    """What the management API and callers may do in that state."""
    if what == "begin" and machine.state in ("paused", "scaledToZero", "failed"):
        machine.begin(now)
    elif what == "pause" and machine.state != "paused":
        machine.pause(now)
    elif what == "sleep" and machine.state in ("running", "updateFailed"):
        machine.sleep(now)
    elif what == "fail" and machine.state in ("running", "initializing", "pending"):
        machine.fail(now, "it broke")
    elif what == "update" and machine.state in ("running", "updateFailed"):
        machine.update(now, "gpu", 900_000_000)
    elif what == "used":
        machine.used(now)
    elif what == "scale":
        machine.scale(0, 2, now)
    elif what == "load":
        machine.in_flight = 0 if machine.in_flight else 7


def test_a_state_is_ready_once_its_health_route_has_answered_in_this_run():
    seen = shown("running")
    state = observe.observed(state_of("initializing"), seen, observe.Look(after(5)))
    assert not state.ready
    state = observe.observed(state, seen, observe.Look(after(6), healthy=True))
    assert state.ready
    state = observe.observed(state, seen, observe.Look(after(7)))
    assert state.ready  # it is not asked again
    updated = observe.observed(state.model_copy(update={"status": "updating"}), seen, observe.Look(after(8)))
    assert not updated.ready  # other replicas than those that had answered


def test_a_wake_that_came_to_nothing_is_ordered_anew_some_minutes_later():
    """It was refused for want of quota, or the API was away: the jobs wait all the same."""
    much = Lag(jobs=3, oldest=BEGIN, deadline=BEGIN + timedelta(hours=2))
    ids = [next_step(state_of("scaledToZero"), much, BEGIN + after)[0].id for after in (
        timedelta(0), WAKE_AGAIN - timedelta(seconds=1), WAKE_AGAIN, 2 * WAKE_AGAIN,
    )]  # fmt: skip
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(one.startswith("wake:") for one in ids)
