"""The controller against the sandbox's management API: orders, crashes, bills, wakes. Time is turned by hand."""

from datetime import timedelta
from typing import Any

import pytest
from endpoints_world import MODEL, TOKEN, World, order, record_of, spec_of

from hub.endpoints.controller import Controller, _record
from runtime.outcome import GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Record
from schemas.endpoints import EndpointState
from schemas.result import Received
from schemas.topics import ENDPOINT_COMMANDS

RECEIVED = Received(topic="inference.jobs.v1", partition=0, offset=0, timestamp_ms=0)


def test_an_endpoint_lives_from_its_order_to_its_end_with_an_event_for_each_state(play):
    async def story(here: World) -> None:
        assert (await here.carry_out(order("create"))).status == "pending"
        running = await here.until("running")
        assert running.url is not None
        assert running.ready_replicas == 1
        assert (await here.carry_out(order("scale_to_zero"))).status == "scaledToZero"
        await here.carry_out(order("resume"))
        await here.until("running")
        assert (await here.carry_out(order("pause"))).status == "paused"
        assert (await here.carry_out(order("delete"))).status == "deleted"
        told = [state.status for state in here.states]
        seen = [one for at, one in enumerate(told) if at == 0 or told[at - 1] != one]
        assert seen == [
            "pending", "initializing", "running", "scaledToZero", "pending", "initializing", "running", "paused",
            "deleted",
        ]  # fmt: skip

    play(story)


def test_running_alone_is_early_the_health_route_answers_first(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        while here.controller.states["acme/small"].status != "running":
            await here.turn(1, every=1)
        assert not here.controller.states["acme/small"].ready
        assert not here.controller.states["acme/small"].serves
        await here.turn(6, every=1)
        assert here.controller.states["acme/small"].serves

    play(story)


@pytest.mark.parametrize("action", ["create", "update", "pause", "resume", "scale_to_zero", "delete"])
def test_an_order_that_comes_again_after_a_crash_between_call_and_commit_makes_one_call(play, action: str):
    """The process dies behind the call: nothing of what it knew is left, the order is delivered to another."""

    async def story(here: World) -> None:
        if action != "create":
            await here.carry_out(order("create"))
            await here.until("running")
        if action == "resume":
            await here.carry_out(order("pause", order_id="before"))
        wish = order(action, order_id="once", **({"spec": spec_of(revision="abc")} if action == "update" else {}))
        known, before = dict(here.controller.states), here.fleet.writes

        await here.deliver(wish)  # and dies
        again = Controller(here.api, here.publish, here.clock)
        again.quotas, here.controller = here.controller.quotas, again
        again.states, again.told = dict(known), dict(known)
        state = await here.carry_out(wish)

        assert here.fleet.writes == before + 1
        assert state.last_command == "once"
        assert state.last_outcome == "nothing_to_do"

    play(story)


def test_an_order_that_was_answered_is_not_carried_out_again_however_the_world_has_changed(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        pause = order("pause")
        await here.carry_out(pause)
        await here.carry_out(order("resume"))
        writes = here.fleet.writes

        outcome = await here.deliver(pause)

        assert isinstance(outcome, Publish)
        assert outcome.audit[0].detail["outcome"] == "repeated"
        assert here.fleet.writes == writes
        assert here.controller.states["acme/small"].status != "paused"

    play(story)


def test_what_was_done_is_in_the_audit_with_who_and_why_and_no_secret_is_in_any_event(play):
    async def story(here: World) -> None:
        outcome = await here.deliver(order("create", reason="a demo for the board"))
        assert isinstance(outcome, Publish)
        (entry,) = outcome.audit
        assert (entry.action, entry.tenant, entry.authority) == ("endpoint.commanded", "default", "operator:anna")
        assert (entry.detail["action"], entry.detail["outcome"]) == ("create", "done")
        assert entry.detail["why"] == "a demo for the board"
        assert TOKEN.encode() not in b"".join(one.value or b"" for one in outcome.records)
        assert TOKEN not in str(outcome.audit)

    play(story)


def test_without_capacity_it_fails_by_name_and_an_order_starts_it_again(play):
    async def story(here: World) -> None:
        here.fleet.no_capacity.add("aws-us-east-1-nvidia-l4-x1")
        refused = await here.carry_out(order("create"))
        assert (refused.status, refused.last_outcome) == ("refused", "refused")
        assert "not available" in refused.last_reason
        here.fleet.no_capacity.clear()
        await here.carry_out(order("create", order_id="second"))
        await here.until("running")
        await here.client.post("/admin/endpoints", json={"fail": "acme/small"})
        await here.turn(5)
        failed = here.controller.states["acme/small"]
        assert (failed.status, failed.ready) == ("failed", False)
        assert "container ended" in failed.message
        await here.carry_out(order("resume", order_id="again"))
        await here.until("running")

    play(story)


def test_an_update_that_fails_leaves_what_runs_running(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        here.fleet.update_fails = True
        await here.carry_out(order("update", spec=spec_of(revision="bad")))
        state = await here.until("updateFailed")
        assert state.serves
        assert "does not start" in state.message

    play(story)


def test_another_tenants_order_is_refused(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        state = await here.carry_out(order("delete", tenant="mallory"))
        assert state.last_outcome == "refused"
        assert state.status != "deleted"

    play(story)


def test_an_api_that_is_away_is_tried_again_and_at_last_told_as_failed(play):
    async def story(here: World) -> None:
        here.controller._api._url = "http://127.0.0.1:9"
        here.controller._api._transport = await _refusing()
        outcome = await here.deliver(order("create"))
        assert isinstance(outcome, RetryAt)
        assert outcome.when > here.clock.at
        late = await here.deliver(order("create"), at=here.clock.at - timedelta(minutes=11), attempt=40)
        assert isinstance(late, Publish)
        state = EndpointState.model_validate_json(late.records[0].value or b"")
        assert (state.status, state.last_outcome) == ("refused", "failed")
        assert "does not answer" in state.last_reason

    play(story)


async def _refusing() -> Any:
    from runtime.http import ConnectError, MockTransport, Request, Response

    def refuse(request: Request) -> Response:
        raise ConnectError("nobody there")

    return MockTransport(refuse)


def test_a_process_that_opens_knows_the_newest_of_what_was_told_and_goes_on_from_there(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        await here.turn(200)
        again = Controller(here.api, here.publish, here.clock)
        for offset, state in enumerate(here.states):
            again.fold_state(record_of(_record(state), offset))
        again.owner = True
        assert again.states["acme/small"] == here.states[-1]
        assert len(here.states) > 4

        again.fold_state(record_of(_record(here.states[0]), 99))  # its own word, late
        assert again.states["acme/small"] == here.states[-1]

    play(story)


def test_a_record_that_is_no_command_becomes_a_dead_letter(play):
    async def story(here: World) -> None:
        for value in (b"", b"{", b'{"id": "x"}', b"\xff" * 1_000, b'{"action": "explode"}'):
            record = Record(ENDPOINT_COMMANDS.name, 0, 0, b"acme/small", value, (), 0)
            outcome = await here.controller.handle(Delivery(record, here.clock.at))
            assert isinstance(outcome, GiveUp)

    play(story)


def test_an_endpoint_that_vanishes_is_told_as_deleted_and_keeps_what_it_cost(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        here.fleet.delete("acme", "small")
        await here.turn(10)
        assert here.controller.states["acme/small"].status == "running", "one or two answers of 404 end nothing"
        await here.turn(5)
        state = here.controller.states["acme/small"]
        assert state.status == "deleted"
        assert state.costs.total_nanousd > 0
        assert state.costs.running_since == ()

    play(story)


def test_endpoints_that_were_made_elsewhere_are_known_and_not_woken_by_us(play):
    async def story(here: World) -> None:
        await here.api.create(spec_of("theirs"))
        here.controller.namespaces = ("acme",)
        await here.turn(10)
        state = here.controller.states["acme/theirs"]
        assert state.spec.model == MODEL
        assert not state.spec.scaling.wake_on_lag
        assert state.spec.scaling.sleep_after_s is None

    play(story)


def test_a_newer_revision_on_the_hub_is_drift(play):
    async def story(here: World) -> None:
        newest = ["a" * 40]

        async def of(model: str) -> str:
            assert model == MODEL
            return newest[0]

        here.controller._newest = of
        await here.carry_out(order("create", spec=spec_of(revision="a" * 40)))
        await here.turn(700)
        state = here.controller.states["acme/small"]
        assert state.running_revision == state.newest_revision == "a" * 40
        newest[0] = "b" * 40
        await here.turn(700)
        state = here.controller.states["acme/small"]
        assert (state.running_revision, state.newest_revision) == ("a" * 40, "b" * 40)

    play(story)


def test_its_metrics_are_pulled_and_told(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create", spec=spec_of(scaling={"sleep_after_s": None})))
        await here.until("running")
        await here.turn(200)
        assert here.controller.states["acme/small"].gauges["endpoint_replicas_ready"] == 1.0

    play(story)


def test_its_logs_are_read_and_told_nowhere(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        assert "running: Endpoint is ready" in await here.api.logs("acme", "small")
        assert not any("running: Endpoint" in state.model_dump_json() for state in here.states)

    play(story)


def test_a_state_is_told_when_it_changes_and_sums_once_a_minute(play):
    async def story(here: World) -> None:
        await here.carry_out(
            order("create", spec=spec_of(scaling={"sleep_after_s": None, "scale_to_zero_minutes": None}))
        )
        await here.until("running")
        before = len(here.states)
        await here.turn(600)
        assert 8 <= len(here.states) - before <= 11

    play(story)


def test_its_logs_are_counted_where_that_is_asked_for_and_no_line_is_told(play):
    async def story(here: World) -> None:
        spec = spec_of(scaling={"sleep_after_s": None}, monitoring={"logs": True})
        await here.carry_out(order("create", spec=spec))
        await here.until("running")
        await here.turn(120)
        machine = here.fleet.of("acme", "small").machine
        before = here.controller.states["acme/small"].logs
        assert before is not None
        assert before.lines == len(machine.lines)
        machine.lines += [(here.clock.at, "ERROR: the prompt was 'my plan'"), (here.clock.at, "WARN slow")]
        await here.turn(180)
        after = here.states[-1].logs
        assert after is not None
        assert (after.lines - before.lines, after.errors, after.warnings) == (2, 1, 1)
        assert not any("my plan" in state.model_dump_json() for state in here.states)
        assert here.controller.describe()["fleet"]["acme/small"]["errors"] == 1

    play(story)
