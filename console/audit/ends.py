"""Whether each accepted job has exactly one end, over any number of jobs: deeds are spread over files on disk by their
job, and each file is looked at by itself."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from console.audit.batches import Batch, Place
from console.audit.problems import Problem
from schemas.topics import ROUTER_GROUP

ACCEPTED = "job.assigned"
ENDS = frozenset({"job.succeeded", "job.failed", "job.rejected", "job.expired", "job.cancelled"})
FILES = 128
BUFFER_BYTES = 65_536
_ROW = struct.Struct(">BIQQQHH")
_ASSIGNED, _ENDED_UNASSIGNED, _ENDED = 0, 1, 2
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Open:
    """An accepted job that has no end yet."""

    job: str
    """`tenant/id`, and `#submission` where it is not the first."""
    since_ms: int
    lane: str
    sequence: int
    place: Place


class Ends:
    """The deeds of all jobs. `folder` is for the files, and the caller's to remove."""

    def __init__(self, folder: Path, *, whole: bool) -> None:
        self._files = [folder / f"{number:03}" for number in range(FILES)]
        self._buffers = [bytearray() for _ in range(FILES)]
        self._whole = whole
        """False: the beginning is missing, and so may be the acceptance of a job whose end is here."""
        self.accepted = self.ended = 0

    def note(self, batch: Batch, place: Place) -> None:
        """Take a batch's deeds."""
        for entry in batch.entries:
            action = entry.get("action")
            if action == ACCEPTED:
                kind = _ASSIGNED
                self.accepted += 1
            elif action in ENDS:
                kind = _ENDED_UNASSIGNED if batch.lane.startswith(f"{ROUTER_GROUP}.") else _ENDED
                self.ended += 1
            else:
                continue
            job, lane = _job(entry), batch.lane.encode()[:512]
            bucket = zlib.crc32(job) % FILES
            buffer = self._buffers[bucket]
            at_ms = _instant_ms(entry.get("at"))
            buffer += _ROW.pack(kind, place.partition, place.offset, batch.sequence, at_ms, len(job), len(lane))
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
                    self._judge(job.decode("utf-8", "replace"), deeds, topic, problems, still)
        still.sort(key=lambda one: one.since_ms)
        return sorted(problems, key=_by_place)[:MOST_TOLD], still

    def _judge(
        self, job: str, deeds: Sequence[tuple[int, Place, str, int, int]], topic: str, problems: list[Problem],
        still: list[Open],
    ) -> None:  # fmt: skip
        begun = sorted((deed for deed in deeds if deed[0] == _ASSIGNED), key=lambda deed: deed[1].offset)
        ended = sorted((deed for deed in deeds if deed[0] != _ASSIGNED), key=lambda deed: deed[4])
        for many, what in ((begun, "was accepted"), (ended, "has ended")):
            if len(many) > 1:
                _, place, lane, sequence, _ = _placed(many[1], topic)
                told = ", ".join(f"{topic}/{one[1].partition}/{one[1].offset}" for one in many[:4])
                problems.append(
                    Problem("incomplete", f"the job {job} {what} {len(many)} times: {told}", lane, sequence, place)
                )
        if begun and not ended:
            _, place, lane, sequence, at_ms = _placed(begun[0], topic)
            still.append(Open(job, at_ms, lane, sequence, place))
        elif ended and not begun and self._whole and ended[0][0] == _ENDED:
            _, place, lane, sequence, _ = _placed(ended[0], topic)
            problems.append(
                Problem("incomplete", f"the job {job} has ended and was never accepted", lane, sequence, place)
            )

    def _flush(self, bucket: int) -> None:
        buffer = self._buffers[bucket]
        if buffer:
            with self._files[bucket].open("ab") as file:
                file.write(buffer)
            buffer.clear()


def _by_job(data: bytes) -> dict[bytes, list[tuple[int, Place, str, int, int]]]:
    found: dict[bytes, list[tuple[int, Place, str, int, int]]] = {}
    for job, deed in _rows(data):
        found.setdefault(job, []).append(deed)
    return found


def _rows(data: bytes) -> Iterator[tuple[bytes, tuple[int, Place, str, int, int]]]:
    at = 0
    while at < len(data):
        kind, partition, offset, sequence, at_ms, job_bytes, lane_bytes = _ROW.unpack_from(data, at)
        at += _ROW.size
        job, at = data[at : at + job_bytes], at + job_bytes
        lane, at = data[at : at + lane_bytes].decode("utf-8", "replace"), at + lane_bytes
        yield job, (kind, Place("", partition, offset), lane, sequence, at_ms)


def _placed(deed: tuple[int, Place, str, int, int], topic: str) -> tuple[int, Place, str, int, int]:
    kind, place, lane, sequence, at_ms = deed
    return kind, Place(topic, place.partition, place.offset), lane, sequence, at_ms


def _job(entry: Any) -> bytes:
    submission = entry.get("submission")
    told = f"{entry.get('tenant')}/{entry.get('job_id')}"
    return (told if submission in (None, 1) else f"{told}#{submission}").encode("utf-8", "replace")[:2_000]


def _instant_ms(text: Any) -> int:
    try:
        return max(0, round(datetime.fromisoformat(text).timestamp() * 1_000))
    except (ValueError, TypeError, OverflowError):
        return 0


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.place.partition, problem.place.offset) if problem.place is not None else (-1, -1)
