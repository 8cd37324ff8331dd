"""Dedicated endpoints where things happen at once: races for a quota, a change of owner, twins, answers of 404."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from endpoints_world import World, order, record_of, spec_of

from hub.endpoints.api import ApiError
from hub.endpoints.app import Commands
from hub.endpoints.controller import Controller, _record
from runtime.outcome import Publish, RetryAt
from runtime.ports import LaneId, Record, Resumed
from schemas.topics import ENDPOINT_COMMANDS, ENDPOINT_QUOTAS, ENDPOINTS

LANE = LaneId("novix-endpoints", ENDPOINT_COMMANDS.name, 0)
RESUMED = Resumed(0)


def slowed(here: World, call: str) -> None:
    """Every other order has its turn before this call is answered, as over a network."""
    real = getattr(here.api, call)

    async def slow(*told: Any) -> Any:
        await asyncio.sleep(0.02)
        return await real(*told)

    setattr(here.api, call, slow)


def outcomes(answers: list[Any]) -> list[str]:
    return sorted(one.audit[0].detail["outcome"] for one in answers if isinstance(one, Publish))


def test_of_two_creations_at_once_the_quota_lets_one_through(play):
    async def story(here: World) -> None:
        here.quota(most=1)
        slowed(here, "create")
        answers = await asyncio.gather(*(here.deliver(order("create", name)) for name in ("one", "two", "three")))
        assert outcomes(answers) == ["done", "refused", "refused"]
        assert here.fleet.writes == 1

    play(story)


def test_of_two_resumptions_at_once_the_spend_guard_lets_one_through(play):
    async def story(here: World) -> None:
        for name in ("one", "two"):
            await here.carry_out(order("create", name))
            await here.carry_out(order("pause", name))
        here.quota(nanousd_per_hour=here.controller.prices[("aws", "us-east-1", "nvidia-l4", "x1")].hour_nanousd)
        slowed(here, "resume")
        answers = await asyncio.gather(*(here.deliver(order("resume", name)) for name in ("one", "two")))
        assert outcomes(answers) == ["done", "refused"]

    play(story)


def test_a_name_is_had_by_one_endpoint_whatever_its_namespace(play):
    """Jobs know it as `endpoint.NAME`: its twin would be woken, and paid, for jobs that are not its own."""

    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        twin = spec_of().model_copy(update={"namespace": "beta"})
        state = await here.carry_out(order("create", order_id="twin", namespace="beta", spec=twin))
        assert (state.spec.key, state.status, state.last_outcome) == ("beta/small", "refused", "refused")
        assert "acme/small has this name" in state.last_reason
        await here.carry_out(order("delete"))
        state = await here.carry_out(order("create", order_id="again", namespace="beta", spec=twin))
        assert state.status == "pending"

    play(story)


def test_a_twin_that_somebody_made_elsewhere_is_told_and_not_known_as_the_first(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.api.create(spec_of().model_copy(update={"namespace": "beta"}))
        here.controller.namespaces = ("beta",)
        await here.turn(10)
        assert "beta/small" not in here.controller.states
        assert "acme/small has this name" in here.controller.faults["list beta"]

    play(story)


def test_an_order_whose_spec_speaks_of_another_endpoint_tells_no_state_of_that_one(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        outcome = await here.deliver(order("create", "other", spec=spec_of("small")))
        assert isinstance(outcome, Publish)
        assert list(outcome.records) == [], "its state would stand under the other's key"
        assert outcome.audit[0].detail["outcome"] == "refused"
        assert here.controller.states["acme/small"].status == "pending"

    play(story)


class Topics:
    """A log with these records."""

    def __init__(self, **topics: list[Record]) -> None:
        self._topics = topics

    async def partitions(self, topic: str) -> int:
        return 1

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self._topics.get(topic, []))

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        for record in self._topics.get(topic, [])[start:end]:
            yield record


def test_a_new_owner_knows_the_last_word_of_the_old_one_before_it_carries_out_an_order(play):
    """What is followed may be behind by the transaction with which the old owner ended: its order came twice."""

    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        behind = here.states[-1]
        pause = order("pause")
        await here.carry_out(pause)
        await here.carry_out(order("resume"))
        writes = here.fleet.writes

        again = here.controller = Controller(here.api, here.publish, here.clock)
        again.fold_state(record_of(_record(behind)))
        told = [record_of(_record(one), at) for at, one in enumerate(here.states)]
        bad = Record(ENDPOINTS.name, 0, 99, b"acme/small", b"{", (), 0)
        quotas = [Record(ENDPOINT_QUOTAS.name, 0, 0, b"*", b"no json", (), 0)]
        log = Topics(**{ENDPOINTS.name: [*told, bad], ENDPOINT_QUOTAS.name: quotas})
        lane = await Commands(again).open_lane(LANE, log, RESUMED)
        assert again.owner
        assert again.states["acme/small"] == here.states[-1]
        outcome = await here.deliver(pause)
        assert isinstance(outcome, Publish)
        assert outcome.audit[0].detail["outcome"] == "repeated"
        assert here.fleet.writes == writes
        await lane.close()
        assert not again.owner

    play(story)


def test_what_ends_a_spend_needs_no_price_list(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")

        async def away() -> Any:
            raise ApiError("no prices today", again=True)

        here.controller.prices, here.api.machines = {}, away
        assert (await here.carry_out(order("pause"))).status == "paused"
        assert isinstance(await here.deliver(order("resume")), RetryAt)
        assert (await here.carry_out(order("delete"))).status == "deleted"

    play(story)


def test_one_answer_of_404_makes_nobody_forget_an_endpoint_that_costs(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        real, missing = here.api.get, [2]

        async def get(namespace: str, name: str) -> Any:
            if missing[0]:
                missing[0] -= 1
                return None
            return await real(namespace, name)

        here.api.get = get
        await here.turn(10)
        assert "not found" in here.controller.faults["acme/small"]
        assert here.controller.states["acme/small"].serves
        await here.turn(20)
        assert here.controller.faults == {}
        missing[0] = 2  # the count begins anew
        await here.turn(10)
        assert here.controller.states["acme/small"].status == "running"

    play(story)


def test_one_that_is_made_anew_elsewhere_keeps_what_the_one_before_has_cost(play):
    async def story(here: World) -> None:
        await here.carry_out(order("create"))
        await here.until("running")
        deleted = await here.carry_out(order("delete"))
        assert deleted.costs.total_nanousd
        await here.api.create(spec_of())
        here.controller.namespaces = ("acme",)
        await here.turn(10)
        state = here.controller.states["acme/small"]
        assert state.status in ("pending", "initializing")
        assert state.costs.total_nanousd >= deleted.costs.total_nanousd
        assert deleted.last_command in state.answered

    play(story)
