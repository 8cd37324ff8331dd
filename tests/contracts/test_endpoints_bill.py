"""What endpoints cost, what wakes them and lets them sleep, and the guard on both, against the sandbox."""

from datetime import timedelta

import pytest
from endpoints_world import BEGIN, MODEL, World, order, spec_of

from runtime.ports import Record
from schemas.decision import Decision, DecisionBatch
from schemas.result import JobResult, Received, Who
from schemas.topics import DECISIONS, RESULTS

RECEIVED = Received(topic="inference.jobs.v1", partition=0, offset=0, timestamp_ms=0)


def assigned(here: World, job_id: str, *, left_s: float | None = 3_600, name: str = "small") -> Record:
    """The record of a decision that gives a job to the endpoint."""
    now = here.clock.now()
    decision = Decision(
        decision_id=job_id, tenant="default", job_id=job_id, submission=1, digest="", verdict="assigned",
        task="chat-completion", candidates=[{"model": MODEL, "provider": f"endpoint.{name}"}], received=RECEIVED,
        deadline=None if left_s is None else now + timedelta(seconds=left_s), decided_at=now,
    )  # fmt: skip
    return Record(DECISIONS.name, 0, 0, b"0", DecisionBatch(lane="l", decisions=[decision]).encode(), (), 0)


def ended(here: World, job_id: str) -> Record:
    """The record of its result."""
    who = Who(model=MODEL, provider="endpoint.small")
    result = JobResult.model_validate(
        {
            "job_id": job_id, "tenant": "default", "status": "succeeded", "task": "chat-completion", "asked": who,
            "served": who, "completed_at": here.clock.now(),
            "attempts": [{"attempt": 1, "model": MODEL, "provider": "endpoint.small", "started_at": here.clock.now(),
                          "waited_ms": 0, "duration_ms": 200}],
        }
    )  # fmt: skip
    return Record(RESULTS.name, 0, 0, b"", result.encode(), (), 0)


def test_an_hour_of_starts_sleeps_and_an_update_costs_what_the_provider_bills_to_the_nano_dollar(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create", spec=spec_of(scaling={"max_replicas": 2, "sleep_after_s": None})))
        await here.until("running")
        await here.turn(437)
        await here.carry_out(order("scale_to_zero"))
        await here.turn(300)
        await here.carry_out(order("resume"))
        await here.until("running")
        spec = spec_of(instance_type="nvidia-a10g", scaling={"max_replicas": 2, "sleep_after_s": None})
        await here.carry_out(order("update", spec=spec))
        await here.turn(600)
        endpoint = here.fleet.of("acme", "small")
        endpoint.machine.in_flight = 9  # more load than one replica takes: a second one starts
        await here.turn(500)
        assert here.controller.states["acme/small"].target_replicas == 2
        endpoint.machine.in_flight = 0
        await here.turn(900)
        await here.carry_out(order("pause"))
        await here.turn(max(0.0, (BEGIN + timedelta(hours=1) - here.clock.at).total_seconds()))

        bill, costs = await here.bill(), here.controller.states["acme/small"].costs
        assert here.clock.at >= BEGIN + timedelta(hours=1)
        assert bill["total_nanousd"] > 500_000_000
        assert costs.total_nanousd == bill["total_nanousd"]
        assert costs.billed_s == 60 * bill["endpoints"][0]["replica_minutes"]

    play(story)


def test_an_endpoint_that_still_runs_agrees_with_the_bill_at_any_moment(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        for _ in range(12):
            await here.turn(37)
            assert here.controller.states["acme/small"].costs.total_nanousd == (await here.bill())["total_nanousd"]

    play(story)


def test_jobs_that_wait_wake_it_once_and_it_sleeps_when_they_are_served(play):
    async def story(here: World) -> None:
        spec = spec_of(scaling={"sleep_after_s": 60})
        await here.carry_out(order("create", spec=spec))
        await here.until("running")
        await here.until("scaledToZero")
        jobs = [f"job-{number}" for number in range(40)]
        for job in jobs:
            here.controller.waiting.decided(assigned(here, job))
        await here.look()
        await here.look()
        woken = here.controller.states["acme/small"]
        assert (woken.status, woken.woken_for, woken.waiting) == ("pending", 40, 40)
        await here.until("running")
        for job in jobs:
            here.controller.waiting.ended(ended(here, job))
        await here.turn(50)
        assert here.controller.states["acme/small"].status == "running"
        await here.turn(30)
        state = here.controller.states["acme/small"]
        assert state.status == "scaledToZero"
        assert state.measured.availability == 1.0
        assert state.measured.latency_ms == 200
        assert here.fleet.writes == 4  # create, sleep, wake, sleep

    play(story)


def test_a_sleep_that_was_ordered_before_a_job_came_is_not_carried_out(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create", spec=spec_of(scaling={"sleep_after_s": 60})))
        await here.until("running")
        await here.turn(25)
        here.clock.at += timedelta(seconds=60)
        await here.controller.look()
        (sleep,) = here.commands
        here.controller.waiting.decided(assigned(here, "late"))
        state = await here.carry_out(sleep)
        assert (state.status, state.last_outcome) == ("running", "refused")
        assert "1 jobs have come" in state.last_reason

    play(story)


def test_the_cold_start_that_was_seen_is_what_the_next_one_is_expected_to_take(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        assert here.controller.states["acme/small"].cold_start_s == 240
        state = await here.until("running")
        start = (here.clock.at - BEGIN).total_seconds()
        assert state.cold_start_s == pytest.approx(start, abs=6)
        assert state.starting_since is None

    play(story)


@pytest.mark.parametrize(
    ("most", "per_hour", "words"),
    [
        (0, None, "tenant default has 0 endpoints and may have 0"),
        (
            1,
            700_000_000,
            "cost 800000000 nano-dollars an hour, the tenant's other endpoints 0; together they may cost 700",
        ),
    ],
)
def test_the_guard_refuses_with_the_numbers_and_nothing_is_called(play, most: int, per_hour: int | None, words: str):
    async def story(here: World) -> None:
        here.quota(most, per_hour)
        state = await here.carry_out(order("create"))
        assert (state.status, state.last_outcome) == ("refused", "refused")
        assert words in state.last_reason
        assert here.fleet.writes == 0

    play(story)


def test_what_sleeps_counts_for_the_spend_and_what_is_paused_does_not(play):
    async def story(here: World) -> None:
        here.quota(3, 1_000_000_000)
        await here.carry_out(order("create"))
        await here.until("running")
        await here.carry_out(order("scale_to_zero"))
        assert (await here.carry_out(order("create", "second"))).last_outcome == "refused"
        await here.carry_out(order("pause"))
        assert (await here.carry_out(order("create", "second", order_id="again"))).last_outcome == "done"
        assert (await here.carry_out(order("resume"))).last_outcome == "refused"  # both together are too dear

    play(story)
