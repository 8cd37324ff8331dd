"""The client: jobs in, results out. Every reader is group-less and read_committed."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from novix.connection import CONTROL, JOBS, RESULTS, Connection

Job = Mapping[str, Any]
Result = dict[str, Any]
Identity = tuple[str, str]

LONGEST_BY = 128
LOOK_BACK_MS = 24 * 3600 * 1000
"""How far back `run` looks for the result of an id that was published before: as long as ids are remembered."""


class JobNotPublished(Exception):
    """Kafka did not acknowledge the job: it may or may not be there. Publishing the same id again is safe."""


class CancelNotPublished(Exception):
    """Kafka did not acknowledge the wish to cancel: it may or may not be there. Saying it again is safe."""


class NoResult(TimeoutError):
    """No result within the timeout. The job goes on; its result can be read later."""


class Client:
    """Publishes jobs and reads results. One event loop; use as `async with`.

    Jobs are dicts as the contract describes them; only `task` and `input` are required here, a missing `id` is made up.
    `team`, `key_id` and the labels of `metadata` say on which budgets a job counts, `max_cost_nanousd` what its calls
    may cost together, `quoted_nanousd` what it was quoted. A result's `money` has `quoted_nanousd`,
    `reserved_nanousd`, `paid_nanousd` and `priced_by`; it is None where nothing was reserved.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self._connection = connection or Connection.found()
        self._producer: AIOKafkaProducer | None = None
        self._waiting: dict[Identity, list[asyncio.Future[Result]]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._watching = asyncio.Lock()
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect. Whoever still awaits a result gets `NoResult`."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError):
                await self._watch
            self._watch = None
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(NoResult("the client was closed"))
        self._waiting.clear()
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    async def publish(self, job: Job, *, headers: Mapping[str, str] | None = None) -> str:
        """Publish one job; returns its id once all in-sync replicas have it.

        The same (tenant, id) again is run once. Raises `JobNotPublished`; the same call may be repeated safely when the
        job has an id of its own.
        """
        whole = {**job, "id": job.get("id") or uuid.uuid4().hex}
        tenant = str(whole.get("tenant", "default"))
        sent = [(name, value.encode()) for name, value in (headers or {}).items()]
        try:
            producer = await self._connected()
            value = json.dumps(whole, ensure_ascii=False, allow_nan=False).encode()
            await producer.send_and_wait(self._connection.prefix + JOBS, value, key=tenant.encode(), headers=sent)
        except KafkaError as error:
            raise JobNotPublished(f"job {whole['id']!r}: {type(error).__name__}") from error
        return str(whole["id"])

    async def run(self, job: Job, *, timeout: float = 600.0) -> Result:  # noqa: ASYNC109 - it is the job's, not ours
        """Publish one job and wait for its result, whatever its status.

        Raises `NoResult` after `timeout` seconds, `JobNotPublished` where Kafka is not to be had. An id that was used
        within the last 24 hours gives the result it had.
        """
        whole = {**job, "id": job.get("id") or uuid.uuid4().hex}
        identity = (str(whole.get("tenant", "default")), str(whole["id"]))
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(identity, []).append(future)
        earlier: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(timeout):
                await self._watched()
                if job.get("id"):
                    earlier = asyncio.create_task(self._look_back(identity, future))
                await self.publish(whole)
                return await future
        except TimeoutError as error:
            raise NoResult(f"no result of job {identity[1]!r} within {timeout} s") from error
        except KafkaError as error:
            raise JobNotPublished(f"job {identity[1]!r}: {type(error).__name__}") from error
        finally:
            self._waiting[identity].remove(future)
            if not self._waiting[identity]:
                del self._waiting[identity]
            if earlier is not None:
                earlier.cancel()

    async def cancel(self, job_id: str, *, tenant: str = "default", submission: int = 1, by: str = "") -> None:
        """Ask for a job to end as `cancelled`; returns once all in-sync replicas have the wish.

        Whether it does, its result says: a job that ends before the wish is heard stays as it is. `submission` is 1
        unless the job was driven again; `by` is told in the audit (128 characters). Raises `CancelNotPublished`; the
        same call may be repeated safely.
        """
        wish = {
            "action": "cancel",
            "tenant": tenant,
            "job_id": job_id,
            "submission": submission,
            "at": datetime.now(UTC).isoformat(),
            "by": by[:LONGEST_BY],
        }
        try:
            producer = await self._connected()
            value = json.dumps(wish, ensure_ascii=False).encode()
            await producer.send_and_wait(self._connection.prefix + CONTROL, value, key=f"{tenant}/{job_id}".encode())
        except KafkaError as error:
            raise CancelNotPublished(f"job {job_id!r}: {type(error).__name__}") from error

    async def results(self, *, follow: bool = True, from_beginning: bool = True) -> AsyncIterator[Result]:
        """Results as they stand in the topic. Without `follow` it ends at the present end."""
        consumer = await self._reader()
        try:
            sources = await self._assign(consumer)
            ends = {source: int(end) for source, end in (await consumer.end_offsets(sources)).items()}
            # By number: a reset to the beginning would race with aiokafka's own reset to the end after `assign`.
            starts = await consumer.beginning_offsets(sources) if from_beginning else ends
            for source in sources:
                consumer.seek(source, starts[source])
            while True:
                if not follow and await _all_read(consumer, ends):
                    return
                for batch in (await consumer.getmany(timeout_ms=300)).values():
                    for message in batch:
                        result = _decode(message.value)
                        if result is not None:
                            yield result
        finally:
            await consumer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._connection.options(), enable_idempotence=True, acks="all")
                await _started(producer)
                self._producer = producer
            return self._producer

    async def _reader(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.options(), isolation_level="read_committed", enable_auto_commit=False
        )
        await _started(consumer)
        return consumer

    async def _assign(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        topic = self._connection.prefix + RESULTS
        # The consumer's own view holds only what it reads already; this one is asked of the broker, for all topics.
        while not (known := (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # Kafka tells nobody when a topic comes
        sources = [TopicPartition(topic, partition) for partition in sorted(known)]
        consumer.assign(sources)
        return sources

    async def _watched(self) -> None:
        """Make sure that new results are seen from before the job is published."""
        async with self._watching:
            if self._watch is not None and not self._watch.done():
                return
            consumer = await self._reader()
            try:
                sources = await self._assign(consumer)
                for source, end in (await consumer.end_offsets(sources)).items():
                    consumer.seek(source, end)
            except BaseException:
                await consumer.stop()
                raise
            self._watch = asyncio.create_task(self._hand_out(consumer))

    async def _hand_out(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                for batch in (await consumer.getmany(timeout_ms=1_000)).values():
                    for message in batch:
                        if self._waiting:
                            self._deliver(_decode(message.value))
        finally:
            await consumer.stop()

    def _deliver(self, result: Result | None) -> None:
        if result is None:
            return
        for future in self._waiting.get((str(result.get("tenant")), str(result.get("job_id"))), []):
            if not future.done():
                future.set_result(result)

    async def _look_back(self, identity: Identity, future: "asyncio.Future[Result]") -> None:
        """A duplicate gives no second result: find the first one."""
        consumer = await self._reader()
        try:
            sources = await self._assign(consumer)
            ends = {source: int(end) for source, end in (await consumer.end_offsets(sources)).items()}
            since = int(time.time() * 1000) - LOOK_BACK_MS
            found = await consumer.offsets_for_times(dict.fromkeys(sources, since))
            for source in sources:
                consumer.seek(source, found[source].offset if found[source] is not None else ends[source])
            key = f"{identity[0]}/{identity[1]}".encode()
            while not future.done() and not await _all_read(consumer, ends):
                for batch in (await consumer.getmany(timeout_ms=300)).values():
                    for message in batch:
                        result = _decode(message.value) if message.key == key else None
                        # A rejected id may be sent again: its next result is the one that is waited for.
                        if result is not None and result.get("status") != "rejected" and not future.done():
                            future.set_result(result)
        finally:
            await consumer.stop()


async def _started(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Start, and leave nothing open where that fails."""
    try:
        await client.start()
    except BaseException:
        await client.stop()
        raise


async def _all_read(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for source, end in ends.items():
        if await consumer.position(source) < end:
            return False
    return True


def _decode(value: bytes | None) -> Result | None:
    try:
        document = json.loads(value or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
