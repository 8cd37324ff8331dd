"""Whether each accepted job has exactly one end, over any number of jobs: deeds are spread over files on disk by their
job, and each file is looked at by itself."""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from console.audit.batches import Batch, Place
from console.audit.problems import Problem
from schemas import codec
from schemas.topics import RESULTS, ROUTER_GROUP

ACCEPTED = "job.assigned"
ENDS = frozenset({"job.succeeded", "job.failed", "job.rejected", "job.expired", "job.cancelled"})
FILES = 128
BUFFER_BYTES = 65_536
_ROW = struct.Struct(">BIQQQQHH")
_ASSIGNED, _ENDED_UNASSIGNED, _ENDED, _RESULT = 0, 1, 2, 3
_DIGEST_CHARS = 14
MOST_TOLD = 20
MOST_JOB_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Open:
    """An accepted job that has no end yet."""

    job: str
    """`tenant/id`, and `#submission` where it is not the first."""
    since_ms: int
    lane: str
    sequence: int
    place: Place
    deadline_ms: int = 0
    """0: the audit does not tell it."""


class _Deed(NamedTuple):
    """What one entry, or one result, says of a job."""

    kind: int
    partition: int
    offset: int
    sequence: int
    at_ms: int
    mark: int
    """Of an acceptance, the deadline in milliseconds; of an end or a result, the first digits of the result's sha256.
    0: not told."""
    lane: str


class Ends:
    """The deeds of all jobs. `folder` is for the files, and the caller's to remove."""

    def __init__(self, folder: Path, *, whole: bool) -> None:
        self._files = [folder / f"{number:03}" for number in range(FILES)]
        self._buffers = [bytearray() for _ in range(FILES)]
        self._whole = whole
        """False: the beginning is missing, and so may be the acceptance of a job whose end is here."""
        self.accepted = self.ended = self.results = 0
        self._results_since_ms: int | None = None
        self._audit_since_ms = 0

    def note(self, batch: Batch, place: Place) -> None:
        """Take a batch's deeds."""
        for entry in batch.entries:
            action = entry.get("action")
            if action == ACCEPTED:
                kind = _ASSIGNED
                self.accepted += 1
            elif isinstance(action, str) and action in ENDS:
                kind = _ENDED_UNASSIGNED if batch.lane.startswith(f"{ROUTER_GROUP}.") else _ENDED
                self.ended += 1
            else:
                continue
            detail = entry.get("detail")
            detail = detail if isinstance(detail, dict) else {}
            mark = instant_ms(detail.get("deadline")) if kind == _ASSIGNED else _mark(detail.get("result_sha256"))
            at_ms = instant_ms(entry.get("at"))
            self._put(_job(entry), _Deed(kind, place.partition, place.offset, batch.sequence, at_ms, mark, batch.lane))

    def results_since(self, results_ms: int, audit_ms: int) -> None:
        """The results are looked at as well (`note_result`): all of those since an instant are here, and all of the
        audit's since another."""
        self._results_since_ms, self._audit_since_ms = results_ms, audit_ms

    def note_result(self, place: Place, value: bytes, *, is_due: bool) -> bool:
        """Take a result; whether it is one. `is_due`: its end must be in the audit already."""
        try:
            told = codec.decode(value)
            who = {name: told[name] for name in ("tenant", "job_id")} | {"submission": told.get("submission")}
        except (codec.Undecodable, KeyError, TypeError, AttributeError):
            return False
        self.results += 1
        mark = _mark(hashlib.sha256(value).hexdigest())
        at_ms = instant_ms(told.get("completed_at"))
        self._put(_job(who), _Deed(_RESULT, place.partition, place.offset, int(is_due), at_ms, mark, ""))
        return True

    def _put(self, job: bytes, deed: _Deed) -> None:
        lane, bucket = deed.lane.encode()[:512], zlib.crc32(job) % FILES
        buffer = self._buffers[bucket]
        buffer += _ROW.pack(*deed[:6], len(job), len(lane))
        buffer += job + lane
        if len(buffer) > BUFFER_BYTES:
            self._flush(bucket)

    def look(self, topic: str) -> tuple[list[Problem], list[Open]]:
        """What is wrong (the first so many), and which jobs are open, the oldest first."""
        problems: list[Problem] = []
        still: list[Open] = []
        for bucket, file in enumerate(self._files):
            self._flush(bucket)
            if file.exists():
                for job, deeds in _by_job(file.read_bytes()).items():
                    self._judge(_shown(job), deeds, topic, problems, still)
        still.sort(key=lambda one: one.since_ms)
        return sorted(problems, key=_by_place)[:MOST_TOLD], still

    def _judge(
        self, job: str, deeds: Sequence[_Deed], topic: str, problems: list[Problem], still: list[Open],
    ) -> None:  # fmt: skip
        begun = sorted((deed for deed in deeds if deed.kind == _ASSIGNED), key=lambda deed: deed.offset)
        ended = sorted((deed for deed in deeds if deed.kind in (_ENDED, _ENDED_UNASSIGNED)), key=_by_instant)
        for many, what in ((begun, "was accepted"), (ended, "has ended")):
            if len(many) > 1:
                told = ", ".join(f"{topic}/{one.partition}/{one.offset}" for one in many[:4])
                problems.append(_problem(f"the job {job} {what} {len(many)} times: {told}", many[1], topic))
        if begun and not ended:
            one = begun[0]
            still.append(Open(job, one.at_ms, one.lane, one.sequence, _place(one, topic), one.mark))
        elif ended and not begun and self._whole and ended[0].kind == _ENDED:
            problems.append(_problem(f"the job {job} has ended and was never accepted", ended[0], topic))
        if self._results_since_ms is not None:
            results = [deed for deed in deeds if deed.kind == _RESULT]
            problems += self._held_against_results(job, ended, results, topic, self._results_since_ms)

    def _held_against_results(
        self, job: str, ended: Sequence[_Deed], results: Sequence[_Deed], topic: str, since_ms: int
    ) -> Iterator[Problem]:
        if len(results) > 1:
            told = ", ".join(str(_place(one, RESULTS.name)) for one in results[:4])
            yield _problem(f"the job {job} has {len(results)} results: {told}", results[1], RESULTS.name)
        if ended and not results and ended[0].at_ms >= since_ms:
            yield _problem(f"the job {job} has ended and has no result on {RESULTS.name}", ended[0], topic)
        elif results and not ended and results[0].sequence and results[0].at_ms >= self._audit_since_ms:
            yield _problem(f"the job {job} has a result, and the audit tells of no end", results[0], RESULTS.name)
        elif results and ended and ended[0].mark and ended[0].mark != results[0].mark:
            what = f"the job {job} has another result than the one whose digest stands in the audit"
            yield Problem("changed", f"{what}, at {_place(ended[0], topic)}", place=_place(results[0], RESULTS.name))

    def _flush(self, bucket: int) -> None:
        buffer = self._buffers[bucket]
        if buffer:
            with self._files[bucket].open("ab") as file:
                file.write(buffer)
            buffer.clear()


def _by_job(data: bytes) -> dict[bytes, list[_Deed]]:
    found: dict[bytes, list[_Deed]] = {}
    for job, deed in _rows(data):
        found.setdefault(job, []).append(deed)
    return found


def _rows(data: bytes) -> Iterator[tuple[bytes, _Deed]]:
    at = 0
    while at < len(data):
        *told, job_bytes, lane_bytes = _ROW.unpack_from(data, at)
        at += _ROW.size
        job, at = data[at : at + job_bytes], at + job_bytes
        lane, at = data[at : at + lane_bytes].decode("utf-8", "replace"), at + lane_bytes
        kind, partition, offset, sequence, at_ms, mark = told
        yield job, _Deed(kind, partition, offset, sequence, at_ms, mark, lane)


def _place(deed: _Deed, topic: str) -> Place:
    return Place(topic, deed.partition, deed.offset)


def _problem(message: str, deed: _Deed, topic: str) -> Problem:
    return Problem("incomplete", message, deed.lane, deed.sequence if deed.lane else 0, _place(deed, topic))


def _by_instant(deed: _Deed) -> int:
    return deed.at_ms


def _mark(digest: Any) -> int:
    """A digest's first digits as a number; 0 for what is none."""
    try:
        return int(digest[:_DIGEST_CHARS], 16) + 1
    except (TypeError, ValueError):
        return 0


def _job(entry: Any) -> bytes:
    """Which job a deed is about. A NUL stands before the submission: no id has one, so none reads as another's."""
    told = f"{entry.get('tenant')}/{entry.get('job_id')}\0{entry.get('submission') or 1}".encode("utf-8", "replace")
    return told if len(told) <= MOST_JOB_BYTES else hashlib.sha256(told).hexdigest().encode() + b"\0" + b"1"


def _shown(job: bytes) -> str:
    told, _, submission = job.decode("utf-8", "replace").rpartition("\0")
    return told if submission == "1" else f"{told}#{submission}"


def instant_ms(text: Any) -> int:
    """An entry's instant in milliseconds; 0 for what is none."""
    try:
        return max(0, round(datetime.fromisoformat(text).timestamp() * 1_000))
    except (ValueError, TypeError, OverflowError):
        return 0


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.place.partition, problem.place.offset) if problem.place is not None else (-1, -1)
