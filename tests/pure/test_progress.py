"""The commit metadata: whatever is finished fits, comes back whole, and damage is never taken for progress."""

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import progress
from runtime.progress import (
    GENESIS,
    METADATA_LIMIT,
    MOST_JOURNALS,
    WINDOW,
    Progress,
    UnknownProgress,
    decode,
    encode,
    journals,
)

HEADS = st.text("0123456789abcdef", min_size=64, max_size=64)
SEQUENCES = st.integers(0, 2**63 - 1)
NAMED = "+".join(letter * 12 for letter in "abcdef"[:MOST_JOURNALS])
LONGEST_POLL = 10_000
"""The largest `NOVIX_MAX_IN_FLIGHT`: one poll may bring as many records beyond the window."""


@settings(deadline=None)
@given(st.integers(0, 2**62), st.sets(st.integers(0, WINDOW - 1), max_size=300), SEQUENCES, HEADS)
def test_any_finished_offsets_within_the_window_come_back(base: int, ahead: set[int], sequence: int, head: str):
    told = Progress(sequence, head, frozenset(base + offset for offset in ahead))

    assert decode(base, encode(base, told)) == told


@settings(deadline=None)
@given(st.integers(0, 2**40), st.sets(st.integers(0, 2**40), min_size=1, max_size=20))
def test_gaps_of_any_size_in_the_log_come_back_as_well(base: int, ahead: set[int]):
    told = Progress(finished=frozenset(base + offset for offset in ahead))

    assert decode(base, encode(base, told)) == told


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.floats(0, 1), st.integers(1, WINDOW + LONGEST_POLL))
def test_the_metadata_fits_whatever_is_finished_in_a_window_and_one_poll_more(
    chance: random.Random, share: float, reach: int
):
    finished = frozenset(offset for offset in range(reach) if chance.random() < share)

    text = encode(0, Progress(10**18, "f" * 64, finished, NAMED))

    assert len(text) <= METADATA_LIMIT
    assert text.isascii()
    assert decode(0, text).finished == finished


def test_the_worst_case_fits():
    chance = random.Random(7)
    finished = frozenset(offset for offset in range(WINDOW + LONGEST_POLL) if chance.random() < 0.5)

    assert METADATA_LIMIT - 200 < len(encode(0, Progress(10**18, "f" * 64, finished, NAMED))) <= METADATA_LIMIT


def test_a_long_finished_run_costs_little():
    assert len(progress.encode_finished(5, range(6, WINDOW))) < 40


def test_no_metadata_is_a_fresh_start():
    assert decode(7, "") == Progress(0, GENESIS, frozenset())


def test_nothing_finished_needs_no_bitmap():
    assert encode(7, Progress(3, "a" * 64)) == f"n2,3,{'a' * 64},,"


def test_who_keeps_the_journal_of_the_calls_travels_along():
    told = Progress(3, "a" * 64, frozenset({9}), "0123456789ab")

    assert encode(7, told).startswith(f"n2,3,{'a' * 64},0123456789ab,")
    assert decode(7, encode(7, told)) == told


def test_what_the_version_before_wrote_is_read_on():
    """Metadata of the form `n1`, as it stands in the group's offsets when a process is brought up to date."""
    bitmap = progress.encode_finished(7, {9, 10})

    assert decode(7, f"n1,3,{'a' * 64},{bitmap}") == Progress(3, "a" * 64, frozenset({9, 10}))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "n3,1," + GENESIS + ",,",
        "n1,1," + GENESIS,
        "n1,1," + GENESIS + ",0123456789ab,",
        "n2,1," + GENESIS + ",",
        "n2,1," + GENESIS + ",0123456789a,",
        "n2,1," + GENESIS + ",0123456789aB,",
        "n2,1,abc,,",
        "n2,1," + GENESIS + ",,x00",
        "n1,-1," + GENESIS + ",",
        "n1,1,abc,",
        "n1,1," + "g" * 64 + ",",
        "n1,²," + GENESIS + ",",
        "n1,1," + GENESIS + ",b",
        "n1,1," + GENESIS + ",r",
        "n1,1," + GENESIS + ",x00",
        "n1,1," + GENESIS + ",bäöü",
        "n1," + "9" * 5000 + "," + GENESIS + ",",
    ],
)
def test_what_this_version_did_not_write_stops_the_lane(text: str):
    with pytest.raises(UnknownProgress) as stopped:
        decode(0, text)

    assert GENESIS not in str(stopped.value)


@settings(deadline=None)
@given(st.sets(st.integers(1, 2000), min_size=1), st.data())
def test_a_bitmap_that_was_cut_or_changed_is_unknown_and_never_another_set(ahead: set[int], data: st.DataObject):
    text = encode(0, Progress(1, GENESIS, frozenset(ahead)))
    start = len(f"n2,1,{GENESIS},,") + 1
    at = data.draw(st.integers(start, len(text) - 1))
    other = data.draw(st.sampled_from("0aZ~,").filter(lambda char: char != text[at]))

    for damaged in (text[:at], text + "00000"):
        with pytest.raises(UnknownProgress):
            decode(0, damaged)
    with suppress(UnknownProgress):  # some bits say nothing: deflate's level, its padding
        assert decode(0, text[:at] + other + text[at + 1 :]).finished == ahead


def test_a_bitmap_that_would_fill_the_memory_is_refused():
    packed = progress._pack("r", b"\x00" + progress._leb128(2**40))
    bomb = progress._pack("b", b"\xff" * 10_000_000)

    for text in (packed, bomb, progress._pack("r", b"\x80" * 100_000)):
        with pytest.raises(UnknownProgress):
            decode(0, f"n1,1,{GENESIS},{text}")


def test_an_offset_below_the_committed_one_is_a_fault_of_ours():
    with pytest.raises(ValueError, match="offset 4 is below the committed offset 5"):
        encode(5, Progress(finished=frozenset({4})))


JOURNALS = st.lists(st.text("0123456789abcdef", min_size=12, max_size=12), max_size=5)


@given(JOURNALS, JOURNALS)
def test_journals_are_named_once_each_the_newest_first_and_come_back(newer: list[str], older: list[str]):
    named = journals("+".join(newer), "", "+".join(older))

    first = list(dict.fromkeys([*newer, *older]))[:MOST_JOURNALS]
    assert named.split("+") == (first or [""])
    assert journals(named, named) == named
    assert decode(7, encode(7, Progress(custody=named))).custody == named


def test_a_field_of_more_journals_than_are_ever_written_is_damage():
    with pytest.raises(UnknownProgress):
        decode(0, encode(0, Progress(custody="+".join(["0123456789ab"] * (MOST_JOURNALS + 1)))))
