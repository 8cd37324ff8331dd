"""One call as an HTTP request: whole or in pieces, with its credential, patient where it asks its server to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.http import MAX_BYTES
from workers.exchange import Call
from workers.sending import (
    PIECE_BYTES,
    SCALE_UP,
    WHOLE_BYTES,
    Bounds,
    Pieces,
    is_in_events,
    request_of,
    same_origin,
    silence_s,
)

BOUNDS = Bounds(3.05, 30.0, 600.0, 1_000)
URL = "https://router.test/v1/x"


def call(body: bytes | tuple[bytes, ...] = b"", *headers: tuple[str, str]) -> Call:
    return Call("POST", URL, headers, body)


async def sent(*pieces: bytes) -> list[bytes]:
    return [piece async for piece in Pieces(pieces)]


def drained(*pieces: bytes) -> list[bytes]:
    """What an asynchronous stream gives that never waits."""
    running = sent(*pieces)
    try:
        running.send(None)
    except StopIteration as end:
        found: list[bytes] = end.value
        return found
    raise AssertionError("the body waits for something")


@given(st.lists(st.binary(max_size=200_000), max_size=5))
def test_a_body_in_pieces_is_sent_whole_and_no_piece_is_large(pieces: list[bytes]) -> None:
    found = drained(*pieces)

    assert b"".join(found) == b"".join(pieces)
    assert all(len(piece) <= PIECE_BYTES for piece in found)


def test_a_large_body_names_its_length_and_a_small_one_leaves_it_to_the_transport() -> None:
    large = request_of(call((b"x" * WHOLE_BYTES, b"y")), None, BOUNDS)
    small = request_of(call((b"x", b"y")), None, BOUNDS)

    assert isinstance(large.stream, Pieces)
    assert large.headers["content-length"] == str(WHOLE_BYTES + 1)
    assert small.read() == b"xy"
    assert "content-length" not in small.headers


def test_the_credential_is_there_if_it_was_given_and_in_the_form_in_which_it_was() -> None:
    assert request_of(call(), "Key abc", BOUNDS).headers["authorization"] == "Key abc"
    assert "authorization" not in request_of(call(), None, BOUNDS).headers
    assert request_of(call(), None, BOUNDS).extensions[MAX_BYTES] == 1_000


@pytest.mark.parametrize(
    ("value", "seconds"), [("wait", 65.0), ("wait=10", 15.0), ("return=minimal, wait=5", 10.0), ("respond-async", 0.0)]
)
def test_a_server_that_is_asked_to_wait_may_be_silent_for_that_long(value: str, seconds: float) -> None:
    asked = call(b"", ("prefer", value))

    assert silence_s(asked) == seconds
    assert request_of(asked, None, BOUNDS).extensions["timeout"]["read"] == max(30.0, seconds)


@pytest.mark.parametrize(
    ("total_s", "read_s", "held", "silence"),
    [(3_600.0, 30.0, "600", 630.0), (120.0, 30.0, "90", 120.0), (20.0, 30.0, "10", 20.0), (1.5, 30.0, None, 1.5)],
)
def test_an_endpoint_that_sleeps_is_given_the_time_to_wake_and_to_answer(
    total_s: float, read_s: float, held: str | None, silence: float
) -> None:
    """Its proxy gives up before we do: a 503 costs nothing, and of a silence nobody knows what it costs."""
    made = request_of(call(b"", (SCALE_UP, "600")), None, Bounds(3.05, read_s, total_s, 1_000))

    assert made.headers.get(SCALE_UP) == held
    assert made.extensions["timeout"]["read"] == silence


def test_no_silence_is_longer_than_the_time_that_is_left() -> None:
    late = Bounds(3.05, 2.0, 2.0, 1_000)
    assert request_of(call(b"", ("prefer", "wait")), None, late).extensions["timeout"]["read"] == 2.0


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://router.test/other?x=1", True),
        ("https://router.test:443/", True),
        ("https://ROUTER.test/", True),
        ("http://router.test/v1/x", False),
        ("https://router.test:8443/v1/x", False),
        ("https://evil.router.test/v1/x", False),
        ("https://router.test.evil/v1/x", False),
        ("https://router.test@evil.test/", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(other: str, same: bool) -> None:
    assert same_origin(URL, other) is same


def test_a_stream_is_known_by_its_type_or_by_having_been_asked_for() -> None:
    assert is_in_events({"content-type": "text/event-stream; charset=utf-8"}, stream=False)
    assert is_in_events({}, stream=True)
    assert not is_in_events({"content-type": "application/json"}, stream=True)
    assert not is_in_events({"content-type": "text/plain"}, stream=False)
