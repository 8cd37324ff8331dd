"""The audit chain: what was written can be proved, and one changed byte is found."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import audit
from runtime.progress import GENESIS
from schemas import codec
from schemas.audit import AuditBatch, AuditEntry

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LANE = "novix-router.inference.jobs.v1.0"
TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
DETAILS = st.dictionaries(
    TEXT, TEXT | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.none() | st.lists(TEXT, max_size=2), max_size=3
)
ENTRIES = st.lists(
    st.builds(AuditEntry, at=st.just("2026-11-22T12:00:00Z"), action=TEXT, tenant=st.none() | TEXT, detail=DETAILS),
    max_size=4,
)


@settings(deadline=None)
@given(ENTRIES, st.integers(1, 2**40))
def test_a_batch_is_proved_by_its_record_and_by_what_was_read_from_it(entries: list[AuditEntry], sequence: int):
    batch = audit.link(LANE, sequence, GENESIS, entries)
    value = audit.record(batch).value
    assert value is not None

    assert audit.verify(batch)
    assert audit.verify(value)
    assert audit.verify(AuditBatch.model_validate_json(value))


@settings(deadline=None)
@given(ENTRIES.filter(bool), st.data())
def test_one_flipped_byte_is_found(entries: list[AuditEntry], data: st.DataObject):
    value = audit.record(audit.link(LANE, 3, "ab" * 32, entries)).value
    assert value is not None
    at = data.draw(st.integers(0, len(value) - 1))
    flipped = bytearray(value)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))

    assert not audit.verify(bytes(flipped)) or codec.decode(bytes(flipped)) == codec.decode(value)


@pytest.mark.parametrize(
    "change",
    [
        {"lane": "other"},
        {"sequence": 4},
        {"previous": "0" * 63 + "1"},
        {"previous": "xyz"},
        {"hash": GENESIS},
        {"entries": []},
    ],
)
def test_every_field_of_a_batch_is_under_its_hash(change: dict[str, Any]):
    batch = audit.link(LANE, 3, GENESIS, [AuditEntry(at=NOON, action="job.assigned")])

    assert audit.verify(batch)
    assert not audit.verify(batch.model_copy(update=change))


def test_an_entry_with_a_field_of_a_newer_writer_is_still_proved_from_its_bytes():
    value = audit.record(audit.link(LANE, 1, GENESIS, [AuditEntry(at=NOON, action="job.assigned")])).value
    assert value is not None
    document = codec.decode(value)
    document["entries"][0]["region"] = "eu"
    document["hash"] = audit._hash(LANE, 1, GENESIS, document["entries"])

    assert audit.verify(codec.encode(document))


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"5", b'{"lane": 1, "sequence": 1, "previous": 1, "entries": 1, "hash": 1}']
)
def test_what_is_no_batch_proves_nothing(value: bytes):
    assert not audit.verify(value)


def test_a_batch_follows_the_one_before_it_and_is_keyed_by_its_lane():
    first = audit.link(LANE, 1, GENESIS, [AuditEntry(at=NOON, action="a")])
    second = audit.link(LANE, 2, first.hash, [AuditEntry(at=NOON, action="a")])

    assert second.previous == first.hash != second.hash
    assert audit.record(second).key == LANE.encode()
