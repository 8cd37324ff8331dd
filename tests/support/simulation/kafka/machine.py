"""The broker as a process: timers that end with it, a journal of what a power cut may lose, errors by dice."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    LeaderNotAvailableError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)

from simulation.kernel import Kernel, Timer
from simulation.network import Network, NetworkFaults

METADATA_LIMIT = 4_096
"""`offset.metadata.max.bytes`: of a committed offset's metadata, and counted in characters."""
JOURNAL_S = 10.0
"""What is older cannot be lost."""


@dataclass
class BrokerFaults:
    """How often a request is answered with what error, in [0, 1), and other habits of the broker."""

    coordinator_loading: float = 0.0
    """Requests to the coordinators of groups and transactions: it is still reading its state."""
    coordinator_moved: float = 0.0
    """Likewise: it is another broker now, or none."""
    not_leader: float = 0.0
    """Produce, fetch and ListOffsets: the partition has another leader, or none."""
    unknown_topic: float = 0.0
    """Produce and ListOffsets: the broker has not heard of the topic yet, or not any more."""
    produce_unconfirmed: float = 0.0
    """A batch is written, and the answer is that replicas did not confirm it in time."""
    markers_late_s: float = 0.02
    """How long after EndTxn was answered a transaction's markers are written, at most: till then readers do not see
    it, and the group's offsets are the old ones (19.5 ms was the longest seen on a quiet machine)."""
    stale_fetch: float = 0.0
    """How often the marker of the offsets comes up to a second late."""
    load_s: float = 0.3
    """How long after a start it still answers with such errors, at most."""
    scan_s: float = 1.0
    """How often transactions are looked through for those past their timeout."""
    metadata_limit: int = METADATA_LIMIT
    """Characters of metadata beside an offset."""


class Machine:
    """What partitions, groups and transactions of one broker share."""

    def __init__(self, kernel: Kernel, faults: BrokerFaults, network_faults: NetworkFaults | None) -> None:
        self.kernel = kernel
        self.faults = faults
        self.network = Network(kernel, network_faults)
        self.up = True
        self.on_start: list[Callable[[], None]] = []
        """What is done with the state that was on disk."""
        self.on_stop: list[Callable[[], None]] = []
        """What is in memory alone is forgotten."""
        self._life = 0
        self._loads_until = 0.0
        self._journal: deque[tuple[float, Callable[[], None]]] = deque()

    def later(self, seconds: float, do: Callable[[], None]) -> Timer:
        """Do it in a while: not in another life of the broker, and not while it is frozen."""
        kernel, life = self.kernel, self._life

        def now() -> None:
            if life != self._life:
                return
            left = self.network.frozen_until - kernel.monotonic
            if left > 0:
                kernel.call_later(left + kernel.dice.uniform(0, 0.01), now)
            else:
                do()

        return kernel.call_later(seconds, now)

    def did(self, undo: Callable[[], None]) -> None:
        """Something was written; how a power cut takes it back."""
        now, journal = self.kernel.monotonic, self._journal
        while journal and journal[0][0] < now - JOURNAL_S:
            journal.popleft()
        journal.append((now, undo))

    def stop(self, lose_s: float = 0.0) -> None:
        """The process ends, and takes with it what was written in the last `lose_s`."""
        if not self.up:
            return
        self.up = False
        self._life += 1
        self.network.go_down()
        self.network.frozen_until = 0.0
        for forget in self.on_stop:
            forget()
        journal, since = self._journal, self.kernel.monotonic - lose_s
        while lose_s > 0 and journal and journal[-1][0] >= since:
            journal.pop()[1]()

    def start(self) -> None:
        """The process begins, with what is on disk."""
        if self.up:
            return
        self.up = True
        self._loads_until = self.kernel.monotonic + self.kernel.dice.uniform(0, self.faults.load_s)
        self.network.come_back()
        for load in self.on_start:
            load()

    @property
    def is_loading(self) -> bool:
        """Whether it was started just now."""
        return self.kernel.monotonic < self._loads_until

    def as_coordinator(self, *, joined: bool = False) -> None:
        """Raises what a coordinator of groups or transactions answers now and then; one that a member has joined at
        does not load any more, unless it was started anew."""
        faults, dice = self.faults, self.kernel.dice
        if self.is_loading or (
            faults.coordinator_loading and not joined and dice.random() < faults.coordinator_loading
        ):
            raise CoordinatorLoadInProgressError
        if faults.coordinator_moved and dice.random() < faults.coordinator_moved:
            raise NotCoordinatorError if dice.random() < 0.5 else CoordinatorNotAvailableError

    def leader_error(self) -> KafkaError | None:
        """What a partition's leader answers now and then."""
        faults, dice = self.faults, self.kernel.dice
        if self.is_loading and dice.random() < 0.5:
            return dice.choice((NotLeaderForPartitionError, LeaderNotAvailableError, UnknownTopicOrPartitionError))()
        if faults.not_leader and dice.random() < faults.not_leader:
            return NotLeaderForPartitionError()
        if faults.unknown_topic and dice.random() < faults.unknown_topic:
            return UnknownTopicOrPartitionError()
        return None

    def unconfirmed(self) -> None:
        """Raises, now and then, after something was written."""
        faults = self.faults
        if faults.produce_unconfirmed and self.kernel.dice.random() < faults.produce_unconfirmed:
            raise RequestTimedOutError
