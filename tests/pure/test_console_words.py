"""Numbers as people read them, and lines out of chunks."""

import json
import unicodedata
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from console.answers import line, text_of
from console.lines import LINE_LIMIT_BYTES, Lines, outgoing_of
from console.words import count, instant, moment_ms, money, shown, shown_json, span


def test_money_is_exact_to_the_last_nano_dollar():
    assert [money(n) for n in (0, 1, 1_234, 10_000_000, 1_500_000_000, -5)] == [
        "$0.00", "$0.000000001", "$0.000001234", "$0.01", "$1.50", "-$0.000000005",
    ]  # fmt: skip


@given(st.integers(-(10**18), 10**18))
def test_money_can_be_read_back(amount):
    sign, _, text = money(amount).partition("$")
    whole, _, part = text.partition(".")

    assert int(whole) * 10**9 + int(part.ljust(9, "0")) == abs(amount)
    assert (sign == "-") == (amount < 0)


def test_spans_instants_and_counts_are_in_the_unit_that_suits_them():
    assert [span(n) for n in (None, 0, 840, 2_350, 200_000)] == ["-", "0 ms", "840 ms", "2.35 s", "3 min 20 s"]
    assert [span(n * 60_000) for n in (119, 310, 11_940)] == ["119 min 0 s", "5 h 10 min", "8 days 7 h"]
    assert instant(0) == "1970-01-01 00:00:00.000 UTC"
    assert [count(1, "job"), count(1_200, "job"), count(2, "entry", "entries")] == ["1 job", "1,200 jobs", "2 entries"]


def test_an_instant_is_written_with_a_zone_without_one_or_as_so_long_ago():
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert moment_ms("2026-11-22T13:00:00+01:00", now) == moment_ms("2026-11-22T12:00:00", now) == 1_795_348_800_000
    assert [1_795_348_800_000 - (moment_ms(text, now) or 0) for text in ("90s", "15m", "2h", "7d")] == [
        90_000, 900_000, 7_200_000, 604_800_000,
    ]  # fmt: skip
    assert [moment_ms(text, now) for text in ("yesterday", "", "2h ago", "-1h", "1w")] == [None] * 5


@given(st.text())
def test_any_text_is_an_instant_or_none(text):
    found = moment_ms(text, datetime(2026, 11, 22, 12, tzinfo=UTC))

    assert found is None or isinstance(found, int)


@given(st.text())
def test_what_is_shown_has_no_control_character_but_newline_and_tab(text):
    kinds = {unicodedata.category(char) for char in shown(text) if char not in "\n\t"}
    assert not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_spaces_of_all_widths_stay():
    assert shown("全角\u3000空白 10\u202f000\xa0€") == "全角\u3000空白 10\u202f000\xa0€"


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_for_a_terminal_is_the_same_document_and_a_terminal_obeys_none_of_it(document):
    told = shown_json(json.dumps(document, ensure_ascii=False, indent=1))

    assert json.loads(told) == document
    assert not {char for char in told if char not in "\n\t"} & {
        *map(chr, range(32)),
        *map(chr, range(127, 160)),
        *"\u202e\u2066",
    }


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(1, 9))
def test_lines_are_the_same_however_the_bytes_are_cut(lines, size):
    data = b"\n".join(lines)
    splitter = Lines()

    found = [pair for start in range(0, len(data), size) for pair in splitter.feed(data[start : start + size])]
    found += splitter.feed(b"")

    assert found == [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    assert splitter.ended


def test_a_line_without_end_holds_no_more_than_the_limit_and_is_refused():
    splitter = Lines()
    for _ in range(100):
        splitter.feed(b"x" * 262_144)
        assert len(splitter._partial) <= LINE_LIMIT_BYTES + 1

    [(number, line_)] = splitter.feed(b"\n")

    assert number == 1
    assert "limit" in outgoing_of(line_)


def test_a_line_becomes_a_record_with_its_own_bytes_keyed_by_tenant():
    value = b'{"id":"a1",  "tenant":"search"}'

    outgoing = outgoing_of(value)

    assert (outgoing.key, outgoing.value, outgoing.headers) == (b"search", value, ())
    assert outgoing_of(b'{"id": "a1", "tenant": 7}').key == b"default"  # the router says what is wrong with it


@given(st.binary(max_size=100))
def test_any_line_is_a_record_or_a_reason(value):
    outgoing = outgoing_of(value)

    assert isinstance(outgoing, str) or outgoing.value == value


def test_an_answer_is_the_text_where_there_is_one_and_json_elsewhere():
    assert text_of({"output": {"choices": [{"message": {"content": "Hi"}}]}}) == "Hi"
    assert text_of({"output": [{"generated_text": "once"}]}) == "once"
    assert text_of({"output": [[0.5, 1.0]]}) == "[[0.5,1.0]]"
    assert text_of({"output": {"choices": [{"message": {"content": "a\x1b[2Jb"}}]}}) == "a\N{REPLACEMENT CHARACTER}[2Jb"


def test_a_result_of_any_shape_fits_into_one_line():
    for result in ({}, {"undecodable": "3 bytes"}, {"status": "failed", "error": {"kind": "x", "message": "a\nb"}}):
        assert "\n" not in line(result)
