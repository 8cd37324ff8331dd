"""Every refusal in the recordings has one kind, the one that somebody wrote down who read it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conformance.expected import expected_kind
from conformance.records import DEFAULT, Record, recordings

from schemas.failure import FAILURES, FailureKind
from workers.errors import MAX_BODY_BYTES, read_error
from workers.wording import MAX_CHARS

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REFUSALS = [record for record in recordings(DEFAULT).calls if record.status >= 300]


@pytest.mark.parametrize("record", REFUSALS, ids=lambda record: record.id)
def test_a_recorded_refusal_is_what_its_reader_wrote_down(record: Record) -> None:
    body = record.response.data or b""
    error = read_error(record.status, record.headers, body[:MAX_BODY_BYTES], now=NOW)

    assert error.kind == expected_kind(record.status, record.headers, body)
    assert FAILURES[error.kind].advice
    assert 0 < len(error.message) <= MAX_CHARS
    assert not re.search(r"<(!doctype|html|head|body|title|script|p)\b", error.message, re.IGNORECASE)
    assert "X-Amz-" not in error.message
    assert "hf_" not in error.message


def test_there_are_refusals_of_every_family() -> None:
    assert {record.status for record in REFUSALS} >= {400, 401, 402, 403, 404, 421, 422, 429, 500, 503}
    assert len(REFUSALS) > 100


@pytest.mark.parametrize("kind", FailureKind)
def test_the_page_of_failures_has_a_row_with_fault_and_advice(kind: FailureKind) -> None:
    [row] = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{kind}` |")]
    _, meaning, fault, advice, *flags = (cell.strip() for cell in row[1:-1].split("|"))
    failure = FAILURES[kind]

    assert (meaning, fault, advice) == (failure.meaning, failure.fault, failure.advice)
    told = [flag == "yes" for flag in flags]
    assert told == [failure.retryable, failure.counts_for_breaker, failure.maybe_charged, failure.replay]
