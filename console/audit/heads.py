"""What the checkpoint service remembers: how far each lane is. Folds the audit topic; no clock, no I/O."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from console.audit.batches import Batch, Spoilt, read_batch
from console.audit.checkpoints import Signs, Standing, digest_of, made, tree_of
from console.audit.tree import Tree
from runtime.progress import GENESIS
from schemas.audit import Checkpoint

PATIENCE = timedelta(seconds=60)
"""How long a batch is held back for those before it. They may be in another partition, where the topic has grown."""
MOST_HELD = 256
"""Of one lane."""


@dataclass(slots=True)
class _Held:
    batch: Batch
    partition: int
    offset: int
    since: datetime


@dataclass(slots=True)
class Heads:
    """All lanes, from the last checkpoint on. What it holds grows with the lanes, not with their entries."""

    number: int = 0
    digest: str = GENESIS
    offsets: dict[int, int] = field(default_factory=dict)
    """Of each partition, what is read next."""
    lanes: dict[str, Standing] = field(default_factory=dict)
    news: int = 0
    """Entries since the last checkpoint."""
    spoilt: int = 0
    gaps: int = 0
    _held: dict[str, dict[int, _Held]] = field(default_factory=dict)
    _covered: int = 0
    """Of the news, those in the checkpoint that was made last."""

    @classmethod
    def after(cls, checkpoint: Checkpoint, value: bytes) -> "Heads":
        """As they stood at a checkpoint, whose record has that value."""
        lanes = {
            head.lane: Standing(head.run, head.first, head.sequence, head.hash, tree_of(head))
            for head in checkpoint.heads
        }
        offsets = {int(partition): offset for partition, offset in checkpoint.offsets.items()}
        return cls(checkpoint.number, digest_of(value), offsets, lanes)

    def take(self, partition: int, offset: int, value: bytes | None, now: datetime) -> str | None:
        """Fold one record. What was read before is passed over; told is what is wrong with a record, which is then not
        in any tree: `novix audit verify` names it."""
        if offset < self.offsets.get(partition, 0):
            return None
        self.offsets[partition] = offset + 1
        try:
            why = self._fold(read_batch(value), partition, offset, now)
        except Spoilt as error:
            why = str(error)
        self.spoilt += why is not None
        return why

    def _fold(self, batch: Batch, partition: int, offset: int, now: datetime) -> str | None:
        standing = self.lanes.get(batch.lane)
        if standing is None and batch.previous == GENESIS and batch.sequence == 1:
            self._begin(batch, 1)
        elif standing is not None and batch.sequence == 1 and batch.previous == GENESIS:
            self._begin(batch, standing.run + 1)  # an operator let the lane begin anew (`docs/lanes.md`)
        elif standing is not None and batch.sequence <= standing.sequence:
            return "its sequence was there before"
        elif standing is not None and batch.sequence == standing.sequence + 1:
            if batch.previous != standing.hash:
                return f"sequence {batch.sequence} does not follow the batch before it"
            self._add(batch, standing)
        else:
            self._held.setdefault(batch.lane, {})[batch.sequence] = _Held(batch, partition, offset, now)
            if len(self._held[batch.lane]) > MOST_HELD:
                self._give_up(batch.lane)
            return None
        self._go_on(batch.lane)
        return None

    def look(self, now: datetime) -> int:
        """Give up waiting for what did not come in time; how many gaps that makes."""
        before = self.gaps
        for lane, held in list(self._held.items()):
            if held and now - min(one.since for one in held.values()) > PATIENCE:
                self._give_up(lane)
        return self.gaps - before

    def checkpoint(self, signer: Signs, at: datetime, every_s: float) -> bytes:
        """The next checkpoint. `written` is to be called once it stands in the log, before another is made."""
        self._covered = self.news
        offsets = dict(self.offsets)
        for held in self._held.values():
            for one in held.values():
                offsets[one.partition] = min(offsets[one.partition], one.offset)
        return made(
            signer, self.lanes, offsets, number=self.number + 1, previous=self.digest, at=at, every_s=every_s
        )  # fmt: skip

    def written(self, value: bytes) -> None:
        """The checkpoint is in the log."""
        self.number += 1
        self.digest = digest_of(value)
        self.news -= self._covered

    def _begin(self, batch: Batch, run: int) -> None:
        self._add(batch, Standing(run, batch.sequence, batch.sequence, batch.previous, Tree()))

    def _add(self, batch: Batch, standing: Standing) -> None:
        for leaf in batch.leaves():
            standing.tree.append(leaf)
        self.news += len(batch.entries) or 1
        self.lanes[batch.lane] = Standing(standing.run, standing.first, batch.sequence, batch.hash, standing.tree)

    def _go_on(self, lane: str) -> None:
        """Add what was held back for the batch that has come."""
        held = self._held.get(lane, {})
        while (one := held.pop(self.lanes[lane].sequence + 1, None)) is not None:
            if one.batch.previous != self.lanes[lane].hash:
                self.spoilt += 1
                break
            self._add(one.batch, self.lanes[lane])
        if not held:
            self._held.pop(lane, None)

    def _give_up(self, lane: str) -> None:
        """A gap stays: the lane's next tree begins behind it, and the checkpoint says so."""
        self.gaps += 1
        held = self._held[lane]
        known = self.lanes.get(lane)
        one = held.pop(min(held))
        self._begin(one.batch, 1 if known is None else known.run + 1)
        self._go_on(lane)
