"""The explorer's memory with a million spans: how long it takes to fill, how large it is, and how fast it answers.

`python -m bench explorer`, without Kafka: what routers and workers would write is made here, batch by batch, and goes
the way that it goes from Kafka (`console.index.facts`, `console.index.store`). In a process of its own, so that the
peak of memory is the index's.
"""

import contextlib
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from bench.figure import Figure, quantile
from console.index.facts import facts_of
from console.index.pruning import Keep
from console.index.query import Query, parse
from console.index.reading import Index
from console.index.store import Store
from console.pages.app import create_app
from console.pages.context import Context
from console.pages.render import job_url
from runtime import telemetry as names
from runtime.telemetry import CLIENT, CONSUMER, INTERNAL, PRODUCER, SpanDraft, TraceContext, encode_spans, span_id
from schemas import codec
from schemas.topics import AUDIT, DECISIONS, JOBS, LEDGER, RESULTS, SPANS, TEXT

NAME = "explorer"
SPANS_IN_ALL = 1_000_000
JOBS_A_BATCH = 100
TENANTS = tuple(f"team-{number:02}" for number in range(24))
MODELS = tuple(f"org-{number % 5}/model-{number}" for number in range(12))
PROVIDERS = ("hf-inference", "together", "groq", "novita")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BETWEEN_JOBS = timedelta(milliseconds=40)
ASKED_TIMES = 60
"""Each question, with other values."""


@dataclass(slots=True)
class Made:
    """What was written so far, for questions that have an answer."""

    dice: random.Random
    jobs: int = 0
    spans: int = 0
    examples: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Some (tenant, job id, trace id, offset)."""


def measure(*, quick: bool) -> list[Figure]:
    """Fill an index and ask it."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_measure, args=(theirs, SPANS_IN_ALL // (10 if quick else 1)))
    process.start()
    theirs.close()
    try:
        found: list[Figure] = ours.recv()
    finally:
        process.join(30)
    return found


def _measure(answer: Connection, spans: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explorer.sqlite"
        made = Made(random.Random(8))
        figures = _filled(path, made, spans)
        with contextlib.closing(Index(path)) as index:
            figures += _asked(index, made)
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    figures.append(Figure(NAME, "peak memory, filling and asking", peak, "MB", note=load))
    answer.send(figures)


def _filled(path: Path, made: Made, spans: int) -> list[Figure]:
    took, slowest, used_cpu = 0.0, 0.0, 0.0
    keep = Keep(days=10_000, jobs=spans, spans=spans * 2)
    with contextlib.closing(Store(path, keep=keep)) as store:
        while made.spans < spans:
            records = list(_batch(made))
            began, cpu = time.perf_counter(), time.process_time()
            store.add(facts_of(*record) for record in records)
            slowest = max(slowest, time.perf_counter() - began)
            took += time.perf_counter() - began
            used_cpu += time.process_time() - cpu
        used = sum(file.stat().st_size for file in path.parent.iterdir()) / 1_048_576
    said = f"{made.spans:,} spans of {made.jobs:,} jobs, with their decisions, results, ledger and audit"
    return [
        Figure(NAME, "spans indexed a second", made.spans / took, "spans/s", "2,000", said),
        Figure(NAME, "time to index them", took, "s"),
        Figure(NAME, "CPU of that, a span", used_cpu / made.spans * 1e6, "us"),
        Figure(NAME, "longest write", slowest * 1_000, "ms", "under 2,000: seen within 2 s"),
        Figure(NAME, "size of the file", used, "MB"),
    ]


def _asked(index: Index, made: Made) -> list[Figure]:
    dice, some = made.dice, made.examples
    questions: dict[str, tuple[str, Callable[[], Any]]] = {
        "job by id": ("50 ms", lambda: index.job(*dice.choice(some)[:2])),
        "everything of a job": ("300 ms", lambda: _whole(index, *dice.choice(some)[:3])),
        "trace": ("50 ms", lambda: index.spans(dice.choice(some)[2])),
        "search for a job id": ("50 ms", lambda: _page(index, parse(f"job={dice.choice(some)[1]}"))),
        "search for topic/partition/offset": (
            "50 ms", lambda: _page(index, Query(record=(RESULTS.name, 0, dice.choice(some)[3])))),
        "search, status and tenant": (
            "200 ms", lambda: _page(index, parse(f"status=failed tenant={dice.choice(TENANTS)}"))),
        "search, the slowest": ("200 ms", lambda: _page(index, parse("min=40s"))),
        "search, an attribute that few have": (
            "200 ms", lambda: _page(index, parse(f"messaging.kafka.offset={dice.choice(some)[3]}"))),
        "search, an attribute and an error": (
            "200 ms", lambda: _page(index, parse(f"error=true status=failed {_of_model(dice)}"))),
        "search, an attribute that all have": ("", lambda: _page(index, parse("messaging.system=kafka"))),
        "search, part of an id": ("", lambda: _page(index, parse(f"{dice.randrange(10**4, 10**5)}"))),
        "page of all jobs": ("200 ms", lambda: _page(index, Query())),
        "statistics, a tenant": ("", lambda: index.statistics(Query(tenant=dice.choice(TENANTS)))),
        "statistics, all": ("", lambda: index.statistics(Query())),
        "totals": ("", index.totals),
        "costs by tenant": ("", lambda: index.costs(by="tenant")),
        "costs by model": ("", lambda: index.costs(by="model")),
        "state": ("", index.state),
    }  # fmt: skip
    client = TestClient(create_app(Context(index, lambda: {"healthy": True})), base_url="http://127.0.0.1")
    questions |= {
        "page of jobs, rendered": ("300 ms", lambda: _shown(client, "/")),
        "page of a job, rendered": ("300 ms", lambda: _shown(client, job_url(*dice.choice(some)[:2]))),
    }
    figures = []
    for name, (wanted, ask) in questions.items():
        times = sorted(_timed(ask) for _ in range(ASKED_TIMES if wanted else ASKED_TIMES // 4))
        figures.append(
            Figure(NAME, name, quantile(times, 0.95), "ms", wanted and f"p95 under {wanted}",
                   f"p50 {quantile(times, 0.5):.1f} ms")
        )  # fmt: skip
    return figures


def _timed(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1_000


def _shown(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 200


def _of_model(dice: random.Random) -> str:
    return f"{names.GEN_AI_REQUEST_MODEL}={dice.choice(MODELS)}"


def _page(index: Index, query: Query) -> None:
    index.jobs(query, limit=100)


def _whole(index: Index, tenant: str, job_id: str, trace_id: str) -> None:
    index.job(tenant, job_id)
    index.spans(trace_id)
    index.records(tenant, job_id)
    index.money(tenant, job_id)
    index.audit(tenant, job_id)


def _batch(made: Made) -> Iterator[tuple[Any, ...]]:
    """The records of some jobs, as lanes write them: one decision, ledger, audit and span record for all of them."""
    first, at = made.jobs, _ms(NOON + made.jobs * BETWEEN_JOBS)
    jobs = [_Job(made.dice, number) for number in range(first, first + JOBS_A_BATCH)]
    made.jobs += len(jobs)
    for job in jobs:
        yield JOBS.name, 0, job.number, _ms(job.began), codec.encode(job.asked), b"t", ()
        yield TEXT.name, 0, job.number, _ms(job.began) + 20, b"{}", b"k", (("novix-identity", job.identity),)
    lane = {"lane": "novix-router.inference.jobs.v1.0", "sequence": first, "previous": "0" * 64, "hash": "1" * 64}
    yield DECISIONS.name, 0, first, at + 4_000, codec.encode({**lane, "decisions": [job.decision for job in jobs]})
    for job in jobs:
        yield RESULTS.name, 0, job.number, _ms(job.ended), codec.encode(job.result)
    yield LEDGER.name, 0, first, at + 4_000, codec.encode({**lane, "entries": [job.entry for job in jobs]})
    for offset, deeds in ((first, [job.assigned for job in jobs]), (first + 1, [job.deed for job in jobs])):
        yield AUDIT.name, 0, offset, at + 4_000, codec.encode({**lane, "entries": deeds})
    for offset, spans in (
        (first, [job.router_span for job in jobs]),
        (first + 1, [span for job in jobs for span in job.worker_spans()]),
    ):
        made.spans += len(spans)
        service = "novix-router" if offset == first else "novix-worker"
        yield SPANS.name, 0, offset, at + 4_000, encode_spans(service, spans)
    made.examples += [(job.tenant, job.id, job.trace.trace_id, job.number) for job in jobs[::25]]


class _Job:
    """One job as it leaves the pipeline: one in 16 fails, one in 8 is tried twice."""

    def __init__(self, dice: random.Random, number: int) -> None:
        self.number, self.id = number, f"job-{dice.randrange(10**12):012}"
        self.tenant, self.model = dice.choice(TENANTS), dice.choice(MODELS)
        self.provider = PROVIDERS[dice.randrange(4)]
        self.failed, self.twice = dice.random() < 1 / 16, dice.random() < 1 / 8
        self.tokens, self.cost = dice.randrange(8, 900), dice.randrange(2_000, 3_000_000)
        self.began = NOON + number * BETWEEN_JOBS
        self.calling_ms = min(59_000, int(dice.lognormvariate(6.5, 1)))
        self.ended = self.began + timedelta(milliseconds=60 + self.calling_ms)
        self.trace = TraceContext(f"{dice.randrange(1, 2**128):032x}", None)
        self.status = "failed" if self.failed else "succeeded"
        self.error = "provider_error" if self.failed else None
        self.identity = f"{self.tenant}/{self.id}/1".encode()
        self.who = {"tenant": self.tenant, "job_id": self.id, "submission": 1}
        self.decision_id = f"{number:064x}"
        self.received = {"topic": JOBS.name, "partition": 0, "offset": number, "timestamp_ms": _ms(self.began)}

    @property
    def asked(self) -> dict[str, Any]:
        return {"id": self.id, "tenant": self.tenant, "task": "chat-completion",
                "input": {"messages": [{"role": "user", "content": "word " * 60}]}}  # fmt: skip

    @property
    def decision(self) -> dict[str, Any]:
        price = {"input_nanousd_per_million_tokens": 60_000_000, "output_nanousd_per_million_tokens": 180_000_000,
                 "source": "router /v1/models", "as_of": "2026-11-20"}  # fmt: skip
        candidates = [
            {
                "model": self.model,
                "provider": one,
                "price": price,
                "estimate_nanousd": self.cost,
                "ceiling_nanousd": 10**7,
            }
            for one in PROVIDERS[:3]
        ]
        why = {"provider": "auto", "reason": "price_ceiling", "detail": "at least 12,000,000 nano-dollars"}
        excluded = [{**why, "model": one} for one in MODELS[:4]]
        return {
            **self.who, "decision_id": self.decision_id, "digest": "2" * 64, "verdict": "assigned",
            "task": "chat-completion", "modality": "text", "policy": "brief/1", "complexity": 0.31,
            "versions": {"catalogue": "3" * 16, "prices": "812", "policy": "brief/1", "accounts": "55"},
            "candidates": candidates, "exclusions": excluded, "parameters": {"max_tokens": 1024, "temperature": 0.8},
            "reserve": {"nanousd": 10**7, "quoted_nanousd": None, "expected_nanousd": self.cost,
                        "budgets": [{"id": f"tenant/{self.tenant}", "window": "2026-11", "limit_nanousd": 10**12,
                                     "spent_nanousd": 10**9, "reserved_nanousd": 10**8}]},
            "team": f"squad-{self.number % 7}", "metadata": {"project": f"p{self.number % 40}"},
            "received": self.received, "trace_id": self.trace.trace_id,
            "decided_at": (self.began + timedelta(milliseconds=15)).isoformat(),
        }  # fmt: skip

    @property
    def result(self) -> dict[str, Any]:
        attempt = {"model": self.model, "provider": self.provider, "started_at": self.began.isoformat(), "waited_ms": 3,
                   "duration_ms": self.calling_ms, "kind": self.error, "upstream_status": 200}  # fmt: skip
        return {
            **self.who, "schema": 1, "status": self.status, "task": "chat-completion",
            "output": {"choices": [{"message": {"role": "assistant", "content": "word " * 120}}]},
            "error": {"kind": self.error, "message": "status 500", "retryable": True} if self.failed else None,
            "asked": {"model": "auto", "provider": "auto"}, "served": {"model": self.model, "provider": self.provider},
            "usage": {"input_tokens": 60, "output_tokens": self.tokens}, "cost_nanousd": self.cost,
            "attempts": [{**attempt, "attempt": number + 1} for number in range(1 + self.twice)],
            "timing_ms": {"total": 60 + self.calling_ms, "queued": 12, "routed": 20, "waiting": 8,
                          "calling": self.calling_ms},
            "received": self.received, "decision_id": self.decision_id, "trace_id": self.trace.trace_id,
            "completed_at": self.ended.isoformat(),
        }  # fmt: skip

    @property
    def entry(self) -> dict[str, Any]:
        charge = {"model": self.model, "provider": self.provider, "nanousd": self.cost, "source": "computed",
                  "ambiguous": False, "attempt": 1, "request_id": f"req-{self.number}"}  # fmt: skip
        return {**self.who, "kind": "settle", "decision_id": self.decision_id, "reserved_nanousd": 10**7,
                "cost_nanousd": self.cost, "charges": [charge], "status": self.status,
                "at": self.ended.isoformat()}  # fmt: skip

    @property
    def assigned(self) -> dict[str, Any]:
        return {**self.who, "at": self.began.isoformat(), "action": "job.assigned", "trace_id": self.trace.trace_id,
                "span_id": "4" * 16, "detail": {"policy": "brief/1", "model": self.model, "candidates": 3}}  # fmt: skip

    @property
    def deed(self) -> dict[str, Any]:
        return {**self.who, "at": self.ended.isoformat(), "action": f"job.{self.status}", "span_id": "5" * 16,
                "trace_id": self.trace.trace_id, "detail": {"attempts": 1, "cost_nanousd": self.cost}}  # fmt: skip

    def _named(self, topic: str, group: str) -> dict[str, Any]:
        return {
            names.SYSTEM: "kafka", names.OPERATION: "process", names.OPERATION_TYPE: "process",
            names.DESTINATION: topic, names.PARTITION: "0", names.OFFSET: self.number, names.GROUP: group,
            names.JOB_ID: self.id, names.TENANT: self.tenant, names.SUBMISSION: 1, names.TASK: "chat-completion",
            names.STATUS: self.status, names.DECISION_ID: self.decision_id, names.QUEUED_MS: 12,
        }  # fmt: skip

    def _span(self, parent: str | None, name: str, kind: Any, start_ms: int, end_ms: int, **told: Any) -> SpanDraft:
        context = self.trace if parent is None else self.trace.child_of(parent)
        return SpanDraft(
            context, span_id(self.trace, name, start_ms), name, kind, self.began + timedelta(milliseconds=start_ms),
            self.began + timedelta(milliseconds=end_ms), told.pop("attributes", {}), told.pop("error", None),
        )  # fmt: skip

    @property
    def router_span(self) -> SpanDraft:
        told = {**self._named(JOBS.name, "novix-router"), names.COMPLEXITY: 0.31, names.POLICY: "brief/1"}
        return self._span(None, f"process {JOBS.name}", CONSUMER, 12, 16, attributes=told)

    def worker_spans(self) -> list[SpanDraft]:
        """`process`, `send`, two waits, the call, its attempts."""
        ended = 45 + self.calling_ms
        own = {**self._named(TEXT.name, "novix-worker-text"), names.COST: self.cost}
        root = self._span(
            None, f"process {TEXT.name}", CONSUMER, 40, ended + 15, error=self.error, attributes=own
        )  # fmt: skip
        usage = {
            names.GEN_AI_OPERATION: "chat", names.GEN_AI_PROVIDER: self.provider,
            names.GEN_AI_REQUEST_MODEL: self.model, names.GEN_AI_RESPONSE_MODEL: self.model,
            names.GEN_AI_INPUT_TOKENS: 60, names.GEN_AI_OUTPUT_TOKENS: self.tokens, names.COST: self.cost,
        }  # fmt: skip
        call = self._span(
            root.span_id, f"chat {self.model}", CLIENT, 45, ended, error=self.error, attributes=usage
        )  # fmt: skip
        post = {names.HTTP_METHOD: "POST", names.HTTP_STATUS: 200, names.SERVER_ADDRESS: "router.huggingface.co",
                names.ATTEMPT: 1, names.WAITED_MS: 3, names.COST: self.cost}  # fmt: skip
        posts = [
            self._span(call.span_id, "POST", CLIENT, 45 + at, ended, attributes={**post, names.ATTEMPT: at + 1})
            for at in range(2 if self.twice else 1)
        ]
        sent = self._span(root.span_id, f"send {RESULTS.name}", PRODUCER, 58, 60, attributes={
            names.SYSTEM: "kafka", names.OPERATION: "send", names.DESTINATION: RESULTS.name})  # fmt: skip
        waits = [self._span(root.span_id, f"wait {name}", INTERNAL, 40, 44) for name in ("slot", "retry", "commit")]
        return [root, *waits, call, *posts, sent]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
