"""One partition's log: records and markers with offsets, what each producer wrote last, which transactions are open.

As Apache Kafka keeps it (ProducerStateManager and its append rules), without bytes: a batch is a list of messages.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiokafka.errors import InvalidProducerEpoch, KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

Part = tuple[str, int]
"""Topic and partition."""
Headers = tuple[tuple[str, bytes], ...]
Message = tuple[bytes | None, bytes | None, Headers, int]
"""Key, value, headers, timestamp in milliseconds."""
Producer = tuple[int, int, int]
"""Producer id, epoch, and the sequence number of a batch's first message."""

BATCHES_KNOWN = 5
"""So many batches of a producer are known again when they come twice (Kafka's ProducerStateEntry)."""
BATCH_BYTES = 61
"""A batch's header on the wire; the limit of a topic is for the batch."""
RECORD_BYTES = 12
"""What a record takes beside key, value and headers, roughly."""


class PartTransaction:
    """What one producer has written to one partition in one transaction."""

    __slots__ = ("committed", "ended_s", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self.committed: bool | None = None
        """None while it is open."""
        self.ended_s = 0.0
        """When its marker was written here."""


class SimRecord:
    """One record in the log, with the fields of aiokafka's `ConsumerRecord` that readers use."""

    __slots__ = ("headers", "key", "offset", "partition", "size", "timestamp", "topic", "transaction", "value")
    timestamp_type = 0
    checksum = None

    def __init__(self, part: Part, offset: int, message: Message, transaction: PartTransaction | None) -> None:
        self.topic, self.partition = part
        self.offset = offset
        self.key, self.value, self.headers, self.timestamp = message
        self.transaction = transaction
        """None for one that was written outside of transactions."""
        self.size = size_of(message)

    @property
    def is_committed(self) -> bool:
        """Whether readers of committed records see it, now or once what is open before it has ended."""
        return self.transaction is None or self.transaction.committed is True


def size_of(message: Message) -> int:
    """About how many bytes it takes on the wire."""
    key, value, headers, _ = message
    size = RECORD_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name) + len(content or b"") + 2
    return size


@dataclass(slots=True)
class Fetched:
    """What a fetch found in one partition."""

    records: list[SimRecord]
    next_offset: int
    """Behind the last record, and behind markers and aborted records that follow it."""
    high_watermark: int
    last_stable_offset: int
    first_offset: int
    error: KafkaError | None = None


class ProducerState:
    """What a partition knows of one producer."""

    __slots__ = ("batches", "epoch", "transaction")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: deque[tuple[int, int, int]] = deque(maxlen=BATCHES_KNOWN)
        """First and last sequence number and base offset of its last batches in this epoch."""
        self.transaction: PartTransaction | None = None
        """Its open transaction here."""


class PartitionLog:
    """Offsets are indices of `entries`: nothing is ever taken out but at its end, where a crash loses it."""

    def __init__(self, part: Part, limit_bytes: int) -> None:
        self.part = part
        self.limit_bytes = limit_bytes
        self.entries: list[SimRecord | None] = []
        """None is a transaction's marker."""
        self.first = 0
        self.producers: dict[int, ProducerState] = {}
        self.open: dict[int, PartTransaction] = {}
        """By producer id."""

    @property
    def end(self) -> int:
        """The high watermark: one broker, so what is written is replicated."""
        return len(self.entries)

    @property
    def stable(self) -> int:
        """The last stable offset: where the first open transaction begins, else the end."""
        return min((one.first for one in self.open.values()), default=len(self.entries))

    def duplicate(self, count: int, producer: Producer) -> int | None:
        """The base offset of a batch that was written before, or None."""
        state = self.producers.get(producer[0])
        if state is not None and state.epoch == producer[1]:
            for first, last, base in state.batches:
                if first == producer[2] and last == producer[2] + count - 1:
                    return base
        return None

    def check(self, messages: Sequence[Message], producer: Producer | None) -> None:
        """Whether a batch may be appended.

        Raises `MessageSizeTooLargeError`, `InvalidProducerEpoch` for an epoch that is over, and
        `OutOfOrderSequenceNumber` for a gap. A producer that is not known here may begin with any sequence number,
        one with a new epoch only with 0.
        """
        if BATCH_BYTES + sum(map(size_of, messages)) > self.limit_bytes:
            raise MessageSizeTooLargeError(f"a batch over {self.limit_bytes} bytes")
        state = self.producers.get(producer[0]) if producer is not None else None
        if producer is None or state is None:
            return
        _, epoch, first = producer
        if epoch < state.epoch:
            raise InvalidProducerEpoch(f"epoch {epoch}, and the partition knows {state.epoch}")
        last = state.batches[-1][1] if state.batches and epoch == state.epoch else -1
        if first != last + 1:
            raise OutOfOrderSequenceNumber(f"{first} after {last}")

    def append(self, messages: Sequence[Message], producer: Producer | None, *, transactional: bool) -> int:
        """Write a batch that was checked; its base offset."""
        base, transaction = len(self.entries), None
        if producer is not None:
            pid, epoch, first = producer
            state = self._state(pid, epoch)
            state.batches.append((first, first + len(messages) - 1, base))
            if transactional:
                transaction = state.transaction
                if transaction is None:
                    transaction = state.transaction = self.open[pid] = PartTransaction(base)
        part, entries = self.part, self.entries
        for message in messages:
            entries.append(SimRecord(part, len(entries), message, transaction))
        return base

    def mark(self, pid: int, epoch: int, *, committed: bool) -> None:
        """A transaction's marker: it takes an offset, also where the transaction wrote nothing."""
        state = self._state(pid, epoch)
        transaction, state.transaction = state.transaction, None
        self.open.pop(pid, None)
        if transaction is not None:
            transaction.committed = committed
        self.entries.append(None)

    def _state(self, pid: int, epoch: int) -> ProducerState:
        state = self.producers.get(pid)
        if state is None:
            state = self.producers[pid] = ProducerState(epoch)
        elif state.epoch < epoch:
            state.epoch = epoch
            state.batches.clear()
        return state

    def read(self, offset: int, *, committed: bool, max_bytes: int) -> Fetched:
        """From `offset` on; one record at least, if there is one. `offset` has been checked against the log's range."""
        entries, found, size = self.entries, list[SimRecord](), 0
        stable = self.stable
        end = stable if committed else len(entries)
        at = offset
        while at < end:
            entry = entries[at]
            if entry is not None and (not committed or entry.is_committed):
                size += entry.size
                if size > max_bytes and found:
                    break
                found.append(entry)
            at += 1
        return Fetched(found, at, len(entries), stable, self.first)

    def since(self, timestamp_ms: int, *, committed: bool) -> int:
        """The first offset whose record was written at an instant or after it; -1 for none."""
        for offset in range(self.first, self.stable if committed else len(self.entries)):
            entry = self.entries[offset]
            if entry is not None and entry.timestamp >= timestamp_ms:
                return offset
        return -1

    def undo(self, pid: int | None) -> Callable[[], None]:
        """What brings back the log as it is now, after one more append or marker of that producer."""
        end = len(self.entries)
        state = self.producers.get(pid) if pid is not None else None
        was = (state.epoch, tuple(state.batches), state.transaction) if state is not None else None

        def back() -> None:
            del self.entries[end:]
            self.first = min(self.first, end)
            if pid is None:
                return
            self.producers.pop(pid, None)
            self.open.pop(pid, None)
            if was is not None:
                state = self.producers[pid] = ProducerState(was[0])
                state.batches.extend(was[1])
                state.transaction = was[2]
                if state.transaction is not None:
                    state.transaction.committed = None
                    self.open[pid] = state.transaction

        return back
