"""The result: what is written can be read by any JSON reader, today's and tomorrow's."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import codec
from schemas.assignment import Price
from schemas.failure import FailureKind
from schemas.result import Error, JobResult, Who

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEAST: dict[str, Any] = {
    "job_id": "a1",
    "tenant": "default",
    "status": "succeeded",
    "task": "chat-completion",
    "asked": {"model": "auto", "provider": "auto"},
    "completed_at": "2026-11-22T12:00:00Z",
}
PROMISED = [
    "job_id",
    "tenant",
    "submission",
    "status",
    "task",
    "output",
    "error",
    "asked",
    "served",
    "adapted",
    "usage",
    "cost_nanousd",
    "cost_source",
    "attempts",
    "timing_ms",
    "received",
    "decision_id",
    "trace_id",
    "completed_at",
]
OUTPUTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(OUTPUTS)
def test_any_output_is_written_as_json_that_holds_neither_nan_nor_infinity(output: Any):
    written = JobResult.model_validate({**LEAST, "output": output}).encode()

    codec.decode(written)
    assert JobResult.model_validate_json(written).encode() == written


def test_a_result_has_every_field_of_the_published_contract_whatever_happened():
    document = codec.decode(JobResult.model_validate(LEAST).encode())

    assert set(PROMISED) <= set(document)
    assert document["schema"] == 1
    assert document["completed_at"] == "2026-11-22T12:00:00Z"


def test_a_field_that_a_newer_writer_added_is_ignored_at_every_level():
    later = {**LEAST, "new": 1, "asked": {**LEAST["asked"], "new": 1}}

    assert JobResult.model_validate(later) == JobResult.model_validate(LEAST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "done"},
        {"cost_nanousd": -1},
        {"cost_nanousd": 1.5},
        {"cost_source": "guess"},
        {"completed_at": "2026-11-22T12:00:00"},
        {"completed_at": 1.0},
    ],
)
def test_what_the_contract_does_not_allow_cannot_be_written(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        JobResult.model_validate({**LEAST, **wrong})


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_can_be_told(kind: FailureKind):
    error = Error(kind=kind, message="x", retryable=False)
    result = JobResult.model_validate({**LEAST, "status": "failed", "error": error.model_dump()})

    assert codec.decode(result.encode())["error"]["kind"] == kind.value


def test_who_was_asked_and_who_served_are_a_model_and_a_provider():
    assert set(Who.model_fields) == {"model", "provider"}


def test_an_unknown_price_is_not_zero_and_a_known_one_names_any_unit():
    unit = {"source": "novix-assumed", "as_of": "2026-08-01"}

    assert not Price.model_validate(unit).is_known
    for name in ("input_nanousd_per_million_tokens", "output_nanousd_per_million_tokens", "nanousd_per_compute_ms"):
        assert Price.model_validate({**unit, name: 1}).is_known


ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(deadline=None)
@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES))  # noqa: DTZ001 - hypothesis adds the zone
def test_an_instant_is_written_in_utc_and_read_as_the_same(instant: datetime):
    result = JobResult.model_validate({**LEAST, "completed_at": instant})

    assert result.completed_at == instant
    assert result.completed_at.tzinfo is UTC
    assert codec.decode(result.encode())["completed_at"].endswith("Z")
