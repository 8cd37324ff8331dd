"""The transaction coordinator: producer ids and epochs, open transactions, their end in two steps, their timeout.

As Apache Kafka's TransactionCoordinator does for clients that speak the first versions of its requests, as aiokafka
does: the epoch grows when a producer begins or is fenced, not with each transaction. So an EndTxn that comes late ends
whatever transaction of that epoch is open then.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTransactionTimeout,
    InvalidTxnState,
    UnknownTopicOrPartitionError,
)

from simulation.kafka.log import Part

if TYPE_CHECKING:
    from simulation.kafka.broker import SimBroker

MOST_TIMEOUT_S = 900.0
"""`transaction.max.timeout.ms`."""

EMPTY, ONGOING, ENDING, ENDED = "empty", "ongoing", "ending", "ended"


class Transactional:
    """One transactional id. Until each of its markers is written, a transaction is ending, and no other may begin."""

    __slots__ = ("began", "committed", "epoch", "groups", "id", "owed", "parts", "pid", "state", "timeout_s")

    def __init__(self, name: str, pid: int) -> None:
        self.id = name
        self.pid = pid
        self.epoch = -1
        self.state = EMPTY
        self.committed = False
        """How the one that is ending or ended last ends."""
        self.parts: dict[Part, None] = {}
        self.groups: dict[str, None] = {}
        self.owed: list[Part | str] = []
        """Partitions, and groups, whose marker is not written."""
        self.began = 0.0
        self.timeout_s = 0.0


class Transactions:
    """All transactional ids, and the ids of producers that have none."""

    def __init__(self, broker: "SimBroker") -> None:
        self._broker = broker
        self._machine = broker.machine
        self.by_id: dict[str, Transactional] = {}
        self._next_pid = 1_000
        self._scanning = False
        broker.machine.on_stop.append(self._stopped)
        broker.machine.on_start.append(self._started)

    # requests

    @property
    def ending(self) -> bool:
        """Whether a transaction has been decided of which not all markers are written: readers see a part of it."""
        return any(one.state == ENDING for one in self.by_id.values())

    def init_producer_id(self, transactional_id: str | None, timeout_s: float) -> tuple[int, int]:
        """InitProducerId: a new epoch. What was open is aborted: `ConcurrentTransactions` until that is done.

        Raises also `InvalidTransactionTimeout`.
        """
        self._machine.as_coordinator()
        if transactional_id is None:
            return self._new_pid(), 0
        if not 0 < timeout_s <= MOST_TIMEOUT_S:
            raise InvalidTransactionTimeout
        one = self.by_id.get(transactional_id)
        if one is None:
            one = self.by_id[transactional_id] = Transactional(transactional_id, self._new_pid())
            self._machine.did(lambda: self._forget(transactional_id))
        if one.state == ENDING:
            raise ConcurrentTransactions
        self._note(one)
        one.epoch += 1
        if one.state == ONGOING:
            self._end(one, committed=False)
            raise ConcurrentTransactions
        one.state, one.timeout_s = EMPTY, timeout_s
        return one.pid, one.epoch

    def add_partitions(self, transactional_id: str, pid: int, epoch: int, parts: Iterable[Part]) -> None:
        """AddPartitionsToTxn: begins a transaction if none is open. Raises `ConcurrentTransactions` while one ends."""
        one = self._known(transactional_id, pid, epoch)
        for part in parts:
            if part not in self._broker.logs:
                raise UnknownTopicOrPartitionError
        self._begin(one)
        one.parts.update(dict.fromkeys(parts))

    def add_offsets(self, transactional_id: str, pid: int, epoch: int, group: str) -> None:
        """AddOffsetsToTxn: likewise, for a group's committed offsets."""
        one = self._known(transactional_id, pid, epoch)
        self._begin(one)
        one.groups[group] = None

    def end_transaction(self, transactional_id: str, pid: int, epoch: int, commit: bool) -> None:
        """EndTxn: decided when it is answered; its markers are written a moment later.

        The same again while none is open: no error. Raises `InvalidTxnState` where it never began or has ended
        otherwise, `ConcurrentTransactions` while it ends.
        """
        one = self._known(transactional_id, pid, epoch)
        if one.state == EMPTY or (one.state != ONGOING and one.committed != commit):
            raise InvalidTxnState
        if one.state == ENDING:
            raise ConcurrentTransactions
        if one.state == ONGOING:
            self._note(one)
            self._end(one, committed=commit)

    # of the partitions and the groups

    def verify(self, transactional_id: str | None, pid: int, epoch: int, written: Part | str) -> None:
        """Whether something may be the first that a transaction writes there: it was added, and the transaction is
        open. Else `InvalidTxnState`, `InvalidProducerEpoch` of one that was fenced, or `ConcurrentTransactions` while
        it ends."""
        one = self.by_id.get(transactional_id or "")
        if one is None or one.pid != pid:
            raise InvalidProducerIdMapping
        if one.epoch != epoch:
            raise InvalidProducerEpoch
        if one.state == ENDING:
            raise ConcurrentTransactions
        if one.state != ONGOING or (written not in one.parts and written not in one.groups):
            raise InvalidTxnState

    # inside

    def _new_pid(self) -> int:
        self._next_pid += 1
        return self._next_pid

    def _known(self, transactional_id: str, pid: int, epoch: int) -> Transactional:
        self._machine.as_coordinator()
        one = self.by_id.get(transactional_id)
        if one is None or one.pid != pid:
            raise InvalidProducerIdMapping
        if one.epoch != epoch:
            raise InvalidProducerEpoch  # what is told to clients of the first versions instead of PRODUCER_FENCED
        return one

    def _begin(self, one: Transactional) -> None:
        if one.state == ENDING:
            raise ConcurrentTransactions
        self._note(one)
        if one.state != ONGOING:
            one.state, one.began = ONGOING, self._machine.kernel.monotonic
            one.parts.clear()
            one.groups.clear()
            self._scan_soon()

    def _end(self, one: Transactional, *, committed: bool) -> None:
        one.state, one.committed = ENDING, committed
        one.owed = [*one.parts, *one.groups]
        self._write_markers(one)

    def _write_markers(self, one: Transactional) -> None:
        """One after the other, or all together and the groups' beside them, as the dice have it."""
        machine = self._machine
        dice, faults = machine.kernel.dice, machine.faults
        apart = dice.random() < 0.25
        together: list[Part | str] = []
        for owed in one.owed:
            if isinstance(owed, str):
                late = 1.0 if faults.stale_fetch and dice.random() < faults.stale_fetch else faults.markers_late_s
                machine.later(dice.uniform(0, late), self._marker(one, [owed]))
            elif apart:
                machine.later(dice.uniform(0, faults.markers_late_s), self._marker(one, [owed]))
            else:
                together.append(owed)
        if together or not one.owed:
            machine.later(dice.uniform(0, faults.markers_late_s), self._marker(one, together))

    def _marker(self, one: Transactional, where: list[Part | str]) -> Callable[[], None]:
        epoch, committed = one.epoch, one.committed

        def write() -> None:
            self._note(one)
            for place in where:
                if place not in one.owed:
                    continue
                one.owed = [other for other in one.owed if other != place]
                if isinstance(place, str):
                    self._broker.groups.offsets.ended(place, one.pid, epoch, committed=committed)
                else:
                    self._broker.mark(place, one.pid, epoch, committed=committed)
            if not one.owed:
                one.state = ENDED

        return write

    def _scan_soon(self) -> None:
        if not self._scanning:
            self._scanning = True
            self._machine.later(self._machine.faults.scan_s, self._scan)

    def _scan(self) -> None:
        self._scanning = False
        now = self._machine.kernel.monotonic
        for one in self.by_id.values():
            if one.state == ONGOING and now - one.began > one.timeout_s:
                self._note(one)
                one.epoch += 1
                self._end(one, committed=False)
        if any(one.state == ONGOING for one in self.by_id.values()):
            self._scan_soon()

    # its own log

    def _note(self, one: Transactional) -> None:
        """The state as it is now, for a power cut to bring back. Producer ids are never given twice."""
        state, epoch, committed, began, timeout_s = one.state, one.epoch, one.committed, one.began, one.timeout_s
        parts, groups, owed = tuple(one.parts), tuple(one.groups), tuple(one.owed)

        def back() -> None:
            one.state, one.epoch, one.committed, one.began, one.timeout_s = state, epoch, committed, began, timeout_s
            one.parts, one.groups, one.owed = dict.fromkeys(parts), dict.fromkeys(groups), list(owed)

        self._machine.did(back)

    def _forget(self, transactional_id: str) -> None:
        del self.by_id[transactional_id]

    def _stopped(self) -> None:
        self._scanning = False

    def _started(self) -> None:
        for one in self.by_id.values():
            if one.state == ENDING:
                self._write_markers(one)
        self._scan_soon()
