"""The reader of server-sent events: every dialect that providers speak, cut wherever the network likes."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.sse import SseEvent, SseLimitError, SseParser


def events(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.end()


def data(*chunks: bytes) -> list[bytes]:
    return [event.data for event in events(*chunks)]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_space_after_the_colon_and_the_kind_of_line_end_make_no_difference(newline: bytes, space: bytes):
    body = b'data:@{"a":1}##data:@[DONE]##'.replace(b"@", space).replace(b"#", newline)

    assert data(body) == [b'{"a":1}', b"[DONE]"]


def test_comments_and_unknown_fields_are_passed_over():
    assert data(b": OPENROUTER PROCESSING\n\nretry: 10\nfoo: bar\ndata: x\n:\n\n") == [b"x"]


def test_an_event_line_names_the_type_of_its_own_event_only():
    body = b"event: error\ndata: a\n\ndata: b\n\n"

    assert events(body) == [SseEvent(b"a", "error"), SseEvent(b"b", "message")]


def test_several_data_lines_are_one_event():
    assert data(b"data: one\ndata:\ndata:  three\n\n") == [b"one\n\n three"]


def test_an_event_without_data_is_none():
    assert events(b"event: ping\nid: 7\n\ndata: x\n\n") == [SseEvent(b"x", "message", "7")]


def test_the_last_event_counts_even_if_nothing_closes_it():
    assert data(b"data: a\n\ndata: b") == [b"a", b"b"]
    assert data(b"data: a\n\ndata: b\n") == [b"a", b"b"]


def test_a_byte_order_mark_is_no_part_of_the_first_field():
    assert data(b"\xef\xbb", b"\xbfdata: a\n\n") == [b"a"]


def test_a_line_end_of_two_bytes_that_is_cut_in_two_ends_one_line():
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [b"a\nb"]


def test_an_event_is_given_as_soon_as_its_empty_line_is_there():
    assert SseParser().feed(b"data: a\r\n\r") == [SseEvent(b"a")]


NEWLINES = [b"\n", b"\r", b"\r\n", b"\n\n"]
FIELDS = [b"data:", b"data: ", b"data", b"event: e", b"id: 1", b": c", b":", b"[DONE]", b"{}", b" "]
OTHER_BYTES = ["é".encode(), b"\xff", b"\x00", b"\x0b\x0c\x1c\x85"]
pieces = st.lists(st.sampled_from(NEWLINES + FIELDS + OTHER_BYTES), max_size=40).map(b"".join)


@given(body=pieces, cuts=st.lists(st.integers(0, 200), max_size=12))
@example(body=b"data: a\r\n\r\ndata: b\r\r", cuts=list(range(22)))
def test_any_cut_of_the_bytes_gives_the_same_events(body: bytes, cuts: list[int]):
    at = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    chunks = [body[a:b] for a, b in pairwise(at)]

    assert events(*chunks) == events(body)


@given(payloads=st.lists(st.binary(min_size=1).filter(lambda b: not set(b) & set(b"\r\n")), max_size=8))
def test_what_a_server_sends_is_what_is_read(payloads: list[bytes]):
    assert data(b"".join(b"data: " + one + b"\n\n" for one in payloads)) == payloads


@pytest.mark.parametrize("chunk", [b"x" * 11, b"data: 0123\nxxxxxxxxxxx", b"data: 67890\n"])
def test_a_line_over_the_limit_is_refused_with_its_size_and_the_limit(chunk: bytes):
    with pytest.raises(SseLimitError, match="11 bytes or more; it may have 10"):
        SseParser(max_line_bytes=10).feed(chunk)


def test_a_line_over_the_limit_is_refused_when_it_comes_in_small_parts_too():
    parser = SseParser(max_line_bytes=10)
    for _ in range(10):
        assert parser.feed(b"x") == []

    with pytest.raises(SseLimitError):
        parser.feed(b"x")


def test_an_event_of_endless_lines_is_refused():
    parser = SseParser(max_event_bytes=100)

    with pytest.raises(SseLimitError, match="an event"):
        parser.feed(b"data: x\n" * 60)
