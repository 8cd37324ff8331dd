"""The hot path's messages are made and written without pydantic: the same values, and the same bytes."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import audit
from runtime.progress import GENESIS
from schemas.assignment import Candidate, Price
from schemas.audit import AuditBatch, AuditEntry
from schemas.base import Contract
from schemas.failure import FailureKind
from schemas.result import Attempt, Error, JobResult, Received, Who
from workers.recall import CallEnd

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
COUNT = st.integers(0, 2**40)
MONEY = st.integers(0, 10**15)
INSTANT = st.datetimes(timezones=st.just(UTC))
KIND = st.none() | st.sampled_from(FailureKind)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALAR | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
WHO = st.builds(Who, model=TEXT, provider=TEXT)
ATTEMPT = st.builds(
    Attempt, attempt=COUNT, model=TEXT, provider=TEXT, started_at=INSTANT, waited_ms=COUNT, duration_ms=COUNT,
    kind=KIND, upstream_status=st.none() | COUNT, request_id=st.none() | TEXT, cost_nanousd=MONEY,
    ambiguous=st.booleans(),
)  # fmt: skip
CALL_END = st.builds(CallEnd, attempt=ATTEMPT, emitted=st.booleans())
PRICE = st.builds(Price, input_nanousd_per_million_tokens=MONEY, source=TEXT, as_of=TEXT)
CANDIDATE = st.builds(
    Candidate, model=TEXT, provider=TEXT, provider_model=TEXT, dialect=TEXT, base_url=TEXT, price=PRICE,
    context_tokens=st.none() | COUNT, estimate_nanousd=MONEY, ceiling_nanousd=MONEY,
)  # fmt: skip
RESULT = st.builds(
    JobResult, job_id=TEXT, tenant=TEXT, task=st.none() | TEXT, output=JSON,
    error=st.none() | st.builds(Error, message=TEXT, upstream_status=st.none() | COUNT), asked=WHO,
    served=st.none() | WHO, adapted=st.none() | OBJECT, usage=st.dictionaries(TEXT, COUNT, max_size=3),
    cost_nanousd=MONEY, attempts=st.lists(ATTEMPT, max_size=3), timing_ms=st.dictionaries(TEXT, COUNT, max_size=3),
    received=st.none() | st.builds(Received, topic=TEXT), decision_id=st.none() | TEXT, completed_at=INSTANT,
)  # fmt: skip
ENTRY = st.builds(
    AuditEntry, at=INSTANT, action=TEXT, tenant=st.none() | TEXT, job_id=st.none() | TEXT, submission=st.none() | COUNT,
    trace_id=st.none() | TEXT, detail=OBJECT | st.dictionaries(TEXT, st.sampled_from(FailureKind), max_size=2),
)  # fmt: skip

RESULT_OF_NOTHING = JobResult(
    job_id="j", tenant="t", status="failed", task=None, asked=Who(model="m", provider="p"),
    completed_at=datetime(2026, 11, 22, tzinfo=UTC),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(ATTEMPT | CALL_END | CANDIDATE | WHO)
def test_a_plain_contract_is_written_as_pydantic_writes_it(one: Contract) -> None:
    assert one.plain() == one.model_dump_json().encode()


@settings(deadline=None, max_examples=100)
@given(RESULT)
def test_a_result_is_written_as_pydantic_writes_it(result: JobResult) -> None:
    assert result.encode() == result.model_dump_json(by_alias=True).encode()


@settings(deadline=None, max_examples=100)
@given(st.lists(ENTRY, max_size=4))
def test_an_audit_batch_is_written_as_pydantic_writes_it(entries: list[AuditEntry]) -> None:
    batch = audit.link("novix-router.inference.jobs.v1.0", 7, GENESIS, entries)

    assert audit.record(batch).value == batch.model_dump_json(exclude_none=True).encode()
    assert batch == AuditBatch(**dict(batch))


@settings(deadline=None, max_examples=60)
@given(ATTEMPT | RESULT | ENTRY | CANDIDATE | WHO)
def test_what_is_made_without_a_look_equals_what_was_looked_at(one: Contract) -> None:
    made = type(one).made(**dict(one))

    assert made == one
    assert made.model_dump_json() == one.model_dump_json()
    assert made.model_copy(update={}) == one
    assert list(dict(made)) == list(type(one).model_fields)


def test_what_is_not_plain_is_left_to_pydantic() -> None:
    late = Received(topic="t", partition=0, offset=0, timestamp_ms=2**70)
    result = JobResult.made(**{**dict(RESULT_OF_NOTHING), "received": late, "output": {"pieces": {1.5}}})

    assert late.plain() == b'{"topic":"t","partition":0,"offset":0,"timestamp_ms":1180591620717411303424}'
    assert result.encode() == result.model_dump_json(by_alias=True).encode()
