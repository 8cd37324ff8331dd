"""A world for one worker: a clock turned by hand, a provider that follows a script, and jobs assigned to it."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from runtime import later
from runtime.breaker import BreakerKey, Breakers
from runtime.cancels import Cancels
from runtime.credentials import Credentials
from runtime.intents import Intents
from runtime.limits import Limits
from runtime.outcome import Done, GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Record
from runtime.settings import Settings
from schemas.assignment import AssignedJob, Assignment, Candidate, Price
from schemas.control import ControlEvent
from schemas.result import JobResult, Received
from schemas.topics import CONTROL, JOBS, TEXT, Topic
from workers.worker import WorkerApplication, WorkerLane, Workshop

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOKEN = "hf_canaryTokenThatMustNotShow"
PROMPT = "canary prompt: the gull owes nobody its herring"
LANE = "novix-worker-text.inference.text.v1.2"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class HandClock:
    """Time that passes only when a test turns it."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return START + self.passed

    def monotonic(self) -> float:
        return 1_000.0 + self.passed.total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds)

    def turn(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)

    def turn_to(self, instant: datetime) -> None:
        self.passed = max(self.passed, instant - START)


def completion(text: str = "Hello!", **usage: int) -> dict[str, Any]:
    """A chat completion as the router gives it."""
    return {
        "object": "chat.completion",
        "id": "chatcmpl-1",
        "created": 1_795_000_000,
        "model": "acme/chat",
        "system_fingerprint": "fp",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": usage or {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25},
    }


def answer(document: Any = None, status: int = 200, **headers: str) -> httpx.Response:
    """A JSON answer; header names with underscores for hyphens."""
    body = json.dumps(completion() if document is None else document).encode()
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers={"content-type": "application/json", **told}, content=body)


def failing(status: int, body: Any = None, **headers: str) -> httpx.Response:
    """A refusal; without a body, one that says nothing in particular."""
    return answer({"error": "upstream says no"} if body is None else body, status, **headers)


def events(*chunks: Any, done: bool = True, cut: Exception | None = None) -> httpx.Response:
    """A stream of server-sent events, one a chunk; `cut` breaks the connection after them."""

    async def body() -> Any:
        for chunk in chunks:
            yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
        if cut is not None:
            raise cut
        if done:
            yield b"data: [DONE]\n\n"

    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body())


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a streamed completion."""
    return {
        "id": "chatcmpl-1",
        "created": 1,
        "model": "acme/chat",
        "choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}],
    }


Step = httpx.Response | Exception | Callable[[httpx.Request], Any]


@dataclass
class Script:
    """A provider that answers call after call; the last step answers for ever."""

    steps: list[Step]
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps[min(len(self.requests), len(self.steps)) - 1]
        if callable(step):
            step = step(request)
            if isinstance(step, Awaitable):
                step = await step
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, httpx.Response)
        if step.is_stream_consumed or step.is_closed:  # the same answer again
            return httpx.Response(step.status_code, headers=step.headers, content=step.content)
        return step


def candidate(**change: Any) -> Candidate:
    """A chat model at the router: 1 nano-dollar an input token, 2 an output token."""
    price = Price(
        input_nanousd_per_million_tokens=1_000_000,
        output_nanousd_per_million_tokens=2_000_000,
        source="test",
        as_of="2026-11-22",
    )
    return Candidate(
        **{
            "model": "acme/chat",
            "provider": "auto",
            "provider_model": "acme/chat",
            "dialect": "hf-router",
            "base_url": "http://provider.test",
            "price": price,
            "max_in_flight": 4,
            "estimate_nanousd": 500,
            "ceiling_nanousd": 1_000,
            **change,
        }
    )


def chat_input(**more: Any) -> dict[str, Any]:
    """An input whose prompt is the canary."""
    return {"messages": [{"role": "user", "content": PROMPT}], **more}


def assigned(
    *candidates: Candidate, job: dict[str, Any] | None = None, offset: int = 7, topic: Topic = TEXT, **change: Any
) -> Record:
    """A record of a worker's topic: published at START, routed 20 ms later, its deadline ten minutes on."""
    whole = {"id": "a1", "task": "chat-completion", "input": chat_input(), "tenant": "acme", **(job or {})}
    assignment = Assignment(
        **{
            "candidates": list(candidates) or [candidate()],
            "parameters": {"max_tokens": 64, "temperature": 0.7, "top_p": 0.95},
            "max_cost_nanousd": 10_000_000,
            "deadline": START + timedelta(minutes=10),
            "decision_id": "d" * 32,
            **change,
        }
    )
    received = Received(topic=JOBS.name, partition=0, offset=3, timestamp_ms=int(START.timestamp() * 1000) - 50)
    envelope = AssignedJob(
        submission=1,
        job=whole,
        assignment=assignment,
        received=received,
        routed_at=START - timedelta(milliseconds=30),
    )
    headers = (("traceparent", TRACEPARENT.encode()), ("baggage", b"secret=1"))
    return Record(topic.name, 2, offset, b"acme/a1", envelope.encode(), headers, received.timestamp_ms + 20)


@dataclass
class World:
    """The application, and what happened to it."""

    clock: HandClock
    script: Script
    app: WorkerApplication
    breakers: Breakers
    limits: Limits[BreakerKey]
    lane: WorkerLane
    settings: Settings
    cancels: Cancels
    left: list[Publish] = field(default_factory=list)
    """The outcomes that went to a retry topic."""
    waits: list[RetryAt] = field(default_factory=list)
    modality: str = "text"
    shared: dict[str, Any] = field(default_factory=dict)
    """What the workshop was given beside: payloads, deltas, fetching."""

    async def run(self, record: Record) -> Done:
        """Handle `record` as the lane does: each RetryAt is waited for on the hand clock."""
        delivery = Delivery(record, self.clock.now())
        for _ in range(100):
            outcome = await self.lane.handle(delivery)
            if not isinstance(outcome, RetryAt):
                return outcome
            self.waits.append(outcome)
            self.clock.turn_to(outcome.when)
            delivery = replace(delivery, attempt=delivery.attempt + 1, memo=outcome.memo)
        raise AssertionError("the job never ends")

    async def travel(self, record: Record, away: timedelta = timedelta()) -> Done:
        """Handle `record` as a process does: short waits in memory, others in a retry topic, `away` longer than asked.

        What went to a retry topic comes back as another record, to this lane.
        """
        delivery = Delivery(record, self.clock.now())
        for _ in range(100):
            outcome = await self.lane.handle(delivery)
            if not isinstance(outcome, RetryAt):
                return outcome
            self.waits.append(outcome)
            left = None
            if not outcome.in_memory or outcome.when - self.clock.now() > timedelta(seconds=5):
                left = self.lane.postpone(delivery, outcome)
            if left is None:
                self.clock.turn_to(outcome.when)
                delivery = replace(delivery, attempt=delivery.attempt + 1, memo=outcome.memo)
                continue
            self.left.append(left)
            self.clock.turn_to(outcome.when + away)
            delivery = Delivery(returned(left, delivery.record), self.clock.now())
        raise AssertionError("the job never ends")

    def process(self, intents: Intents | None = None, limits: Limits[BreakerKey] | None = None) -> WorkerLane:
        """The lane in another process, on the same provider, clock and control topic."""
        made = self.settings
        limits = limits or Limits(made.max_in_flight, clock=self.clock.monotonic)
        shop = Workshop(
            made, httpx.MockTransport(self.script), Credentials(value=SecretStr(TOKEN)), limits, self.breakers,
            self.clock, lambda: 0.5, intents=intents, cancels=self.cancels, **self.shared,
        )  # fmt: skip
        return WorkerLane(WorkerApplication(shop, self.modality), LANE)

    async def settled(self) -> None:
        """Until every provider that had to be told to stop has been told."""
        async with self.app.workshop:
            pass

    def cancel(self, by: str = "mira", **change: Any) -> None:
        """Somebody wants the job `a1` of `acme` to end; every process hears of it at once."""
        event = ControlEvent(
            **{"action": "cancel", "tenant": "acme", "job_id": "a1", "at": self.clock.now(), "by": by, **change}
        )
        self.cancels.fold(Record(CONTROL.name, 0, 0, b"acme/a1", event.encode(), (), 0))


def returned(left: Publish, before: Record) -> Record:
    """The record that a retry lane makes of one that went to wait: its headers without those of the wait."""
    (record,) = left.records
    again = later.returned(
        Record(record.topic, 0, 0, record.key, record.value, record.headers, before.timestamp_ms), before.topic
    )
    return replace(before, offset=before.offset + 100, value=again.value, headers=again.headers)


def world(
    *steps: Step, dice: float = 0.5, breaker: bool = False, intents: Intents | None = None, modality: str = "text",
    shared: dict[str, Any] | None = None, **settings: Any,
) -> World:  # fmt: skip
    """A worker whose provider follows `steps`; breakers are off unless asked for. `shared` goes to its `Workshop`."""
    clock, script = HandClock(), Script(list(steps) or [answer()])
    values = {"breaker": breaker, "hf_token": SecretStr(TOKEN), **settings}
    made = Settings(**values)
    limits: Limits[BreakerKey] = Limits(made.max_in_flight, clock=clock.monotonic)
    breakers = Breakers(
        fail_max=made.breaker_fail_max,
        reset_timeout=timedelta(seconds=made.breaker_reset_s),
        enabled=made.breaker,
        clock=clock.monotonic,
    )
    shop = Workshop(
        made,
        httpx.MockTransport(script),
        Credentials(value=made.hf_token if made.hf_token.get_secret_value() else None),
        limits,
        breakers,
        clock,
        lambda: dice,
        intents=intents,
        cancels=(cancels := Cancels()),
        **(shared or {}),
    )
    app = WorkerApplication(shop, modality)
    lane = WorkerLane(app, LANE)
    return World(clock, script, app, breakers, limits, lane, made, cancels, modality=modality, shared=shared or {})


def result_of(done: Done) -> JobResult:
    """The one result that an outcome publishes."""
    assert isinstance(done, Publish | GiveUp)
    (record,) = done.records
    assert record.value is not None
    return JobResult.model_validate_json(record.value)


def everything_in(done: Done) -> str:
    """Every text that leaves the process with an outcome: records, headers, spans, audit entries, messages."""
    told: Iterable[Any] = (
        done.records,
        done.audit,
        done.spans,
        getattr(done, "message", ""),
        getattr(done, "error_type", ""),
    )
    return repr(tuple(told))
