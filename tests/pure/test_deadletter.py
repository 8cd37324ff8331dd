"""Dead letters: the original record whole where it fits, and always something that a topic takes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.deadletter import KEPT_HEADERS_BYTES, LETTER_BYTES, SHORT_LETTER_BYTES, dead_letter
from runtime.ports import LaneId, Outgoing, Record
from schemas import headers
from schemas.failure import FailureKind
from schemas.headers import Headers

LANE = LaneId("novix-router", "inference.jobs.v1", 3)


def record(value: bytes | None = b"\xff\x00", key: bytes | None = b"acme", given_headers: Headers = ()) -> Record:
    return Record("inference.jobs.v1", 3, 812, key, value, given_headers, 1_700_000_000_000)


def letter(original: Record, kind: FailureKind = FailureKind.UNDECODABLE, *, has_result: bool = False) -> Outgoing:
    return dead_letter(original, LANE, kind, "not JSON at byte 0 of 2", has_result=has_result, error_type="ValueError")


def size(outgoing: Outgoing) -> int:
    return len(outgoing.key or b"") + len(outgoing.value or b"") + headers.size_of(outgoing.headers)


@settings(deadline=None)
@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(st.tuples(st.text("abc", max_size=5), st.binary(max_size=9)), max_size=9),
)
def test_key_value_and_headers_are_those_of_the_record(
    value: bytes | None, key: bytes | None, original: list[tuple[str, bytes]]
):
    told = letter(record(value, key, tuple(original)))

    assert (told.topic, told.key, told.value) == ("inference.dlq.v1", key, value)
    assert told.headers[: len(original)] == tuple(original)


def test_a_dead_letter_says_where_it_came_from_and_why():
    told = dict(letter(record(), has_result=True).headers)

    assert told == {
        "__dlq.errors.topic": b"inference.jobs.v1",
        "__dlq.errors.partition": b"3",
        "__dlq.errors.offset": b"812",
        "__dlq.errors.group": b"novix-router",
        "__dlq.errors.delivery.count": b"1",
        "__dlq.errors.message": b"undecodable: not JSON at byte 0 of 2",
        "__dlq.errors.exception": b"ValueError",
        "novix.has_result": b"true",
    }


def test_a_record_cannot_bring_its_own_reason():
    forged = (
        ("novix.has_result", b"true"),
        ("__dlq.errors.message", b"all is well"),
        ("novix.kept", b"1"),
        ("x", b"y"),
    )

    told = letter(record(given_headers=forged)).headers

    assert [value for name, value in told if name == headers.DLQ_MESSAGE] == [b"undecodable: not JSON at byte 0 of 2"]
    assert headers.first(told, headers.HAS_RESULT) is None
    assert headers.first(told, headers.KEPT) is None
    assert headers.first(told, "x") == "y"


def test_headers_that_no_topic_takes_are_left_out_from_the_first_that_does_not_fit_on():
    original = (("a", b"1"), ("b", b"x" * KEPT_HEADERS_BYTES), ("c", b"2"))

    names = [name for name, _ in letter(record(given_headers=original)).headers]

    assert "a" in names
    assert not {"b", "c"} & set(names)


def test_a_value_of_a_million_bytes_is_kept_whole():
    told = letter(record(b"x" * 1_000_000))

    assert told.value == b"x" * 1_000_000
    assert headers.first(told.headers, headers.KEPT) is None


def test_a_record_that_came_compressed_and_is_larger_than_any_topic_takes_keeps_its_beginning_and_says_so():
    value = bytes(range(256)) * 80_000

    told = letter(record(value, b"k" * 70_000, (("h", b"x" * 60_000), *[("t", b"")] * 10_000)))

    assert told.value is not None
    assert value.startswith(told.value)
    assert headers.first(told.headers, headers.KEPT) == f"{len(told.value)} of {len(value)} bytes"
    assert LETTER_BYTES - 100_000 < size(told) <= LETTER_BYTES + 100
    assert told.key is None


def test_the_letter_of_a_record_that_was_refused_for_its_size_is_short():
    told = letter(record(b"x" * 1_000_000), FailureKind.OUTPUT_TOO_LARGE)

    assert SHORT_LETTER_BYTES - 1000 < size(told) <= SHORT_LETTER_BYTES + 100


def test_a_long_reason_is_cut():
    told = dead_letter(record(), LANE, FailureKind.INTERNAL, "x" * 5000, has_result=False)

    assert len(dict(told.headers)[headers.DLQ_MESSAGE]) == 1000
