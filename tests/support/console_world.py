"""A log in memory and one job's records, for the console's tests."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime import telemetry
from runtime.census import Group
from runtime.partitions import partition_of
from runtime.ports import Outgoing, Record
from runtime.telemetry import SpanDraft, TraceContext, encode_spans
from schemas import codec
from schemas.decision import Decision, DecisionBatch
from schemas.result import Attempt, Error, JobResult, Received, Who
from schemas.topics import DECISIONS, JOBS, RESULTS, SPANS, Topic

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PARTITIONS = 6


@dataclass(frozen=True, slots=True)
class Made:
    """What `create_topics` tells of one topic."""

    topic: str
    done: str
    partitions: int
    wanted: int


def stamped(record: Outgoing) -> Outgoing:
    """As a broker stamps what a producer sends without a time: now, since the commands look back from now."""
    return record if record.timestamp_ms is not None else replace(record, timestamp_ms=ms(datetime.now(UTC)))


@dataclass
class MemoryLog:
    """`console.kafka.Log` without a broker: partitions are lists, `follow` waits for what is appended."""

    partitions: int = PARTITIONS
    broker_count: int = 1
    records: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    appended: asyncio.Condition = field(default_factory=asyncio.Condition)
    batches: int = 0
    known_groups: list[Group] = field(default_factory=list)
    on_publish: Any = None
    """Called with each published record: a stand-in for router and worker."""

    def append(self, outgoing: Outgoing) -> tuple[int, int]:
        """A record of noon, unless it has a time of its own."""
        partition = outgoing.partition
        if partition is None:
            partition = partition_of(outgoing.key or b"", self.partitions)
        rows = self.records.setdefault((outgoing.topic, partition), [])
        moment = outgoing.timestamp_ms if outgoing.timestamp_ms is not None else ms(NOON)
        rows.append(
            Record(outgoing.topic, partition, len(rows), outgoing.key, outgoing.value, outgoing.headers, moment)
        )
        return partition, len(rows) - 1

    def reader(self) -> "MemoryReader":
        return MemoryReader(self)

    async def create_topics(
        self, topics: Iterable[Topic], *, partitions: int, replication: int = 1, min_insync: int = 1
    ) -> list[Made]:
        return [
            Made(
                topic.name,
                "mismatch" if topic.home and partitions != self.partitions else "kept",
                self.partitions,
                partitions,
            )
            for topic in topics
        ]

    async def publish(self, records: list[Outgoing]) -> list[tuple[int, int]]:
        self.batches += 1
        places = [self.append(stamped(record)) for record in records]
        if self.on_publish is not None:
            for record, place in zip(records, places, strict=True):
                for outgoing in self.on_publish(record, place):
                    self.append(stamped(outgoing))
        async with self.appended:
            self.appended.notify_all()
        return places

    async def lag(self, group: str, topic: str) -> dict[int, int]:
        return {partition: len(self.records.get((topic, partition), ())) for partition in range(self.partitions)}

    async def topics(self) -> dict[str, int]:
        return {topic: self.partitions for topic, _ in self.records}

    async def groups(self) -> list[Group]:
        return self.known_groups

    async def brokers(self) -> int:
        return self.broker_count

    async def follow(self, topic: str, starts: dict[int, int]) -> AsyncIterator[Record]:
        positions = dict(starts)
        while True:
            async with self.appended:
                fresh = [
                    record
                    for partition, position in positions.items()
                    for record in self.records.get((topic, partition), [])[position:]
                ]
                if not fresh:
                    await self.appended.wait()
            for record in fresh:
                positions[record.partition] = record.offset + 1
                yield record

    async def find_since(self, topic: str, partition: int, timestamp_ms: int) -> int:
        rows = self.records.get((topic, partition), [])
        return next((row.offset for row in rows if row.timestamp_ms >= timestamp_ms), len(rows))


@dataclass
class MemoryReader:
    """`LogReader` over a `MemoryLog`."""

    log: MemoryLog

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self.log.records.get((topic, partition), ()))

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        for record in self.log.records.get((topic, partition), [])[start:end]:
            yield record

    async def partitions(self, topic: str) -> int:
        return self.log.partitions


@dataclass(frozen=True)
class Story:
    """One job from publication to result; `records` are what it leaves on the topics."""

    job_id: str = "a1"
    tenant: str = "default"
    status: str = "succeeded"
    output: Any = None
    prompt: str = "Hi"
    began: datetime = NOON
    submission: int = 1
    offset: int = 7

    @property
    def trace(self) -> TraceContext:
        return telemetry.trace_of((), self.tenant, self.job_id, self.submission)

    @property
    def received(self) -> Received:
        return Received(topic=JOBS.name, partition=self.home, offset=self.offset, timestamp_ms=ms(self.began))

    @property
    def home(self) -> int:
        return partition_of(self.tenant.encode(), PARTITIONS)

    @property
    def job(self) -> dict[str, Any]:
        return {
            "id": self.job_id,
            "tenant": self.tenant,
            "task": "chat-completion",
            "input": {"messages": [{"role": "user", "content": self.prompt}]},
        }

    @property
    def decision(self) -> Decision:
        rejected = self.status == "rejected"
        candidate = {
            "model": "org/small",
            "provider": "hf-inference",
            "estimate_nanousd": 900,
            "ceiling_nanousd": 4_000,
            "price_source": "novix-sandbox",
        }
        return Decision.model_validate(
            {
                "decision_id": f"d-{self.job_id}-{self.submission}",
                "tenant": self.tenant,
                "job_id": self.job_id,
                "submission": self.submission,
                "digest": "0" * 64,
                "verdict": "rejected" if rejected else "assigned",
                "task": "chat-completion",
                "modality": "text",
                "policy": "brief/1",
                "complexity": 0.31,
                "candidates": [] if rejected else [candidate],
                "exclusions": [
                    {"model": "org/large", "provider": "auto", "reason": "price_ceiling", "detail": "at least 5,000"}
                ],
                "parameters": {"max_tokens": 64, "temperature": 0.8},
                "bound_by": "job",
                "max_cost_nanousd": 10_000_000,
                "deadline": (self.began + timedelta(minutes=10)).isoformat(),
                "kind": "price_ceiling" if rejected else None,
                "message": "costs at least 5,000" if rejected else None,
                "received": self.received.model_dump(),
                "trace_id": self.trace.trace_id,
                "decided_at": (self.began + timedelta(milliseconds=20)).isoformat(),
            }
        )

    @property
    def result(self) -> JobResult:
        good = self.status == "succeeded"
        attempts = [
            self._attempt(1, 60, 40, kind="rate_limited", upstream_status=429),
            self._attempt(2, 300, 500, upstream_status=200, cost_nanousd=1_234, request_id="req-2"),
        ]
        output = {"choices": [{"message": {"role": "assistant", "content": "Hello there."}}]}
        return JobResult(
            job_id=self.job_id,
            tenant=self.tenant,
            submission=self.submission,
            status=self.status,  # type: ignore[arg-type]
            task="chat-completion",
            output=(output if self.output is None else self.output) if good else None,
            error=None
            if good
            else Error.model_validate({"kind": "price_ceiling", "message": "too dear", "retryable": False}),
            asked=Who(model="auto", provider="auto"),
            served=Who(model="org/small", provider="hf-inference") if good else None,
            usage={"input_tokens": 12, "output_tokens": 5} if good else {},
            cost_nanousd=1_234 if good else 0,
            cost_source="computed" if good else "none",
            attempts=attempts if good else [],
            timing_ms={"total": 820, "queued": 15, "routed": 22, "waiting": 200, "calling": 540},
            received=self.received,
            decision_id=f"d-{self.job_id}-{self.submission}",
            trace_id=self.trace.trace_id,
            completed_at=self.began + timedelta(milliseconds=820),
        )

    def _attempt(self, number: int, start_ms: int, length_ms: int, **told: Any) -> Attempt:
        return Attempt(
            attempt=number,
            model="org/small",
            provider="hf-inference",
            started_at=self.began + timedelta(milliseconds=start_ms),
            waited_ms=200 if number > 1 else 0,
            duration_ms=length_ms,
            **told,
        )

    @property
    def spans(self) -> list[SpanDraft]:
        """Router, worker, a wait, the call and its two attempts, as the lanes write them."""
        who = {telemetry.TENANT: self.tenant, telemetry.JOB_ID: self.job_id, telemetry.SUBMISSION: self.submission}
        router = self._span(self.trace, "01" * 8, "process inference.jobs.v1", 15, 20, self._place(JOBS.name, **who))
        inside = self.trace.child_of(router.span_id)
        worker = self._span(
            inside, "02" * 8, "process inference.text.v1", 42, 810, self._place("inference.text.v1", **who)
        )
        below = self.trace.child_of(worker.span_id)
        call = self._span(below, "03" * 8, "chat org/small", 60, 800, {telemetry.GEN_AI_OPERATION: "chat"})
        under = self.trace.child_of(call.span_id)
        return [
            router,
            worker,
            self._span(below, "04" * 8, "wait retry", 100, 300, {}),
            call,
            self._post(under, "05" * 8, 1, 60, 100, 429, 0, "rate_limited"),
            self._post(under, "06" * 8, 2, 300, 800, 200, 1_234, None),
        ]

    def _place(self, topic: str, **who: Any) -> dict[str, Any]:
        return {
            telemetry.OPERATION: "process",
            telemetry.DESTINATION: topic,
            telemetry.PARTITION: str(self.home),
            telemetry.OFFSET: self.offset,
            **who,
        }

    def _post(
        self,
        parent: TraceContext,
        span_id: str,
        number: int,
        start: int,
        end: int,
        status: int,
        cost: int,
        error: str | None,
    ) -> SpanDraft:
        told: dict[str, Any] = {
            telemetry.HTTP_METHOD: "POST",
            telemetry.HTTP_STATUS: status,
            telemetry.ATTEMPT: number,
            telemetry.COST: cost,
        }
        return replace(self._span(parent, span_id, "POST", start, end, told), error=error)

    def _span(
        self, context: TraceContext, span_id: str, name: str, start: int, end: int, told: dict[str, Any]
    ) -> SpanDraft:
        first, last = self.began + timedelta(milliseconds=start), self.began + timedelta(milliseconds=end)
        return SpanDraft(replace(context, sampled=True), span_id, name, telemetry.INTERNAL, first, last, told)

    @property
    def records(self) -> list[tuple[str, int, int, int, bytes]]:
        """(topic, partition, offset, timestamp in ms, value) of everything that the job leaves."""
        spans = encode_spans("novix", self.spans)
        assert spans is not None
        batch = DecisionBatch(lane="novix-router.inference.jobs.v1.0", decisions=[self.decision])
        return [
            (JOBS.name, self.home, self.offset, ms(self.began), codec.encode(self.job)),
            (DECISIONS.name, self.home, self.offset, ms(self.began) + 30, batch.encode()),
            (SPANS.name, 0, self.offset, ms(self.began) + 830, spans),
            (RESULTS.name, 0, self.offset, ms(self.began) + 835, self.result.encode()),
        ]

    def write(self, log: MemoryLog) -> "Story":
        """Put everything on the log; the story with the place that its job got."""
        _, offset = log.append(
            Outgoing(JOBS.name, self.tenant.encode(), codec.encode(self.job), timestamp_ms=ms(self.began))
        )
        placed = replace(self, offset=offset)
        log.append(placed.outgoing_decision)
        log.append(placed.outgoing_result)
        return placed

    def write_result(self, log: MemoryLog) -> None:
        """Put its result alone on the log."""
        log.append(self.outgoing_result)

    @property
    def outgoing_decision(self) -> Outgoing:
        """The decision as a router lane writes it."""
        batch = DecisionBatch(lane="novix-router.inference.jobs.v1.0", decisions=[self.decision])
        return Outgoing(DECISIONS.name, None, batch.encode(), partition=self.home, timestamp_ms=ms(self.began) + 30)

    @property
    def outgoing_result(self) -> Outgoing:
        """The result as a lane writes it."""
        key = f"{self.tenant}/{self.job_id}".encode()
        return Outgoing(RESULTS.name, key, self.result.encode(), timestamp_ms=ms(self.began) + 835)


def ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1_000)
