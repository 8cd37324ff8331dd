"""JSON in and out: what is read, what is refused, and that a refusal tells nothing of the content."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner)
    ),
    max_leaves=20,
)


def nested(levels: int, leaf: Any = 0) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@settings(deadline=None)
@given(JSON)
def test_what_is_written_is_read_again(value: Any):
    assert codec.decode(codec.encode(value)) == value
    assert codec.decode(codec.canonical(value)) == value


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.integers(0, 9), max_size=6), st.randoms())
def test_equal_values_have_equal_canonical_bytes_whatever_the_order_of_their_keys(value: dict[str, int], random: Any):
    shuffled = list(value.items())
    random.shuffle(shuffled)

    assert codec.canonical(dict(shuffled)) == codec.canonical(value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_undecodable_and_nothing_else(data: bytes):
    with suppress(codec.Undecodable):
        codec.decode(data)


@pytest.mark.parametrize("levels", [1, 2, codec.MAX_DEPTH])
def test_nesting_up_to_the_limit_is_read(levels: int):
    assert codec.depth_of(codec.decode(b"[" * levels + b"]" * levels)) == levels


@pytest.mark.parametrize("levels", [codec.MAX_DEPTH + 1, 200, 1000])
def test_deeper_nesting_is_refused_with_the_depth_and_the_limit(levels: int):
    with pytest.raises(codec.Undecodable, match=f"nested {levels} levels deep; {codec.MAX_DEPTH} are allowed"):
        codec.decode(b"[" * levels + b"]" * levels)


def test_nesting_beyond_the_parser_is_undecodable_and_costs_no_stack():
    with pytest.raises(codec.Undecodable, match="not JSON"):
        codec.decode(b"[" * 50_000 + b"]" * 50_000)


@pytest.mark.parametrize("flood", [b"[],", b"{},", b'{"a":[]},', b'"x",[],'])
def test_more_lists_and_objects_than_allowed_are_refused_with_their_number_before_they_are_made(flood: bytes):
    count = codec.MAX_CONTAINERS // (flood.count(b"[") + flood.count(b"{"))
    codec.parse(b"[" + flood * (count - 1) + b"0]")
    with pytest.raises(
        codec.Undecodable, match=rf"up to 1000\d\d lists and objects; {codec.MAX_CONTAINERS} are allowed"
    ):
        codec.parse(b"[" + flood * (count + 5) + b"0]")


def test_brackets_of_a_job_within_its_limit_are_not_counted():
    text = "[{" * 120_000
    assert codec.parse(codec.encode(text)) == text


def test_brackets_within_texts_count_for_nothing():
    assert codec.decode(b'"' + b"[{" * 1000 + b'"') == "[{" * 1000


def test_many_flat_lists_are_not_deep():
    assert len(codec.decode(codec.encode([[]] * 500))) == 500


@settings(deadline=None)
@given(JSON, st.integers(0, 5))
def test_each_list_around_a_value_is_one_level(value: Any, levels: int):
    assert codec.depth_of(nested(levels, value)) == codec.depth_of(value) + levels


@pytest.mark.parametrize(
    "data",
    [b"NaN", b"Infinity", b'"\\ud800"', b"\xff", b"", b"{]", b'{"CANARY": CANARY}', b'"CANARY', b'["CANARY"] CANARY'],
)
def test_what_is_no_json_is_undecodable_and_the_message_shows_none_of_it(data: bytes):
    with pytest.raises(codec.Undecodable, match="not JSON at byte") as refused:
        codec.decode(data)

    assert "CANARY" not in str(refused.value)


def test_an_instant_in_utc_is_written_with_z():
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert codec.encode([noon]) == b'["2026-11-22T12:00:00Z"]' == codec.canonical([noon])


def test_json_for_which_there_is_no_memory_is_not_called_undecodable():
    """The parser says so with the error that it has for bytes that are no JSON."""
    program = """
import resource
from schemas import codec
data = b'{"a":"' + b"x" * 190_000 + b'"}'
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 1_000_000, resource.RLIM_INFINITY))
try:
    codec.decode(data)
except MemoryError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "no room to read 190008 bytes of JSON\n"
