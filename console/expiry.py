"""Which blobs may go: old ones that nobody names who may still need them. Finding out reads; the rest is pure."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.kafka import Log, ends
from runtime.blobs import BlobInfo, BlobStore
from runtime.ports import Record
from schemas import codec, headers
from schemas.media import BLOB_SCHEME, REF
from schemas.topics import DLQ, JOBS, MODALITY_TOPICS, RESULTS, RETRY_TIERS

Place = tuple[int, int]
"""Partition and offset on the jobs topic of the record that a producer wrote."""
Ends = dict[str, dict[int, int]]
"""Per topic and partition: where a reading stopped."""
BLOCK = 4_096
"""Offsets whose results are told by one number."""
AT_ONCE = 50_000
"""Blobs that are looked into together: each reading of the topics costs time, each digest 200 bytes."""
ASSIGNED = (*(topic.name for topic in MODALITY_TOPICS.values()), *(tier.name for _, tier in RETRY_TIERS))
NAMING = (JOBS.name, *ASSIGNED, DLQ.name)
"""Topics whose records name payloads that may be needed yet."""
_HEX = re.compile(rb"[0-9a-f]{64}")


def digests_in(value: bytes | None) -> set[str]:
    """Every sha256 that a record names as a payload's, wherever it stands; of what is no JSON, all that looks like one.

    Rather one too many than one too few: what is found here is kept.
    """
    if not value or (REF.encode() not in value and b"\\u" not in value):
        return set()
    try:
        return set(_named(codec.parse(value)))
    except codec.Undecodable:
        return {one.decode() for one in _HEX.findall(value)}


def _named(document: Any) -> Iterator[str]:
    todo = [document]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            ref = node.get(REF)
            if isinstance(ref, dict):
                yield str(ref.get("sha256"))
                yield str(ref.get("uri")).removeprefix(BLOB_SCHEME)
            todo.extend(node.values())


class Ended:
    """Which jobs have a result, by where their producers' records lie: a bit for each, so a million are some 200 kB."""

    def __init__(self) -> None:
        self._bits: dict[Place, int] = {}
        """Partition and block of offsets -> a bit for each offset in it."""

    def add(self, at: Place) -> None:
        block, bit = divmod(at[1], BLOCK)
        self._bits[at[0], block] = self._bits.get((at[0], block), 0) | 1 << bit

    def __contains__(self, at: Place) -> bool:
        block, bit = divmod(at[1], BLOCK)
        return bool(self._bits.get((at[0], block), 0) >> bit & 1)


class Needs:
    """Which of some old blobs are needed, learnt record by record: all results before what they may answer.

    A job is known by where its producer's record lies, which its result tells too: a duplicate that never had a result
    of its own keeps its payloads until its record has left the topic, at most a week. Holds digests and a bit for each
    result, however many jobs name the same blob.
    """

    def __init__(self, candidates: frozenset[str]) -> None:
        self._candidates = candidates
        self._ended = Ended()
        self.needed: set[str] = set()
        """Candidates that an unfinished job or a dead letter names."""

    def take(self, record: Record) -> None:
        """Learn from one record of the results, or of the topics in `NAMING`."""
        if record.topic == RESULTS.name:
            if (done := _received(record.value)) is not None:
                self._ended.add(done)
            return
        digests = (digests_in(record.value) & self._candidates) - self.needed
        if digests and not self._has_ended(record):
            self.needed |= digests

    def _has_ended(self, record: Record) -> bool:
        if record.topic == DLQ.name:
            return False  # may be driven again
        at = _origin(record) if record.topic == JOBS.name else _received(record.value)
        # An assigned job that cannot be read ends as a dead letter, which keeps it.
        return at is not None and at in self._ended


def _origin(record: Record) -> Place:
    """Where a jobs record was written by its producer: a forwarded one says so."""
    parts = (headers.first(record.headers, headers.ORIGIN) or "").split("/")
    if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        return int(parts[0]), int(parts[1])
    return record.partition, record.offset


def _received(value: bytes | None) -> Place | None:
    try:
        received = codec.parse(value or b"")["received"]
        partition, offset = int(received["partition"]), int(received["offset"])
        return (partition, offset) if offset >= 0 else None
    except (codec.Undecodable, KeyError, TypeError, ValueError):
        return None


@dataclass(slots=True)
class Swept:
    """What a sweep did, or would do."""

    removed: int = 0
    bytes: int = 0
    needed: int = 0
    """Old, and kept: an unfinished job or a dead letter names them."""
    young: int = 0


async def sweep(log: Log, store: BlobStore, untouched_since: datetime, *, dry_run: bool) -> Swept:
    """Remove the blobs that were not put since, and that neither an unfinished job nor a dead letter names.

    Nothing is removed before the topics have been read to their ends, and read on to their new ends after that. Raises
    `BlobError`, `CommandError`, `NotReadable`.
    """
    swept = Swept()
    async for batch in _old(store, untouched_since, swept):
        needs = Needs(frozenset(info.sha256 for info in batch))
        # Results first: what ends meanwhile is kept until the next time, and a dead letter that came with its result,
        # in one transaction, is read after it.
        seen = await _read(log, needs, (RESULTS.name, *NAMING), {})
        await _read(log, needs, NAMING, seen)  # jobs that were published meanwhile
        for info in batch:
            if info.sha256 in needs.needed:
                swept.needed += 1
            elif dry_run or await store.remove(info.sha256, untouched_since=untouched_since):
                swept.removed += 1
                swept.bytes += info.bytes
            elif await store.info(info.sha256) is not None:  # else another sweep had it
                swept.young += 1  # put again while the topics were read
    return swept


async def _old(store: BlobStore, untouched_since: datetime, swept: Swept) -> AsyncIterator[list[BlobInfo]]:
    batch: list[BlobInfo] = []
    async for info in store.all():
        if info.touched_at > untouched_since:
            swept.young += 1
            continue
        batch.append(info)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _read(log: Log, needs: Needs, topics: Sequence[str], since: Ends) -> Ends:
    """Read on from `since` (else from the beginnings) to the present ends, topic after topic."""
    reader, reached = log.reader(), Ends()
    for topic in topics:
        reached[topic] = await ends(log, topic)
        for partition, end in reached[topic].items():
            first, _ = await reader.bounds(topic, partition)
            start = max(first, since.get(topic, {}).get(partition, 0))
            async for record in reader.read(topic, partition, start, end):
                needs.take(record)
    return reached
