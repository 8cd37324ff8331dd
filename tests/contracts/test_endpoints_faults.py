"""The management API at its worst: slow, busy, wrong, refusing, forgetful; and endpoints that others take away."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from endpoints_world import TOKEN, World, order, record_of, spec_of

from hub.endpoints import api as api_module
from hub.endpoints.api import AGAIN
from hub.endpoints.controller import TRIED_FOR, Controller, _record
from runtime.http import AsyncBaseTransport, ReadTimeout, Request, Response
from runtime.outcome import Outcome, Publish, RetryAt
from schemas.endpoints import EndpointState

Script = Callable[[Request], Response | None]
REFUSED = [400, 401, 403, 405, 422, 451]


class Between(AsyncBaseTransport):
    """Between the controller and the management API: `script` answers in its place, or lets it answer (None); of those
    in `lost` the answer is lost on its way back."""

    def __init__(self, real: AsyncBaseTransport) -> None:
        self.real = real
        self.script: Script = lambda request: None
        self.lost: set[str] = set()
        self.asked: list[str] = []

    async def handle_async_request(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.url.path}")
        answer = self.script(request)
        if answer is not None:
            return answer
        real = await self.real.handle_async_request(request)
        if request.method in self.lost:
            raise ReadTimeout("lost")
        return real


def between(here: World) -> Between:
    made = Between(here.api._transport)
    here.api._transport = made
    return made


def writes_answer(status: int, headers: dict[str, str] | None = None) -> Script:
    """Whatever changes something is answered so."""
    told = Response(status, json={"error": f"no, with {TOKEN} in it"}, headers=headers)
    return lambda request: told if request.method != "GET" else None


def told(outcome: Outcome) -> EndpointState:
    assert isinstance(outcome, Publish), outcome
    return EndpointState.model_validate_json(outcome.records[0].value or b"")


@pytest.mark.parametrize("status", sorted(AGAIN))
def test_what_a_later_call_may_change_is_tried_again_and_made_once(play, status: int):
    async def story(here: World) -> None:
        wire = between(here)
        wire.script = writes_answer(status)
        first = await here.deliver(order("create"))
        second = await here.deliver(order("create"), attempt=5)
        assert isinstance(first, RetryAt)
        assert isinstance(second, RetryAt)
        assert here.clock.at < first.when < second.when <= here.clock.at + timedelta(seconds=30)
        wire.script = lambda request: None
        assert (await here.carry_out(order("create"))).last_outcome == "done"
        assert here.fleet.writes == 1

    play(story)


@pytest.mark.parametrize("status", REFUSED)
def test_what_the_api_refuses_is_told_as_failed_in_its_words_without_the_token(play, status: int):
    async def story(here: World) -> None:
        wire = between(here)
        wire.script = writes_answer(status)
        state = await here.carry_out(order("create"))
        assert (state.status, state.last_outcome) == ("refused", "failed")
        assert state.last_reason == f"status {status}: no, with *** in it"
        assert TOKEN not in state.model_dump_json()
        assert here.fleet.writes == 0

    play(story)


@pytest.mark.parametrize(
    "answer",
    [Response(200, content=b"<html>"), Response(202, content=b"\xff{"), Response(200, json=[]), Response(202, json={})],
)
def test_an_answer_that_cannot_be_read_is_no_answer(play, answer: Response):
    """The call may have been made: the next delivery looks first, and finds it so."""

    async def story(here: World) -> None:
        wire = between(here)
        wire.script = lambda request: answer if request.method == "POST" else None
        assert isinstance(await here.deliver(order("create")), RetryAt)

    play(story)


def test_a_call_that_hangs_is_given_up_and_tried_again(play, monkeypatch):
    class Hangs(AsyncBaseTransport):
        async def handle_async_request(self, request: Request) -> Response:
            await asyncio.Event().wait()
            raise AssertionError("it never answers")

    async def story(here: World) -> None:
        here.api._transport = Hangs()
        real = asyncio.timeout
        monkeypatch.setattr(api_module.asyncio, "timeout", lambda seconds: real(0 if seconds > 30 else seconds))
        assert isinstance(await here.deliver(order("create")), RetryAt)

    play(story)


def test_a_creation_whose_answer_was_lost_is_found_done_and_made_once(play):
    async def story(here: World) -> None:
        wire = between(here)
        wire.lost = {"POST"}
        assert isinstance(await here.deliver(order("create")), RetryAt)
        state = await here.carry_out(order("create"))
        assert state.last_outcome == "nothing_to_do"
        assert here.fleet.writes == 1
        assert (await here.bill())["endpoints"][0]["endpoint"] == "acme/small"

    play(story)


def test_a_creation_that_the_api_does_not_show_yet_is_a_conflict_that_passes(play):
    """It was made, its answer was lost, and the look that follows does not find it: 409 is no end."""

    async def story(here: World) -> None:
        wire = between(here)
        wire.lost = {"POST"}
        await here.deliver(order("create"))
        wire.lost, wire.script = set(), lambda request: Response(404) if request.url.path.endswith("small") else None
        assert isinstance(await here.deliver(order("create")), RetryAt)
        wire.script = lambda request: None
        assert (await here.carry_out(order("create"))).last_outcome == "nothing_to_do"

    play(story)


def test_a_creation_that_was_told_as_failed_and_was_made_is_found_and_watched(play):
    """Else it would cost, and nobody would let it sleep, count it, or show it."""

    async def story(here: World) -> None:
        wire = between(here)
        wire.lost = {"POST", "GET"}
        late = await here.deliver(order("create"), at=here.clock.at - TRIED_FOR)
        assert told(late).last_outcome == "failed"
        await here.api._transport.real.handle_async_request(_creation(here))  # it was on its way
        await here.publish(list(late.records))  # type: ignore[union-attr]
        again = Controller(here.api, here.publish, here.clock)  # and the process is another one since
        again.quotas, here.controller = here.controller.quotas, again
        await again.take_over(_Log([record_of(_record(one), at) for at, one in enumerate(here.states)]))
        wire.lost = set()
        state = await here.until("running")
        assert state.serves
        assert state.costs.total_nanousd == (await here.bill())["total_nanousd"]

    play(story)


def test_a_creation_that_failed_and_was_not_made_is_looked_for_three_times_and_no_more(play):
    async def story(here: World) -> None:
        wire = between(here)
        wire.script = writes_answer(422)
        await here.carry_out(order("create"))
        wire.asked.clear()
        await here.turn(60)
        assert wire.asked.count("GET /v2/endpoint/acme/small") == 3
        state = here.controller.states["acme/small"]
        assert (state.status, state.last_outcome) == ("refused", "failed")
        assert here.controller.faults == {}

    play(story)


def test_while_the_api_says_wait_nobody_looks(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create", spec=spec_of(scaling={"sleep_after_s": None})))
        await here.until("running")
        wire = between(here)
        wire.script = lambda request: Response(429, headers={"retry-after": "90"})
        await here.turn(5)
        asked = len(wire.asked)
        await here.turn(80)
        assert len(wire.asked) == asked
        wire.script = lambda request: None
        await here.turn(15)
        assert len(wire.asked) > asked
        assert here.controller.faults == {}

    play(story)


@pytest.mark.parametrize(("retry_after", "at_least_s"), [("90", 90), ("99999999", 300), ("soon", 1), ("-5", 1)])
def test_an_order_waits_as_long_as_the_api_says_but_not_for_ever(play, retry_after: str, at_least_s: int):
    async def story(here: World) -> None:
        wire = between(here)
        wire.script = writes_answer(429, {"retry-after": retry_after})
        outcome = await here.deliver(order("create"))
        assert isinstance(outcome, RetryAt)
        assert outcome.when == here.clock.at + timedelta(seconds=at_least_s)

    play(story)


def test_an_endpoint_that_does_not_start_is_told_as_failed_costs_no_more_and_no_job_wakes_it(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("initializing")
        await here.turn(30)
        here.fleet.of("acme", "small").machine.fail(here.clock.at, "Endpoint failed: out of memory")
        await here.turn(5)
        state = here.controller.states["acme/small"]
        assert (state.status, state.ready, state.message) == ("failed", False, "Endpoint failed: out of memory")
        assert state.starting_since is None
        cost = state.costs.total_nanousd
        await here.turn(600)
        assert here.controller.states["acme/small"].costs.total_nanousd == cost == (await here.bill())["total_nanousd"]
        assert here.fleet.writes == 1

    play(story)


@pytest.mark.parametrize("action", ["update", "pause", "resume", "scale_to_zero", "delete"])
def test_an_order_for_what_somebody_else_has_deleted_makes_no_call(play, action: str):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        here.fleet.delete("acme", "small")
        writes = here.fleet.writes
        state = await here.carry_out(order(action))
        assert state.last_outcome == ("nothing_to_do" if action == "delete" else "refused")
        assert "there is no such endpoint" in state.last_reason
        assert here.fleet.writes == writes
        await here.turn(20)
        assert here.controller.states["acme/small"].status == "deleted"

    play(story)


def test_a_quota_of_the_providers_own_is_told_with_its_numbers(play):
    async def story(here: World) -> None:
        state = await here.carry_out(order("create", spec=spec_of(scaling={"max_replicas": 1000})))
        assert (state.status, state.last_outcome) == ("refused", "failed")
        assert "Quota exceeded: 0 of" in state.last_reason or "maxReplica" in state.last_reason
        many = await here.carry_out(order("create", order_id="two", spec=spec_of(scaling={"max_replicas": 40})))
        assert many.last_outcome == "failed"
        assert "Quota exceeded" in many.last_reason

    play(story)


def _creation(here: World) -> Request:
    from hub.endpoints.wire import body_of
    from schemas import codec

    headers = [("authorization", f"Bearer {TOKEN}"), ("content-type", "application/json")]
    return Request("POST", f"{here.url}/v2/endpoint/acme", headers=headers, content=codec.encode(body_of(spec_of())))


class _Log:
    """The endpoints' topic alone."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    async def partitions(self, topic: str) -> int:
        return 1

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self._records) if topic.endswith("endpoints.v1") else 0

    async def read(self, topic: str, partition: int, start: int, end: int) -> Any:
        for record in self._records[start:end]:
            yield record
