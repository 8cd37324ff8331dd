"""The chains of all lanes against the signed heads: what was changed, removed, reordered, inserted or cut off. Pure.

It sees each record once, remembers of each lane where it is, and so takes no more memory for a million of them. Records
may come from several partitions side by side; of one lane they come in the order of its sequences, unless something is
wrong or the topic has grown (`take` then lets one wait).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from console.audit.batches import Batch, Place, Spoilt, read_batch
from console.audit.checkpoints import tree_of
from console.audit.problems import Kind, Problem
from console.audit.table import Head, HeadTable
from console.audit.tree import Tree
from runtime.progress import GENESIS
from schemas.audit import Checkpoint


@dataclass(slots=True)
class _Lane:
    """Where a lane's chain is."""

    sequence: int = 0
    hash: str = GENESIS
    run: int = 1
    tree: Tree | None = field(default_factory=Tree)
    """None: its beginning is not here, so its entries are proved by the chain alone."""
    next: int = 0
    """The next head that it is held against."""
    place: Place | None = None
    """Of its last batch."""
    unproved: tuple[int, Place] | None = None
    """The first batch that no head has confirmed yet."""
    anchor: tuple[int, str] | None = None
    """Sequence and hash at the checkpoint that it begins from; None once something came after it."""
    before: tuple[int, str] | None = None
    """The last batch of those that the anchor covers and that are still here."""
    gap: range = range(0)
    problem: int | None = None
    """Its first problem's index. What comes after it is not told: it would only repeat it."""


class Chains:
    """All lanes. `anchor` is the checkpoint from which everything is here; None: from the beginning.

    `headless`: the beginning is missing, and no checkpoint says how far it went: chains begin where they begin.
    """

    def __init__(
        self, table: HeadTable, anchor: Checkpoint | None = None, *, headless: bool = False,
        committed: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:  # fmt: skip
        """`committed`: sequence and hash that stand in the lanes' commit metadata, read before the records were."""
        self._table = table
        self._headless = headless
        self._committed = committed or {}
        self._met: set[str] = set()
        """The lanes whose chain leads to what they have committed."""
        self._lanes: dict[str, _Lane] = {}
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.records = self.entries = self.proved = 0
        """`proved`: entries that a signed head covers."""
        self._uncounted: dict[str, int] = {}
        for head in anchor.heads if anchor is not None else ():
            lane = self._lanes[head.lane] = _Lane(
                head.sequence, head.hash, head.run, tree_of(head), anchor=(head.sequence, head.hash)
            )
            while (known := table.at(head.lane, lane.next)) is not None and known.order <= (head.run, head.sequence):
                lane.next += 1
            if self._committed.get(head.lane, (head.sequence + 1, ""))[0] <= head.sequence:
                self._met.add(head.lane)

    @property
    def lanes(self) -> int:
        """How many there are."""
        return len(self._lanes)

    @property
    def uncovered(self) -> int:
        """Entries after the newest checkpoint: nothing signed tells of them yet."""
        return sum(self._uncounted.values())

    def take(self, place: Place, value: bytes | None, *, last_chance: bool = True) -> Batch | bool | None:
        """Look at one record. False: it must wait for others of its lane, which may be in another partition; with
        `last_chance` there are none. Else the batch, or None where there is nothing to read in it."""
        try:
            batch = read_batch(value)
        except Spoilt as error:
            self._spoilt(place, error)
            return None
        lane = self._lanes.get(batch.lane)
        if lane is None:
            lane = self._lanes[batch.lane] = _Lane()
            if self._headless and batch.sequence > 1:
                self._join(lane, batch)
        if lane.problem is not None:
            self._more_of_a_broken(lane, batch, place)
        elif lane.anchor is not None and batch.sequence <= lane.anchor[0] and not self._anew(lane, batch):
            self._covered_by_anchor(lane, lane.anchor, batch, place)
        elif batch.sequence == lane.sequence + 1:
            self._next(lane, batch, place)
        elif self._anew(lane, batch):
            self._begin_anew(lane, batch, place)
        elif batch.sequence > lane.sequence and not last_chance:
            return False
        elif batch.sequence > lane.sequence:
            self._gap(lane, batch, place)
        else:
            at = f" (the last one before it stands at {lane.place})" if lane.place else ""
            self._tell("inserted", lane, batch, place, f"sequence {batch.sequence} was there before{at}")
        lane.place = place
        self.records += 1
        self.entries += len(batch.entries)
        return batch

    def end(self, topic: str, covered: Mapping[int, int]) -> None:
        """Nothing more comes: what the heads still promise was cut off. Below `covered`, the offsets of the newest
        checkpoint, each batch that no head confirms was put in later."""
        for name, known in self._lanes.items():
            self._cut_off_before_anchor(name, known)
            if known.problem is None and known.unproved is not None and self._table.at(name, known.next) is None:
                first, place = known.unproved
                below = covered.get(place.partition, 0)
                if place.offset < below:
                    what = f"the newest checkpoint covers all of this partition below offset {below}, and not this"
                    known.problem = len(self.problems)
                    self.problems.append(Problem("inserted", what, name, first, place))
        for name in self._table.lanes:
            lane, head = self._lanes.get(name), self._table.last(name)
            if head is None or (
                lane is not None and (lane.problem is not None or self._table.at(name, lane.next) is None)
            ):
                continue
            signed = f"checkpoint {head.number} of {_at(head)} signed up to sequence {head.sequence}"
            if lane is None or (lane.place is None and lane.anchor is None):
                self.problems.append(Problem("removed", f"nothing of the lane is here; {signed}", name, 1))
                continue
            begun = lane.place or f"the checkpoint that {topic} begins from"
            message = f"the lane ends with sequence {lane.sequence} ({begun}); {signed}"
            self.problems.append(Problem("cut off", message, name, lane.sequence + 1, lane.place))
        for name in sorted(self._committed.keys() - self._met):
            self._held_against_committed(name, *self._committed[name])

    def _held_against_committed(self, name: str, sequence: int, digest: str) -> None:
        lane = self._lanes.get(name)
        if (lane is None and self._headless) or any(one.lane == name for one in self.problems):
            return
        told = f"the lane itself has committed sequence {sequence} beside its offset"
        if lane is None:
            self.problems.append(Problem("removed", f"nothing of the lane is here; {told}", name, 1))
        elif lane.sequence < sequence:
            what = f"the lane ends with sequence {lane.sequence}; {told}"
            self.problems.append(Problem("cut off", what, name, lane.sequence + 1, lane.place))
        else:
            what = f"{told} with the hash {digest[:16]}...; the chain leads to another"
            self.problems.append(Problem("changed", what, name, sequence, lane.place))

    def _cut_off_before_anchor(self, name: str, lane: _Lane) -> None:
        if lane.problem is None and lane.anchor and lane.before and lane.before[0] < lane.anchor[0]:
            what = f"the lane ends here; the checkpoint that all begins from signed up to sequence {lane.anchor[0]}"
            lane.problem = len(self.problems)
            self.problems.append(Problem("cut off", what, name, lane.before[0] + 1, lane.place))

    # One record

    def _next(self, lane: _Lane, batch: Batch, place: Place) -> None:
        if lane.anchor is not None:
            if lane.before is not None and lane.before != lane.anchor:
                self._tell(
                    "removed", lane, batch, place, f"sequences {lane.before[0] + 1} to {lane.anchor[0]} are missing"
                )
                return
            lane.anchor = None
        if batch.previous != lane.hash:
            what = f"it does not follow sequence {lane.sequence}: one of the two was replaced"
            self._tell("changed", lane, batch, place, what)
            return
        self._add(lane, batch, place)

    def _add(self, lane: _Lane, batch: Batch, place: Place) -> None:
        lane.sequence, lane.hash = batch.sequence, batch.hash
        if self._committed.get(batch.lane) == (batch.sequence, batch.hash):
            self._met.add(batch.lane)
        lane.unproved = lane.unproved or (batch.sequence, place)
        self._uncounted[batch.lane] = self._uncounted.get(batch.lane, 0) + len(batch.entries)
        if lane.tree is not None:
            for leaf in batch.leaves():
                lane.tree.append(leaf)
        head = self._table.at(batch.lane, lane.next)
        if head is not None and head.order == (lane.run, batch.sequence):
            self._held_against(lane, head, batch)

    def _held_against(self, lane: _Lane, head: Head, batch: Batch) -> None:
        same_tree = lane.tree is None or (lane.tree.size == head.size and lane.tree.root() == head.root)
        if bytes.fromhex(batch.hash) == head.hash and same_tree:
            lane.next += 1
            lane.unproved = None
            self.proved += self._uncounted.pop(batch.lane, 0)
            return
        first, place = lane.unproved or (batch.sequence, None)
        which = f"sequences {first} to {batch.sequence}" if first < batch.sequence else f"sequence {first}"
        what = f"checkpoint {head.number} of {_at(head)} signed another content of {which}; the hashes were made to fit"
        lane.problem = len(self.problems)
        self.problems.append(Problem("changed", what, batch.lane, first, place))

    def _covered_by_anchor(self, lane: _Lane, anchor: tuple[int, str], batch: Batch, place: Place) -> None:
        """One of the last batches before the anchor: the chain leads to the hash that was signed."""
        before, lane.before = lane.before, (batch.sequence, batch.hash)
        if before is not None and (batch.sequence, batch.previous) != (before[0] + 1, before[1]):
            kind: Kind = "removed" if batch.sequence > before[0] + 1 else "changed"
            if batch.sequence <= before[0]:
                kind = "inserted"
            self._tell(kind, lane, batch, place, f"it does not follow sequence {before[0]}, which stands before it")
        elif batch.sequence == anchor[0] and batch.hash != anchor[1]:
            self._tell("changed", lane, batch, place, "the checkpoint signed another content up to here")

    def _gap(self, lane: _Lane, batch: Batch, place: Place) -> None:
        gap = range(lane.sequence + 1, batch.sequence)
        many = gap.stop - gap.start > 1  # its length may be more than `len` tells
        which = f"sequences {gap[0]} to {gap[-1]} are" if many else f"sequence {gap[0]} is"
        head = self._table.at(batch.lane, lane.next)
        if head is not None and head.run > lane.run and head.first == batch.sequence:
            which += f" missing already for checkpoint {head.number}: they were gone before they were signed; {which}"
        if lane.anchor is not None and lane.place is None:
            which += " missing after the checkpoint that all begins from; the sequence"
        self._tell("removed", lane, batch, place, f"{which} missing before it")
        lane.gap, lane.sequence = gap, batch.sequence

    def _more_of_a_broken(self, lane: _Lane, batch: Batch, place: Place) -> None:
        if lane.problem is not None and batch.sequence in lane.gap:
            first = self.problems[lane.problem]
            what = f"sequence {batch.sequence} stands after it, at {place}"
            self.problems[lane.problem] = Problem("reordered", what, first.lane, first.sequence, first.place)

    def _anew(self, lane: _Lane, batch: Batch) -> bool:
        """Whether a chain that begins again is one that a later checkpoint has signed as such."""
        head = self._table.at(batch.lane, lane.next)
        anew = batch.sequence == 1 and batch.previous == GENESIS and lane.sequence > 0
        return anew and head is not None and head.run == lane.run + 1 and head.first == 1

    def _begin_anew(self, lane: _Lane, batch: Batch, place: Place) -> None:
        self.notes.append(f"lane {batch.lane} began anew at {place}: somebody set its commit metadata")
        lane.run, lane.tree, lane.anchor = lane.run + 1, Tree(), None
        self._add(lane, batch, place)

    def _join(self, lane: _Lane, batch: Batch) -> None:
        """Begin in the middle of a chain."""
        lane.sequence, lane.hash, lane.tree = batch.sequence - 1, batch.previous, None
        while (head := self._table.at(batch.lane, lane.next)) is not None and head.sequence < batch.sequence:
            lane.next += 1
        if head is not None:
            lane.run = head.run

    def _spoilt(self, place: Place, error: Spoilt) -> None:
        lane = self._lanes.get(error.lane)
        self.records += 1
        if lane is None and error.lane in self._table.lanes and error.sequence == 1:
            lane = self._lanes[error.lane] = _Lane()
        if lane is not None and lane.problem is None and error.sequence == lane.sequence + 1:
            lane.problem, lane.sequence, lane.place = len(self.problems), error.sequence, place
        self.problems.append(Problem("changed", str(error), error.lane, error.sequence, place))

    def _tell(self, kind: Kind, lane: _Lane, batch: Batch, place: Place, message: str) -> None:
        lane.problem = len(self.problems)
        self.problems.append(Problem(kind, message, batch.lane, batch.sequence, place))


def _at(head: Head) -> str:
    return f"{datetime.fromtimestamp(head.at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
