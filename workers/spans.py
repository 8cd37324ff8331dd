"""The spans of one job's work, from the worker's own times. Pure."""

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from runtime import telemetry as names
from runtime.telemetry import CLIENT, CONSUMER, INTERNAL, SpanDraft, TraceContext, span_id
from schemas.result import Attempt, JobResult
from schemas.topics import worker_group
from workers.assigned import Assigned
from workers.progress import Progress

LEAST_WAIT = timedelta(milliseconds=1)
"""Shorter waits are told in sums only."""


def spans_of(job: Assigned, progress: Progress, result: JobResult) -> tuple[SpanDraft, ...]:
    """`process inference.{modality}.v1`, in it the waits and the logical call, in that one `POST` an attempt."""
    drafts = [_process(job, result, progress.arrived_at), *_waits(job, progress)]
    if progress.attempts:
        call_span = span_id(job.trace, "call", *job.place)
        drafts.append(_call(job, call_span, progress, result))
        inside = job.trace.child_of(call_span)
        drafts += [_post(job, inside, attempt) for attempt in progress.attempts]
    return tuple(drafts)


def _process(job: Assigned, result: JobResult, arrived_at: datetime) -> SpanDraft:
    record, trace = job.record, job.trace
    return SpanDraft(
        trace,
        job.span,
        f"process {record.topic}",
        CONSUMER,
        arrived_at,
        result.completed_at,
        {
            names.SYSTEM: "kafka",
            names.OPERATION: "process",
            names.OPERATION_TYPE: "process",
            names.DESTINATION: record.topic,
            names.PARTITION: str(record.partition),
            names.OFFSET: record.offset,
            names.GROUP: worker_group(record.topic.split(".")[1]),
            names.JOB_ID: result.job_id,
            names.TENANT: result.tenant,
            names.SUBMISSION: result.submission,
            names.TASK: result.task,
            names.STATUS: result.status,
            names.COST: result.cost_nanousd,
            names.DECISION_ID: result.decision_id,
            names.QUEUED_MS: result.timing_ms["routed"],
            names.WAITED_MS: result.timing_ms["waiting"],
            names.ERROR_TYPE: result.error.kind if result.error else None,
        },
        error=str(result.error.kind) if result.error else None,
        links=((trace.trace_id, trace.parent_id),) if trace.parent_id else (),
    )


def _call(job: Assigned, call_span: str, progress: Progress, result: JobResult) -> SpanDraft:
    """The logical call, retries and the waits between them included."""
    last = progress.attempts[-1]
    operation = names.OPERATIONS.get(job.job.task, job.job.task.replace("-", "_"))
    usage: Mapping[str, int] = result.usage
    first = progress.first_token
    return SpanDraft(
        job.trace.child_of(job.span),
        call_span,
        f"{operation} {last.model}",
        CLIENT,
        progress.attempts[0].started_at,
        _end(last),
        {
            names.GEN_AI_OPERATION: operation,
            names.GEN_AI_PROVIDER: last.provider,
            names.GEN_AI_REQUEST_MODEL: last.model,
            names.GEN_AI_RESPONSE_MODEL: result.served.model if result.served else None,
            names.GEN_AI_INPUT_TOKENS: usage.get("input_tokens"),
            names.GEN_AI_OUTPUT_TOKENS: usage.get("output_tokens"),
            names.GEN_AI_FIRST_CHUNK: None if first is None else first.total_seconds(),
            names.COST: result.cost_nanousd,
            names.ERROR_TYPE: last.kind,
        },
        error=str(last.kind) if last.kind else None,
    )


def _post(job: Assigned, inside: TraceContext, attempt: Attempt) -> SpanDraft:
    model, provider = attempt.model, attempt.provider
    asked = next((one for one in job.candidates if (one.model, one.provider) == (model, provider)), None)
    return SpanDraft(
        inside,
        span_id(job.trace, "post", *job.place, attempt.attempt),
        "POST",
        CLIENT,
        attempt.started_at,
        _end(attempt),
        {
            names.HTTP_METHOD: "POST",
            names.HTTP_STATUS: attempt.upstream_status,
            names.HTTP_RESEND: attempt.attempt - 1 or None,
            names.SERVER_ADDRESS: _host(asked.base_url) if asked else None,
            names.ATTEMPT: attempt.attempt,
            names.WAITED_MS: attempt.waited_ms,
            names.COST: attempt.cost_nanousd,
            names.ERROR_TYPE: attempt.kind,
        },
        error=str(attempt.kind) if attempt.kind else None,
    )


def _waits(job: Assigned, progress: Progress) -> list[SpanDraft]:
    parent = job.trace.child_of(job.span)
    return [
        SpanDraft(
            parent, span_id(job.trace, "wait", *job.place, at), f"wait {wait.name}", INTERNAL, wait.start, wait.end, {}
        )
        for at, wait in enumerate(progress.waits)
        if wait.end - wait.start > LEAST_WAIT
    ]


@functools.lru_cache(maxsize=1_024)
def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # no address, and nobody was called
        return None


def _end(attempt: Attempt) -> datetime:
    return attempt.started_at + timedelta(milliseconds=attempt.duration_ms)
