"""The search line and the form beside it say the same."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.index.query import QueryError, parse
from console.pages.searching import FIELDS, joined, split


def test_the_form_shows_what_the_line_says_and_leaves_the_rest_alone():
    rest, fields = split('tenant=acme min=2s cost>=$0.01 gen_ai.request.model=x since=1h "two words" abc')

    assert rest == 'gen_ai.request.model=x "two words" abc'
    assert fields == {"tenant": "acme", "min": "2s", "cost_from": "$0.01", "since": "1h"}


def test_an_emptied_field_takes_its_word_out_of_the_line():
    rest, fields = split("tenant=acme status=failed abc")

    assert joined(rest, {**fields, "status": ""}) == "tenant=acme abc"


@pytest.mark.parametrize(
    "value", ["a b", 'say "hi"', "back\\slash", "a=b", "<script>", "=1+1", "ідентифікатор", "\u202eabc"]
)
def test_whatever_a_field_holds_reaches_the_query_as_it_is(value):
    assert parse(joined("", {"tenant": value})).tenant == value


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text(max_size=20)))
def test_no_line_and_no_field_does_more_than_be_refused(line, fields):
    rest, shown = split(line)

    assert set(shown) <= set(FIELDS)
    with suppress(QueryError):
        parse(joined(rest, fields))


@given(st.dictionaries(st.sampled_from(["tenant", "model", "provider"]), st.text(min_size=1, max_size=20)))
def test_what_the_form_said_it_shows_again(fields):
    kept = {name: value.strip() for name, value in fields.items() if value.strip()}

    assert split(joined("", fields)) == ("", kept)
