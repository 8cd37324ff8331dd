"""Record batches that are never bytes: aiokafka's producer fills them, the simulated log holds their messages, and its
consumer reads them."""

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from simulation.kafka import Message, SimRecord
from simulation.kernel import current

_size = DefaultRecordBatchBuilder.estimate_size_in_bytes
HEADER_BYTES = 61
"""Of a batch of format 2, before its records."""


class Appended:
    """What aiokafka wants to know of a record that found a place in a batch."""

    __slots__ = ("crc", "offset", "size", "timestamp")

    def __init__(self, offset: int, size: int, timestamp: int) -> None:
        self.offset = offset
        self.size = size
        self.timestamp = timestamp
        self.crc: int | None = None


class SimBatchBuilder:
    """A `DefaultRecordBatchBuilder` that builds itself: its messages stay objects. A batch has room for `batch_size`
    bytes, or for one record of any size."""

    estimate_size_in_bytes = staticmethod(_size)

    def __init__(
        self, magic: int, compression_type: int, *, is_transactional: int, producer_id: int, producer_epoch: int,
        base_sequence: int, batch_size: int,
    ) -> None:  # fmt: skip
        self.producer = (producer_id, producer_epoch, base_sequence)
        self.messages: list[Message] = []
        self._batch_size = batch_size
        self._bytes = HEADER_BYTES

    def append(
        self, offset: int, timestamp: int | None, *, key: bytes | None, value: bytes | None, headers: Sequence[Any]
    ) -> Appended | None:
        """The record is in; None: there is no room for it."""
        if timestamp is None:
            timestamp = int(current().now().timestamp() * 1_000)
        size = _size(key, value, headers)
        if self.messages and self._bytes + size > self._batch_size:
            return None
        self._bytes += size
        self.messages.append((key, value, tuple(headers), timestamp))
        return Appended(offset, size, timestamp)

    def set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        """Who writes it, and what number its first record has."""
        self.producer = (producer_id, producer_epoch, base_sequence)

    def build(self) -> "SimBatchBuilder":
        """What is sent."""
        return self

    def size(self) -> int:
        """Bytes on the wire, estimated as aiokafka does."""
        return self._bytes

    def __len__(self) -> int:
        return self._bytes


class FetchedBatch:
    """All that a fetch brought of one partition, as one batch: the broker has left out what is aborted, and markers."""

    __slots__ = ("_records", "base_offset", "next_offset")
    producer_id = None
    is_control_batch = False
    is_transactional = False

    def __init__(self, records: Sequence[SimRecord], next_offset: int) -> None:
        self._records = records
        self.next_offset = next_offset
        self.base_offset = records[0].offset if records else next_offset

    def validate_crc(self) -> bool:
        """Nothing is damaged here."""
        return True

    def __iter__(self) -> Iterator[SimRecord]:
        return iter(self._records)


class SimMemoryRecords:
    """A `MemoryRecords` over what a fetch brought: one batch, or none."""

    def __init__(self, batch: FetchedBatch | None) -> None:
        self._batch = batch

    def has_next(self) -> bool:
        """Whether there is a batch."""
        return self._batch is not None

    def next_batch(self) -> FetchedBatch | None:
        """It, once."""
        batch, self._batch = self._batch, None
        return batch

    def size_in_bytes(self) -> int:
        """None is ever too large for a fetch: Kafka hands out the first record whatever its size."""
        return 0
