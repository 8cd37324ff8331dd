"""The controller: carries out commands, looks at every endpoint again and again, wakes and lets sleep.

Its rules are in `orders`, `observe` and `decide`; here stands in which order they are asked, and what is called and
told then. One process works at a time: the owner of the commands' one partition.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from hub.endpoints import observe, orders
from hub.endpoints.api import Api, ApiError
from hub.endpoints.decide import next_step
from hub.endpoints.known import Known, was_not_answered
from hub.endpoints.logs import TAIL, counted
from hub.endpoints.machine import GONE, SERVING, follows
from hub.endpoints.quota import quota_of
from hub.endpoints.waiting import Lag
from hub.endpoints.wire import Machine, Place, Seen, place_of
from runtime.outcome import GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, Outgoing, Record
from schemas.audit import AuditEntry
from schemas.endpoints import EndpointCommand, EndpointState, LogCounts
from schemas.failure import FailureKind
from schemas.topics import ENDPOINT_COMMANDS, ENDPOINTS

log = structlog.get_logger("novix.endpoints")

Publish_ = Callable[[list[Outgoing]], Awaitable[object]]
Newest = Callable[[str], Awaitable[str | None]]
"""The revision of a model's main branch; None: it could not be had."""
REMEMBERED = 32
"""Ids of answered commands, for each endpoint."""
TRIED_FOR = timedelta(minutes=10)
"""A command whose call fails so long is told as failed."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(seconds=30)
QUIETLY = timedelta(seconds=60)
"""Between two tellings of an endpoint of which only sums and gauges change."""
PRICES_EVERY = timedelta(hours=1)
DRIFT_EVERY = timedelta(minutes=10)
METRICS_EVERY = timedelta(seconds=60)
MISSED_LOOKS = 3
"""Without an endpoint in them, one after the other: then it is gone."""


class Controller(Known):
    """What it does, one look after the other and one order of an endpoint after the other."""

    def __init__(self, api: Api, publish: Publish_, clock: Clock, *, newest: Newest | None = None) -> None:
        super().__init__()
        self._api = api
        self._publish = publish
        self._clock = clock
        self._newest = newest
        self.prices: dict[Place, Machine] = {}
        self.namespaces: tuple[str, ...] = ()
        """Whose endpoints are watched, whoever made them."""
        self.adopt_for = "default"
        """The tenant of endpoints that nobody here made."""
        self._read_at: dict[str, datetime] = {}
        """When prices, revisions and metrics were last read."""
        self._ordered: dict[str, str] = {}
        """Of each endpoint the id of the last command that this process has given by itself."""
        self.faults: dict[str, str] = {}
        """What could not be read when it was last tried."""
        self._missed: dict[str, int] = {}
        """Looks, one after the other, by which an endpoint was not there."""
        self._held_until: datetime | None = None
        """Nothing is looked at before: the management API has said so."""
        self._spending = asyncio.Lock()
        """Held from the look at quotas until what was made counts."""

    # Commands

    async def handle(self, delivery: Delivery) -> Outcome:
        """Carry out one command: its state, the audit and the offset go into one transaction."""
        try:
            command = EndpointCommand.model_validate_json(delivery.record.value or b"")
        except ValidationError as error:
            return GiveUp(FailureKind.UNDECODABLE, f"no endpoint command: {error.error_count()} faults")
        if command.action not in orders.SPEND:
            return await self._handled(command, delivery)
        async with self._spending:  # one judges by what the other has made
            return await self._handled(command, delivery)

    async def _handled(self, command: EndpointCommand, delivery: Delivery) -> Outcome:
        key, now = f"{command.namespace}/{command.name}", self._clock.now()
        state = self.states.get(key)
        if state is not None and command.id in state.answered:
            return Publish((_record(state),), (_entry(command, now, "repeated", "it was answered before"),))
        try:
            answer, seen = await self._carried_out(command, state)
        except ApiError as error:
            if error.again and now - _written(delivery.record, now) < TRIED_FOR:
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(delivery.attempt - 1, 10))
                return RetryAt(now + max(wait, timedelta(seconds=error.hold_s)), FailureKind.PROVIDER_ERROR)
            return self._answered(command, state, None, "failed", str(error))
        outcome = {orders.Call: "done", orders.Nothing: "nothing_to_do", orders.Refused: "refused"}[type(answer)]
        return self._answered(command, state, seen, outcome, getattr(answer, "reason", ""))

    async def _carried_out(
        self, command: EndpointCommand, state: EndpointState | None
    ) -> tuple[orders.Answer, Seen | None]:
        """Look, decide, call. The second is what is there afterwards."""
        api, where = self._api, (command.namespace, command.name)
        spends = command.action in orders.SPEND  # what ends a spend waits for no price
        if command.action in ("create", "update") or (spends and not self.prices):  # a machine may have come free
            await self._read_prices(self._clock.now())
        seen = await api.get(*where)
        around = orders.Around(
            list(self.states.values()), quota_of(self.quotas, command.tenant), self.prices,
            self.waiting.lag(command.name, self._clock.now()),
        )  # fmt: skip
        answer = orders.answer(command, state, seen, around)
        if not isinstance(answer, orders.Call):
            return answer, seen
        if answer.spec is not None:
            make = api.create if answer.action == "create" else api.update
            return answer, await make(answer.spec)
        if answer.action == "delete":
            await api.delete(*where)
            return answer, None
        return answer, await getattr(api, answer.action)(*where)

    def _answered(
        self, command: EndpointCommand, state: EndpointState | None, seen: Seen | None, outcome: str, reason: str
    ) -> Publish:
        now, key = self._clock.now(), f"{command.namespace}/{command.name}"
        taken = outcome in ("done", "nothing_to_do")
        if state is None and (command.spec is None or command.spec.key != key):  # there is nothing to tell a state of
            return Publish((), (_entry(command, now, outcome, reason),))
        unclear = outcome == "failed" and command.action == "create" and (state is None or state.status in GONE)
        spec = command.spec if taken or unclear or state is None else None
        if state is None or (state.status in GONE and spec is not None):
            assert spec is not None  # noqa: S101 - see above
            status = "pending" if taken else "refused"
            fresh = observe.begun(spec, now, status)  # type: ignore[arg-type]
            state = fresh if state is None else observe.again(state, fresh)
        elif spec is not None:
            state = state.model_copy(update={"spec": spec})
        if seen is not None:
            state = observe.observed(state, seen, self._look(state, now))
        elif taken and command.action == "delete":
            state = observe.gone(state, now)
        woken = {"woken_for": self.waiting.lag(command.name, now).jobs} if command.id.startswith("wake:") else {}
        state = state.model_copy(
            update={
                "last_command": command.id, "last_outcome": outcome, "last_reason": reason[:500], "at": now,
                "answered": (*state.answered, command.id)[-REMEMBERED:], **woken,
            }
        )  # fmt: skip
        self.states[key] = state
        (self.unsure.add if was_not_answered(state) else self.unsure.discard)(key)
        log.info("endpoint.commanded", endpoint=key, action=command.action, outcome=outcome, reason=reason[:200])
        return Publish((_record(state),), (_entry(command, now, outcome, reason),))

    # Looks

    async def look(self) -> None:
        """Look at every endpoint once, tell what is news, and give the commands that follow. Raises what Kafka does;
        what the management API does not answer is noted in `faults` and stays as it was."""
        now = self._clock.now()
        if self._held_until is None or now >= self._held_until:
            self._held_until = None
            await self._look_around(now)
        await self._tell()
        await self._give_commands()

    async def _look_around(self, now: datetime) -> None:
        if (self._watched() or self.namespaces) and self._is_due(
            "prices", PRICES_EVERY, now
        ):  # else nobody is asked anything
            await self._noting("prices", self._read_prices(now))
        for namespace in self.namespaces:
            await self._noting(f"list {namespace}", self._adopt(namespace))
        for key in sorted(self._watched()):
            if self._held_until is None:
                await self._noting(key, self._look_at(key))

    def _watched(self) -> list[str]:
        return [key for key, state in self.states.items() if state.status not in GONE or key in self.unsure]

    async def _look_at(self, key: str) -> None:
        before = self.states[key]
        seen = await self._api.get(before.spec.namespace, before.spec.name)
        now, look = self._clock.now(), self._look(before, self._clock.now())
        if seen is not None and seen.status in SERVING and seen.url is not None:
            if not before.ready or observe.moved_to_new_replicas(before.status, seen.status):
                look = replace(look, healthy=await self._api.healthy(seen.url.rstrip("/") + seen.health_route))
            if before.spec.monitoring.metrics and self._is_due(f"metrics {key}", METRICS_EVERY, now):
                look = replace(look, gauges=await self._gauges(before))
        if seen is not None and before.spec.monitoring.logs and self._is_due(f"logs {key}", METRICS_EVERY, now):
            look = replace(look, logs=await self._logs(before))
        if self._newest is not None and self._is_due(f"drift {key}", DRIFT_EVERY, now):
            look = replace(look, newest_revision=await self._newest(before.spec.model))
        state = self.states[key]
        if state.answered != before.answered:
            return  # a command was carried out meanwhile: what was seen may be older than what it did
        missed = self._missed[key] = 0 if seen is not None else self._missed.get(key, 0) + 1
        if 0 < missed < MISSED_LOOKS:  # one 404 ends nothing: what is taken for gone is watched no more, and costs on
            raise ApiError(f"it was not found by {missed} looks of {MISSED_LOOKS}", again=True)
        self.unsure.discard(key)
        if seen is None and state.status in GONE:
            return  # it was never made, and now that is known
        after = self.states[key] = observe.observed(state, seen, replace(look, now=self._clock.now()))
        if after.status != before.status:
            direct = follows(before.status, after.status)
            log.info("endpoint.moved", endpoint=key, was=before.status, now=after.status, steps_missed=not direct)
        if observe.drifted(after) and not observe.drifted(before):
            log.warning("endpoint.drifted", endpoint=key, runs=after.running_revision, newest=after.newest_revision)

    def _look(self, state: EndpointState, now: datetime) -> observe.Look:
        machine = self.prices.get(place_of(state.spec))
        cold = timedelta(seconds=state.cold_start_s)
        return observe.Look(
            now,
            hour_nanousd=None if machine is None else machine.hour_nanousd,
            lag=self.waiting.lag(state.spec.name, now, cold),
            measured=self.waiting.measured(state.spec.name),
        )

    async def _gauges(self, state: EndpointState) -> dict[str, float] | None:
        try:
            return await self._api.metrics(state.spec.namespace, state.spec.name)
        except ApiError:
            return None  # beta, and no reason to know less of the rest

    async def _logs(self, state: EndpointState) -> LogCounts | None:
        try:
            lines = (await self._api.logs(state.spec.namespace, state.spec.name, TAIL)).splitlines()
        except ApiError:
            return None
        return counted(state.logs or LogCounts(), lines)

    async def _adopt(self, namespace: str) -> None:
        """Know of endpoints that somebody made elsewhere."""
        if not self._is_due(f"list {namespace}", METRICS_EVERY, self._clock.now()):
            return
        found, faults = await self._api.all_of(namespace)
        for seen in found:
            state = self.states.get(f"{namespace}/{seen.name}")
            if state is None or state.status in GONE:
                spec = observe.adopted(namespace, self.adopt_for, seen)
                fault = spec if isinstance(spec, str) else orders.clash(spec, self.states.values())
                if fault or isinstance(spec, str):
                    faults.append(fault)
                else:
                    fresh = observe.begun(spec, self._clock.now())
                    self.states[spec.key] = fresh if state is None else observe.again(state, fresh)
        if faults:
            raise ApiError(f"{len(faults)} endpoints could not be read: {faults[0]}", again=True)

    async def _tell(self) -> None:
        now, records = self._clock.now(), list[Outgoing]()
        for key, state in self.states.items():
            old = self.told.get(key)
            quietly = old is None or (now - old.at >= QUIETLY and _sums(old) != _sums(state))
            if observe.is_news(old, state) or quietly:
                records.append(_record(state))
                self.told[key] = state
        if records:
            await self._publish(records)

    async def _give_commands(self) -> None:
        now, given = self._clock.now(), list[EndpointCommand]()
        for key, state in self.states.items():
            lag = self.waiting.lag(state.spec.name, now, timedelta(seconds=state.cold_start_s))
            for command in next_step(state, lag, now):
                if command.id not in state.answered and self._ordered.get(key) != command.id:
                    given.append(command)
                    self._ordered[key] = command.id
        if given:
            await self._publish([command_record(one) for one in given])

    async def _read_prices(self, now: datetime) -> None:
        self.prices = await self._api.machines()
        self._read_at["prices"] = now

    def _is_due(self, what: str, every: timedelta, now: datetime) -> bool:
        last = self._read_at.get(what)
        if last is not None and now - last < every:
            return False
        self._read_at[what] = now
        return True

    async def _noting(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except ApiError as error:
            self._read_at.pop(what, None)
            if error.hold_s:
                self._held_until = self._clock.now() + timedelta(seconds=error.hold_s)
            if self.faults.get(what) != str(error):
                log.warning("endpoint.not_read", what=what, reason=str(error))
            self.faults[what] = str(error)
        else:
            self.faults.pop(what, None)

    def describe(self) -> dict[str, Any]:
        """For /healthz and /metrics: the endpoints that are there, as their owner knows them, and what could not be
        read."""
        now = self._clock.now()
        counts = Counter(state.status for state in self.states.values())
        fleet = {
            key: in_numbers(state, self.waiting.lag(state.spec.name, now), now) for key, state in self.states.items()
        }
        return {
            "endpoints": dict(counts), "faults": dict(self.faults), "quotas": len(self.quotas),
            "fleet": {key: fleet[key] for key in sorted(fleet) if self.owner},
        }  # fmt: skip


def command_record(command: EndpointCommand) -> Outgoing:
    """A command as it is published."""
    key = f"{command.namespace}/{command.name}".encode()
    return Outgoing(ENDPOINT_COMMANDS.name, key, command.encode(), partition=0)


def in_numbers(state: EndpointState, lag: Lag, now: datetime) -> dict[str, Any]:
    """One endpoint in numbers."""
    return {
        "status": state.status, "ready": state.ready, "ready_replicas": state.ready_replicas,
        "target_replicas": state.target_replicas, "cost_nanousd": state.costs.total_nanousd,
        "hour_nanousd": state.costs.nanousd_per_hour, "waiting": lag.jobs,
        "oldest_s": 0.0 if lag.oldest is None else max(0.0, (now - lag.oldest).total_seconds()),
        "drifted": observe.drifted(state), "start_s": state.cold_start_s,
        "errors": None if state.logs is None else state.logs.errors,
    }  # fmt: skip


def _record(state: EndpointState) -> Outgoing:
    return Outgoing(ENDPOINTS.name, state.spec.key.encode(), state.encode(), partition=0)


def _entry(command: EndpointCommand, now: datetime, outcome: str, reason: str) -> AuditEntry:
    return AuditEntry(
        at=now, action="endpoint.commanded", tenant=command.tenant,
        authority=f"operator:{command.by}" if command.by else None,
        detail={
            "endpoint": f"{command.namespace}/{command.name}", "action": command.action, "command": command.id,
            "outcome": outcome,
            "why": command.reason, "reason": reason[:500],
        },
    )  # fmt: skip


def _sums(state: EndpointState) -> tuple[object, ...]:
    return state.costs, state.waiting, state.measured, state.gauges, state.last_used_at, state.logs


def _written(record: Record, now: datetime) -> datetime:
    return datetime.fromtimestamp(record.timestamp_ms / 1_000, now.tzinfo)


async def every(seconds: float, stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` again and again until `stop`; what it raises is told by class and tried again."""
    while not stop.is_set():
        try:
            await work()
        except Exception as error:
            log.warning("endpoints.broken", error=type(error).__name__)
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            continue
