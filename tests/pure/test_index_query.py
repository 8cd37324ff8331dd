"""The search line: what it means, and that it can be written back."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from console.index.query import INT64, STATUSES, Query, QueryError, parse

NOW_MS = 1_795_348_800_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_in_logfmt_is_one_query():
    line = (
        "tenant=acme status=failed min=2s max=1m cost>=$0.01 since=1h gen_ai.request.model=x error=true "
        f"inference.text.v1/2/1042 {TRACE.upper()} free words"
    )

    assert parse(line, NOW_MS) == Query(
        text="free words",
        trace_id=TRACE,
        record=("inference.text.v1", 2, 1042),
        tenant="acme",
        status="failed",
        min_ms=2_000,
        max_ms=60_000,
        min_nanousd=10_000_000,
        since_ms=NOW_MS - 3_600_000,
        attributes=(("gen_ai.request.model", "x"), ("error", "true")),
    )


def test_quotes_keep_a_value_with_spaces_together_and_make_a_word_of_what_looks_like_an_id():
    assert parse('tag.project="a b=\\"c\\"" tenant="x y"') == Query(
        tenant="x y", attributes=(("tag.project", 'a b="c"'),)
    )
    assert parse(f'"{TRACE}" "a=b"') == Query(text=f"{TRACE} a=b")


def test_costs_are_compared_to_the_nano_dollar():
    assert parse("cost>0.000000001 cost<$1") == Query(min_nanousd=2, max_nanousd=999_999_999)
    assert parse("cost=$0.5") == Query(min_nanousd=500_000_000, max_nanousd=500_000_000)


def test_a_bound_between_two_whole_units_lets_through_what_lies_on_its_side():
    assert parse("duration>2s duration<2100ms") == Query(min_ms=2_001, max_ms=2_099)
    assert parse("min=0.5ms max=1.5ms") == parse("duration>0.5ms duration<1.5ms") == Query(min_ms=1, max_ms=1)
    assert parse("cost>=0.0000000015 cost<0.0000000025") == Query(min_nanousd=2, max_nanousd=2)
    assert parse("cost=0.0000000015") == Query(min_nanousd=2, max_nanousd=1)  # no cost is


def test_an_instant_may_be_absolute_or_an_age():
    assert parse("since=2026-11-22T12:00:00+00:00 until=2026-11-23", 0) == Query(
        since_ms=1_795_348_800_000, until_ms=1_795_392_000_000
    )
    assert parse("until=90m", NOW_MS).until_ms == NOW_MS - 5_400_000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("min=fast", "min=fast"),
        ("min>2s", "write min=2s"),
        ("cost>=much", "cost>=much"),
        ("cost>=NaN", "cost>=NaN"),
        ("cost>=1e999999", "cost>=1e999999"),
        ("cost>=-1", "cost>=-1"),
        ("since=yesterday", "since=yesterday"),
        ("status=done", "succeeded"),
        ("trace=123", "32 hex digits"),
        ("record=a", "TOPIC/PARTITION/OFFSET"),
        (f"t/1/{INT64 + 1}", str(INT64)),
        ("tenant>a", "tenant=a"),
        ('tenant="a', "not closed"),
        ("x" * 513, "512"),
        ("x " * 33, "32"),
        ("x" * 2_049, "2048"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_word_and_limit(line, told):
    with pytest.raises(QueryError) as error:
        parse(line, NOW_MS)

    assert told in str(error.value)
    assert len(str(error.value)) < 700


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
plain = st.builds(lambda parts: " ".join(" ".join(parts).split()), st.lists(words, max_size=4))
none_to_int64 = st.none() | st.integers(0, INT64)
queries = st.builds(
    Query,
    text=plain,
    job_id=st.just("") | words,
    trace_id=st.just("") | st.just(TRACE),
    record=st.none() | st.just(("inference.text.v1", 2, 7)),
    tenant=st.just("") | words,
    model=st.just("") | words,
    status=st.sampled_from(["", *STATUSES]),
    min_ms=none_to_int64,
    max_nanousd=none_to_int64,
    since_ms=st.none() | st.integers(0, 4 * 10**12),
    attributes=st.lists(st.tuples(words.map(lambda one: f"x.{one}"), words), max_size=3).map(tuple),
)


@pytest.mark.parametrize("line", ["min=999999999999d", "duration>999999999999.9d", "cost>$9999999999", "cost<=$1"])
def test_a_limit_beyond_all_measure_is_cut_to_one_that_can_be_read_back(line):
    query = parse(line, NOW_MS)

    assert parse(query.line(), NOW_MS) == query
    assert max(query.min_ms or 0, query.min_nanousd or 0, query.max_nanousd or 0) in (INT64, 10**9)


@given(queries)
@example(Query(min_ms=10**12, max_nanousd=10**18))
def test_a_query_is_read_back_from_its_line(query):
    assert parse(query.line()) == query


@given(st.text(max_size=200))
def test_any_line_is_a_query_or_an_error_that_can_be_shown(line):
    with contextlib.suppress(QueryError):
        parse(line, NOW_MS).line().encode()
