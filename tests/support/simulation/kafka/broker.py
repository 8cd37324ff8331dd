"""The simulated broker: topics, produce and fetch, and what a schedule does to it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from aiokafka.errors import (
    ConcurrentTransactions,
    KafkaError,
    LeaderNotAvailableError,
    NotEnoughReplicasError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from simulation.kafka.groups import Groups
from simulation.kafka.log import Fetched, Message, Part, PartitionLog, Producer, SimRecord
from simulation.kafka.machine import BrokerFaults, Machine
from simulation.kafka.offsets import Commit, Offset
from simulation.kafka.transactions import Transactions
from simulation.kernel import NOON, START_S, Kernel, Timer
from simulation.network import Answer, NetworkFaults

__all__ = ["BrokerFaults", "SimBroker"]

LIMIT_BYTES = 1_048_588
"""`message.max.bytes` as Apache Kafka has it."""


class _Waiting:
    """A fetch that found nothing yet."""

    __slots__ = ("answer", "committed", "max_bytes", "timer", "wants")

    def __init__(self, wants: dict[Part, int], committed: bool, max_bytes: int) -> None:
        self.wants, self.committed, self.max_bytes = wants, committed, max_bytes
        self.answer = Answer()
        self.timer: Timer | None = None


class SimBroker:
    """One broker that is every partition's leader and every coordinator."""

    def __init__(
        self, kernel: Kernel, *, faults: BrokerFaults | None = None, network_faults: NetworkFaults | None = None
    ) -> None:
        self.machine = Machine(kernel, faults or BrokerFaults(), network_faults)
        self.network = self.machine.network
        self.logs: dict[Part, PartitionLog] = {}
        self._topics: dict[str, tuple[int, int]] = {}
        """Partitions and the limit of a batch in bytes."""
        self._stamped: set[str] = set()
        """Topics whose records have the broker's time (LogAppendTime)."""
        self._waiting: dict[Part, dict[_Waiting, None]] = {}
        self.transactions = Transactions(self)
        self.groups = Groups(self)
        self.machine.on_stop.append(self._waiting.clear)
        self.init_producer_id = self.transactions.init_producer_id
        self.add_partitions = self.transactions.add_partitions
        self.add_offsets = self.transactions.add_offsets
        self.end_transaction = self.transactions.end_transaction
        self.commit_offsets_in_transaction = self.groups.offsets.commit_in_transaction
        self.join_group = self.groups.join_group
        self.sync_group = self.groups.sync_group
        self.heartbeat = self.groups.heartbeat
        self.leave_group = self.groups.leave_group
        self.commit_offsets = self.groups.commit_offsets
        self.fetch_offsets = self.groups.fetch_offsets
        self.describe_group = self.groups.describe_group

    @property
    def faults(self) -> BrokerFaults:
        """To be changed at any time."""
        return self.machine.faults

    @faults.setter
    def faults(self, faults: BrokerFaults) -> None:
        self.machine.faults = faults

    # topics

    def create_topic(
        self, name: str, partitions: int, limit_bytes: int = LIMIT_BYTES, *, stamped: bool = False
    ) -> None:  # fmt: skip
        """Known everywhere at once. `stamped`: its records have the broker's time, whatever their writers say. Raises
        `TopicAlreadyExistsError`."""
        if name in self._topics:
            raise TopicAlreadyExistsError
        if stamped:
            self._stamped.add(name)
        self._topics[name] = 0, limit_bytes
        self.grow(name, partitions)

    def grow(self, name: str, partitions: int) -> None:
        """CreatePartitions, up to that many. Raises `UnknownTopicOrPartitionError`."""
        if name not in self._topics:
            raise UnknownTopicOrPartitionError
        have, limit_bytes = self._topics[name]
        for partition in range(have, partitions):
            self.logs[name, partition] = PartitionLog((name, partition), limit_bytes)
        self._topics[name] = max(have, partitions), limit_bytes

    def metadata(self) -> dict[str, int]:
        """How many partitions each topic has. Raises `LeaderNotAvailableError` just after a start."""
        if self.machine.is_loading and self.machine.kernel.dice.random() < 0.5:
            raise LeaderNotAvailableError
        return {name: count for name, (count, _) in self._topics.items()}

    # requests to leaders of partitions

    def produce(
        self,
        part: Part,
        messages: Sequence[Message],
        producer: Producer | None = None,
        transactional_id: str | None = None,
    ) -> int:
        """Write one batch; its base offset. A batch that was written before is not written again.

        Raises `MessageSizeTooLargeError`, `OutOfOrderSequenceNumber`, `InvalidProducerEpoch`, `InvalidTxnState` for a
        partition that was not added to the open transaction, or an error that passes.
        """
        if (error := self.machine.leader_error()) is not None:
            raise error
        log = self.logs.get(part)
        if log is None:
            raise UnknownTopicOrPartitionError
        if producer is not None:
            base = log.duplicate(len(messages), producer)
            if base is not None:
                return base
        log.check(messages, producer)
        if transactional_id is not None and producer is not None:
            self._verify(log, producer, transactional_id)
        self.machine.did(log.undo(producer[0] if producer is not None else None))
        if part[0] in self._stamped:
            messages = [(key, value, headers, self._now_ms()) for key, value, headers, _ in messages]
        base = log.append(messages, producer, transactional=transactional_id is not None)
        self._tell(log)
        self.machine.unconfirmed()
        return base

    def produce_many(
        self, batches: dict[Part, tuple[Sequence[Message], Producer | None]], transactional_id: str | None = None
    ) -> dict[Part, int | KafkaError]:
        """One Produce request: each partition's base offset, or why not."""
        answers: dict[Part, int | KafkaError] = {}
        for part, (messages, producer) in batches.items():
            try:
                answers[part] = self.produce(part, messages, producer, transactional_id)
            except KafkaError as error:
                answers[part] = error
        return answers

    def fetch(
        self, wants: dict[Part, int], *, committed: bool, max_bytes: int = 262_144, max_wait_s: float = 0.5
    ) -> Answer:
        """Fetch, from an offset of each partition on: answered with `dict[Part, Fetched]` as soon as one of them has
        something, an error too, or after `max_wait_s` with nothing. `max_bytes` is for each partition.

        With `committed` up to the last stable offset, without records of aborted transactions.
        """
        waiting = _Waiting(wants, committed, max_bytes)
        if self._is_answerable(waiting) or not wants:
            self._answer(waiting)
            return waiting.answer
        for part in wants:
            self._waiting.setdefault(part, {})[waiting] = None
        waiting.timer = self.machine.later(max_wait_s, lambda: self._answer(waiting))
        return waiting.answer

    def list_offsets(self, part: Part, at: Literal["earliest", "latest"] | int, *, committed: bool) -> int:
        """ListOffsets. `latest` with `committed` is the last stable offset; an instant (ms) without a record: -1."""
        if (error := self.machine.leader_error()) is not None:
            raise error
        log = self.logs.get(part)
        if log is None:
            raise UnknownTopicOrPartitionError
        if at == "earliest":
            return log.first
        if at == "latest":
            return log.stable if committed else log.end
        return log.since(int(at), committed=committed)

    # what a schedule does

    def stop(self) -> None:
        """SIGTERM: connections break; what was written stays."""
        self.machine.stop()

    def start(self) -> None:
        """After `stop` or `crash`. Coordinators load for a moment; members' sessions begin anew."""
        self.machine.start()

    def crash(self, lose_s: float = 0.0) -> None:
        """`kill -9`, or with `lose_s` a power cut: what was written within that time, up to 10 s, is gone, as of one
        instant: records, offsets, transactions' states, groups."""
        self.machine.stop(lose_s)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after `seconds`: nothing is handled, no timer fires, connections stay."""
        self.network.frozen_until = max(self.network.frozen_until, self.machine.kernel.monotonic + seconds)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Retention: the log begins at `before` from now on."""
        log = self.logs[topic, partition]
        log.first = max(log.first, min(before, log.end))
        self._tell(log, gone=True)

    def forget_offsets(self, group: str) -> None:
        """What the group has committed is deleted, as by an administrator."""
        self.groups.offsets.groups.pop(group, None)

    # for the verdict

    def raw(self, part: Part) -> list[SimRecord]:
        """Every committed record that the log has held and not lost, in order; also of those that retention took, and
        behind a transaction that is open."""
        return [entry for entry in self.logs[part].entries if entry is not None and entry.is_committed]

    def parts(self, topic: str) -> list[Part]:
        """The topic's partitions."""
        return [(topic, partition) for partition in range(self._topics[topic][0])]

    def committed(self, group: str) -> dict[Part, Offset]:
        """What the group has committed."""
        return dict(self.groups.offsets.groups.get(group, {}))

    @property
    def commits(self) -> list[Commit]:
        """Every change of a group's offsets, in order."""
        return self.groups.offsets.history

    # for the coordinator of transactions

    def mark(self, part: Part, pid: int, epoch: int, *, committed: bool) -> None:
        """A transaction ends in a partition."""
        log = self.logs[part]
        self.machine.did(log.undo(pid))
        if pid in log.open:
            log.open[pid].ended_s = self.machine.kernel.monotonic
        log.mark(pid, epoch, committed=committed)
        self._tell(log)

    # inside

    def _now_ms(self) -> int:
        """By the broker's own clock, which is never wrong here."""
        return int((NOON + timedelta(seconds=self.machine.kernel.monotonic - START_S)).timestamp() * 1_000)

    def _verify(self, log: PartitionLog, producer: Producer, transactional_id: str) -> None:
        pid, epoch, _ = producer
        if pid in log.open:
            return  # its transaction is open here: nobody is asked (KIP-890)
        try:
            self.transactions.verify(transactional_id, pid, epoch, log.part)
        except ConcurrentTransactions:
            raise NotEnoughReplicasError from None  # to be asked again, as Apache Kafka puts it

    def _tell(self, log: PartitionLog, *, gone: bool = False) -> None:
        waiting = self._waiting.get(log.part)
        if not waiting:
            return
        stable, end = log.stable, log.end
        for one in list(waiting):
            if gone or one.wants[log.part] < (stable if one.committed else end):
                self._answer(one)

    def _is_answerable(self, waiting: _Waiting) -> bool:
        for part, offset in waiting.wants.items():
            log = self.logs.get(part)
            if log is None or not log.first <= offset <= log.end:
                return True
            if offset < (log.stable if waiting.committed else log.end):
                return True
        return False

    def _answer(self, waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        found: dict[Part, Fetched] = {}
        for part, offset in waiting.wants.items():
            others = self._waiting.get(part)
            if others is not None:
                others.pop(waiting, None)
            found[part] = self._read(part, offset, waiting)
        waiting.answer.set(found)

    def _read(self, part: Part, offset: int, waiting: _Waiting) -> Fetched:
        log = self.logs.get(part)
        error = self.machine.leader_error()
        if error is None and log is None:
            error = UnknownTopicOrPartitionError()
        if log is None:
            return Fetched([], offset, -1, -1, -1, error)
        if error is None and not log.first <= offset <= log.end:
            error = OffsetOutOfRangeError()
        if error is not None:
            return Fetched([], offset, log.end, log.stable, log.first, error)
        return log.read(offset, committed=waiting.committed, max_bytes=waiting.max_bytes)
