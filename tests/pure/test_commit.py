"""What one transaction holds: every work's records once, the chain, the spans, and the position that makes it final."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime import audit, progress
from runtime.commit import Batch, assemble
from runtime.lane import Lane
from runtime.outcome import Done, GiveUp, Publish
from runtime.ports import Delivery, LaneId, Lease, Outgoing, Record
from runtime.progress import GENESIS, Progress
from runtime.telemetry import CONSUMER, SpanDraft, TraceContext
from runtime.work import Work
from schemas.audit import AuditBatch, AuditEntry
from schemas.failure import FailureKind

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LANE = LaneId("novix-worker-text", "inference.text.v1", 2)


@dataclass
class Sealer:
    """A handler that only seals."""

    sealed: list[tuple[list[Any], int]] = field(default_factory=list)

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        self.sealed.append((facts, limit_bytes))
        return [Outgoing("inference.decisions.v1", None, ",".join(map(str, facts)).encode())] if facts else []


def lane(base: int = 5, known: Progress | None = None) -> Lane:
    return Lane(LANE, Sealer(), base, known or Progress(), crowd=500)  # type: ignore[arg-type]


def work(at: Lane, offset: int, done: Done | None) -> Work:
    record = Record(LANE.topic, LANE.partition, offset, b"acme/a", b"job", (), 1)
    at.tracker.admit(offset)
    lease = Lease()
    return Work(record, Delivery(record, NOON, lease=lease), lease, done=done)


def publish(offset: int, **more: Any) -> Publish:
    return Publish((Outgoing("inference.results.v1", b"acme/a", b"%d" % offset),), **more)


def entry(action: str = "job.succeeded", pad: int = 0) -> AuditEntry:
    return AuditEntry(at=NOON, action=action, detail={"pad": "x" * pad} if pad else {})


def span(number: int, *, sampled: bool = True) -> SpanDraft:
    context = TraceContext(f"{number + 1:032x}", None, sampled)
    return SpanDraft(context, f"{number + 1:016x}", "call", CONSUMER, NOON, NOON + timedelta(seconds=1), {"n": number})


def of(batch: Batch, topic: str) -> list[Outgoing]:
    return [record for record in batch.records if record.topic == topic]


def chain(batch: Batch) -> list[AuditBatch]:
    values = [record.value for record in of(batch, "inference.audit.v1")]
    assert all(value is not None and audit.verify(value) for value in values)
    return [AuditBatch.model_validate_json(value) for value in values if value is not None]


def spans_of(value: bytes | None) -> list[int]:
    request = ExportTraceServiceRequest.FromString(value or b"")
    return [one.attributes[0].value.int_value for part in request.resource_spans[0].scope_spans for one in part.spans]


@settings(deadline=None)
@given(st.permutations(range(8)), st.integers(0, 8), st.data())
def test_every_work_is_in_the_transaction_once_and_the_position_is_what_the_tracker_says(
    order: list[int], count: int, data: st.DataObject
):
    at = lane(base=100)
    works = {offset: work(at, 100 + offset, None) for offset in range(8)}
    for offset, one in works.items():
        failed = data.draw(st.booleans())
        one.done = GiveUp(FailureKind.TIMEOUT, "x") if failed else publish(100 + offset, audit=(entry(),))
    chosen = [works[offset] for offset in order[:count]]

    batch = assemble(at, chosen, NOON)

    told = [record.value for record in of(batch, "inference.results.v1")]
    assert told == [b"%d" % one.offset for one in chosen if isinstance(one.done, Publish)]
    assert len(of(batch, "inference.dlq.v1")) == sum(isinstance(one.done, GiveUp) for one in chosen)
    finished = {one.offset for one in chosen}
    lowest = min(set(range(100, 108)) - finished, default=108)
    assert batch.position.offset == lowest
    known = progress.decode(lowest, batch.position.metadata)
    assert known == batch.progress
    assert known.finished == {offset for offset in finished if offset > lowest}
    assert sum(len(one.entries) for one in chain(batch)) == count, "a dead letter nobody speaks of is told by the lane"


def test_each_record_knows_whose_it_is_and_shared_ones_are_nobodys():
    at = lane()
    first = work(at, 5, publish(5, facts=(1,), audit=(entry(),), spans=(span(1),)))
    second = work(at, 6, GiveUp(FailureKind.INTERNAL, "x", records=(Outgoing("inference.results.v1", None, b"r"),)))

    batch = assemble(at, [first, second], NOON)

    assert [
        (owner and owner.offset, record.topic) for owner, record in zip(batch.owners, batch.records, strict=True)
    ] == [
        (5, "inference.results.v1"),
        (6, "inference.results.v1"),
        (6, "inference.dlq.v1"),
        (None, "inference.decisions.v1"),
        (None, "inference.audit.v1"),
        (None, "inference.spans.v1"),
    ]


def test_a_dead_letter_says_whether_somebody_was_told():
    at = lane()
    told = work(at, 5, GiveUp(FailureKind.INTERNAL, "x", records=(Outgoing("inference.results.v1", None, b"r"),)))
    untold = work(at, 6, GiveUp(FailureKind.UNDECODABLE, "x"))

    letters = of(assemble(at, [told, untold], NOON), "inference.dlq.v1")

    assert [dict(letter.headers).get("novix.has_result") for letter in letters] == [b"true", None]


def test_a_dead_letter_that_somebody_speaks_of_is_told_once():
    at = lane()
    told = GiveUp(FailureKind.TIMEOUT, "x", audit=(entry("job.failed"),))

    (written,) = chain(assemble(at, [work(at, 5, told), work(at, 6, GiveUp(FailureKind.TIMEOUT, "x"))], NOON))

    assert [one.action for one in written.entries] == ["job.failed", "record.dead_lettered"]


def test_facts_are_sealed_together_in_order_and_with_the_limit():
    at = lane()
    works = [work(at, offset, publish(offset, facts=(offset, "x"))) for offset in (5, 6)]

    batch = assemble(at, works, NOON, shared_limit=777)

    assert batch.facts == [5, "x", 6, "x"]
    assert at.handler.sealed == [(batch.facts, 777)]  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=30), st.integers(0, 5), st.integers(800, 3000))
def test_audit_entries_are_split_at_the_limit_in_order_and_stay_one_chain(pads: list[int], before: int, limit: int):
    head = GENESIS if before == 0 else "ab" * 32
    at = lane(known=Progress(before, head))
    works = [work(at, 5 + n, publish(n, audit=(entry(f"job.{n}", pad),))) for n, pad in enumerate(pads)]

    batch = assemble(at, works, NOON, shared_limit=limit)

    batches = chain(batch)
    assert [one.action for part in batches for one in part.entries] == [f"job.{n}" for n in range(len(pads))]
    assert [part.sequence for part in batches] == list(range(before + 1, before + 1 + len(batches)))
    assert [part.previous for part in batches] == [head, *[part.hash for part in batches[:-1]]]
    assert (batch.progress.sequence, batch.progress.head) == (batches[-1].sequence, batches[-1].hash)
    for record, part in zip(of(batch, "inference.audit.v1"), batches, strict=True):
        assert len(record.value or b"") <= limit + 400 or len(part.entries) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(300, 4000))
def test_spans_are_split_at_the_limit_and_none_is_lost_or_doubled(count: int, limit: int):
    at = lane()
    works = [work(at, 5 + n, publish(n, spans=(span(n),))) for n in range(count)]

    records = of(assemble(at, works, NOON, shared_limit=limit), "inference.spans.v1")

    assert [n for record in records for n in spans_of(record.value)] == list(range(count))
    assert all(record.key == str(LANE).encode() for record in records)
    assert all(len(record.value or b"") <= limit or len(spans_of(record.value)) == 1 for record in records)


def test_spans_that_nobody_sampled_are_no_record():
    at = lane()

    batch = assemble(at, [work(at, 5, publish(5, spans=(span(1, sampled=False),)))], NOON)

    assert of(batch, "inference.spans.v1") == []


def test_a_transaction_without_deeds_leaves_the_chain_where_it_is():
    at = lane(known=Progress(7, "cd" * 32))

    batch = assemble(at, [work(at, 5, Publish())], NOON)

    assert batch.records == []
    assert batch.position.metadata == f"n2,7,{'cd' * 32},,"


def test_a_work_that_is_not_settled_is_a_fault_of_ours():
    at = lane()

    with pytest.raises(ValueError, match="offset 5 is not settled"):
        assemble(at, [work(at, 5, None)], NOON)
