"""Verifying: one pass over the checkpoints, one over the records, from a folder or from Kafka, with the public key."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from console.audit.batches import Batch, Place
from console.audit.chains import Chains
from console.audit.checkpoints import BEFORE_ALL, Forged, Knows, digest_of, follows, read
from console.audit.ends import Ends, Open, instant_ms
from console.audit.problems import Problem
from console.audit.table import HeadTable
from schemas.audit import Checkpoint
from schemas.topics import AUDIT

RETENTION = timedelta(milliseconds=AUDIT.retention_ms)
LATE = 20
"""So many times the promised interval may pass between an entry and the checkpoint that covers it."""
LATE_AT_LEAST = timedelta(minutes=10)
MOST_OPEN_TOLD = 20
MARKER = 1
"""Offsets that the end of a transaction takes."""
GRACE = timedelta(minutes=15)
"""After its deadline, for a job's end to be written."""

Records = AsyncIterator[tuple[Place, bytes | None]]


class Results(Protocol):
    """The topic of the results."""

    async def fold(self, ends: Ends, since: datetime) -> None:
        """Hand over all results. `since`: from then on all of the audit is here."""
        ...


class Source(Protocol):
    """Where checkpoints and records come from."""

    topic: str
    problems: list[Problem]
    notes: list[str]

    async def bounds(self) -> Mapping[int, int]:
        """Of each partition of the audit topic, the offset from which everything is here."""
        ...

    def checkpoints(self) -> Records: ...

    def audit(self, partition: int) -> Records: ...


@dataclass(slots=True)
class Report:
    """What was found. `problems` in the order in which a person should look at them; empty: all of it holds."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: int = 0
    entries: int = 0
    proved: int = 0
    """Entries that a signed checkpoint covers."""
    uncovered: int = 0
    lanes: int = 0
    checkpoints: int = 0
    newest: Checkpoint | None = None
    newest_digest: str = ""
    anchor: Checkpoint | None = None
    accepted: int = 0
    ended: int = 0
    open: list[Open] = field(default_factory=list)
    overdue: list[Open] = field(default_factory=list)
    """Those of them whose deadline is past for longer than `GRACE`."""
    older: Checkpoint | None = None
    """What the caller had from before, and everything here goes on from."""
    committed: int = 0
    """Lanes that were held against what they have committed beside their offset."""
    results: int = 0
    """Of the results topic, where that was looked at."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        newest, anchor = self.newest, self.anchor
        return {
            "holds": not self.problems,
            "first_problem": self.problems[0].document() if self.problems else None,
            "problems": [one.document() for one in self.problems],
            "notes": self.notes,
            "records": self.records, "entries": self.entries, "proved": self.proved, "uncovered": self.uncovered,
            "lanes": self.lanes, "checkpoints": self.checkpoints,
            "newest_checkpoint": None if newest is None else {
                "number": newest.number, "at": newest.at, "sha256": self.newest_digest, "key": newest.key,
            },
            "begins_with_checkpoint": None if anchor is None else anchor.number,
            "goes_on_from_checkpoint": None if self.older is None else self.older.number,
            "lanes_held_against_their_commits": self.committed,
            "results": self.results,
            "jobs": {
                "accepted": self.accepted, "ended": self.ended, "open": len(self.open), "overdue": len(self.overdue),
            },
            "open": [_told(one) for one in self.open[:MOST_OPEN_TOLD]],
            "overdue": [_told(one) for one in self.overdue[:MOST_OPEN_TOLD]],
        }  # fmt: skip


def _told(one: Open) -> dict[str, Any]:
    return {"job": one.job, "lane": one.lane, "sequence": one.sequence, "place": str(one.place)}


async def verify(
    source: Source, keys: Knows, *, kept: tuple[int, str] | None = None, older: bytes | None = None,
    by_wish: bool = False, open_for: timedelta | None = None, retention: timedelta = RETENTION,
    committed: Mapping[str, tuple[int, str]] | None = None, results: Results | None = None,
) -> Report:  # fmt: skip
    """Look at everything.

    `kept`: number and sha256 of a checkpoint that the caller has kept from before, which must be among these: without
    it, an older state of everything together is as good as a newer one. `older`: a whole checkpoint from before, of
    which everything here must be a continuation; what was cut off since then is named. `by_wish`: the beginning is left
    out because somebody asked for that. `open_for`: an accepted job without an end for so long before the newest
    checkpoint is a problem, as one is whose deadline is past. `committed`: where each lane says in its commit metadata
    that it is, and `results`: the topic of the results; both as Kafka has them. Raises `Forged` for an `older` of
    another key.
    """
    report, table, firsts = Report(), HeadTable(), dict(await source.bounds())
    report.committed = len(committed or {})
    report.older = None if older is None else read(older, keys)
    await _read_checkpoints(source, keys, table, firsts, report, kept, older, None if by_wish else BEFORE_ALL)
    trimmed = any(first > 0 for first in firsts.values())
    if trimmed and (report.anchor is None or not by_wish):
        _look_at_beginning(report, firsts, retention)
    chains = Chains(table, report.anchor, headless=trimmed and report.anchor is None, committed=committed)
    with tempfile.TemporaryDirectory(prefix="novix-audit-") as folder:
        ends = Ends(Path(folder), whole=not trimmed)
        newest = await _read_all(source, sorted(firsts), chains, ends)
        newest_offsets = report.newest.offsets if report.newest is not None else {}
        chains.end(source.topic, {int(partition): offset for partition, offset in newest_offsets.items()})
        if results is not None:
            since = report.anchor.at if trimmed and report.anchor is not None else datetime.fromtimestamp(0, UTC)
            await results.fold(ends, since)
        incomplete, report.open = ends.look(source.topic)
    report.records, report.entries, report.lanes = chains.records, chains.entries, chains.lanes
    report.proved, report.uncovered = chains.proved, chains.uncovered
    report.accepted, report.ended, report.results = ends.accepted, ends.ended, ends.results
    report.overdue = _overdue(report, newest)
    checkpoints, report.problems = report.problems, []
    placed = sorted((one for one in (*chains.problems, *_placed(source)) if one.place is not None), key=_by_place)
    unplaced = [one for one in chains.problems if one.place is None]
    late = _late(report, newest)
    report.problems = [
        *checkpoints,
        *placed,
        *unplaced,
        *late,
        *_unplaced(source),
        *incomplete,
        *_stale(report, open_for),
        *_past_deadline(report.overdue),
    ]
    report.notes = [*source.notes, *report.notes, *chains.notes]
    return report


async def _read_checkpoints(
    source: Source, keys: Knows, table: HeadTable, firsts: Mapping[int, int], report: Report,
    kept: tuple[int, str] | None, older: bytes | None, before: tuple[int, str] | None,
) -> None:  # fmt: skip
    found_kept, older_to_come = kept is None, report.older
    trimmed = {partition: first for partition, first in firsts.items() if first > 0}
    async with aclosing(source.checkpoints()) as records:  # type: ignore[type-var]
        async for place, value in records:
            try:
                checkpoint = read(value, keys)
            except Forged as error:
                report.problems.append(Problem("forged checkpoint", str(error), place=place))
                continue
            digest = digest_of(value or b"")
            if older_to_come is not None and checkpoint.number >= older_to_come.number:
                table.note(older_to_come)
                if checkpoint.number == older_to_come.number and value != older:
                    what = f"it is not the checkpoint {checkpoint.number} that you have: two histories were signed"
                    report.problems.append(Problem("forged checkpoint", what, place=place))
                older_to_come = None
            back, why = table.note(checkpoint), before and follows(before, checkpoint)
            if why is not None or back is not None:
                report.problems.append(Problem("forged checkpoint", why or back or "", place=place))
            report.checkpoints += 1
            found_kept |= (checkpoint.number, digest) == kept
            if before is not None and checkpoint.number <= before[0]:
                continue
            before = checkpoint.number, digest
            report.newest, report.newest_digest = checkpoint, digest
            if trimmed and (report.anchor is None or _is_behind(report.anchor, checkpoint, trimmed)):
                report.anchor = checkpoint
    if not report.checkpoints:
        report.problems.append(
            Problem("removed", "there is no checkpoint that your key has signed: nothing here is proved by a signature")
        )
    if older_to_come is not None:
        table.note(older_to_come)
        newest = f"the newest is {report.newest.number}" if report.newest is not None else "there is none"
        what = (
            f"your checkpoint {older_to_come.number} of {older_to_come.at:%Y-%m-%d %H:%M:%S} UTC is not here, {newest}"
        )
        report.problems.append(Problem("cut off", f"{what}: this is an older state than yours"))
    if not found_kept and kept is not None:
        what = f"checkpoint {kept[0]} with sha256 {kept[1][:16]}..., which you have kept, is not here: this is another "
        report.problems.append(Problem("forged checkpoint", f"{what}history, or an older state of it"))


def _is_behind(anchor: Checkpoint, checkpoint: Checkpoint, trimmed: Mapping[int, int]) -> bool:
    """Whether some of what is gone came after `anchor`: a partition's records are missing beyond it, and a later
    checkpoint has covered more of that partition. Behind the last record of a transaction stands its marker, which no
    checkpoint counts: a partition that rests begins beyond all of them when its last records are gone. Whether a lane
    goes on from there without a gap is looked at in any case."""
    before = {one: anchor.offsets.get(str(one), 0) for one in trimmed}
    return any(at + MARKER < trimmed[one] and checkpoint.offsets.get(str(one), 0) > at for one, at in before.items())


def _look_at_beginning(report: Report, firsts: Mapping[int, int], retention: timedelta) -> None:
    told = ", ".join(f"{partition} from offset {first}" for partition, first in sorted(firsts.items()) if first > 0)
    anchor, newest = report.anchor, report.newest
    if anchor is None or newest is None:
        what = f"the beginning is not here (partition {told}), and no checkpoint covers up to where all begins"
        report.problems.append(Problem("removed", what))
        return
    report.notes.append(
        f"older records are not here (partition {told}); everything is proved from checkpoint {anchor.number} of "
        f"{anchor.at:%Y-%m-%d %H:%M:%S} UTC on"
    )
    age = newest.at - anchor.at
    if age < retention * 0.99:
        what = (
            f"records were deleted {age.total_seconds() / 86_400:.1f} days before the newest checkpoint; they are kept "
        )
        report.problems.append(Problem("removed", f"{what}{retention.days} days (another number: --retention-days)"))


async def _read_all(source: Source, partitions: list[int], chains: Chains, ends: Ends) -> datetime | None:
    """All partitions side by side: one waits where it has a batch whose predecessors another may have. Told is the
    instant of the newest entry."""
    waiting: dict[int, tuple[Place, bytes | None]] = {}
    streams = {partition: source.audit(partition) for partition in partitions}
    newest_ms = 0
    forced = False
    try:
        while streams:
            moved = False
            for partition, stream in list(streams.items()):
                while True:
                    one = waiting.pop(partition, None) or await anext(stream, None)
                    if one is None:
                        del streams[partition]
                        moved = True
                        break
                    batch = chains.take(*one, last_chance=forced)
                    if batch is False:
                        waiting[partition] = one
                        break
                    moved, forced = True, False
                    if isinstance(batch, Batch):
                        ends.note(batch, one[0])
                        newest_ms = max(newest_ms, instant_ms(batch.entries[-1].get("at")) if batch.entries else 0)
            forced = not moved
    finally:
        for stream in streams.values():
            await stream.aclose()  # type: ignore[attr-defined]
    return datetime.fromtimestamp(newest_ms / 1_000, UTC) if newest_ms else None


def _late(report: Report, newest: datetime | None) -> list[Problem]:
    """Entries that a checkpoint should have covered long ago: newer checkpoints were cut off, or nobody wrote them."""
    last = report.newest
    if last is None or newest is None or not report.uncovered:
        return []
    patience = max(LATE_AT_LEAST, timedelta(seconds=LATE * last.every_s))
    if newest - last.at <= patience:
        return []
    what = f"the newest checkpoint, {last.number}, is of {last.at:%Y-%m-%d %H:%M:%S} UTC and promised another within "
    return [
        Problem(
            "cut off",
            f"{what}{last.every_s:.0f} s; entries go on until {newest:%Y-%m-%d %H:%M:%S} UTC: "
            "later checkpoints were taken away, or none was written",
        )
    ]


def _stale(report: Report, open_for: timedelta | None) -> list[Problem]:
    if open_for is None or report.newest is None:
        return []
    limit = (report.newest.at - open_for).timestamp() * 1_000
    return [
        Problem("incomplete", f"the job {one.job} was accepted and has no end", one.lane, one.sequence, one.place)
        for one in report.open[:MOST_OPEN_TOLD]
        if one.since_ms < limit
    ]


def _overdue(report: Report, newest: datetime | None) -> list[Open]:
    known = [at for at in (newest, report.newest.at if report.newest is not None else None) if at is not None]
    limit = (max(known) - GRACE).timestamp() * 1_000 if known else 0
    return [one for one in report.open if 0 < one.deadline_ms < limit]


def _past_deadline(overdue: Sequence[Open]) -> Iterator[Problem]:
    for one in overdue[:MOST_OPEN_TOLD]:
        at = datetime.fromtimestamp(one.deadline_ms / 1_000, UTC)
        what = f"the job {one.job} was accepted, its deadline was {at:%Y-%m-%d %H:%M:%S} UTC, and it has no end"
        yield Problem("incomplete", what, one.lane, one.sequence, one.place)


def _placed(source: Source) -> list[Problem]:
    return [one for one in source.problems if one.place is not None]


def _unplaced(source: Source) -> list[Problem]:
    look = getattr(source, "look_at_rest", None)
    if look is not None:
        look()
    return [one for one in source.problems if one.place is None]


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.place.partition, problem.place.offset) if problem.place is not None else (-1, -1)
