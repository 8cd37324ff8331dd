"""What others wrote becomes visible, bounded text; numbers say their unit."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.pages.render import ago, instant, iso, told, visible
from console.pages.sheets import cell, csv_lines


def test_control_characters_and_marks_that_turn_text_around_are_made_visible():
    assert visible("\x1b[31mred\x07\x7f\x00") == "␛[31mred␇␡␀"
    assert visible("\u202egpj.exe\u2066") == "[U+202E]gpj.exe[U+2066]"
    assert visible("\ud800") == "[U+D800]"
    assert visible("two\nlines\tand a tab") == "two\nlines\tand a tab"


def test_words_of_any_language_stay_as_they_are():
    for text in ("日本語", "שלום עולם", "a\u00a0b", "\U0001f469\u200d\U0001f680", "наїв"):
        assert visible(text) == text


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(min_value=1, max_value=50))
def test_any_text_is_shown_within_its_bound_and_can_be_sent(text, most):
    shown = visible(text, most)

    assert len(shown) <= most * len("[U+10FFFF]")
    assert not any(char in "\x1b\x00\x07\r\u202e\u2066" for char in shown)
    shown.encode()


def test_a_megabyte_is_cut_before_it_is_looked_at():
    assert len(visible("\x1b" * 1_000_000, 40)) == 40
    assert len(told("<" * 1_000_000)) < 10_000


def test_told_text_is_isolated_and_escaped():
    assert told("<b>") == "<bdi>&lt;b&gt;</bdi>"
    assert (
        told('"' * 9, 4)
        == '<bdi title="&quot;&quot;&quot;&quot;&quot;&quot;&quot;&quot;&quot;">&quot;&quot;&quot;…</bdi>'
    )


def test_ages_have_one_unit_and_tell_what_is_to_come():
    ages = [ago(10**12 - back, 10**12) for back in (0, 59_999, 60_000, 7_200_000, 172_800_000)]

    assert ages == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert ago(10**12 + 90_000, 10**12) == "in 1 min"
    assert ago(None, 10**12) == "-"


def test_an_instant_that_no_calendar_has_is_a_number():
    assert (instant(2**62), iso(2**62)) == (f"{2**62} ms", "")
    assert instant(0) == "1970-01-01 00:00:00.000 UTC"


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_others_is_a_formula(start):
    assert cell(start).startswith("'")
    assert cell(-1) == "-1"


@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=20), "b": st.integers()}), max_size=20))
def test_what_is_written_as_csv_reads_back(rows):
    text = "".join(csv_lines(("a", "b"), iter(rows)))

    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["a", "b"], *([cell(row["a"]), str(row["b"])] for row in rows)]
    assert text.count("\r\n") >= len(rows) + 1
