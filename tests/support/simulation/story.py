"""One schedule from its beginning to its verdict: faults happen and heal, all is quiet, all is judged."""

import asyncio
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiokafka.errors import KafkaError

from runtime.follow import NotCaughtUp
from runtime.membership import InstanceTaken
from runtime.partitions import home_partition
from schemas import headers
from schemas.headers import Headers
from schemas.topics import BUDGETS, CONTROL, DLQ, JOBS, REGISTRY
from simulation.faults import Faults
from simulation.installation import BROKER, ENDED_S, TOKEN, Installation, built_as_simulated, new_folder
from simulation.kafka import SimBroker, SimRecord
from simulation.kernel import NOON, START_S, Kernel, SimProcess, Stuck
from simulation.provider import SimProvider
from simulation.schedule import HARMLESS, Fault, Limit, Plan, Publication, plan
from simulation.substitutes import substituted
from simulation.verdict import Testimony, judged
from simulation.verdict_breakers import Turns, observed
from simulation.verdict_cancels import Heard, heard
from simulation.verdict_left import journals_of
from simulation.verdict_registry import Readings, watched
from simulation.verdict_rest import held, notes_left
from simulation.words import Word

QUIET_WITHIN_S = 240.0
"""After the last fault has healed and the last job was published: every job has ended, every lane has committed to the
end of its partition, and each is open in one process alone. The longest that something may lawfully wait is a record's
deadline (40 s) and a stay in a retry topic of 60 s, once more after that, and the sessions and transactions of those
who died."""
REST_WITHIN_S = 75.0
"""From then on: until nothing is held. What is parked waits a minute for its partition."""
END_WITHIN_S = 60.0
"""After SIGTERM: a drain of 15 s, and what a process may wait for its broker."""
LOOK_EVERY_S = 0.5
NEVER = ("repeated", "late", "unknown", "lost_batches")
"""What a router's books count, and no schedule can bring about."""
AGAIN_S = 0.2
"""Before a producer whose broker is away tries again."""


@dataclass
class Outcome:
    """What became of one schedule."""

    seed: int
    complaints: list[str]
    digest: str
    """Of everything that stands in the logs, in the order of its happening: the same for the same seed."""
    counts: Counter[str]
    """Jobs, calls, faults by kind, processes that ended by themselves, ..."""


def run(
    seed: int, *, trace: Callable[[str], None] | None = None, logs: bool = False, of: Callable[[int], Plan] = plan
) -> Outcome:
    """The whole schedule of a seed. `trace` is told what happens, line by line; `logs`: processes log as they do."""
    return Story(of(seed), trace, logs).run()


@dataclass
class Story:
    """One schedule on its way."""

    plan: Plan
    trace: Callable[[str], None] | None = None
    logs: bool = False
    """What the processes log is let through."""
    kernel: Kernel = field(init=False)
    broker: SimBroker = field(init=False)
    provider: SimProvider = field(init=False)
    installation: Installation = field(init=False)
    published: list[Publication] = field(default_factory=list)
    """Acknowledged."""
    counts: Counter[str] = field(default_factory=Counter)
    faults: Faults = field(init=False)
    _away: Counter[str] = field(default_factory=Counter)
    _due: int = 0
    """Publications that are not acknowledged yet."""
    _booked: dict[str, dict[str, int]] = field(default_factory=dict)
    """What each router lane counted as spent when all was quiet, by tenant."""
    _ending: bool = False

    def run(self) -> Outcome:
        """To the end; whatever goes wrong is among the complaints."""
        self.kernel = Kernel(self.plan.seed)
        self.kernel.close = _nothing  # type: ignore[method-assign]
        self.provider = SimProvider(self.kernel, self.plan.size.max_in_flight)
        self.broker = self.kernel.servers[BROKER] = SimBroker(self.kernel)
        self.installation = Installation(self.kernel, self.broker, self.plan.size, new_folder())
        self.faults = Faults(self.plan, self.installation, self.provider, self._publish_again, self._redrive)
        try:
            with (
                substituted(self.kernel, logs=self.logs),
                built_as_simulated(self.provider),
                watched(self.kernel) as readings,
                heard(self.kernel) as wishes,
                observed(self.kernel) as turns,
            ):
                self._live()
                return self._outcome(readings, wishes, turns)
        finally:
            self.installation.close()
            _KEPT.append(self)

    def _live(self) -> None:
        kernel = self.kernel
        self.installation.create_topics()
        self._begin()
        quiet = _Quiet(self)
        try:
            kernel.run(lambda: self._over_at <= kernel.monotonic, within_s=1_000)
            self.tell("all heals")
            self.faults.heal()
            kernel.run(quiet.look, within_s=QUIET_WITHIN_S)
        except Stuck as stuck:
            kernel.complain(f"I8: not quiet: {stuck}; {quiet.missing()}")
        try:
            kernel.run(lambda: bool(kernel.complaints) or not self._held(), REST_WITHIN_S)
        except Stuck as stuck:
            kernel.complain(f"I6: all is done, and something is held: {stuck}; {self._held()}")
        for name, money, spent in self.installation.books():
            self._booked[name] = spent
            if odd := {what: money[what] for what in NEVER if money[what]}:
                kernel.complain(f"I10: {name} met {odd} among its decisions and ends")
        self._ending = True
        self.tell("SIGTERM to all")
        for process in self.installation.running.values():
            process.stop()
        try:
            kernel.run(self._is_over, END_WITHIN_S)
        except Stuck as stuck:
            left = [str(one) for one in self.installation.running.values() if one.alive]
            kernel.complain(f"I8: {left} did not end: {stuck}")

    def _is_over(self) -> bool:
        """All processes have ended, and what they decided last can be read as a whole."""
        alive = any(one.alive for one in self.installation.running.values())
        return not alive and not self.broker.transactions.ending

    def _begin(self) -> None:
        kernel, plan = self.kernel, self.plan
        for limit in plan.limits:
            self._limit(limit, limit.nanousd)
            terms = {"kind": "tenant", "tenant": limit.tenant, "over_limit": limit.over_limit}
            self._say(BUDGETS.name, limit.tenant, {"event": {**terms, "at": self._now_text()}})
            if limit.raised_at_s is not None:
                kernel.call_later(limit.raised_at_s, lambda one=limit: self._limit(one, one.raised_to))  # type: ignore[misc]
        for name in self.installation.names:
            kernel.call_later(kernel.dice.uniform(0, 0.2), lambda name=name: self._start(name))  # type: ignore[misc]
        self._due = len(plan.jobs)
        for job in plan.jobs:
            kernel.call_later(1.0 + job.at_s, lambda job=job: self._publish(job))  # type: ignore[misc]
        for at_s, tenant, id in plan.cancels:
            wish = {"action": "cancel", "tenant": tenant, "job_id": id, "submission": 1, "by": "ops"}
            kernel.call_later(1.0 + at_s, lambda wish=wish: self._wish(wish))  # type: ignore[misc]
        for word in plan.words:
            kernel.call_later(1.0 + word.at_s, lambda word=word: self._register(word))  # type: ignore[misc]
        for fault in plan.faults:
            kernel.call_later(1.0 + fault.at_s, lambda fault=fault: self._do(fault))  # type: ignore[misc]
        last = max(
            [
                plan.heals_at_s,
                *(job.at_s for job in plan.jobs),
                *(at_s for at_s, _, _ in plan.cancels),
                *(one.at_s for one in plan.words),
            ]
        )
        self._over_at = kernel.monotonic + 1.0 + last + 0.5
        self.provider.mood = plan.mood
        kernel.call_later(LOOK_EVERY_S, self._supervise)

    def tell(self, what: str) -> None:
        """A line of the story, for whoever reads along."""
        if self.trace is not None:
            self.trace(f"{self.kernel.monotonic - START_S:9.3f} {what}")

    # the world outside

    def _now_text(self) -> str:
        return (NOON + timedelta(seconds=self.kernel.monotonic - START_S)).isoformat()

    def _now_ms(self) -> int:
        return int((NOON + timedelta(seconds=self.kernel.monotonic - START_S)).timestamp() * 1_000)

    def _write(self, topic: str, partition: int, key: bytes | None, value: bytes, told: Headers = ()) -> bool:
        """As a producer with all the patience in the world does; False: not now."""
        network = self.broker.network
        if network.down or self.kernel.monotonic < network.frozen_until:
            return False
        log = self.broker.logs[topic, partition]
        end = log.end
        try:
            self.broker.produce((topic, partition), [(key, value, told, self._now_ms())])
        except KafkaError:
            return log.end > end
        return True

    def _say(self, topic: str, key: str, document: dict[str, Any]) -> None:
        if not self._write(topic, 0, key.encode(), json.dumps(document).encode()):
            self.kernel.call_later(AGAIN_S, lambda: self._say(topic, key, document))

    def _limit(self, limit: Limit, nanousd: int) -> None:
        scope = {"model": limit.model, "provider": limit.provider, "window": limit.window}
        budget = {"kind": "budget", "id": limit.id, "tenant": limit.tenant, "limit_nanousd": nanousd, **scope}
        self._say(BUDGETS.name, limit.tenant, {"event": {**budget, "at": self._now_text()}})

    def _wish(self, wish: dict[str, Any]) -> None:
        self._say(CONTROL.name, f"{wish['tenant']}/{wish['job_id']}", {**wish, "at": self._now_text()})

    def _register(self, word: Word) -> None:
        self.counts["words of the registry"] += 1
        at = NOON + timedelta(seconds=self.kernel.monotonic - START_S - word.back_s)
        self.tell(str(word))
        self._say(REGISTRY.name, word.key, {"event": {**word.event, "at": at.isoformat()}})

    def _publish(self, job: Publication) -> None:
        partitions = self.plan.size.partitions
        partition = (home_partition(job.tenant, partitions) + job.away) % partitions
        claim = ((headers.REDRIVE, job.letter.encode()), (headers.REDRIVEN_BY, b"ops")) if job.letter else ()
        if self._write(JOBS.name, partition, job.tenant.encode(), job.value, claim):
            self.published.append(job)
            self._due -= 1
        else:
            self.kernel.call_later(AGAIN_S, lambda: self._publish(job))

    # processes

    def _start(self, name: str) -> None:
        if self._ending:
            return
        self._away.pop(name, None)
        process = self.installation.start(name)
        self.faults.born(process)
        self.tell(f"{process} starts")

    def _supervise(self) -> None:
        """Start whoever has ended, after a while."""
        for name, process in list(self.installation.running.items()):
            if process.alive or name in self._away:
                continue
            if name in self.faults.guests:
                del self.installation.running[name]
                self.faults.guests.discard(name)
                continue
            for_s = self.faults.wanted_down.get(process.pid)
            if not self._ending and for_s is None:
                self._strayed(process)
            self._away[name] = 1
            self.kernel.call_later(ENDED_S if for_s is None else for_s, lambda name=name: self._start(name))  # type: ignore[misc]
        if not self._ending:
            self.kernel.call_later(LOOK_EVERY_S, self._supervise)

    def _strayed(self, process: SimProcess) -> None:
        """A process has ended although nobody wanted it to. It may, where it is put out or its broker is away long."""
        error = process.ended
        self.counts["ended by themselves"] += 1
        self.tell(f"{process} ended by itself: {error!r}")
        if not isinstance(error, BaseException) or not _is_excused(error):
            self.kernel.complain(f"{process} ended by itself: {error!r}")

    # faults

    def _do(self, fault: Fault) -> None:
        self.tell(f"fault: {fault}")
        self.counts[fault.kind] += 1
        self.faults.do(fault)

    def _publish_again(self) -> None:
        for job in self.published[-5:]:
            if b"ordering_key" not in job.value:
                self._due += 1
                self._publish(job)

    def _redrive(self) -> None:
        """As `novix dlq redrive --all` does: every dead letter of a job that can be read, in the order of the log."""
        part = (DLQ.name, 0)
        stable = self.broker.logs[part].stable
        for one in self.broker.raw(part):
            letter = driven_again(one) if one.offset < stable else None
            if letter is not None:
                self._due += 1
                self._publish(letter)

    # the end

    def _held(self) -> dict[str, Any]:
        """What the processes hold, by name; those that hold nothing are left out."""
        services = [(name, self.installation.services.get(one.pid)) for name, one in self.installation.running.items()]
        told = {name: held(service.describe()) for name, service in services if service is not None}
        return {name: holds for name, holds in told.items() if holds}

    def _outcome(self, readings: Readings, wishes: Heard, turns: Turns) -> Outcome:
        testimony = Testimony(
            plan=self.plan, published=self.published, broker=self.broker, provider=self.provider,
            excuses=self.faults.excused,
            harmless=HARMLESS.issuperset(fault.kind for fault in self.plan.faults), secrets=[TOKEN.encode()],
            booked=self._booked, journals=journals_of(self.installation.folder), readings=readings,
            heard=wishes, turns=turns,
        )  # fmt: skip
        complaints = [*self.kernel.complaints, *judged(testimony)]
        if testimony.harmless and self.plan.size.machines == 1:
            complaints += notes_left(self.installation.folder)
        self.counts["jobs"] += len(self.published)
        self.counts["calls"] += len(self.provider.calls)
        self.counts["faults"] += len(self.plan.faults)
        self.counts["processes"] += len(self.kernel.processes)
        self.counts["turns"] += self.kernel.steps
        self.counts["virtual seconds"] += int(self.kernel.monotonic - START_S)
        return Outcome(self.plan.seed, complaints, self._digest(), self.counts)

    def _digest(self) -> str:
        told = hashlib.sha256()
        for part in sorted(self.broker.logs):
            for one in self.broker.raw(part):
                told.update(repr((part, one.offset, one.key, one.value, one.headers)).encode())
        for call in self.provider.calls:
            told.update(repr((call.at, call.trace, call.pid, call.status, call.charged)).encode())
        told.update(repr((self.kernel.steps, self.kernel.monotonic, self.kernel.complaints)).encode())
        return told.hexdigest()


_KEPT: list["Story"] = []
"""Schedules that are over. What was killed in them stays as it died until this process ends with `os._exit`: unwound,
its handlers would run, in a world that is no more, and some of them would try again for ever."""


def _nothing() -> None:
    """Instead of `Kernel.close`."""


class _Quiet:
    """Whether nothing is left to be done. Looked at now and then, for the question is asked at every turn."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._next = 0.0

    def look(self) -> bool:
        story = self._story
        if story.kernel.monotonic < self._next:
            return False
        self._next = story.kernel.monotonic + LOOK_EVERY_S
        if story._due or any(not one.alive or one.frozen for one in story.installation.running.values()):
            return False
        if len(story.installation.running) < len(story.installation.names):
            return False
        installation = story.installation
        return not installation.lag() and not installation.unsettled() and not installation.strays()

    def missing(self) -> str:
        """What is left, in words."""
        story = self._story
        down = [name for name, one in story.installation.running.items() if not one.alive or one.frozen]
        told = [f"{story._due} not published", f"down {down}", f"lag {story.installation.lag()}"]
        told += [*story.installation.unsettled(), *story.installation.strays()]
        return "; ".join([*told, *story.installation.states()])


def driven_again(letter: SimRecord) -> Publication | None:
    """What publishes a dead letter's job again; None for one that holds none, or whose job keeps an order: driven again
    it is behind those that came since."""
    topic = next((value for name, value in letter.headers if name == headers.DLQ_TOPIC), b"").decode()
    try:
        document = json.loads(letter.value or b"")
        job = document if topic == JOBS.name else document["job"]
        if "ordering_key" in job:
            return None
        place = f"{letter.partition}/{letter.offset}"
        return Publication(0.0, job["tenant"], job["id"], json.dumps(job).encode(), letter=place)
    except (ValueError, KeyError, TypeError):
        return None


def _is_excused(error: BaseException) -> bool:
    """Whether a process may end so: its broker was away for too long, it was put out again and again, or it was started
    where nothing can be written."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_excused, error.exceptions))
    if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
        return True
    return isinstance(error, KafkaError | InstanceTaken | NotCaughtUp | TimeoutError | asyncio.CancelledError)
