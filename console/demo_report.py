"""What the demonstration tells at its end: who answered what, at which price, and what it promised but did not show.

Pure; a job and a result are the JSON objects that travel.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from console.payload_files import references_in
from console.words import count, money, shown, span
from schemas import codec
from schemas.failure import FailureKind
from schemas.media import BLOB_SCHEME, BlobRef
from schemas.tasks import modality_of

Job = Mapping[str, Any]
Result = Mapping[str, Any]

REFUSED, LIMITED, KILLED = "too-dear", "meets-429", "survives-the-kill"
TOLD_OF_TEXT = ("capital", "topic", "german", LIMITED, REFUSED, KILLED)
"""Of the many text jobs; the others are told one by one."""
WIDTH = 120


def sections(jobs: Sequence[Job], results: Mapping[str, Result]) -> list[str]:
    """Modality by modality, in the order in which they come: its tasks, its cost, and some lines for each job."""
    lines = []
    for modality, members in _by_modality(jobs).items():
        tasks = ", ".join(sorted({job["task"] for job in members}))
        paid = sum(results[job["id"]]["cost_nanousd"] for job in members)
        lines.append(f"{modality}: {count(len(members), 'job')}, paid {money(paid)} ({tasks})")
        for job in members:
            if modality != "text" or job["id"] in TOLD_OF_TEXT:
                lines += told(results[job["id"]])
    return lines


def _by_modality(jobs: Iterable[Job]) -> dict[str, list[Job]]:
    members: dict[str, list[Job]] = {}
    for job in jobs:
        members.setdefault(modality_of(job["task"], job["input"]), []).append(job)
    return members


def told(result: Result) -> list[str]:
    """A job's task, model, provider, cost and time; what went wrong on the way; its answer."""
    served, times = result["served"], result["timing_ms"]
    who = f"{served['model']} at {served['provider']}" if served else "nobody"
    took = f"{span(times.get('calling', 0))} in calls, {span(times.get('total'))} in all"
    lines = [f"  {result['job_id']:18} {result['task']} by {who}, paid {money(result['cost_nanousd'])}, {took}"]
    failed = [attempt for attempt in result["attempts"] if attempt["kind"] is not None]
    if failed:
        lines.append(f"{'':20} first: {', '.join(map(_failure, failed))}")
    return [*lines, f"{'':20} {_outcome(result)}"]


def _failure(attempt: Mapping[str, Any]) -> str:
    status = attempt["upstream_status"]
    return f"{attempt['kind']} ({status})" if status else str(attempt["kind"])


def _outcome(result: Result) -> str:
    if result["status"] != "succeeded":
        error = result["error"] or {}
        return shown(f"{result['status']}: {error.get('kind')}: {error.get('message')}")
    refs = references_in(result["task"], result["output"])
    return ", ".join(map(told_of, refs)) if refs else answer(result["output"])


def told_of(ref: BlobRef) -> str:
    """A payload in words: `audio/flac, 340,532 bytes, 15.52 s, blob://0123456789ab...`."""
    size = [f"{ref.width} x {ref.height}"] if ref.width and ref.height else []
    length = [span(ref.duration_ms)] if ref.duration_ms is not None else []
    where = f"{BLOB_SCHEME}{ref.sha256[:12]}..." if ref.uri.startswith(BLOB_SCHEME) else "inside the result"
    return ", ".join([ref.media_type, f"{ref.bytes:,} bytes", *size, *length, where])


def answer(output: Any) -> str:
    """An output as one line of at most 240 characters: its text, or its first label or answer with the score."""
    first = output[0] if isinstance(output, list) and output else output
    match first:
        case (
            {"choices": [{"message": {"content": str(text)}}, *_]} | {"text": str(text)} | {"generated_text": str(text)}
        ):
            line = text
        case {"label": what, "score": score} | {"answer": what, "score": score}:
            line = f"{what} ({score:.2f})"
        case _:
            line = codec.encode(output).decode()
    return shown(" ".join(line.split()))[:240]


def what_they_are(results: Mapping[str, Result], about: Mapping[str, str]) -> list[str]:
    """Each model that answered, in the words of who runs it."""
    models = dict.fromkeys(result["served"]["model"] for result in results.values() if result["served"])
    lines = (f"{model}: {about.get(model, 'nothing is told about it')}" for model in models)
    return [
        part for line in lines for part in textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    ]


def not_shown(jobs: Sequence[Job], results: Mapping[str, Result]) -> list[str]:
    """What the demonstration promises and this run did not show; empty when it kept its word."""
    missing = []
    for job in jobs:
        result = results[job["id"]]
        if job["id"] != REFUSED and result["status"] != "succeeded":
            missing.append(f"{job['id']} did not succeed: {_outcome(result)}")
    refused = results[REFUSED]
    kind = (refused["error"] or {}).get("kind")
    if kind != FailureKind.PRICE_CEILING or refused["cost_nanousd"]:
        missing.append(f"{REFUSED} was not refused for its price: {refused['status']}, {kind}")
    if not any(attempt["upstream_status"] == 429 for attempt in results[LIMITED]["attempts"]):
        missing.append(f"{LIMITED} met no 429")
    if not any(attempt["kind"] == FailureKind.INTERRUPTED for attempt in results[KILLED]["attempts"]):
        missing.append(f"no call of {KILLED} was cut short")
    return missing
