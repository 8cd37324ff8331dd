"""A job's time as bars: where it waited, who worked on it, what each call cost. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from console.words import money, span
from runtime import telemetry

Kind = Literal["queue", "route", "work", "wait", "call", "attempt", "commit"]
LEAST_LABELLED_MS = 0.5


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time. Starts and lengths in milliseconds; the waterfall's start is 0."""

    label: str
    kind: Kind
    start_ms: float
    length_ms: float
    depth: int = 0
    note: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Bars in the order of their start, and how long everything took."""

    total_ms: float
    bars: list[Bar]

    @property
    def ticks(self) -> list[float]:
        """Some round instants for a ruler: 1, 2 or 5 times a power of ten, at most eight of them."""
        steps = (factor * 10.0**power for power in range(-3, 12) for factor in (1, 2, 5))
        step = next(step for step in steps if self.total_ms / step <= 8)
        return [step * place for place in range(int(self.total_ms / step) + 1)]


def of_job(job: dict[str, Any], spans: list[dict[str, Any]]) -> Waterfall:
    """The waterfall of one submission, a row of the store, from its own spans of a trace that others may share.

    Where spans were not sampled, the result's own times stand in for them.
    """
    ours = _own(spans, job)
    bars = [*_queues(job, ours), *(_bar(row, ours) for row in ours.values())]
    if not any(bar.kind == "attempt" for bar in bars):
        bars += [_attempt(attempt) for attempt in _dicts((job.get("result") or {}).get("attempts"))]
    return _settled(bars)


def of_trace(spans: list[dict[str, Any]]) -> Waterfall:
    """Every span of a trace, whatever it belongs to."""
    rows = {row["span_id"]: row for row in spans}
    return _settled([_bar(row, rows) for row in spans])


def _own(spans: list[dict[str, Any]], job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The job's `process` spans and what lies beneath them, by id, in the order of their start."""
    rows = {row["span_id"]: row for row in spans}
    identity = (job["tenant"], job["job_id"])

    def belongs(row: dict[str, Any]) -> bool:
        seen = set()
        while row["span_id"] not in seen:
            seen.add(row["span_id"])
            told = row["attributes"]
            if telemetry.JOB_ID in told:
                submission = told.get(telemetry.SUBMISSION, job["submission"])
                return (told.get(telemetry.TENANT), told[telemetry.JOB_ID]) == identity and submission == job[
                    "submission"
                ]
            row = rows.get(row["parent_id"], row)
        return False

    return {row["span_id"]: row for row in spans if belongs(row)}


def _queues(job: dict[str, Any], ours: dict[str, dict[str, Any]]) -> list[Bar]:
    """What no span can tell: the waits in topics between the stages, and the commit at the end."""
    result = job.get("result") or {}
    processes = {
        str(row["attributes"].get(telemetry.DESTINATION)): row
        for row in ours.values()
        if row["attributes"].get(telemetry.OPERATION) == "process"
    }
    began = job.get("published_ms")
    completed = _milliseconds(result.get("completed_at"))
    bars, left = [], began
    for topic, row in sorted(processes.items(), key=lambda item: int(item[1]["start_ns"])):
        if left is not None:
            bars.append(_from_to(f"waits in {topic}", "queue", left, row["start_ns"] / 1e6))
        left = row["end_ns"] / 1e6
    if not processes and began is not None:
        timing = result.get("timing_ms") or {}
        for name, label in (("queued", "waits for the router"), ("routed", "waits for the worker")):
            if isinstance(timing.get(name), int) and left is not None:
                bars.append(_from_to(label, "queue", left, left + timing[name]))
                left += timing[name]
    if completed is not None and job.get("written_ms") is not None:
        bars.append(_from_to("commit", "commit", completed, job["written_ms"]))
    return bars


def _bar(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> Bar:
    told = row["attributes"]
    start, end = row["start_ns"] / 1e6, row["end_ns"] / 1e6
    kind = _kind(row)
    notes = []
    if isinstance(told.get(telemetry.HTTP_STATUS), int):
        notes.append(str(told[telemetry.HTTP_STATUS]))
    if row["error"]:
        notes.append(str(row["error"]))
    if kind == "attempt" and isinstance(told.get(telemetry.COST), int):
        notes.append(money(told[telemetry.COST]))
    label = f"attempt {told[telemetry.ATTEMPT]}" if kind == "attempt" and telemetry.ATTEMPT in told else row["name"]
    if kind == "route":
        label = "router"
    return Bar(label, kind, start, end - start, _depth(row, rows), ", ".join(notes), bool(row["error"]))


def _kind(row: dict[str, Any]) -> Kind:
    told = row["attributes"]
    if told.get(telemetry.OPERATION) == "process":
        return "route" if str(told.get(telemetry.DESTINATION, "")).startswith("inference.jobs.") else "work"
    if row["name"].startswith("wait "):
        return "wait"
    if telemetry.HTTP_METHOD in told:
        return "attempt"
    return "call" if telemetry.GEN_AI_OPERATION in told else "work"


def _depth(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> int:
    """Steps up to a consumer's span or to a parent that we do not have; each stage of the pipeline begins anew."""
    depth = 0
    while depth < 8 and row["parent_id"] in rows and row["attributes"].get(telemetry.OPERATION) != "process":
        row, depth = rows[row["parent_id"]], depth + 1
    return depth


def _attempt(attempt: dict[str, Any]) -> Bar:
    start = _milliseconds(attempt.get("started_at")) or 0
    kind = attempt.get("kind")
    notes = [str(attempt["upstream_status"])] if attempt.get("upstream_status") else []
    notes += [str(kind)] if kind else []
    notes.append(money(attempt.get("cost_nanousd") or 0))
    length = float(attempt.get("duration_ms") or 0)
    return Bar(f"attempt {attempt.get('attempt')}", "attempt", start, length, 1, ", ".join(notes), kind is not None)


def _settled(bars: list[Bar]) -> Waterfall:
    """Sorted, from zero, without waits too short to see."""
    kept = [bar for bar in bars if bar.kind not in ("queue", "commit") or bar.length_ms >= LEAST_LABELLED_MS]
    if not kept:
        return Waterfall(0.0, [])
    zero = min(bar.start_ms for bar in kept)
    total = max(bar.start_ms + bar.length_ms for bar in kept) - zero
    moved = [
        replace(bar, start_ms=bar.start_ms - zero, note=", ".join(filter(None, (span(bar.length_ms), bar.note))))
        for bar in kept
    ]
    return Waterfall(max(total, 0.001), sorted(moved, key=lambda bar: (bar.start_ms, bar.depth, -bar.length_ms)))


def _from_to(label: str, kind: Kind, start: float, end: float) -> Bar:
    return Bar(label, kind, start, max(0.0, end - start))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _milliseconds(instant: Any) -> float | None:
    try:
        return datetime.fromisoformat(instant).timestamp() * 1_000
    except (TypeError, ValueError, OverflowError):
        return None
