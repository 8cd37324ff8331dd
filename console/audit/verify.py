"""Verifying: one pass over the checkpoints, one over the records, from a folder or from Kafka, with the public key."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from console.audit.batches import Batch, Place
from console.audit.chains import Chains
from console.audit.checkpoints import BEFORE_ALL, Forged, Knows, digest_of, follows, read
from console.audit.ends import Ends, Open
from console.audit.problems import Problem
from console.audit.table import HeadTable
from schemas.audit import Checkpoint
from schemas.topics import AUDIT

RETENTION = timedelta(milliseconds=AUDIT.retention_ms)
LATE = 20
"""So many times the promised interval may pass between an entry and the checkpoint that covers it."""
LATE_AT_LEAST = timedelta(minutes=10)
MOST_OPEN_TOLD = 20

Records = AsyncIterator[tuple[Place, bytes | None]]


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
            "jobs": {"accepted": self.accepted, "ended": self.ended, "open": len(self.open)},
            "open": [
                {"job": one.job, "lane": one.lane, "sequence": one.sequence, "place": str(one.place)}
                for one in self.open[:MOST_OPEN_TOLD]
            ],
        }  # fmt: skip


async def verify(
    source: Source, keys: Knows, *, kept: tuple[int, str] | None = None, by_wish: bool = False,
    open_for: timedelta | None = None, retention: timedelta = RETENTION,
) -> Report:  # fmt: skip
    """Look at everything.

    `kept`: number and sha256 of a checkpoint that the caller has kept from before, which must be among these: without
    it, an older state of everything together is as good as a newer one. `by_wish`: the beginning is left out because
    somebody asked for that. `open_for`: an accepted job without an end for so long before the newest checkpoint is a
    problem.
    """
    report, table, firsts = Report(), HeadTable(), dict(await source.bounds())
    await _read_checkpoints(source, keys, table, firsts, report, kept, None if by_wish else BEFORE_ALL)
    trimmed = any(firsts.values())
    if trimmed and not by_wish:
        _look_at_beginning(report, firsts, retention)
    chains = Chains(table, report.anchor, headless=trimmed and report.anchor is None)
    with tempfile.TemporaryDirectory(prefix="novix-audit-") as folder:
        ends = Ends(Path(folder), whole=not trimmed)
        newest = await _read_all(source, sorted(firsts), chains, ends)
        chains.end(source.topic)
        incomplete, report.open = ends.look(source.topic)
    report.records, report.entries, report.lanes = chains.records, chains.entries, chains.lanes
    report.proved, report.uncovered = chains.proved, chains.uncovered
    report.accepted, report.ended = ends.accepted, ends.ended
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
    ]
    report.notes = [*source.notes, *report.notes, *chains.notes]
    return report


async def _read_checkpoints(
    source: Source, keys: Knows, table: HeadTable, firsts: Mapping[int, int], report: Report,
    kept: tuple[int, str] | None, before: tuple[int, str] | None,
) -> None:  # fmt: skip
    found_kept = kept is None
    trimmed = {partition: first for partition, first in firsts.items() if first}
    async with aclosing(source.checkpoints()) as records:  # type: ignore[type-var]
        async for place, value in records:
            try:
                checkpoint = read(value, keys)
            except Forged as error:
                report.problems.append(Problem("forged checkpoint", str(error), place=place))
                continue
            digest = digest_of(value or b"")
            back, why = table.note(checkpoint), before and follows(before, checkpoint)
            if why is not None or back is not None:
                report.problems.append(Problem("forged checkpoint", why or back or "", place=place))
            report.checkpoints += 1
            found_kept |= (checkpoint.number, digest) == kept
            if before is not None and checkpoint.number <= before[0]:
                continue
            before = checkpoint.number, digest
            report.newest, report.newest_digest = checkpoint, digest
            covers = all(checkpoint.offsets.get(str(one), 0) >= first for one, first in trimmed.items())
            if trimmed and report.anchor is None and covers:
                report.anchor = checkpoint
    if not report.checkpoints:
        report.problems.append(
            Problem("removed", "there is no checkpoint that your key has signed: nothing here is proved by a signature")
        )
    if not found_kept and kept is not None:
        what = f"checkpoint {kept[0]} with sha256 {kept[1][:16]}..., which you have kept, is not here: this is another "
        report.problems.append(Problem("forged checkpoint", f"{what}history, or an older state of it"))


def _look_at_beginning(report: Report, firsts: Mapping[int, int], retention: timedelta) -> None:
    told = ", ".join(f"{partition} from offset {first}" for partition, first in sorted(firsts.items()) if first)
    anchor, newest = report.anchor, report.newest
    if anchor is None or newest is None:
        report.notes.append(f"the beginning is not here (partition {told}), and no checkpoint covers where it ends")
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
    newest: str = ""
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
                        at = batch.entries[-1].get("at") if batch.entries else None
                        newest = max(newest, at) if isinstance(at, str) else newest
            forced = not moved
    finally:
        for stream in streams.values():
            await stream.aclose()  # type: ignore[attr-defined]
    try:
        return datetime.fromisoformat(newest).astimezone(UTC) if newest else None
    except (ValueError, OverflowError):
        return None


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


def _placed(source: Source) -> list[Problem]:
    return [one for one in source.problems if one.place is not None]


def _unplaced(source: Source) -> list[Problem]:
    look = getattr(source, "look_at_rest", None)
    if look is not None:
        look()
    return [one for one in source.problems if one.place is None]


def _by_place(problem: Problem) -> tuple[int, int]:
    return (problem.place.partition, problem.place.offset) if problem.place is not None else (-1, -1)
