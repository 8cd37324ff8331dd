"""What no span can tell: how long a job lay in topics between the stages, and the commit at its end. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from runtime import telemetry

Row = Mapping[str, Any]
CLOCKS_MS = 1.0
"""Record timestamps are whole milliseconds, spans are finer: so much earlier a stage may seem to begin."""


@dataclass(frozen=True, slots=True)
class Stay:
    """One stretch in a topic, in milliseconds since 1970."""

    label: str
    kind: Literal["queue", "retry", "commit"]
    start_ms: float
    end_ms: float


def own_of(spans: Sequence[Row], job: Row) -> dict[str, Row]:
    """The job's `process` spans and what lies beneath them, by id, in the order of their start."""
    rows = {row["span_id"]: row for row in spans}
    identity = (job["tenant"], job["job_id"])

    def belongs(row: Row) -> bool:
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


def waits_of(
    job: Row, ours: Mapping[str, Row], begun: Mapping[str, Sequence[float]], records: Sequence[Row]
) -> list[Stay]:
    """The stays of one submission in topics, and its commit.

    `ours` are its spans; `begun` the instants, in milliseconds and sorted, at which something began to happen to its
    own record (`job`) and to the records with its assignment (`assigned`).
    """
    result = fields(job.get("result"))
    ends = [row["end_ns"] / 1e6 for row in ours.values()]
    stays = _by_records(job, begun, ends, records) or _by_spans(job, ours) or _by_result(job, result)
    completed = milliseconds(result.get("completed_at"))
    if completed is not None and job.get("written_ms") is not None:
        stays.append(Stay("commit", "commit", completed, job["written_ms"]))
    return stays


def _by_records(
    job: Row, begun: Mapping[str, Sequence[float]], ended: Sequence[float], records: Sequence[Row]
) -> list[Stay]:
    """From each record's timestamp until something happens, or the next record is written.

    The span that wrote a record may end within the timestamp's millisecond: the stay begins after it.
    """
    lying = sorted(
        (one for one in records if one["what"] in ("job", "assigned", "retry") and _of(one, job)),
        key=lambda one: (one["timestamp_ms"], one["what"] != "job"),
    )
    if not any(one["what"] == "assigned" for one in lying):
        return []
    stays = []
    for place, record in enumerate(lying):
        written = float(record["timestamp_ms"])
        since = max((end for end in ended if written <= end < written + CLOCKS_MS), default=written)
        following = lying[place + 1]["timestamp_ms"] if place + 1 < len(lying) else None
        begins = [moment for moment in begun.get(record["what"], ()) if moment >= since - CLOCKS_MS]
        ends = [moment for moment in (following, *begins[:1]) if moment is not None]
        if ends:
            retry = record["what"] == "retry"
            stays.append(Stay(f"waits in {record['topic']}", "retry" if retry else "queue", since, min(ends)))
    return stays


def _of(record: Row, job: Row) -> bool:
    return (
        record["timestamp_ms"] is not None
        and record.get("submission") in (None, job["submission"])
        and (
            record["what"] != "job"
            or (record["partition"], record["offset"]) == (job.get("partition"), job.get("offset"))
        )
    )


def _by_spans(job: Row, ours: Mapping[str, Row]) -> list[Stay]:
    """Between the end of one stage's span and the start of the next."""
    stages = [row for row in ours.values() if row["attributes"].get(telemetry.OPERATION) == "process"]
    stays, left = [], job.get("published_ms")
    for row in sorted(stages, key=lambda row: int(row["start_ns"])):
        if left is not None:
            topic = str(row["attributes"].get(telemetry.DESTINATION))
            stays.append(Stay(f"waits in {topic}", "queue", left, row["start_ns"] / 1e6))
        left = row["end_ns"] / 1e6
    return stays


def _by_result(job: Row, result: Row) -> list[Stay]:
    """As the result sums them up."""
    timing, left = fields(result.get("timing_ms")), job.get("published_ms")
    stays = []
    for name, label in (("queued", "waits for the router"), ("routed", "waits for the worker")):
        if isinstance(timing.get(name), int) and left is not None:
            stays.append(Stay(label, "queue", left, left + timing[name]))
            left += timing[name]
    return stays


def fields(value: Any) -> Row:
    """An object that others wrote; empty for anything else."""
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list that others wrote."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def milliseconds(instant: Any) -> float | None:
    """ISO 8601 as milliseconds since 1970; None for anything else."""
    try:
        return datetime.fromisoformat(instant).timestamp() * 1_000
    except (TypeError, ValueError, OverflowError):
        return None
