"""Reading a job: any bytes give one of three readings, and no reading tells the content in its message."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas import codec, headers
from schemas import job as jobs
from schemas.failure import FailureKind
from schemas.job import InferenceJob, ReadableJob, RefusedJob, Unreadable, read_job

CANARY = "CANARY-7f3"
GOOD = {"id": "a1", "task": "chat-completion", "input": {"messages": [{"role": "user", "content": "Hi"}]}}
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [CANARY, "", "1", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-22T12:00:00Z", "normal"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*InferenceJob.model_fields, "schema", "unknown"])
HEADERS = st.lists(st.tuples(st.sampled_from(["novix-schema", "traceparent", "x"]), st.binary(max_size=8)), max_size=4)


def read(document: Any, *given_headers: tuple[str, bytes]) -> Any:
    return read_job(json.dumps(document).encode(), given_headers)


def refused(document: Any, *given_headers: tuple[str, bytes]) -> RefusedJob:
    reading = read(document, *given_headers)
    assert isinstance(reading, RefusedJob), reading
    return reading


# totality


@settings(deadline=None)
@given(st.binary(max_size=300), HEADERS)
def test_any_bytes_give_a_reading(value: bytes, given_headers: list[tuple[str, bytes]]):
    assert isinstance(read_job(value, tuple(given_headers)), ReadableJob | RefusedJob | Unreadable)


@settings(deadline=None)
@given(st.dictionaries(FIELDS, VALUES), HEADERS)
def test_any_fields_give_a_reading_whose_message_tells_none_of_the_content(
    wrong: dict[str, Any], given_headers: list[tuple[str, bytes]]
):
    reading = read({**GOOD, **wrong}, *given_headers)

    if isinstance(reading, RefusedJob | Unreadable):
        assert reading.message
        assert CANARY not in reading.message


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 255))
def test_a_job_with_one_byte_changed_gives_a_reading(at: int, change: int):
    value = bytearray(json.dumps({**GOOD, "deadline": "2026-11-22T12:00:00Z", "metadata": {"team": "search"}}).encode())
    value[at % len(value)] ^= change

    assert isinstance(read_job(bytes(value), ()), ReadableJob | RefusedJob | Unreadable)


@pytest.mark.parametrize("field", [*InferenceJob.model_fields, "schema"])
@pytest.mark.parametrize(
    "value", [CANARY, [CANARY], {CANARY: CANARY}, CANARY * 100, [CANARY] * 400, f"{CANARY}\n", 1e300]
)
def test_a_canary_in_any_field_is_in_no_message(field: str, value: Any):
    reading = read({**GOOD, field: value})

    if not isinstance(reading, ReadableJob):
        assert CANARY not in reading.message.replace(f"metadata.{CANARY}", "")  # a key is part of the field's path


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        f'{{"id": "{CANARY}'.encode(),
        CANARY.encode(),
        f'"{CANARY}"'.encode(),
        f'["{CANARY}"]'.encode(),
        b"null",
        b"[" * 3000,
        None,
    ],
)
def test_what_is_no_json_object_is_unreadable(value: bytes | None):
    reading = read_job(value, ())

    assert isinstance(reading, Unreadable)
    assert reading.kind is FailureKind.UNDECODABLE
    assert CANARY not in reading.message


# identity


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"task": "x"}, "id is missing; it must be a text"),
        ({"id": 5}, "id is a int; it must be a text"),
        ({"id": ""}, "id has 0 characters; it may have 1 to 256"),
        ({"id": "x" * 257}, "id has 257 characters; it may have 1 to 256"),
        ({"id": "a\nb"}, "id has a control character"),
        ({"id": "a", "tenant": "x" * 129}, "tenant has 129 characters; it may have 1 to 128"),
        ({"id": "a", "tenant": "a/b"}, "tenant has a slash or a space"),
        ({"id": "a", "tenant": ["a"]}, "tenant is a list; it must be a text"),
    ],
)
def test_a_record_without_a_usable_identity_is_unreadable_and_the_message_names_field_size_and_limit(
    document: Any, told: str
):
    reading = read(document)

    assert reading == Unreadable(FailureKind.INVALID_JOB, told)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256).filter(str.isprintable))
def test_any_printable_id_of_up_to_256_characters_can_be_answered(job_id: str):
    reading = read({**GOOD, "id": job_id})

    assert isinstance(reading, ReadableJob)
    assert reading.id == job_id


# refusals


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"task": None}, "task: "),
        ({"task": ""}, "task: String should have at least 1 character (has 0)"),
        ({"task": "x" * 65}, "task: String should have at most 64 characters (has 65)"),
        ({"input": "x"}, "input: "),
        ({"model": "x" * 257}, "model: String should have at most 256 characters (has 257)"),
        ({"provider": ""}, "provider: String should have at least 1 character (has 0)"),
        ({"max_cost_nanousd": -1}, "max_cost_nanousd: Input should be greater than or equal to 0 (is -1)"),
        (
            {"max_cost_nanousd": 10**15 + 1},
            f"max_cost_nanousd: Input should be less than or equal to {10**15} (is {10**15 + 1})",
        ),
        ({"max_cost_nanousd": "5"}, "max_cost_nanousd: "),
        ({"timeout_s": 0}, "timeout_s: Input should be greater than 0 (is 0)"),
        ({"timeout_s": 604_801}, "timeout_s: Input should be less than or equal to 604800 (is 604801)"),
        ({"timeout_s": 5, "deadline": "2026-11-22T12:00:00Z"}, "give timeout_s or deadline, not both"),
        ({"deadline": "2026-11-22T12:00:00"}, "deadline: Input should have timezone info"),
        ({"deadline": 1700000000}, "deadline: must be an ISO 8601 text with a zone, like 2026-11-22T12:00:00Z"),
        ({"deadline": "0001-01-01T00:00:00+14:00"}, "deadline: must lie between the years 1 and 9999 in UTC"),
        ({"priority": "urgent"}, "priority: Input should be 'interactive', 'normal' or 'batch'"),
        ({"ordering_key": "x" * 257}, "ordering_key: String should have at most 256 characters (has 257)"),
        ({"ordering_key": "a\tb"}, "ordering_key: must have no control character"),
        ({"metadata": {str(n): n for n in range(33)}}, "metadata: has 33 entries; it may have 32"),
        ({"metadata": {"k": "v" * 4096}}, "metadata: has 4104 bytes; it may have 4096"),
        ({"metadata": {"k\n": [1]}}, "metadata.k?"),
        ({"schema": "1"}, "schema: Input should be a valid integer"),
    ],
)
def test_a_wrong_field_is_named_with_its_size_and_the_limit(wrong: dict[str, Any], told: str):
    reading = refused({**GOOD, "tenant": "acme", **wrong})

    assert reading.kind is FailureKind.INVALID_JOB
    assert told in reading.message
    assert (reading.tenant, reading.id) == ("acme", "a1")


@pytest.mark.parametrize("version", [2, "2", 0, 1.5, True, "novix", [1], {"v": 1}])
def test_an_unknown_version_is_refused_in_the_field_and_in_the_header(version: Any):
    assert refused({**GOOD, "schema": version}).kind is FailureKind.UNKNOWN_SCHEMA
    assert refused(GOOD, (headers.SCHEMA, str(version).encode())).kind is FailureKind.UNKNOWN_SCHEMA


def test_a_version_that_header_and_field_contradict_is_refused():
    assert refused({**GOOD, "schema": 2}, (headers.SCHEMA, b"1")).message == "schema: version 2 is unknown; 1 is spoken"


def test_version_1_may_be_said_in_the_header_or_the_field_or_not_at_all():
    for reading in (read(GOOD), read({**GOOD, "schema": 1}), read(GOOD, (headers.SCHEMA, b"1"))):
        assert isinstance(reading, ReadableJob)


@pytest.mark.parametrize("depth", [65, 300, 1000])
def test_a_job_that_is_too_deep_but_names_its_sender_is_answered(depth: int):
    value = b'{"id": "a1", "task": "t", "input": {"x": %s%s}}' % (b"[" * (depth - 2), b"]" * (depth - 2))

    reading = read_job(value, ())

    assert isinstance(reading, RefusedJob)
    assert reading.kind is FailureKind.INVALID_JOB
    assert reading.message == f"input: nested {depth} levels deep; 64 are allowed"


def test_a_job_that_is_too_large_is_refused_with_size_and_limit():
    value = json.dumps({**GOOD, "input": {"inputs": "x" * jobs.MAX_JOB_BYTES}}).encode()

    reading = read_job(value, ())

    assert isinstance(reading, RefusedJob)
    assert reading.kind is FailureKind.TOO_LARGE
    assert reading.message == f"job is {len(value)} bytes; inline it may have 262144"


def test_a_job_of_exactly_the_limit_is_read():
    empty = len(json.dumps({**GOOD, "input": {"inputs": ""}}))
    value = json.dumps({**GOOD, "input": {"inputs": "x" * (jobs.MAX_JOB_BYTES - empty)}}).encode()

    assert len(value) == jobs.MAX_JOB_BYTES
    assert isinstance(read_job(value, ()), ReadableJob)


def test_ten_thousand_headers_are_refused_by_their_number_and_few_large_ones_by_their_bytes():
    many = refused(GOOD, *[("h", b"")] * 10_000)
    large = refused(GOOD, ("h", b"x" * 16_384))

    assert (many.kind, many.message) == (FailureKind.TOO_LARGE, "headers: 10000 of them; a job may have 64")
    assert (large.kind, large.message) == (FailureKind.TOO_LARGE, "headers: 16385 bytes; a job may have 16384")


def test_a_refusal_says_what_was_asked_as_far_as_it_can_be_read():
    reading = refused({**GOOD, "model": "m", "provider": 5, "timeout_s": -1})

    assert (reading.task, reading.model, reading.provider) == ("chat-completion", "m", "auto")


# what is read


def test_only_three_fields_are_required_and_the_others_have_the_published_defaults():
    job = read(GOOD).job

    assert (job.tenant, job.model, job.provider, job.priority) == ("default", "auto", "auto", "normal")
    assert job.deadline_at(NOON) == NOON + timedelta(minutes=10)
    assert {name for name, field in InferenceJob.model_fields.items() if field.is_required()} == {"id", "task", "input"}


def test_a_field_that_a_newer_writer_added_is_ignored():
    assert read({**GOOD, "budget": {"team": 5}}).job == read(GOOD).job


def test_the_digest_is_that_of_the_content_not_of_its_spelling():
    spelt = json.dumps(dict(reversed(GOOD.items())), indent=3).encode()

    assert read_job(spelt, ()).digest == read(GOOD).digest == hashlib.sha256(codec.canonical(GOOD)).hexdigest()  # type: ignore[union-attr]
    assert read({**GOOD, "priority": "batch"}).digest != read(GOOD).digest


def test_a_job_keeps_the_bytes_that_its_producer_wrote():
    value = json.dumps(GOOD, indent=2).encode()

    assert read_job(value, ()).raw == value  # type: ignore[union-attr]


def test_a_jobs_own_deadline_wins_over_the_publication_and_is_told_in_utc():
    job = read({**GOOD, "deadline": "2026-11-22T14:00:00+02:00"}).job

    assert job.deadline_at(NOON + timedelta(days=3)) == NOON
    assert job.deadline.tzinfo is UTC


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_a_publication_is_never_later_than_now_whatever_the_producers_clock_says(timestamp_ms: int):
    published = jobs.published_at(timestamp_ms, NOON)

    assert published <= NOON
    assert published.tzinfo is UTC


def test_a_publication_in_the_past_is_the_records_own():
    assert jobs.published_at(int(NOON.timestamp() * 1000) - 1500, NOON) == NOON - timedelta(seconds=1.5)


def test_a_job_is_frozen():
    with pytest.raises(ValidationError):
        read(GOOD).job.tenant = "other"


def test_jobs_that_wait_share_the_words_that_many_of_them_have():
    """A router keeps thousands of them."""
    told = GOOD | {"tenant": "acme-and-others", "model": "acme/chat-of-many"}
    one, other = read(told), read(told | {"id": "a2"})

    assert isinstance(one, ReadableJob)
    assert isinstance(other, ReadableJob)
    for name in ("tenant", "task", "model", "provider", "priority"):
        assert getattr(one.job, name) is getattr(other.job, name), name
    assert one.job.__pydantic_fields_set__ is other.job.__pydantic_fields_set__
    assert json.loads(one.job.encode()) == json.loads(InferenceJob.model_validate(told).encode())
