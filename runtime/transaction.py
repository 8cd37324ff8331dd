"""A lane's producer: records and input offset in one Kafka transaction, or an error and a new producer."""

import asyncio
import contextlib
import random
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, NodeNotReadyError, OffsetMetadataTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.transaction import EndTxnRequest, TxnOffsetCommitRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata

from runtime import failpoints
from runtime.connection import MAX_REQUEST_BYTES, client_options
from runtime.ending import end
from runtime.garbage import discarded
from runtime.partitions import partition_of
from runtime.ports import LaneId, Outgoing, Position, RecordTooLarge
from runtime.progress import MetadataTooLarge
from runtime.settings import Settings

COMMIT_DEADLINE_S = 4.0
"""Shorter than the clients' request timeout: aiokafka repeats a delayed EndTxn in silence, and the late one would then
commit half of the next transaction. Past this deadline the producer is thrown away instead."""
TRANSACTION_TIMEOUT_MS = 10_000
"""How long a crash may hide later records from read_committed readers, if no successor comes."""

METADATA_AGE_MS = 30_000
"""How old a partition count may be that keys are spread by; aiokafka's default, five minutes, leaves new ones empty."""

ONCE = (TxnOffsetCommitRequest, EndTxnRequest)
"""Requests that name their producer and not their transaction: one that arrives late ends the next transaction in its
middle, or takes its offset back. Asked again after its connection broke, the first may still be on its way."""


class CommitTooSlow(Exception):
    """The transaction did not end within the deadline: nobody knows whether it was committed."""


class Unanswered(Exception):
    """A request that must not be asked twice has got no answer: nobody knows whether it was handled, or will be."""


class LaneTransaction:
    """One transactional producer. `commit` may be called again only after it returned."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._sent: list[tuple[int, asyncio.Future[Any]]] = []
        """Batches of the present transaction, each with its record's index; -1 for several records."""

    @classmethod
    async def open(cls, settings: Settings, lane: LaneId) -> "LaneTransaction":
        """Connect and fence every predecessor of the lane (InitProducerId): its open transaction ends here."""
        producer = AIOKafkaProducer(
            **client_options(settings),
            client_id=settings.named(str(lane)),
            transactional_id=settings.named(str(lane)),
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=262_144,
            max_request_size=MAX_REQUEST_BYTES,
            linger_ms=0,
            metadata_max_age_ms=METADATA_AGE_MS,
        )
        _ask_once(producer)
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S * 2):
                await producer.start()
        except BaseException:
            await _discard(producer)
            raise
        return cls(producer, settings)

    async def commit(self, records: list[Outgoing], lane: LaneId, position: Position | None) -> None:
        """Write `records` and the lane's input offset atomically; `position` None: the records alone, of one who reads
        no lane and only has to be the only one who writes.

        Raises `RecordTooLarge`, `MetadataTooLarge`, `CommitTooSlow`, or an aiokafka error. After any of them the
        transaction's end is indefinite and this object must be closed.
        """
        work = asyncio.ensure_future(self._transact(records, lane, position))
        try:
            # Shielded: a cancelled commit_transaction would leave the producer in a state that only asserts.
            await asyncio.wait_for(asyncio.shield(work), COMMIT_DEADLINE_S)
        except TimeoutError:
            work.cancel()
            self._raise_refused(records)  # aiokafka (0.14) may wait for ever for the end of such a transaction
            raise CommitTooSlow(f"transaction of {len(records)} records took over {COMMIT_DEADLINE_S} s") from None

    async def _transact(self, records: list[Outgoing], lane: LaneId, position: Position | None) -> None:
        settings, producer = self._settings, self._producer
        await producer.begin_transaction()
        sent = self._sent = []
        try:
            for (topic, partition), batches in (await self._batches(records)).items():
                for first, batch in batches:
                    future = await producer.send_batch(batch, topic, partition=partition)
                    future.add_done_callback(_looked_at)
                    sent.append((first if batch.record_count() == 1 else -1, future))
            if position is not None:
                source = TopicPartition(settings.named(lane.topic), lane.partition)
                offset = OffsetAndMetadata(position.offset, position.metadata)
                await producer.send_offsets_to_transaction({source: offset}, settings.named(lane.group))
            await self._all_written()
            failpoints.hit("before_end")
            await producer.commit_transaction()
            failpoints.hit("after_end")
        except (KafkaError, AssertionError) as error:
            if position is not None and _because_of(error, OffsetMetadataTooLargeError):
                raise MetadataTooLarge(f"metadata of {len(position.metadata)} characters") from None
            self._raise_refused(records)
            raise

    async def _all_written(self) -> None:
        """Wait until the broker has every batch, or raise what it refused one for. aiokafka (0.14) would commit the
        transaction without that one, and say nothing."""
        futures = [future for _, future in self._sent]
        if futures:
            await asyncio.wait(futures)
        for future in futures:
            future.result()

    def _raise_refused(self, records: list[Outgoing]) -> None:
        """Raise `RecordTooLarge` if the broker has refused a batch for its size; of several records in one it is
        nobody's fault yet: fewer are tried."""
        if refused := [index for index, future in self._sent if _is_too_large(future)]:
            index = max(refused)
            raise RecordTooLarge(index, len(records[index].value or b"") if index >= 0 else 0) from None

    async def _batches(self, records: list[Outgoing]) -> dict[tuple[str, int], list[tuple[int, BatchBuilder]]]:
        """The records by topic and partition, as they go over the wire; with each batch the index of its first record.

        Made by us because aiokafka would make a future, and look for the partition among two lists, for each record.
        """
        producer, topics = self._producer, dict[str, tuple[str, int]]()
        made: dict[tuple[str, int], list[tuple[int, BatchBuilder]]] = {}
        for index, record in enumerate(records):
            if record.topic not in topics:
                name = self._settings.named(record.topic)
                topics[record.topic] = name, len(await producer.partitions_for(name))
            topic, count = topics[record.topic]
            value = b"" if record.key is None and record.value is None else record.value
            headers = list(record.headers)
            size = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, value, headers)
            if size > MAX_REQUEST_BYTES:
                raise RecordTooLarge(index, len(record.value or b""))
            place = topic, self._partition(topic, record, count)
            batches = made.setdefault(place, [])
            added = batches and batches[-1][1].append(
                timestamp=record.timestamp_ms, key=record.key, value=value, headers=headers
            )
            if not added:  # the first, or one that the last batch has no room for
                batch = producer.create_batch()
                batch.append(timestamp=record.timestamp_ms, key=record.key, value=value, headers=headers)
                batches.append((index, batch))
        return made

    def _partition(self, topic: str, record: Outgoing, count: int) -> int:
        """Where it is written, among `count` partitions: as aiokafka's own partitioner has it."""
        if record.partition is not None and record.partition < count:
            return record.partition  # else a forged record named it: the lane would never commit again
        if record.key is not None:
            return partition_of(record.key, count)
        available: set[int] | None = self._producer.client.cluster.available_partitions_for_topic(topic)
        return random.choice(list(available or range(count)))  # noqa: S311 - spreads load

    async def close(self) -> None:
        """Let the connection go. Never aborts: an open transaction ends when its successor fences it."""
        await _discard(self._producer)


def _ask_once(producer: AIOKafkaProducer) -> None:
    """Let the producer die of a connection that breaks under a request of `ONCE`, where aiokafka (0.14) would ask again
    in silence. Its successor fences what is late."""
    ask = producer.client.send

    async def once(node: Any, request: Any, **options: Any) -> Any:
        try:
            return await ask(node, request, **options)
        except NodeNotReadyError:
            raise  # nothing was sent
        except KafkaError as error:
            if isinstance(request, ONCE):
                raise Unanswered(type(request).__name__) from error  # no KafkaError: that would be asked again
            raise

    producer.client.send = once


def _is_too_large(future: "asyncio.Future[Any]") -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), MessageSizeTooLargeError)


def _because_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether the error is of that kind, or was raised from one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """asyncio complains of an error that nobody looks at; the transaction's end tells what there is to tell."""
    if not future.cancelled():
        future.exception()


async def _let_go_of_tasks(producer: AIOKafkaProducer, sender: "asyncio.Task[None] | None") -> None:
    """End what a producer that would not stop has left running. aiokafka (0.14) waits for the requests of its sender
    without a bound, and forgets them: until the garbage is collected they keep their memory and connections."""
    if sender is None:
        return
    with contextlib.suppress(TimeoutError):  # each time it is asked, it ends one request more
        await asyncio.wait_for(end(sender, 0.05), 1.0)
    with contextlib.suppress(Exception):
        producer._message_accumulator.fail_all(CommitTooSlow("the producer was thrown away"))


async def _discard(producer: AIOKafkaProducer) -> None:
    # A producer in a fatal state waits for ever for batches that nobody will send any more.
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 2.0)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.client.close(), 1.0)
    sender = producer._sender.sender_task if producer._sender is not None else None
    await _let_go_of_tasks(producer, sender)
    ending = getattr(producer._txn_manager, "_transaction_waiter", None)
    for future in (sender, ending):
        if future is not None and future.done():
            _looked_at(future)
    discarded.client()
