"""What tracing costs: all spans of one job, made and written; router and worker with it on and off, turn about."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import cpu
from bench.figure import Figure, median
from bench.world import CATALOGUE, World, jobs
from router.answers import Answers
from router.arrival import Arrival, read_arrival
from router.case import Case
from router.catalogue import merge, parse
from router.decide import decide
from router.purse import Line, Purse
from router.view import View, view_of
from runtime.ports import LaneId, Record
from runtime.settings import Settings
from runtime.shell import settle_in
from runtime.telemetry import encode_spans
from runtime.telemetry_tail import Tail
from schemas.job import ReadableJob
from schemas.result import Attempt, JobResult, Who
from schemas.topics import JOBS, ROUTER_GROUP, TEXT, worker_group
from workers.assigned import Assigned, read_assigned
from workers.cost import Charge
from workers.ending import Ending, result_of
from workers.progress import Progress, Wait
from workers.spans import spans_of

NAME = "tracing"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
A_TRANSACTION = 50
"""Jobs whose spans are written together."""
ON, OFF = {"OTEL_TRACES_SAMPLER": "always_on"}, {"OTEL_TRACES_SAMPLER": "always_off"}


@dataclass(frozen=True, slots=True)
class Work:
    """One job, decided and done: what its spans are made from."""

    answers: Answers
    job: Assigned
    progress: Progress
    result: JobResult


def measure(world: World, *, quick: bool) -> list[Figure]:
    """The hot path alone, then both processes on Kafka with every trace written and with none."""
    return [*hot_path(quick=quick), *_whole(world, 1 if quick else 4, 2_000 if quick else 4_000)]


def hot_path(*, quick: bool) -> list[Figure]:
    """CPU microseconds for the spans of a job at both stages, without Kafka."""
    works = _works(1_000 if quick else 4_000)
    settle_in()  # as our processes do, and without it the collector looks at all these jobs again and again
    groups = [works[first : first + A_TRANSACTION] for first in range(0, len(works), A_TRANSACTION)]
    made, written, size, count = [], [], 0, 0
    for _ in range(3 if quick else 7):
        tail, making_ns, writing_ns, size, count = Tail(), 0, 0, 0, 0
        for group in groups:  # as a lane has them: no more at once than a transaction
            began = time.thread_time_ns()
            routed = [span for one in group for span in tail.kept(one.answers.spans())]
            worked = [span for one in group for span in tail.kept(spans_of(one.job, one.progress, one.result))]
            between = time.thread_time_ns()
            encoded = encode_spans(ROUTER_GROUP, routed, NOW), encode_spans(worker_group("text"), worked, NOW)
            making_ns, writing_ns = making_ns + between - began, writing_ns + time.thread_time_ns() - between
            size, count = size + sum(len(one or b"") for one in encoded), count + len(routed) + len(worked)
        made.append(making_ns / len(works) / 1_000)
        written.append(writing_ns / len(works) / 1_000)
    spans_a_job, bytes_a_job = count / len(works), size / len(works)
    both = [one + other for one, other in zip(made, written, strict=True)]
    how = (
        f"{spans_a_job:.0f} spans, {bytes_a_job:,.0f} bytes; {A_TRANSACTION} jobs a transaction; a wait and one attempt"
    )
    return [
        Figure(NAME, "all spans of one job, CPU", median(both), "us", "under 90", how),
        Figure(NAME, "of that, made from the lanes' times", median(made), "us"),
        Figure(NAME, "of that, encoded as OTLP", median(written), "us"),
    ]


def _works(count: int) -> list[Work]:
    settings = Settings(home=Path("/nonexistent"))
    file = parse("bench.json", json.dumps(CATALOGUE).encode())
    view = view_of(settings, merge([file], {"huggingface": "http://127.0.0.1:1", "sandbox": None}))
    here = view.at(Purse((Line("day", "2026-11-22", 10**12, 10**9, 10**6, resets_at=NOW + timedelta(hours=12)),)))
    return [_work(number, here) for number in range(count)]


def _work(number: int, view: View) -> Work:
    (published,) = jobs(number, number + 1)
    record = Record(JOBS.name, 0, number, published.key, published.value, (), int(NOW.timestamp() * 1_000))
    arrival = read_arrival(record, NOW, 1, "")
    assert isinstance(arrival, Arrival)
    assert isinstance(arrival.reading, ReadableJob)
    ruling = decide(arrival.reading.job, view, published=NOW, now=NOW)
    at = NOW + timedelta(milliseconds=3)
    answers = Answers(Case(arrival, LaneId(ROUTER_GROUP, JOBS.name, 0), 1, NOW, at), ruling, view)
    out = answers.assigned(0)
    job = read_assigned(Record(TEXT.name, 0, number, out.key, out.value, out.headers, record.timestamp_ms + 5))
    assert isinstance(job, Assigned)
    first = job.candidates[0]
    began = at + timedelta(milliseconds=30)
    attempt = Attempt(
        attempt=1, model=first.model, provider=first.provider, started_at=began, waited_ms=20,
        duration_ms=200 + number % 90, upstream_status=200, request_id=f"r-{number}", cost_nanousd=1_000 + number % 97,
    )  # fmt: skip
    progress = Progress(
        at + timedelta(milliseconds=5), attempts=(attempt,), charges=(Charge(attempt.cost_nanousd, "computed"),),
        waits=(Wait("slot", at + timedelta(milliseconds=5), began),),
        usage={"input_tokens": 60 + number % 41, "output_tokens": 20 + number % 13}, upstream_status=200,
    )  # fmt: skip
    output = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Honey."}, "finish_reason": "stop"}]}
    ending = Ending(output=output, served=Who(model=first.model, provider="auto"))
    return Work(answers, job, progress, result_of(job, progress, ending, now=began + timedelta(milliseconds=300)))


def _whole(world: World, rounds: int, count: int) -> list[Figure]:
    """Each round both ways, and every other round the other way round: what else runs weighs on both alike."""
    world.behave()
    told: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(rounds):
        ways = [("on", ON), ("off", OFF)]
        for name, variables in ways if number % 2 == 0 else reversed(ways):
            prefix = f"tracing-{name}{number}."
            router_us, worker_us, *_ = asyncio.run(cpu.novix(world, prefix, count, **variables))
            told[name].append(router_us + worker_us)
    ratios = [on / off for on, off in zip(told["on"], told["off"], strict=True)]
    on, off = median(told["on"]), median(told["off"])
    how = f"router and worker, CPU a job, {cpu.IN_FLIGHT} in flight; median of {rounds} x {count} jobs, turn about"
    return [
        Figure(NAME, "every trace written (always_on)", on, "us", note=how),
        Figure(NAME, "no trace written (always_off)", off, "us"),
        Figure(NAME, "what tracing takes, a job", on - off, "us", "under 90", "made, encoded, sent in the transaction"),
        Figure(
            NAME, "on against off", median(ratios), "times", note=f"rounds from {min(ratios):.2f} to {max(ratios):.2f}"
        ),
    ]  # fmt: skip
