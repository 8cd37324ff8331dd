"""Real components that are driven, and what their process's /metrics told before and after: for each metric, what
moves it."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import router_world
import worker_world
from alert_world import NOON
from books_world import said
from engine_story import after, log_of
from prometheus_client.parser import text_string_to_metric_families
from sim_log import SimLog
from sim_world import SimApp, SimHandler, World, publish
from virtual_time import LoopClock, run

from console.alerting.service import Watch
from console.audit import service as checkpoints
from console.relay.relay import Relay
from console.relay.sending import Answer as SpanAnswer
from console.relay.sending import Sender
from router.application import RouterApplication
from router.catalogue import load as load_catalogue
from runtime import audit, telemetry
from runtime.breaker import BreakerKey
from runtime.cadence import Cadence
from runtime.clock import SystemClock
from runtime.health import observe
from runtime.http import AsyncBaseTransport
from runtime.intents import NoIntents
from runtime.looplag import LoopLag
from runtime.metrics import Metrics
from runtime.metrics.lanes import CountedLanes
from runtime.metrics.routing import CountedRouting
from runtime.metrics.work import CountedWork
from runtime.outcome import GiveUp, Hold, Outcome
from runtime.ports import Delivery, Outgoing, Record
from runtime.probe import Probes
from runtime.progress import GENESIS
from runtime.settings import Settings
from runtime.shell import Service
from runtime.telemetry import SpanDraft
from schemas.accounts import Budget
from schemas.alerts import Alert
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.policies import AlertRule, PolicyRecord
from schemas.topics import BUDGETS, POLICIES
from workers.deltas import Deltas

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
PAGES: list[str] = []
"""Everything that was told so far, as it was told."""


def scraped(metrics: Metrics) -> Samples:
    """What a scraper reads now: by sample name, by labels."""
    found: Samples = {}
    page = metrics.page("")[0].decode()
    PAGES.append(page)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(samples: Samples, name: str, labels: Mapping[str, str]) -> float | None:
    """The sum of all samples of a name (a histogram's: how many were observed) with these labels; None: none."""
    by_labels = samples.get(name, samples.get(f"{name}_count", {}))
    found = [value for told, value in by_labels.items() if labels.items() <= dict(told).items()]
    return sum(found) if found else None


@dataclass(frozen=True, slots=True)
class Moved:
    """What was told before and after something happened."""

    before: Samples
    after: Samples


@dataclass
class Told(Service):
    """A service that is what the test says."""

    state: dict[str, Any]
    well: bool = True

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def describe(self) -> dict[str, Any]:
        return self.state

    @property
    def healthy(self) -> bool:
        return self.well


# the lane engine, in virtual time


def _engine(log: SimLog, app: SimApp, **options: Any) -> tuple[World, Metrics]:
    metrics = Metrics()
    world = World(log, app, meter=CountedLanes(metrics, "sim", "in"), **options)
    engine = world.engine
    observe(metrics, "sim", engine.describe, lambda: engine.healthy, lambda: engine.ready)
    return world, metrics


def _story(tell: Callable[[], Coroutine[Any, Any, Moved]]) -> Callable[[], Moved]:
    return lambda: run(tell())


def _span(delivery: Delivery, error: str | None, *, sampled: bool = True) -> SpanDraft:
    now, record = LoopClock().now(), delivery.record
    context = telemetry.TraceContext("a" * 32, None, sampled)
    place = telemetry.span_id(context, "process", record.topic, record.partition, record.offset)
    return SpanDraft(context, place, "process in", telemetry.CONSUMER, now, now, {}, error=error)


async def _mixed(handler: SimHandler, delivery: Delivery) -> Outcome:
    """Three records: one is published, one set aside, one breaks its handler. The spans of one are not sampled."""
    number = delivery.record.offset
    if number == 2:
        raise LookupError
    entry = AuditEntry(at=LoopClock().now(), action="job.succeeded", detail={})
    spans = (_span(delivery, None, sampled=number != 0),)
    if number == 1:
        return GiveUp(FailureKind.UNDECODABLE, "no", audit=(entry,), spans=spans)
    return publish(delivery.record, audit=(entry,), spans=spans)


@_story
async def committed() -> Moved:
    """Three records of three kinds are committed."""
    world, metrics = _engine(log_of(3), SimApp(_mixed))
    before = scraped(metrics)
    await world.join()
    await world.all_committed()
    moved = Moved(before, scraped(metrics))
    await world.process.stop()
    return moved


@_story
async def busy() -> Moved:
    """Thirty records of one key and a window of four: some are worked on, the others wait."""
    app = SimApp(after(30), order=lambda record: record.offset % 2 or None)
    world, metrics = _engine(log_of(30), app, window=4)
    before = scraped(metrics)
    await world.join()
    await asyncio.sleep(12)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


@_story
async def refused() -> Moved:
    """The broker refuses every commit."""
    log = log_of(3)
    log.faults.refused = 1.0
    world, metrics = _engine(log, SimApp())
    before = scraped(metrics)
    await world.join()
    await asyncio.sleep(150)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


@_story
async def cut() -> Moved:
    """The log is cut below what was read: the lane stops."""
    log = log_of(40)
    world, metrics = _engine(log, SimApp(after(1)), window=4)
    await world.join()
    await asyncio.sleep(0.5)
    before = scraped(metrics)
    log.first[0] = 30
    await world.until(lambda: world.engine.runners[0].stopped is not None)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


@_story
async def revoked() -> Moved:
    """The process is told to end while a record is worked on, and its partition is taken away."""
    world, metrics = _engine(log_of(2), SimApp(after(20)))
    await world.join()
    await asyncio.sleep(1)
    before = scraped(metrics)
    stopping = asyncio.create_task(world.process.stop())
    await asyncio.sleep(1)
    letting_go = asyncio.create_task(world.engine._revoked([0]))
    await asyncio.sleep(2)
    moved = Moved(before, scraped(metrics))
    await asyncio.gather(stopping, letting_go)
    return moved


@_story
async def gathering() -> Moved:
    """Two outcomes are known, and their transaction has not begun."""
    cadence = Cadence(longest=timedelta(seconds=60), shortest=timedelta(seconds=60))
    world, metrics = _engine(log_of(3), SimApp(_one_by_one), cadence=cadence)
    before = scraped(metrics)
    await world.join()
    await asyncio.sleep(12)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


async def _one_by_one(handler: SimHandler, delivery: Delivery) -> Outcome:
    await asyncio.sleep(5 * delivery.record.offset)
    return publish(delivery.record)


@_story
async def held() -> Moved:
    """Three records that their handler keeps for later."""

    async def keep(handler: SimHandler, delivery: Delivery) -> Outcome:
        return Hold()

    world, metrics = _engine(log_of(3), SimApp(keep, inline=True))
    before = scraped(metrics)
    await world.join()
    await asyncio.sleep(5)
    moved = Moved(before, scraped(metrics))
    await world.process.kill()
    return moved


# a worker, on a clock turned by hand


def _worker(*steps: Any, more: dict[str, Any] | None = None, **settings: Any) -> tuple[worker_world.World, Metrics]:
    metrics = Metrics(tenants=frozenset({"acme"}))
    shared = {"meter": CountedWork(metrics), **(more or {})}
    world = worker_world.world(*steps, shared=shared, **settings)
    observe(metrics, "worker", lambda: {"lanes": [], **OF_NO_LANE, **world.app.describe()}, lambda: True, lambda: True)
    return world, metrics


OF_NO_LANE = {
    "group": "g", "topic": "t", "draining": False, "unassigned_s": 0.0,
    "window": {"size": 1, "used": 0, "on_hold": 0, "bytes": 0}, "behind_their_key": {"records": 0, "bytes": 0},
}  # fmt: skip


async def _done(world: worker_world.World, **record: Any) -> None:
    """Run a job to its end, and commit it."""
    done = await world.run(worker_world.assigned(**record))
    world.lane.committed(list(done.facts))


RESERVED = {"home": 0, "nanousd": 900, "quoted_nanousd": 500, "policy": "brief/1", "price_version": "1"}


def streamed() -> Moved:
    """A job in pieces succeeds: 20 tokens in, 5 out; 30 of 900 nano-dollars are spent."""

    async def story() -> Moved:
        pieces = worker_world.events(
            worker_world.delta("Hel"), worker_world.delta("lo", "stop"),
            {"id": "c", "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}},
        )  # fmt: skip
        world, metrics = _worker(pieces)
        before = scraped(metrics)
        await _done(world, job={"stream": True}, reserved=RESERVED)
        return Moved(before, scraped(metrics))

    return asyncio.run(story())


def in_pieces() -> Moved:
    """The pieces of one answer are published; those of the next are not, because the broker is away."""

    async def story() -> Moved:
        away = False

        async def publish_them(records: list[Outgoing]) -> None:
            if away:
                raise ConnectionError

        async with Deltas(publish_them) as deltas:
            pieces = [worker_world.delta("Hel"), worker_world.delta("lo", "stop")]
            answers = worker_world.events(*pieces), worker_world.events(*pieces)
            world, metrics = _worker(*answers, more={"deltas": deltas})
            before = scraped(metrics)
            await _done(world, job={"stream": True})
            away = True
            await _done(world, job={"stream": True}, offset=8)
            return Moved(before, scraped(metrics))

    return asyncio.run(story())


def ill() -> Moved:
    """Three times 500, of which nobody knows whether they are charged: the breaker opens; the trial succeeds."""

    async def story() -> Moved:
        failing = worker_world.failing
        world, metrics = _worker(failing(500), failing(500), failing(500), worker_world.answer(), breaker=True)
        before = scraped(metrics)
        await _done(world)
        return Moved(before, scraped(metrics))

    return asyncio.run(story())


def half_way() -> Moved:
    """The same, before the breaker may be tried."""

    async def story() -> Moved:
        world, metrics = _worker(*[worker_world.failing(500)] * 3, breaker=True)
        before = scraped(metrics)
        key = BreakerKey("auto", "acme/chat")
        delivery = Delivery(worker_world.assigned(), world.clock.now())
        for attempt in range(1, 4):
            outcome: Any = await world.lane.handle(delivery)
            world.clock.turn_to(outcome.when)
            delivery = Delivery(delivery.record, delivery.arrived_at, attempt + 1, outcome.memo)
        assert world.breakers.views()[key].state == "open"
        return Moved(before, scraped(metrics))

    return asyncio.run(story())


def cut_off() -> Moved:
    """A call ends with no answer after it was sent: it may be charged for."""

    async def story() -> Moved:
        broken = worker_world.events(worker_world.delta("Hel"), cut=httpx.ReadError("gone"))
        world, metrics = _worker(broken, max_retries=0)
        before = scraped(metrics)
        await _done(world, job={"stream": True})
        return Moved(before, scraped(metrics))

    return asyncio.run(story())


def throttled() -> Moved:
    """429 with Retry-After: the next job waits, and a third runs elsewhere meanwhile."""

    async def story() -> Moved:
        world, metrics = _worker(worker_world.failing(429, {"error": "Rate limit"}, retry_after="9"))
        before = scraped(metrics)
        await world.lane.handle(Delivery(worker_world.assigned(), world.clock.now()))
        second = worker_world.assigned(offset=8)
        waiting = asyncio.create_task(world.lane.handle(Delivery(second, world.clock.now())))
        async with world.limits.slot(BreakerKey("auto", "acme/other"), 3):
            while not world.limits.waiting:
                await asyncio.sleep(0)
            moved = Moved(before, scraped(metrics))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return moved

    return asyncio.run(story())


class _Nobody(AsyncBaseTransport):
    async def handle_async_request(self, request: Any) -> Any:
        raise httpx.ConnectError("nobody is there")


class _Unwritable(NoIntents):
    def describe(self) -> dict[str, Any]:
        return {"journal": "", "trouble": "the disk is full"}


def cut_from_the_world() -> Moved:
    """The provider does not answer, calls cannot be noted, and nobody takes the credential."""

    async def story() -> Moved:
        world, metrics = _worker(worker_world.failing(401), max_retries=0)
        shop = world.app.workshop
        shop.probes = Probes(_Nobody(), ["http://provider.test"], 0.01)
        before = scraped(metrics)
        for number in range(3):
            await world.lane.handle(Delivery(worker_world.assigned(offset=number), world.clock.now()))
        shop.intents = _Unwritable()
        async with shop.probes:
            while shop.probes.all_reachable:
                await asyncio.sleep(0.01)
            return Moved(before, scraped(metrics))

    return asyncio.run(story())


# a router


def decided() -> Moved:
    """A job is assigned, one is refused, and one waits for money; then the budget is cut, a record of budgets makes no
    sense, and the cache of identities breaks."""

    async def story(home: Path) -> Moved:
        metrics, world = Metrics(), router_world.World(home)
        catalogue = load_catalogue(world.settings)
        world.app = RouterApplication(
            world.settings, catalogue, world.clock, world.cancels, meter=CountedRouting(metrics)
        )
        budget = Budget(at=NOON, id="all", tenant="default", window="day", limit_nanousd=100_000)
        said(world.app.state.accounts, budget)
        state = {"router": {"lanes": [], **OF_NO_LANE}}
        observe(metrics, "router", lambda: {"router": state["router"] | world.app.describe()}, bool, bool)
        await world.lane()
        before = scraped(metrics)
        await world.run(world.job(router_world.chat("a1", max_cost_nanousd=50_000)))
        await world.run(world.job(router_world.chat("a2") | {"task": "none-such"}))
        lane, waits = await world.lane(), world.job(router_world.chat("a3", input={"max_tokens": 4000}))
        await lane.handle(Delivery(waits, world.clock.now()))
        less = budget.model_copy(update={"limit_nanousd": 1_000})
        said(world.app.state.accounts, less)
        broken = Record(BUDGETS.name, 0, int(world.app.state.accounts.version), None, b"{}", (), 0)
        world.app.state.accounts.fold(broken)
        lane.blocked = "the cache of seen identities: DatabaseError"
        return Moved(before, scraped(metrics))

    with tempfile.TemporaryDirectory() as home:
        return asyncio.run(story(Path(home)))


# processes


def blocked() -> Moved:
    """A loop that is blocked for a moment, in a process that is not well."""

    async def story() -> Moved:
        metrics, service = Metrics(), Told({})
        late = metrics.events("novix_loop_lag_seconds").of()
        with LoopLag(timedelta(milliseconds=20), late.observe) as lag:
            observe(metrics, "toy", lambda: {"loop": lag.describe()}, lambda: service.healthy, lambda: service.ready)
            before = scraped(metrics)
            while lag.describe()["blocked"] == 0:
                time.sleep(0.2)  # noqa: ASYNC251 - this is what is looked for
                await asyncio.sleep(0.11)
            service.well = False
            return Moved(before, scraped(metrics))

    return asyncio.run(story())


def alarmed() -> Moved:
    """A rule is added, and an alert fires."""
    metrics, watch = Metrics(), Watch(Settings(), SystemClock())
    observe(metrics, "alerts", lambda: {"rules": watch.describe()}, lambda: True, lambda: True)
    before = scraped(metrics)
    rule = AlertRule.model_validate({"id": "mine", "on": "lag", "threshold": 5, "at": NOON})
    folds = {topic.name: fold for topic, fold in watch._measures.folds.items()}
    folds[POLICIES.name](Record(POLICIES.name, 0, 0, None, PolicyRecord(event=rule).encode(), (), 0))
    watch._told.note(_alert())
    return Moved(before, scraped(metrics))


def indexed() -> Moved:
    """The console has read records, and cannot write the next."""
    metrics = Metrics()
    state: dict[str, Any] = {"healthy": True, "records": 0, "last_record_ms": None, "fault": None}
    observe(metrics, "console", lambda: state, lambda: state["fault"] is None, lambda: True)
    before = scraped(metrics)
    state |= {"records": 7, "last_record_ms": 1_795_000_000_500, "fault": "OperationalError"}
    return Moved(before, scraped(metrics))


def relayed() -> Moved:
    """Of two records one is taken but for three spans, one refused; then the receiver is away."""

    class Receiver:
        def __init__(self) -> None:
            self.answers = [
                SpanAnswer("refused", "400"), SpanAnswer("taken", rejected=3), SpanAnswer("refused", "400")
            ]  # fmt: skip

        async def post(self, records: Sequence[bytes]) -> SpanAnswer:
            return self.answers.pop(0) if self.answers else SpanAnswer("later", "503", wait_s=0.0)

    async def story() -> Moved:
        metrics, receiver = Metrics(), Receiver()
        relay = Relay(Settings(), cast(Sender, receiver), lambda: 0.0)
        observe(metrics, "relay", relay.describe, lambda: True, lambda: relay.ready)
        before = scraped(metrics)
        await relay.hand_over([b"one", b"two"])
        waiting = asyncio.create_task(relay.hand_over([b"three"]))
        while relay.fault is None:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return Moved(before, scraped(metrics))

    return asyncio.run(story())


def audited(folder: Path | None = None) -> Moved:
    """A chain of the audit goes on, one record is spoilt, some are missing, and a checkpoint is signed."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return audited(Path(made))
    metrics, clock = Metrics(), SystemClock()
    service = checkpoints.build(Settings(home=folder))
    observe(metrics, "audit", service.describe, lambda: service.healthy, lambda: service.ready)
    before = scraped(metrics)
    heads, entry = service._heads, AuditEntry(at=clock.now(), action="job.assigned", detail={})
    first = audit.link("g.t.0", 1, GENESIS, [entry])
    second = audit.link("g.t.0", 2, first.hash, [entry])
    third = audit.link("g.t.0", 3, second.hash, [entry])
    heads.take(0, 0, audit.record(first).value, clock.now())
    heads.written(heads.checkpoint(service._signer, clock.now(), 1.0))
    heads.take(0, 1, b"nonsense", clock.now())
    heads.take(0, 2, audit.record(third).value, clock.now())
    heads.look(clock.now() + timedelta(hours=1))
    return Moved(before, scraped(metrics))


def _alert() -> Alert:
    return Alert(
        alert_id="1", rule="lag", on="lag", subject="x", value=1.0, threshold=0.5, unit="records", message="", at=NOON
    )
