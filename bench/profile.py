"""Where a job's CPU goes, part by part: each alone and warm, in this one process, without Kafka.

`python -m bench profile` prints the table of docs/performance.md. CPU time of this process, user and system, the best
of fifteen. A loaded process takes about twice as much for the same: its caches are others' as well.
"""

import asyncio
import functools
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.cluster import PartitionMetadata

from bench.figure import Figure
from bench.world import CATALOGUE, jobs, stub
from router import complexity
from router.ahead import Ahead
from router.answers import Answers
from router.application import RouterApplication
from router.arrival import Arrival, read_arrival
from router.case import Case
from router.catalogue import load
from router.decide import Ruling, decide
from router.facts import fact_of
from router.view import View, view_of
from runtime.breaker import Breakers
from runtime.clock import SystemClock
from runtime.commit import assemble
from runtime.credentials import credentials
from runtime.http import (
    DEADLINE,
    URL,
    AsyncBaseTransport,
    AsyncByteStream,
    ByteStream,
    HttpTransport,
    Request,
    Response,
)
from runtime.intents import IntentFile
from runtime.lane import Lane
from runtime.limits import Limits
from runtime.outcome import Done, LaneHandler
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record, Resumed
from runtime.progress import Progress
from runtime.settings import Settings, resolve
from runtime.shell import settle_in
from runtime.transaction import LaneTransaction
from runtime.work import Work
from schemas import codec
from schemas.job import ReadableJob
from schemas.result import Who
from schemas.topics import JOBS, TEXT
from workers.app import egress
from workers.assigned import Assigned, read_assigned
from workers.attempt import answered_attempt
from workers.call import Called
from workers.ending import Ending, ended
from workers.exchange import FIRST, Ask, Call, Got, Reply
from workers.modalities import TASKS, answered
from workers.progress import Progress as Been
from workers.providers import PROVIDERS
from workers.providers.common import call_headers
from workers.worker import WorkerApplication, Workshop

NAME = "profile"
ROUNDS = 15
JOBS_A_ROUND = 400
TOGETHER = 64
"""Calls at once, where calls are measured."""
IN_ONE_TRANSACTION = 100


def measure(*, quick: bool) -> list[Figure]:
    """The parts of a worker and of a router, in microseconds a job."""
    settle_in()
    with tempfile.TemporaryDirectory(prefix="novix-profile-") as folder, stub() as url:
        return uvloop.run(_all(Path(folder), url, 200 if quick else JOBS_A_ROUND))


async def _all(folder: Path, url: str, count: int) -> list[Figure]:
    (folder / "catalogue.json").write_bytes(codec.encode(CATALOGUE))
    environment = {
        "NOVIX_HF_ROUTER_URL": url,
        "NOVIX_HF_TOKEN": "hf_bench",
        "NOVIX_HOME": str(folder),
        "NOVIX_CATALOGUE": str(folder / "catalogue.json"),
        "NOVIX_MAX_IN_FLIGHT": "256",
        "NOVIX_BULKHEAD_SHARE": "1",
    }
    settings = resolve(environment, {}, {}).settings
    asked = [_record(JOBS.name, at, out) for at, out in enumerate(jobs(0, count))]
    router, assigned = await _router(settings, asked)
    return [*router, *await _worker(settings, assigned)]


def _record(topic: str, offset: int, out: Outgoing) -> Record:
    return Record(topic, 0, offset, out.key, out.value, out.headers, time.time_ns() // 1_000_000)


# The router.


async def _router(settings: Settings, asked: list[Record]) -> tuple[list[Figure], list[Record]]:
    app = RouterApplication(settings, load(settings), SystemClock(), ahead=lambda: Ahead(start=10 * len(asked)))
    view, lane = view_of(settings, load(settings)), LaneId(app.group, app.topic, 0)
    now = datetime.now(UTC)
    arrivals = [_at_home(record, now) for record in asked]
    handlers = iter([await app.open_lane(lane, _Empty(), Resumed(0)) for _ in range(1)])
    handler = next(handlers)
    done = [await _done(handler, record) for record in asked]
    handler.committed([fact for one in done for fact in one.facts])
    cases = [Case(arrival, lane, 1, now, now) for arrival in arrivals]
    rulings = [_ruled(arrival, view, now) for arrival in arrivals]
    both = list(zip(cases, rulings, strict=True))

    async def handled(record: Record) -> None:
        await handler.handle(Delivery(record, now))

    def lookup(arrival: Arrival) -> None:
        handler._seen.lookup(arrival.identity, arrival.digest, arrival.decision_id, now)

    figures = [
        _figure("router: read the record", _best(lambda one: _at_home(one, now), asked)),
        _figure("router: was it decided before", _best(lookup, arrivals)),
        _figure("router: the decision", _best(lambda one: _ruled(one, view, now), arrivals)),
        _figure("router: of it the complexity score", _best(_score, arrivals)),
        _figure("router: assigned job", _best(lambda one: _answers(one, view).assigned(0), both)),
        _figure("router: decision record", _best(lambda one: fact_of(one[0], one[1], view.versions), both)),
        _figure("router: audit entry", _best(lambda one: _answers(one, view).audit(b"{}"), both)),
        _figure("router: span", _best(lambda one: _answers(one, view).span(), both)),
        _figure("router: ids and headers, in three of these four", _best(lambda one: _answers(one, view), both)),
        _figure("router: its share of a transaction", _transaction(handler, lane, asked, done)),
    ]
    await handler.close()
    assigned = [_record(TEXT.name, at, one.records[0]) for at, one in enumerate(done)]
    return [*figures, _figure("router: all but the transaction", await _fresh(settings, app, lane, asked))], assigned


async def _fresh(settings: Settings, app: RouterApplication, lane: LaneId, asked: list[Record]) -> float:
    """Handling every record as new: a lane that has seen none of them, each time."""
    best = float("inf")
    for number in range(ROUNDS):
        handler = await app.open_lane(replace(lane, partition=number + 1), _Empty(), Resumed(0))
        handler._partitions = 1
        deliveries = [Delivery(record, datetime.now(UTC)) for record in asked]
        began = time.process_time()
        for delivery in deliveries:
            await handler.handle(delivery)
        best = min(best, time.process_time() - began)
        await handler.close()
    return best / len(asked)


def _at_home(record: Record, now: datetime) -> Arrival:
    arrival = read_arrival(record, now, 1, "")
    assert isinstance(arrival, Arrival)
    return arrival


def _ruled(arrival: Arrival, view: View, now: datetime) -> Ruling:
    assert isinstance(arrival.reading, ReadableJob)
    return decide(arrival.reading.job, view, published=arrival.published, now=now)


def _score(arrival: Arrival) -> float:
    assert isinstance(arrival.reading, ReadableJob)
    return complexity.score(arrival.reading.job.task, arrival.reading.job.input)


def _answers(both: tuple[Case, Ruling], view: View) -> Answers:
    case = both[0]
    case.__dict__.pop("context", None)
    return Answers(case, both[1], view)


class _Empty:
    """A log with nothing in it."""

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, 0

    async def read(self, topic: str, partition: int, start: int, end: int) -> Any:
        for _ in ():  # a generator all the same
            yield None

    async def partitions(self, topic: str) -> int:
        return 1


# The worker.


async def _worker(settings: Settings, assigned: list[Record]) -> list[Figure]:
    lane = LaneId("novix-worker-text", TEXT.name, 0)
    now = datetime.now(UTC)
    read = [_readable(record) for record in assigned]
    notes = IntentFile(settings.home / "intents.sqlite")
    async with HttpTransport(egress(settings)) as http, aiohttp.ClientSession() as session, notes:
        handler = await _text(settings, http, notes).open_lane(lane, _Empty(), Resumed(0))
        first = read[0]
        ask, call = _asked(first)
        document = await _document(session, call)
        headers = {"content-type": "application/json"}
        got = Got(FIRST, call.url, 200, headers, streamed=document)
        reply = PROVIDERS["hf-router"].read(ask, first.candidates[0], got)
        assert isinstance(reply, Reply)
        called = Called(answered(ask, reply), 200, "r1", None, {}, None)
        took = timedelta(milliseconds=12)
        been = answered_attempt(Been(now), first.candidates[0], called, now, took)
        served = Who(model=first.candidates[0].model, provider=first.candidates[0].provider)
        ending = Ending(output=called.answer.output, served=served)

        async def plain(record: Record) -> None:
            async with session.post(call.url, data=call.body) as response:
                await response.read()

        pocket = await _text(settings, _Canned(codec.encode(document))).open_lane(lane, _Empty(), Resumed(0))
        noting = await _text(settings, _Canned(codec.encode(document)), notes).open_lane(lane, _Empty(), Resumed(0))
        whole = [functools.partial(_done, one) for one in (pocket, noting, handler)]
        posted, carried, alone, noted, handled = await _gathered([plain, _Posting(http, call).post, *whole], assigned)
        done = [await _done(handler, record) for record in assigned]

        def finished(job: Assigned) -> Done:
            job.__dict__.pop("trace", None)
            job.__dict__.pop("span", None)
            return ended(job, been, ending, now=now)

        return [
            _figure("worker: aiohttp, one POST", posted),
            _figure("worker: the same over our transport", carried),
            _figure("worker: read the record", _best(_readable, assigned)),
            _figure("worker: ask, headers, dialect", _best(_asked, read)),
            _figure("worker: read the answer", _best(lambda _: answered(ask, reply), assigned)),
            _figure(
                "worker: the attempt and its cost",
                _best(lambda one: answered_attempt(Been(now), one.candidates[0], called, now, took), read),
            ),
            _figure("worker: the result, its audit entry and spans", _best(finished, read)),
            _figure("worker: its share of a transaction", _transaction(handler, lane, assigned, done)),
            _figure("worker: its record into a batch of the transaction", await _batched(settings, done)),
            _figure("worker: all but transport, notes of calls and transaction", alone),
            _figure("worker: all but transport and transaction", noted),
            _figure("worker: all but the transaction", handled),
        ]


def _text(settings: Settings, http: AsyncBaseTransport, notes: IntentFile | None = None) -> WorkerApplication:
    clock = SystemClock()
    shop = Workshop(settings, http, credentials(settings), Limits(256), Breakers(), clock, random.random, intents=notes)
    return WorkerApplication(shop)


def _readable(record: Record) -> Assigned:
    job = read_assigned(record)
    assert isinstance(job, Assigned)
    return job


def _asked(job: Assigned) -> tuple[Ask, Call]:
    candidate = job.candidates[0]
    ask = TASKS[job.job.task].ask(job.job.input, job.assignment.parameters, candidate)
    headers = call_headers(job.job.tenant, job.job.id, "")
    return ask, PROVIDERS[candidate.dialect].request(ask, candidate, headers)


async def _document(session: aiohttp.ClientSession, call: Call) -> Any:
    async with session.post(call.url, data=call.body) as response:
        return await response.json()


class _Posting:
    """One call over our transport, its body read as a worker does."""

    def __init__(self, http: HttpTransport, call: Call) -> None:
        self._http = http
        self._call = call
        self._url = URL(call.url)

    async def post(self, record: Record) -> None:
        request = Request(
            self._call.method,
            self._url,
            headers=[*self._call.headers, ("authorization", "Bearer hf_bench")],
            stream=ByteStream(self._call.body),
            extensions={"timeout": {"connect": 3.05, "read": 30.0, "pool": 600.0}, DEADLINE: 600.0},
        )
        response = await self._http.handle_async_request(request)
        async for _ in cast(AsyncByteStream, response.stream):
            pass
        await response.aclose()


class _Canned(AsyncBaseTransport):
    """A transport that has the answer in its pocket."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def handle_async_request(self, request: Any) -> Response:
        return Response(200, headers=[(b"content-type", b"application/json")], stream=_Bytes(self._body))


class _Bytes(AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> Any:
        yield self._body

    async def aclose(self) -> None:
        return


# Both.


async def _done(handler: Any, record: Record) -> Any:
    return await handler.handle(Delivery(record, datetime.now(UTC), lease=Lease()))


def _transaction(handler: LaneHandler, id: LaneId, records: list[Record], done: list[Any]) -> float:
    """Assembling a transaction of `IN_ONE_TRANSACTION`, for each of them."""
    best = float("inf")
    for _ in range(ROUNDS):
        lane = Lane(id, handler, 0, Progress(), 500)
        works = []
        for record, outcome in zip(records, done, strict=True):
            lane.tracker.admit(record.offset)
            works.append(Work(record, Delivery(record, datetime.now(UTC)), Lease(), done=outcome))
        now, began = datetime.now(UTC), time.process_time()
        for start in range(0, len(works), IN_ONE_TRANSACTION):
            assemble(lane, works[start : start + IN_ONE_TRANSACTION], now)
        best = min(best, time.process_time() - began)
    return best / len(records)


async def _batched(settings: Settings, done: list[Any]) -> float:
    """Putting records into batches as they go over the wire, `IN_ONE_TRANSACTION` at a time."""
    producer, best = AIOKafkaProducer(transactional_id="profile"), float("inf")
    records = [record for one in done for record in one.records]
    for topic in {settings.named(record.topic) for record in records}:
        producer.client.cluster._partitions[topic] = {at: PartitionMetadata(topic, at, 1, (), (), 0) for at in range(6)}
    transaction = LaneTransaction(producer, settings)
    for _ in range(ROUNDS):
        began = time.process_time()
        for start in range(0, len(records), IN_ONE_TRANSACTION):
            await transaction._batches(records[start : start + IN_ONE_TRANSACTION])
        best = min(best, time.process_time() - began)
    await producer.stop()
    return best / len(records)


def _best(do: Callable[[Any], object], items: list[Any]) -> float:
    """Seconds of CPU for one item; the best of the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for item in items:
            do(item)
        best = min(best, time.process_time() - began)
    return best / len(items)


async def _gathered(each: list[Callable[[Any], Awaitable[object]]], items: list[Any]) -> list[float]:
    """The same for what waits, `TOGETHER` at once. In turn, so that what else runs here weighs on all of them."""
    best = [float("inf")] * len(each)
    for _ in range(ROUNDS):
        for at, do in enumerate(each):
            waiting = iter(items)

            async def some(waiting: Any = waiting, do: Any = do) -> None:
                for item in waiting:
                    await do(item)

            began = time.process_time()
            await asyncio.gather(*[some() for _ in range(TOGETHER)])
            best[at] = min(best[at], time.process_time() - began)
    return [seconds / len(items) for seconds in best]


def _figure(name: str, seconds: float) -> Figure:
    return Figure(NAME, name, seconds * 1e6, "us")
