"""A Splunk HTTP Event Collector gets each audit event at least once; one that it cannot take is told and skipped."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from audit_world import NOON, ROUTER, Trail, deed
from structlog.testing import capture_logs

from console.audit.batches import Batch, read_batch
from console.audit.hec import ACK_S, BATCH_BYTES, Hec, Refused, Stopped, events_of, packed, waits_s
from runtime.http import Egress, HttpLimits, HttpTransport

TOKEN = "hec-canary"


class TurnedClock:
    """Time goes on when somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self):
        return NOON

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Collector:
    """As Splunk's: takes events, checks token and form, may be told to fail until an instant of the clock."""

    clock: TurnedClock = field(default_factory=TurnedClock)
    down_until: float = -1.0
    down_with: int = 503
    fault: Callable[[web.Request], Awaitable[web.Response]] | None = None
    """How it is down, if not with a status."""
    takes_while_down: bool = False
    largest: int = 10**9
    poison: Callable[[dict[str, Any]], bool] = lambda event: False
    numbers_poison: bool = True
    ack_after: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    fields: list[dict[str, str]] = field(default_factory=list)
    asked_acks: int = 0
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.fields.append({name.lower(): value for name, value in request.headers.items()})
        body = await request.read()
        if request.path == "/services/collector/ack":
            self.asked_acks += 1
            numbers = orjson.loads(body)["acks"]
            return web.json_response({"acks": {str(one): self.asked_acks > self.ack_after for one in numbers}})
        if self.clock.seconds < self.down_until:
            self.events += [orjson.loads(line) for line in body.split(b"\n") if self.takes_while_down]
            busy = says(self.down_with, {"text": "Server is busy", "code": 9})
            return await (self.fault or busy)(request)
        if request.headers.get("authorization") != f"Splunk {TOKEN}":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        if len(body) > self.largest:
            return web.Response(status=413)
        events = [orjson.loads(line) for line in body.split(b"\n")]
        for number, event in enumerate(events):
            if self.poison(event["event"]):
                told = {"text": "Invalid data format", "code": 6}
                if self.numbers_poison:
                    told["invalid-event-number"] = number
                return web.json_response(told, status=400)
        self.events += events
        return web.json_response({"text": "Success", "code": 0, "ackId": len(self.events)})

    @property
    def ids(self) -> list[str]:
        return [event["fields"]["novix_id"] for event in self.events]


@asynccontextmanager
async def collecting(**options: Any):
    """A collector on loopback, and who sends to it."""
    acks, token, patient = options.pop("acks", False), options.pop("token", TOKEN), options.pop("patient", True)
    collector = Collector(**options)
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    collector.url = f"http://{host}:{port}"
    limits = HttpLimits(connect_s=1, read_s=5)
    try:
        async with HttpTransport(Egress([collector.url]), limits=limits) as transport:
            yield (
                collector,
                Hec(collector.url, token, transport, collector.clock, lambda: 0.5, acks=acks, patient=patient),
            )
    finally:
        await runner.cleanup()


def batch(count: int, pad: int = 0) -> Batch:
    """A batch of so many entries."""
    world = Trail(1)
    world.write(ROUTER, *(deed("job.assigned", f"j{number}", pad="x" * pad) for number in range(count)))
    return read_batch(world.partitions[0][0][1])


def ids(one: Batch) -> list[str]:
    """What its events are known by."""
    return [f"{one.lane}/{one.sequence}/{number}/{one.hash[:16]}" for number in range(len(one.entries))]


def test_an_event_is_an_entry_with_its_instant_its_place_and_an_id_that_never_changes():
    (event,) = [orjson.loads(one) for one in events_of(batch(1), "audits")]

    assert event["time"] == NOON.timestamp()
    assert (event["sourcetype"], event["host"], event["index"]) == ("novix:audit", ROUTER, "audits")
    assert event["fields"] == {"novix_id": ids(batch(1))[0]}
    assert event["event"]["action"] == "job.assigned"
    assert (event["event"]["lane"], event["event"]["sequence"], event["event"]["index"]) == (ROUTER, 1, 0)


def test_requests_are_bounded_and_a_larger_event_goes_alone():
    events = [b"a" * 300_000, b"b" * 300_000, b"c" * 700_000, b"d"]

    assert [[len(one) for one in some] for some in packed(events)] == [[300_000], [300_000], [700_000], [1]]
    assert packed([]) == []
    assert len(packed([b"x" * 1_000] * 1_000)) == -(-1_000 * 1_000 // BATCH_BYTES)


async def test_events_arrive_in_their_order_with_the_token():
    async with collecting() as (collector, hec):
        await hec.deliver(events_of(batch(3)))

    assert collector.ids == ids(batch(3))
    assert collector.fields[0]["authorization"] == f"Splunk {TOKEN}"
    assert hec.taken == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_an_outage_of_thirty_seconds_loses_nothing(status: int):
    async with collecting(down_until=30.0, down_with=status) as (collector, hec):
        await hec.deliver(events_of(batch(50)))

    assert collector.ids == ids(batch(50))
    assert collector.clock.seconds >= 30
    assert max(collector.clock.slept) <= 15


async def breaks(request: web.Request) -> web.Response:
    """Takes the request, and closes without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def crawls(request: web.Request) -> web.Response:
    """Answers when nobody waits any more."""
    await asyncio.sleep(0.5)
    return web.json_response({"text": "Success", "code": 0})


async def answers_half(request: web.Request) -> web.Response:
    response = web.Response(status=200, headers={"content-length": "500"})
    await response.prepare(request)
    await response.write(b'{"text":"Succ')
    return await breaks(request)


def says(status: int, body: str | dict[str, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return (
            web.json_response(body, status=status) if isinstance(body, dict) else web.Response(status=status, text=body)
        )

    return answer


FAULTS = {
    "breaks": breaks,
    "crawls": crawls,
    "half an answer": answers_half,
    "a portal's page": says(200, "<html>sign in</html>"),
    "a balancer's word": says(200, "OK"),
    "a proxy's 400": says(400, "<html>400 The plain HTTP request was sent to HTTPS port</html>"),
    "a 400 without a word": says(400, ""),
    "incorrect index": says(400, {"text": "Incorrect index", "code": 7}),
    "invalid token": says(403, {"text": "Invalid token", "code": 4}),
    "token disabled": says(403, {"text": "Token disabled", "code": 1}),
    "not found": says(404, {"text": "The requested URL was not found on this server.", "code": 404}),
    "moved": says(302, ""),
    "success with an error's code": says(200, {"text": "Server is busy", "code": 9}),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_it_says_for_thirty_seconds_nothing_is_lost_or_skipped(
    fault: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("console.audit.hec.CALL_S", 0.2)
    async with collecting(down_until=30.0, fault=FAULTS[fault]) as (collector, hec):
        await hec.deliver(events_of(batch(5)))

    assert collector.ids == ids(batch(5))
    assert (hec.taken, hec.skipped) == (5, 0)
    assert collector.clock.seconds >= 30


async def test_what_was_taken_before_the_connection_broke_comes_again_under_the_same_ids():
    async with collecting(down_until=1.0, fault=breaks, takes_while_down=True) as (collector, hec):
        await hec.deliver(events_of(batch(3)))

    assert len(collector.ids) > 3
    assert collector.ids == ids(batch(3)) * (len(collector.ids) // 3)


def test_the_same_place_in_another_clusters_lane_has_another_id():
    world = Trail(1)
    world.write(ROUTER, deed("job.assigned", "elsewhere"))
    other = read_batch(world.partitions[0][0][1])
    mine = batch(1)

    assert (other.lane, other.sequence) == (mine.lane, mine.sequence)
    assert orjson.loads(events_of(other)[0])["fields"] != orjson.loads(events_of(mine)[0])["fields"]


async def test_a_collector_that_is_not_there_is_waited_for():
    async with collecting() as (collector, hec):
        hec._url, there = "http://127.0.0.1:1", hec._url
        hec._transport._egress._origins += Egress(["http://127.0.0.1:1"])._origins
        stopped = iter([False, False, True])
        with pytest.raises(Stopped):
            await hec.deliver(events_of(batch(2)), lambda: next(stopped))
        hec._url = there
        await hec.deliver(events_of(batch(2)))

    assert len(collector.ids) == 2


@pytest.mark.parametrize("numbered", [True, False], ids=["the collector numbers it", "it does not"])
async def test_a_poison_event_is_told_and_skipped_and_the_others_arrive(numbered: bool):
    async with collecting(poison=lambda event: event["job_id"] == "j7", numbers_poison=numbered) as (collector, hec):
        with capture_logs() as logs:
            await hec.deliver(events_of(batch(20)))

    assert set(collector.ids) == set(ids(batch(20))) - {ids(batch(20))[7]}
    assert hec.skipped == 1
    assert [entry["id"] for entry in logs if entry["event"] == "hec.poison"] == [ids(batch(20))[7]]


async def test_what_is_too_large_is_sent_in_halves_and_one_that_is_too_large_alone_is_skipped():
    events = [*events_of(batch(8, pad=500)), events_of(batch(1, pad=5_000))[0]]
    async with collecting(largest=3_000) as (collector, hec):
        await hec.deliver(events)

    assert len(collector.ids) == 8
    assert hec.skipped == 1


async def test_a_wrong_token_is_no_loss_and_is_never_told_of():
    async with collecting(token="wrong-canary") as (collector, hec):
        stopped = iter([False, True])
        with capture_logs() as logs, pytest.raises(Stopped):
            await hec.deliver(events_of(batch(2)), lambda: next(stopped))

    assert collector.events == []
    assert "status 403, code 4" in logs[0]["reason"]
    assert "canary" not in str(logs)


async def test_a_run_that_shall_end_ends_at_a_wrong_token():
    async with collecting(token="wrong", patient=False) as (_, hec):
        with pytest.raises(Refused, match="answered 403, code 4: Invalid token"):
            await hec.deliver(events_of(batch(2)))


async def test_an_acknowledging_indexer_is_asked_until_it_has_the_events():
    async with collecting(acks=True, ack_after=3) as (collector, hec):
        await hec.deliver(events_of(batch(2)))

    assert len(collector.ids) == 2
    assert collector.asked_acks == 4
    assert collector.fields[0]["x-splunk-request-channel"]


async def test_events_that_are_not_acknowledged_in_time_are_sent_again_under_the_same_ids():
    async with collecting(acks=True, ack_after=int(ACK_S / 0.5) + 5) as (collector, hec):
        await hec.deliver(events_of(batch(2)))

    assert collector.ids == ids(batch(2)) * 2


@pytest.mark.parametrize(("attempt", "low", "high"), [(1, 0.25, 0.5), (3, 1.0, 2.0), (40, 7.5, 15.0)])
def test_waits_grow_to_a_bound(attempt: int, low: float, high: float):
    assert (waits_s(attempt, 0), waits_s(attempt, 1)) == (low, high)
