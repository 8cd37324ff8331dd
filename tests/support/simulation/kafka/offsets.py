"""What groups have committed: offsets and metadata, at once or when the marker of their transaction is written."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    OffsetMetadataTooLargeError,
)

from simulation.kafka.log import Part
from simulation.kafka.machine import METADATA_LIMIT

if TYPE_CHECKING:
    from simulation.kafka.broker import SimBroker

Offset = tuple[int, str]
"""The next offset to read, and the metadata beside it."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One offset as it became the group's."""

    at_s: float
    group: str
    part: Part
    offset: int
    metadata: str
    by: str
    """The transactional id, or the member that committed without a transaction."""


class Offsets:
    """The committed offsets of all groups, on disk. Who may write them is decided before."""

    def __init__(self, broker: "SimBroker") -> None:
        self._broker = broker
        self._machine = broker.machine
        self.groups: dict[str, dict[Part, Offset]] = {}
        self.history: list[Commit] = []
        """Every change, in its order; without those that a power cut took back."""
        self.outdated: dict[tuple[str, Part], Offset] = {}
        """What is answered instead of newer ones: a coordinator that did not load all of them."""
        self._written = 0
        self._order: dict[tuple[str, Part], int] = {}
        """Where in the log of offsets each stands: of two transactions it counts which wrote later, not ended later."""
        self._pending: dict[tuple[str, int], list[tuple[int, Part, Offset, str]]] = {}
        """By group and producer id: what transactions that have not ended have written."""
        self._epochs: dict[tuple[str, int], int] = {}

    def of(self, group: str, part: Part) -> Offset:
        """What is answered now; (-1, "") for none."""
        known = self.groups.get(group, {}).get(part, (-1, ""))
        return self.outdated.get((group, part), known)

    def answer_as_of(self, commits: int) -> None:
        """From now on answer with what stood after so many of all commits, where there was something by then."""
        self.outdated = {(one.group, one.part): (one.offset, one.metadata) for one in self.history[:commits]}

    def answer_right(self) -> None:
        """Answer with what is committed."""
        self.outdated = {}

    def check_metadata(self, offsets: dict[Part, Offset]) -> None:
        """Raises `OffsetMetadataTooLargeError`; and with Kafka's own limit, our lanes never come so far."""
        limit = self._machine.faults.metadata_limit
        for part, (_, metadata) in offsets.items():
            if len(metadata) > limit:
                if limit == METADATA_LIMIT:
                    self._machine.kernel.complain(f"{part[0]}[{part[1]}]: metadata of {len(metadata)} characters")
                raise OffsetMetadataTooLargeError

    def commit(self, group: str, offsets: dict[Part, Offset], by: str) -> None:
        """Outside of a transaction."""
        for part, offset in offsets.items():
            self._written += 1
            self._apply(group, part, offset, self._written, by)

    def commit_in_transaction(
        self, transactional_id: str, pid: int, epoch: int, group: str, offsets: dict[Part, Offset]
    ) -> None:
        """TxnOffsetCommit, version 0: nobody asks whether the producer's process is a member of the group.

        Raises `InvalidProducerEpoch` of one that was fenced, `InvalidTxnState` without AddOffsetsToTxn,
        `OffsetMetadataTooLargeError`.
        """
        self._machine.as_coordinator()
        self.check_metadata(offsets)
        key = group, pid
        if epoch < self._epochs.get(key, -1):
            raise InvalidProducerEpoch
        pending = self._pending.get(key)
        if pending is None:
            try:
                self._broker.transactions.verify(transactional_id, pid, epoch, group)
            except ConcurrentTransactions:
                raise CoordinatorNotAvailableError from None
            pending = self._pending[key] = []
            self._machine.did(lambda: self._forget(key))
        self._set_epoch(key, epoch)
        count = len(pending)
        for part, offset in offsets.items():
            self._written += 1
            pending.append((self._written, part, offset, transactional_id))
        self._machine.did(lambda: self._shorten(pending, count))

    def ended(self, group: str, pid: int, epoch: int, *, committed: bool) -> None:
        """The marker of a transaction that has written offsets of this group."""
        key = group, pid
        self._set_epoch(key, epoch)
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        self._machine.did(lambda: self._restore(key, pending))
        if committed:
            for written, part, offset, by in pending:
                if written > self._order.get((group, part), 0):
                    self._apply(group, part, offset, written, by)

    def _apply(self, group: str, part: Part, offset: Offset, written: int, by: str) -> None:
        all_of, machine = self.groups.setdefault(group, {}), self._machine
        before, order = all_of.get(part), self._order.get((group, part), 0)
        if before is not None and offset[0] < before[0]:
            machine.kernel.complain(
                f"{group} {part[0]}[{part[1]}]: offset back from {before[0]} to {offset[0]}, by {by}"
            )
        all_of[part] = offset
        self._order[group, part] = written
        count = len(self.history)
        self.history.append(Commit(machine.kernel.monotonic, group, part, *offset, by))

        def back() -> None:
            del self.history[count:]
            self._order[group, part] = order
            if before is None:
                all_of.pop(part, None)
            else:
                all_of[part] = before

        machine.did(back)

    def _set_epoch(self, key: tuple[str, int], epoch: int) -> None:
        before = self._epochs.get(key, -1)
        if epoch > before:
            self._epochs[key] = epoch
            self._machine.did(lambda: self._epochs.__setitem__(key, before))

    def _forget(self, key: tuple[str, int]) -> None:
        self._pending.pop(key, None)

    def _restore(self, key: tuple[str, int], pending: list[tuple[int, Part, Offset, str]]) -> None:
        self._pending[key] = pending

    @staticmethod
    def _shorten(pending: list[tuple[int, Part, Offset, str]], count: int) -> None:
        del pending[count:]
