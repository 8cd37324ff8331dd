"""Jobs that measure models: interleaved through Kafka within a total, their results matched, whatever ends it kept.

Money is held by the rule of `novix publish --max-total` (`console/quotes/allowance.py`): a job is published while what
was spent, the ceilings of those without a result and its own ceiling are together at most the total; its ceiling is
written into it, and its worker holds it. What does not fit is not published.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from console import answers
from console.index.calls import MEASURING
from console.kafka import Log, ends
from console.lines import outgoing_of
from console.quotes.allowance import Allowance
from console.quotes.known import Known
from console.quotes.lines import job_in, quoted
from console.telling.evidence import mapping, whole
from hub.evals.made import NO_RESULT, Outcome
from router.quote import Quote
from runtime.follow import beside
from runtime.ports import Outgoing
from schemas import codec
from schemas.job import ReadableJob
from schemas.topics import RESULTS

BATCH = 100
"""Jobs that are published together at most."""
LATE_S = 15.0
"""Beyond a job's own time its result is waited for."""
RUN_LABEL = MEASURING
KIND_LABEL = "novix.run.kind"
MODEL_LABEL = "novix.run.model"
"""Labels of every such job: budgets, sums and searches find them (`tag.novix.run=...`)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One job that is to be done."""

    model: str
    place: int
    """Which input it is: the same for all models."""
    input: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a run's jobs are published."""

    run_id: str
    kind: str
    task: str
    tenant: str
    timeout_s: float
    at_once: int
    """Of each model, jobs without a result."""
    provider: str = "auto"
    team: str | None = None


@dataclass(slots=True)
class Found:
    """What a run has brought so far. It stays when the run is broken off."""

    outcomes: dict[str, dict[int, Outcome]] = field(default_factory=dict)
    """By model and place."""
    stopped: str = ""
    """Why not everything was published; empty: it was."""
    spent_nanousd: int = 0
    open_nanousd: int = 0

    def common(self) -> list[int]:
        """The places of which every model has an outcome, in order: what models are compared by."""
        sets = [set(rows) for rows in self.outcomes.values()]
        return sorted(set.intersection(*sets)) if sets else []


@dataclass(slots=True)
class _Waiting:
    job_id: str
    outgoing: Outgoing
    ceiling: int
    done: "asyncio.Future[Outcome | None]"
    """None: it was not published, because it does not fit into the total."""
    began_s: float = 0.0
    timer: asyncio.TimerHandle | None = None


def interleaved(models: Sequence[str], inputs: Sequence[Mapping[str, Any]]) -> list[Ask]:
    """Every input to every model, model after model: what changes with time changes for all of them alike."""
    return [Ask(model, place, asked) for place, asked in enumerate(inputs) for model in models]


class Runner:
    """Publishes and waits. One owner, one `run`."""

    def __init__(
        self, log: Log, known: Known, terms: Terms, limit_nanousd: int, advance: Callable[[], None] = lambda: None
    ) -> None:
        self._log = log
        self._known = known
        self._terms = terms
        self._allowance = Allowance(limit_nanousd)
        self._advance = advance
        self._waiting: dict[str, _Waiting] = {}
        self._queue: deque[_Waiting] = deque()
        self._work, self._news = asyncio.Event(), asyncio.Event()
        self.found = Found()

    async def run(self, asks: Iterable[Ask]) -> Found:
        """Until every job has an outcome, or no more may be published. Cancelled, `found` keeps what there was."""
        by_model: dict[str, deque[Ask]] = {}
        for ask in asks:
            by_model.setdefault(ask.model, deque()).append(ask)
        self.found.outcomes.update({model: {} for model in by_model})
        starts = await ends(self._log, RESULTS.name)
        try:
            async with (
                beside(self._listen(starts)) as listening,
                beside(self._publish()) as publishing,
                beside(self._seats(by_model)) as seats,
            ):
                left = {seats, listening, publishing}
                while not seats.done():
                    ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                    for task in ended:
                        task.result()  # a connection that broke ends the run: nobody would wake the seats
        finally:
            for one in self._waiting.values():
                if one.timer is not None:
                    one.timer.cancel()
            self.found.spent_nanousd = self._allowance.spent
            self.found.open_nanousd = self._allowance.open_nanousd
        return self.found

    async def _seats(self, by_model: Mapping[str, deque[Ask]]) -> None:
        async with asyncio.TaskGroup() as group:
            for asks in by_model.values():
                for _ in range(min(self._terms.at_once, len(asks))):
                    group.create_task(self._ask(asks))

    async def _ask(self, asks: deque[Ask]) -> None:
        """One of a model's seats: job after job, as long as there are any and the total allows them."""
        while asks and not self.found.stopped:
            ask = asks.popleft()
            outcome = await self._one(ask)
            if outcome is not None:
                self.found.outcomes[ask.model][ask.place] = outcome
                self._advance()

    async def _one(self, ask: Ask) -> Outcome | None:
        """How one job ended; None: it may not be published."""
        outgoing = outgoing_of(codec.encode(self._document(ask)), self._terms.tenant)
        if isinstance(outgoing, str):
            return Outcome("invalid_job", published=False)
        job = job_in(outgoing)
        if not isinstance(job, ReadableJob):
            return Outcome("invalid_job" if isinstance(job, str) else str(job.kind), published=False)
        one: Quote = await self._known.quote(job.job, datetime.now(UTC))
        if not one.taken or not one.model:
            return Outcome(str(one.kind or one.verdict), published=False)
        if self.found.stopped:
            return None
        done: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(job.job.id, quoted(outgoing, one, ceiling=one.bound), one.bound, done))
        self._work.set()
        return await done

    def _document(self, ask: Ask) -> dict[str, Any]:
        terms = self._terms
        number = list(self.found.outcomes).index(ask.model)
        document: dict[str, Any] = {
            "id": self._id(number, ask.place),
            "tenant": terms.tenant,
            "task": terms.task,
            "model": ask.model,
            "provider": terms.provider,
            "timeout_s": terms.timeout_s,
            "metadata": {RUN_LABEL: terms.run_id, KIND_LABEL: terms.kind, MODEL_LABEL: ask.model},
            "input": ask.input,
        }
        return document if terms.team is None else {**document, "team": terms.team}

    def _id(self, number: int, place: int) -> str:
        return f"{self._terms.run_id}.{number}.{place}"

    async def _publish(self) -> None:
        """What the seats want published, in their order, as far as the total allows."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                batch = list[_Waiting]()
                while self._queue and len(batch) < BATCH and self._allowance.send(self._queue[0].ceiling):
                    batch.append(self._queue.popleft())
                if batch:
                    await self._send(batch)
                elif not await self._room():
                    return

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        began_s = time.monotonic()
        for one in batch:
            one.began_s = began_s
            self._waiting[one.job_id] = one
        self._allowance.placed(await self._log.publish([one.outgoing for one in batch]))
        loop = asyncio.get_running_loop()
        for one in batch:
            one.timer = loop.call_later(self._terms.timeout_s + LATE_S, self._late, one)

    async def _room(self) -> bool:
        """Wait until results leave more of the total; False: they never will, and the run stops."""
        from console.words import money

        wanted, allowance = self._queue[0].ceiling, self._allowance
        while wanted > allowance.left:
            if not self._waiting:
                self.found.stopped = (
                    f"the next job may cost {money(wanted)}, and {money(allowance.left)} is left of "
                    f"{money(allowance.limit)}"
                )
                for one in self._queue:
                    one.done.set_result(None)
                self._queue.clear()
                return False
            self._news.clear()
            await self._news.wait()
        return True

    def _late(self, one: _Waiting) -> None:
        """Its result did not come in time: its ceiling stays open, for it may still be spent."""
        self._end(one, Outcome(NO_RESULT, began_s=one.began_s, ended_s=time.monotonic()))

    def _end(self, one: _Waiting, outcome: Outcome) -> None:
        self._waiting.pop(one.job_id, None)
        if one.timer is not None:
            one.timer.cancel()
        if not one.done.done():
            one.done.set_result(outcome)
        self._news.set()

    async def _listen(self, starts: dict[int, int]) -> None:
        prefix = answers.result_key(self._terms.tenant, self._terms.run_id + ".")
        async for record in self._log.follow(RESULTS.name, starts):
            if not (record.key or b"").startswith(prefix):
                continue
            result = answers.document(record)
            self._allowance.result(result)
            one = self._waiting.get(str(result.get("job_id")))
            if one is not None:
                self._end(one, outcome_of(result, one.began_s, time.monotonic()))


def outcome_of(result: Mapping[str, Any], began_s: float, ended_s: float) -> Outcome:
    """What a result says of how its job ended. Pure."""
    succeeded, attempts = result.get("status") == "succeeded", result.get("attempts")
    timing = mapping(result.get("timing_ms"))
    return Outcome(
        None if succeeded else str(mapping(result.get("error")).get("kind") or result.get("status") or "unknown"),
        result.get("output") if succeeded else None,
        whole(result.get("cost_nanousd")) or 0,
        len(attempts) if isinstance(attempts, list) else 0,
        whole(timing.get("calling")),
        whole(timing.get("total")),
        mapping(result.get("served")).get("provider"),
        True,
        began_s,
        ended_s,
    )
