"""A job as a CloudEvent in binary mode: the event's id fills a missing one, and never contradicts one."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.failure import FailureKind
from schemas.job import ReadableJob, RefusedJob, Unreadable, read_job

BODY: dict[str, Any] = {"task": "chat-completion", "input": {"messages": [{"role": "user", "content": "Hi"}]}}
CANARY = "CANARY-7f3"


def event(job_id: str | bytes = "e1", version: str = "1.0", **others: str) -> tuple[tuple[str, bytes], ...]:
    raw = job_id if isinstance(job_id, bytes) else job_id.encode()
    told = [("ce_specversion", version.encode()), ("ce_id", raw), ("ce_type", b"job"), ("ce_source", b"/shop")]
    return (*told, *((name, value.encode()) for name, value in others.items()))


def read(document: Any, headers: tuple[tuple[str, bytes], ...]) -> Any:
    return read_job(document if isinstance(document, bytes) else json.dumps(document).encode(), headers)


def test_the_events_id_fills_a_missing_one():
    reading = read(BODY, event("e1"))

    assert isinstance(reading, ReadableJob)
    assert reading.id == "e1"
    assert codec.decode(reading.raw) == {"id": "e1", **BODY}, "what travels on has it too"


def test_with_the_events_id_it_is_the_same_job_as_with_its_own():
    assert read(BODY, event("e1")).digest == read({"id": "e1", **BODY}, ()).digest


def test_the_producers_bytes_stay_as_they_are_behind_the_id():
    value = b' {"task":"chat-completion","input":{"messages":[],"seed":1.50, "x": 12345678901234567890123}}'

    reading = read(value, event("e1"))

    assert reading.raw == b'{"id":"e1",' + value.lstrip()[1:]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=256))
def test_any_printable_id_is_filled_in_whatever_whitespace_stands_around(job_id: str):
    value = b"\n\t " + json.dumps(BODY, indent=1).encode()

    reading = read(value, event(job_id))

    if job_id.isprintable():
        assert codec.decode(reading.raw) == {"id": job_id, **BODY}
        assert reading.digest == hashlib.sha256(codec.canonical({"id": job_id, **BODY})).hexdigest()
    else:
        assert isinstance(reading, Unreadable)


def test_the_same_id_in_both_places_is_one_id():
    reading = read({"id": "e1", **BODY}, event("e1"))

    assert (reading.id, codec.decode(reading.raw)) == ("e1", {"id": "e1", **BODY})


@pytest.mark.parametrize("told", [CANARY.encode(), b"", b"\xff\xfe", b"e1 "])
def test_a_different_one_is_refused_with_both_sizes_and_no_value(told: bytes):
    reading = read({"id": "e1", **BODY}, event(told))

    assert isinstance(reading, RefusedJob)
    assert (reading.id, reading.kind) == ("e1", FailureKind.INVALID_JOB)
    assert f"ce_id has {len(told)} bytes" in reading.message
    assert "which has 2" in reading.message
    assert CANARY not in reading.message


@pytest.mark.parametrize("told", [b"", b"\xff\xfe", b"x" * 257, b"a\nb"])
def test_an_id_that_no_job_may_have_fills_nothing(told: bytes):
    assert isinstance(read(BODY, event(told)), Unreadable)


def test_a_job_whose_id_is_null_is_not_mended():
    assert isinstance(read({"id": None, **BODY}, event("e1")), Unreadable)


@pytest.mark.parametrize("version", ["1.0", "1.1", "1"])
def test_version_1_is_spoken(version: str):
    assert isinstance(read(BODY, event(version=version)), ReadableJob)


@pytest.mark.parametrize("version", ["0.3", "2.0", "", CANARY, "1.0\n", "1.", "11"])
def test_any_other_version_is_refused(version: str):
    reading = read(BODY, event(version=version))

    assert isinstance(reading, RefusedJob)
    assert (reading.id, reading.kind) == ("e1", FailureKind.INVALID_JOB)
    assert f"{len(version)} bytes" in reading.message
    assert CANARY not in reading.message


def test_time_type_source_and_extensions_mean_nothing():
    headers = event(ce_time="no time at all", ce_datacontenttype="text/plain", ce_partitionkey="p", ce_type="x")

    assert isinstance(read(BODY, headers), ReadableJob)
    assert isinstance(read({"id": "a", **BODY}, (("ce_time", b"2026-11-22T12:00:00Z"),)), ReadableJob)


def test_the_content_type_of_binary_mode_is_the_jobs_own():
    assert isinstance(read(BODY, (*event(), ("content-type", b"application/json; charset=utf-8"))), ReadableJob)


@pytest.mark.parametrize(
    ("document", "identity"),
    [
        ({"specversion": "1.0", "id": "e1", "data": BODY}, ("default", "e1")),
        ({"specversion": "1.0", "id": "e1", "data": {"id": "own", "tenant": "shop", **BODY}}, ("shop", "own")),
        ({"specversion": "1.0", "id": "e1", "data_base64": "e30="}, ("default", "e1")),
    ],
)
@pytest.mark.parametrize(
    "content_type", ["application/cloudevents+json", "Application/CloudEvents+json; charset=utf-8"]
)
def test_structured_mode_is_refused_under_the_id_that_it_tells(document: Any, identity: Any, content_type: str):
    reading = read(document, (("content-type", content_type.encode()),))

    assert isinstance(reading, RefusedJob)
    assert ((reading.tenant, reading.id), reading.kind) == (identity, FailureKind.INVALID_JOB)
    assert "binary mode" in reading.message


def test_a_structured_event_that_tells_no_id_is_a_dead_letter_that_says_why():
    reading = read({"specversion": "1.0", "data": BODY}, (("content-type", b"application/cloudevents+json"),))

    assert isinstance(reading, Unreadable)
    assert "binary mode" in reading.message


NAMES = st.sampled_from(["ce_id", "ce_specversion", "content-type"])


@given(st.binary(max_size=200), st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=4))
def test_any_bytes_and_attributes_give_a_reading(value: bytes, headers: list[tuple[str, bytes]]):
    assert isinstance(read_job(value, tuple(headers)), ReadableJob | RefusedJob | Unreadable)
