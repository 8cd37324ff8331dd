"""The spans of one job's work, from the worker's own times. Pure."""

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from runtime import telemetry as names
from runtime.telemetry import CLIENT, CONSUMER, INTERNAL, SpanDraft, TraceContext, is_off
from runtime.telemetry_table import sending
from schemas.assignment import Candidate
from schemas.result import Attempt, JobResult
from schemas.topics import RESULTS, worker_group
from schemas.units import CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS
from workers.assigned import Assigned
from workers.progress import MOST_WAITS, Progress

LEAST_WAIT = timedelta(milliseconds=1)
"""Shorter waits are told in sums only."""


OPENAI = "openai-compatible"
"""The dialect of servers that are not Hugging Face's and speak as OpenAI does."""
MOST_REASONS = 8


def spans_of(job: Assigned, progress: Progress, result: JobResult) -> tuple[SpanDraft, ...]:
    """`process inference.{modality}.v1`, in it the waits, the logical call with one `POST` an attempt, and `send` of
    the result, which ends with the wait for the lane's transaction."""
    if is_off():
        return ()
    within = job.trace.child_of(job.span)
    drafts = [_process(job, result, progress.arrived_at), *_waits(job, within, progress)]
    if progress.attempts:
        call_span = job.spans.call
        drafts.append(_call(job, within, call_span, progress, result))
        inside = job.trace.child_of(call_span)
        drafts += [_post(job, inside, attempt) for attempt in progress.attempts]
    drafts.append(sending(RESULTS.name, within, job.spans.send, result.completed_at, result.decision_id))
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


def _call(job: Assigned, within: TraceContext, call_span: str, progress: Progress, result: JobResult) -> SpanDraft:
    """The logical call, retries and the waits between them included."""
    last = progress.attempts[-1]
    operation = _operation(job.job.task)
    usage: Mapping[str, int] = result.usage
    first, given = progress.first_token, job.assignment.parameters
    return SpanDraft(
        within,
        call_span,
        f"{operation} {last.model}",
        CLIENT,
        progress.attempts[0].started_at,
        _end(last),
        {
            names.GEN_AI_OPERATION: operation,
            names.GEN_AI_PROVIDER: interface_of(job, progress),
            names.GEN_AI_REQUEST_MODEL: last.model,
            names.GEN_AI_MAX_TOKENS: _number(given.get("max_tokens"), int),
            names.GEN_AI_TEMPERATURE: _number(given.get("temperature"), float),
            names.GEN_AI_TOP_P: _number(given.get("top_p"), float),
            names.GEN_AI_STREAM: True if job.job.stream else None,
            names.GEN_AI_RESPONSE_MODEL: result.served.model if result.served else None,
            names.GEN_AI_FINISH_REASONS: _reasons(result.output) or None,
            names.GEN_AI_INPUT_TOKENS: usage.get(INPUT_TOKENS),
            names.GEN_AI_CACHED_TOKENS: usage.get(CACHED_INPUT_TOKENS),
            names.GEN_AI_OUTPUT_TOKENS: usage.get(OUTPUT_TOKENS),
            names.GEN_AI_REASONING_TOKENS: usage.get(REASONING_TOKENS),
            names.GEN_AI_FIRST_CHUNK: None if first is None else first.total_seconds(),
            names.PROVIDER: last.provider,
            names.COST: result.cost_nanousd,
            names.ERROR_TYPE: last.kind,
            **(progress.captured.attributes() if progress.captured is not None else {}),
        },
        error=str(last.kind) if last.kind else None,
    )


def interface_of(job: Assigned, progress: Progress) -> str:
    """`gen_ai.provider.name`: whose interface the last attempt spoke."""
    asked = _asked(job, progress.attempts[-1]) if progress.attempts else None
    return "openai" if asked is not None and asked.dialect == OPENAI else "huggingface"


def _post(job: Assigned, inside: TraceContext, attempt: Attempt) -> SpanDraft:
    asked = _asked(job, attempt)
    host, port = _server(asked.base_url) if asked is not None else (None, None)
    return SpanDraft(
        inside,
        job.spans.nth(MOST_WAITS + attempt.attempt),
        "POST",
        CLIENT,
        attempt.started_at,
        _end(attempt),
        {
            names.HTTP_METHOD: "POST",
            names.HTTP_STATUS: attempt.upstream_status,
            names.HTTP_RESEND: attempt.attempt - 1 or None,
            names.SERVER_ADDRESS: host,
            names.SERVER_PORT: port,
            names.PROVIDER: attempt.provider,
            names.REQUEST_ID: attempt.request_id,
            names.ATTEMPT: attempt.attempt,
            names.WAITED_MS: attempt.waited_ms,
            names.COST: attempt.cost_nanousd,
            names.AMBIGUOUS: True if attempt.ambiguous else None,
            names.ERROR_TYPE: attempt.kind,
        },
        error=str(attempt.kind) if attempt.kind else None,
    )


def _asked(job: Assigned, attempt: Attempt) -> Candidate | None:
    """The candidate that an attempt asked; None for a call of another process whose candidates these are not."""
    for one in job.candidates:
        if one.model == attempt.model and one.provider == attempt.provider:
            return one
    return None


def _number(value: object, kind: type[int] | type[float]) -> int | float | None:
    """A parameter as its attribute has it; None where a producer gave something else. An attribute has one type."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind is int:
        return value if whole else None  # type: ignore[return-value]
    return float(value) if whole or isinstance(value, float) else None  # type: ignore[arg-type]


def _reasons(output: Any) -> tuple[str, ...]:
    """Why a chat's choices ended; providers' words, short ones alone."""
    choices = output.get("choices") if isinstance(output, dict) else None
    if not isinstance(choices, list):
        return ()
    told = [one.get("finish_reason") for one in choices[:MOST_REASONS] if isinstance(one, dict)]
    return tuple([reason for reason in told if isinstance(reason, str) and len(reason) <= 32])


def _waits(job: Assigned, within: TraceContext, progress: Progress) -> list[SpanDraft]:
    return [
        SpanDraft(
            within, job.spans.nth(at), f"wait {wait.name}", INTERNAL, wait.start, wait.end,
            {names.WAIT: wait.name},
        )
        for at, wait in enumerate(progress.waits)
        if wait.end - wait.start > LEAST_WAIT
    ]  # fmt: skip


@functools.lru_cache(maxsize=128)
def _operation(task: str) -> str:
    return names.OPERATIONS.get(task, task.replace("-", "_"))


@functools.lru_cache(maxsize=1_024)
def _server(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # no address, and nobody was called
        return None, None


def _end(attempt: Attempt) -> datetime:
    return attempt.started_at + timedelta(milliseconds=attempt.duration_ms)
