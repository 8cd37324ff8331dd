"""The same for a worker, a router and the services beside them: for each metric, what moves it."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import metrics_worlds
import router_world
import worker_world
from alert_world import NOON
from books_world import said
from metrics_worlds import Moved, Told, scraped

from console.alerting.service import Watch
from console.audit import service as checkpoints
from console.relay.relay import Relay
from console.relay.sending import Answer as SpanAnswer
from console.relay.sending import Sender
from hub.app import Syncing
from hub.sync.client import Asker
from hub.sync.store import Store as HubStore
from hub.sync.sync import Sync
from router.application import RouterApplication
from router.catalogue import load as load_catalogue
from runtime import audit
from runtime.breaker import BreakerKey
from runtime.clock import SystemClock
from runtime.health import observe
from runtime.http import AsyncBaseTransport, MockTransport, Response
from runtime.intents import NoIntents
from runtime.looplag import LoopLag
from runtime.metrics import Metrics
from runtime.metrics.routing import CountedRouting
from runtime.metrics.work import CountedWork
from runtime.ports import Delivery, Outgoing, Record
from runtime.probe import Probes
from runtime.progress import GENESIS
from runtime.settings import Settings
from schemas.accounts import Budget
from schemas.alerts import Alert
from schemas.audit import AuditEntry
from schemas.catalog import SourceState
from schemas.policies import AlertRule, PolicyRecord
from schemas.topics import BUDGETS, POLICIES
from workers.deltas import Deltas

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
    """The pieces of two answers are published; those of the next are not, because the broker is away."""

    async def story() -> Moved:
        away = False

        async def publish_them(records: list[Outgoing]) -> None:
            if away:
                raise ConnectionError

        async with Deltas(publish_them) as deltas:
            pieces = [worker_world.delta("Hel"), worker_world.delta("lo", "stop")]
            answers = [worker_world.events(*pieces) for _ in range(3)]
            world, metrics = _worker(*answers, more={"deltas": deltas})
            before = scraped(metrics)
            await _done(world, job={"stream": True})
            await _done(world, job={"stream": True}, offset=8)
            away = True
            await _done(world, job={"stream": True}, offset=9)
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


class Unwritable(NoIntents):
    """Notes on a full disk."""

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
        shop.intents = Unwritable()
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


def catalogued(folder: Path | None = None) -> Moved:
    """The Hub's sync has read one source and written some entries; another is down."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return catalogued(Path(made))
    metrics, clock = Metrics(), SystemClock()
    service = Syncing(Settings(home=folder), clock)
    observe(metrics, "hub-sync", service.describe, lambda: service.healthy, lambda: service.ready)
    before = scraped(metrics)
    store = HubStore(folder)
    sync = Sync(
        store, Asker(MockTransport(lambda _: Response(200)), clock), _nowhere, clock, hub=None, router=None,
        full_every=timedelta(days=1),
    )  # fmt: skip
    sync.written = 5
    for source, state in (("router", "complete"), ("hub", "failed")):
        told = SourceState.model_validate({"source": source, "state": state, "at": clock.now(), "rows": 2})
        sync.states[f"{source}/model"] = told
    service._sync = sync
    after = scraped(metrics)
    store.close()
    return Moved(before, after)


async def _nowhere(_: object) -> None:
    """Nothing is published."""


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


def told_by(world: str) -> Callable[[], Moved]:
    """The world of that name, of an engine or of what runs on one."""
    found: Callable[[], Moved] = globals().get(world) or getattr(metrics_worlds, world)
    return found
