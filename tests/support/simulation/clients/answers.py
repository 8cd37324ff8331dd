"""Requests of aiokafka as calls of a `SimBroker`, and what it says to them as aiokafka's responses.

`serve` is what the broker does when a request arrives. An error that it raises goes back as the code that aiokafka
makes the same error of, at the place in the response where Kafka puts it. No bytes are made: a response is an object
with the attributes that aiokafka reads, of the version that a broker of today would have agreed on.
"""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    ProducerFenced,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.admin import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteRecordsRequest,
    DescribeGroupsRequest,
)
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from simulation.clients.batches import FetchedBatch
from simulation.kafka import Part, SimBroker
from simulation.network import Answer

NODE = 1
"""The one broker's id."""
INVALID_PRODUCER_EPOCH = 47
"""What requests of the versions that aiokafka speaks get where newer ones learn that they are fenced."""


class Unanswerable(Exception):
    """A request that nothing of ours sends: the simulation knows no answer."""


def serve(broker: SimBroker, request: Any) -> Any:
    """The response to a request, or an `Answer` that will be it."""
    handler = _HANDLERS.get(type(request))
    if handler is None:
        raise Unanswerable(type(request).__name__)
    return handler(broker, request)


def code_of(error: BaseException | None) -> int:
    """Kafka's number of an error; 0 for none. Raises what is no error of Kafka's: a fault of the simulation."""
    if error is None:
        return 0
    if isinstance(error, ProducerFenced):
        return INVALID_PRODUCER_EPOCH
    if isinstance(error, BrokerResponseError):
        return int(error.errno)
    raise error


def _attempt(do: Callable[..., Any], *args: Any, **named: Any) -> tuple[Any, int]:
    """What it returns and 0, or None and an error's code."""
    try:
        return do(*args, **named), 0
    except KafkaError as error:
        return None, code_of(error)


def _shaped(asked: tuple[Any, int], shape: Callable[[Any, int], Any]) -> Any:
    """The response, now or when the broker's own answer is there."""
    value, code = asked
    if not isinstance(value, Answer):
        return shape(value, code)
    shaped = Answer()

    def then(held: Any, error: BaseException | None) -> None:
        try:
            shaped.set(shape(held, code_of(error)))
        except Exception as fault:
            shaped.fail(fault)

    value.then(then)
    return shaped


def _by_topic(items: Iterable[tuple[Part, Any]]) -> list[tuple[str, list[Any]]]:
    topics: dict[str, list[Any]] = {}
    for (topic, _), item in items:
        topics.setdefault(topic, []).append(item)
    return list(topics.items())


# the log


def _produce(broker: SimBroker, request: Any) -> Any:
    answers = []
    for topic, partitions in request._topics:
        for partition, batch in partitions:
            producer = batch.producer if batch.producer[0] >= 0 else None
            part = topic, partition
            offset, code = _attempt(broker.produce, part, batch.messages, producer, request._transactional_id)
            answers.append((part, (partition, code, -1 if offset is None else offset, -1, 0)))
    return SimpleNamespace(API_VERSION=5, topics=_by_topic(answers))


def _fetch(broker: SimBroker, request: Any) -> Any:
    wants, most = {}, 0
    for topic, partitions in request._topics:
        for partition, offset, max_bytes in partitions:
            wants[topic, partition] = offset
            most = max_bytes
    asked = _attempt(
        broker.fetch, wants, committed=request._isolation_level == 1, max_bytes=most,
        max_wait_s=request._max_wait_ms / 1000,
    )  # fmt: skip

    def shape(found: Any, code: int) -> Any:
        answers = []
        for part, offset in wants.items():
            if code:
                answers.append((part, (part[1], code, -1, -1, -1, [], -1, None)))
                continue
            one = found[part]
            moved = one.records or one.next_offset > offset
            batch = FetchedBatch(one.records, one.next_offset) if moved and one.error is None else None
            ends = one.high_watermark, one.last_stable_offset, one.first_offset
            answers.append((part, (part[1], code_of(one.error), *ends, [], -1, batch)))
        return SimpleNamespace(API_VERSION=11, topics=_by_topic(answers))

    return _shaped(asked, shape)


def _offsets(broker: SimBroker, request: Any) -> Any:
    answers = []
    for topic, partitions in request._topics:
        for partition, when in partitions:
            at = {-1: "latest", -2: "earliest"}.get(when, when)
            part, committed = (topic, partition), request._isolation_level == 1
            offset, code = _attempt(broker.list_offsets, part, at, committed=committed)
            answers.append((part, (partition, code, when if when >= 0 else -1, -1 if offset is None else offset)))
    return SimpleNamespace(API_VERSION=3, topics=_by_topic(answers))


def _metadata(broker: SimBroker, request: Any) -> Any:
    known = broker.metadata()
    unknown = UnknownTopicOrPartitionError.errno
    topics = [
        (0, name, False, [(0, partition, NODE, [NODE], [NODE]) for partition in range(known[name])])
        if name in known
        else (unknown, name, False, [])
        for name in (known if request._topics is None else request._topics)
    ]
    address = next(name for name, server in broker.machine.kernel.servers.items() if server is broker)
    host, _, port = address.rpartition(":")
    brokers = [(NODE, host, int(port), None)]

    def to_object() -> dict[str, Any]:
        return {
            "brokers": [{"node_id": NODE, "host": host, "port": int(port), "rack": None}],
            "controller_id": NODE,
            "topics": [{"error_code": code, "topic": name} for code, name, *_ in topics],
        }

    return SimpleNamespace(API_VERSION=1, brokers=brokers, controller_id=NODE, topics=topics, to_object=to_object)


# transactions


def _coordinator(broker: SimBroker, request: Any) -> Any:
    return SimpleNamespace(error_code=0, coordinator_id=NODE)


def _init_producer(broker: SimBroker, request: Any) -> Any:
    asked = _attempt(broker.init_producer_id, request._transactional_id, request._transaction_timeout_ms / 1000)

    def shape(made: Any, code: int) -> Any:
        producer_id, epoch = made or (-1, -1)
        return SimpleNamespace(error_code=code, producer_id=producer_id, producer_epoch=epoch)

    return _shaped(asked, shape)


def _add_partitions(broker: SimBroker, request: Any) -> Any:
    parts = [(topic, partition) for topic, partitions in request._topics for partition in sorted(partitions)]
    _, code = _attempt(
        broker.add_partitions, request._transactional_id, request._producer_id, request._producer_epoch, parts
    )
    return SimpleNamespace(errors=_by_topic((part, (part[1], code)) for part in parts))


def _add_offsets(broker: SimBroker, request: Any) -> Any:
    who = request._transactional_id, request._producer_id, request._producer_epoch
    _, code = _attempt(broker.add_offsets, *who, request._group_id)
    return SimpleNamespace(error_code=code)


def _offsets_in_transaction(broker: SimBroker, request: Any) -> Any:
    who = request._transactional_id, request._producer_id, request._producer_epoch
    offsets = _positions(request._topics)
    _, code = _attempt(broker.commit_offsets_in_transaction, *who, request._group_id, offsets)
    return SimpleNamespace(errors=_by_topic((part, (part[1], code)) for part in offsets))


def _end_transaction(broker: SimBroker, request: Any) -> Any:
    who = request._transactional_id, request._producer_id, request._producer_epoch
    _, code = _attempt(broker.end_transaction, *who, bool(request._transaction_result))
    return SimpleNamespace(error_code=code)


def _positions(topics: Any) -> dict[Part, tuple[int, str]]:
    return {
        (topic, partition): (offset, metadata)
        for topic, partitions in topics
        for partition, offset, metadata in partitions
    }


# groups


def _join(broker: SimBroker, request: Any) -> Any:
    (name, metadata), *_ = request._group_protocols
    asked = _attempt(
        broker.join_group, request._group, request._member_id, request._group_instance_id,
        request._session_timeout / 1000, request._rebalance_timeout / 1000, metadata,
    )  # fmt: skip

    def shape(joined: Any, code: int) -> Any:
        if joined is None:
            return SimpleNamespace(API_VERSION=2, error_code=code, member_id="")
        return SimpleNamespace(
            API_VERSION=2, error_code=code, generation_id=joined.generation, group_protocol=name,
            leader_id=joined.leader, member_id=joined.member_id, members=list(joined.members),
        )  # fmt: skip

    return _shaped(asked, shape)


def _sync(broker: SimBroker, request: Any) -> Any:
    assignment = {member: _decoded(assigned) for member, assigned in request._group_assignment}
    asked = _attempt(broker.sync_group, request._group, request._generation_id, request._member_id, assignment)

    def shape(mine: Any, code: int) -> Any:
        return SimpleNamespace(error_code=code, member_assignment=_encoded(mine or ()))

    return _shaped(asked, shape)


def _decoded(assigned: bytes) -> list[Part]:
    sources = ConsumerProtocolMemberAssignment.decode(assigned).partitions()
    return [(source.topic, source.partition) for source in sources]


def _encoded(assigned: Iterable[Part]) -> bytes:
    topics = _by_topic((part, part[1]) for part in assigned)
    encoded: bytes = ConsumerProtocolMemberAssignment(0, topics, b"").encode()
    return encoded


def _heartbeat(broker: SimBroker, request: Any) -> Any:
    _, code = _attempt(broker.heartbeat, request._group, request._generation_id, request._member_id)
    return SimpleNamespace(error_code=code)


def _leave(broker: SimBroker, request: Any) -> Any:
    _, code = _attempt(broker.leave_group, request._group, request._member_id)
    return SimpleNamespace(error_code=code)


def _fetch_offsets(broker: SimBroker, request: Any) -> Any:
    parts = [(topic, partition) for topic, partitions in request._partitions for partition in sorted(partitions)]
    found, code = _attempt(broker.fetch_offsets, request._consumer_group, parts)
    answers = [(part, (part[1], *found[part], 0)) for part in parts] if found is not None else []
    return SimpleNamespace(error_code=code, topics=_by_topic(answers))


def _commit_offsets(broker: SimBroker, request: Any) -> Any:
    offsets = _positions(request._topics)
    who = request._consumer_group, request._consumer_group_generation_id, request._consumer_id
    _, code = _attempt(broker.commit_offsets, *who, offsets)
    return SimpleNamespace(topics=_by_topic((part, (part[1], code)) for part in offsets))


# administration


def _create_topics(broker: SimBroker, request: Any) -> Any:
    errors = []
    for name, partitions, _, _, config in request.create_topic_requests:
        code = TopicAlreadyExistsError.errno if name in broker.metadata() else 0
        if not code:
            limit = dict(config).get("max.message.bytes")
            limits = {"limit_bytes": int(limit)} if limit is not None else {}
            _, code = _attempt(broker.create_topic, name, partitions, **limits)
        errors.append((name, code, ""))
    return SimpleNamespace(topic_errors=errors)


def _create_partitions(broker: SimBroker, request: Any) -> Any:
    errors = []
    for name, (count, _) in request._topic_partitions:
        _, code = _attempt(broker.grow, name, count)
        errors.append((name, code, ""))
    return SimpleNamespace(topic_errors=errors)


def _delete_records(broker: SimBroker, request: Any) -> Any:
    answers = []
    for topic, partitions in request._topics:
        for partition, before in partitions:
            _, code = _attempt(broker.delete_records, topic, partition, before)
            answers.append(((topic, partition), (partition, before, code)))
    return SimpleNamespace(topics=_by_topic(answers))


def _describe_groups(broker: SimBroker, request: Any) -> Any:
    groups = []
    for group in request._groups:
        found, code = _attempt(broker.describe_group, group)
        state, assigned = found or ("", {})
        members = [(member, "", "", b"", _encoded(parts)) for member, parts in assigned.items()]
        groups.append((code, group, state, "consumer", "sticky", members))
    return SimpleNamespace(groups=groups)


_HANDLERS: dict[type, Callable[[SimBroker, Any], Any]] = {
    ProduceRequest: _produce,
    FetchRequest: _fetch,
    OffsetRequest: _offsets,
    MetadataRequest: _metadata,
    FindCoordinatorRequest: _coordinator,
    InitProducerIdRequest: _init_producer,
    AddPartitionsToTxnRequest: _add_partitions,
    AddOffsetsToTxnRequest: _add_offsets,
    TxnOffsetCommitRequest: _offsets_in_transaction,
    EndTxnRequest: _end_transaction,
    JoinGroupRequest: _join,
    SyncGroupRequest: _sync,
    HeartbeatRequest: _heartbeat,
    LeaveGroupRequest: _leave,
    OffsetFetchRequest: _fetch_offsets,
    OffsetCommitRequest: _commit_offsets,
    CreateTopicsRequest: _create_topics,
    CreatePartitionsRequest: _create_partitions,
    DeleteRecordsRequest: _delete_records,
    DescribeGroupsRequest: _describe_groups,
}
