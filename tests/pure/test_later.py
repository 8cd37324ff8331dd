"""Waits that pass in a retry topic: which topic, and what the record says there."""

from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from runtime.later import EPOCH, LATEST, OURS, instant_of, milliseconds, postponed, returned, tier_for
from runtime.ports import Outgoing, Record
from schemas import headers
from schemas.headers import Headers
from schemas.topics import RETRY_TIERS, TEXT

NOW = EPOCH + timedelta(days=20_000)
WAITS = st.timedeltas(timedelta(seconds=-5), timedelta(days=8))
NAMES = st.sampled_from([*OURS, headers.IDENTITY, headers.TRACEPARENT, headers.ORDERED, "other", "x-mine"])
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=100).map(tuple)


def record(given_headers: Headers = (), key: bytes | None = b"acme/a1", value: bytes | None = b"{}") -> Record:
    return Record(TEXT.name, 3, 812, key, value, given_headers, 1_700_000_000_000)


def put_off(original: Record, wait: timedelta = timedelta(seconds=20), attempt: int = 2) -> Outgoing:
    return postponed(
        original, b'{"carried": 1}', not_before=NOW + wait, now=NOW, attempt=attempt, cause="rate_limited",
        back_to=TEXT.name,
    )  # fmt: skip


@given(WAITS)
def test_the_tier_is_the_smallest_that_is_not_shorter_and_the_longest_for_longer_waits(wait: timedelta):
    lengths = {topic: timedelta(milliseconds=longest_ms) for longest_ms, topic in RETRY_TIERS}
    chosen = tier_for(wait)

    enough = [topic for topic, length in lengths.items() if length >= wait]
    assert chosen == (min(enough, key=lengths.__getitem__) if enough else max(lengths, key=lengths.__getitem__))


def test_a_wait_of_exactly_a_tiers_length_fits_it():
    assert [tier_for(timedelta(milliseconds=longest_ms)) for longest_ms, _ in RETRY_TIERS] == [
        topic for _, topic in RETRY_TIERS
    ]


@given(WAITS, st.none() | st.binary(max_size=9), st.integers(0, 99))
def test_the_record_says_when_where_to_how_often_and_why_and_keeps_its_key(
    wait: timedelta, key: bytes | None, attempt: int
):
    told = put_off(record(key=key), wait, attempt)

    assert (told.topic, told.key, told.value) == (tier_for(wait).name, key, b'{"carried": 1}')
    assert told.partition is None
    due = instant_of(headers.first(told.headers, headers.NOT_BEFORE))
    assert due is not None
    assert timedelta(0) <= due - (NOW + wait) < timedelta(milliseconds=1)
    assert headers.first(told.headers, headers.RETURN_TO) == TEXT.name
    assert headers.first(told.headers, headers.ATTEMPT) == str(attempt)
    assert headers.first(told.headers, headers.CAUSE) == "rate_limited"
    assert headers.first(told.headers, headers.WAITS_SINCE) == str(milliseconds(NOW))


@given(HEADERS)
def test_headers_of_ours_are_replaced_and_never_doubled_whatever_the_record_brought(original: Headers):
    told = put_off(record(original))

    names = [name for name, _ in told.headers]
    assert all(names.count(name) == 1 for name in OURS)
    assert headers.first(told.headers, headers.ATTEMPT) == "2"
    for name in (headers.IDENTITY, headers.TRACEPARENT, headers.ORDERED):
        firsts = [value for key, value in original if key == name][:1]
        assert [value for key, value in told.headers if key == name] == firsts


@example((("a", b"short"),) * 70)
@example((("b", bytes(2_000)),) * 12)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=2_000)), max_size=120).map(tuple))
def test_a_producers_headers_stay_in_their_order_as_far_as_the_limits_allow(original: Headers):
    told = put_off(record(((headers.IDENTITY, b"acme/a1/1"), *original)))

    kept = [header for header in told.headers if header[0] in ("a", "b")]
    assert kept == list(original[: len(kept)])
    assert len(told.headers) <= headers.MAX_HEADERS
    assert headers.size_of(told.headers) <= headers.MAX_HEADERS_BYTES
    if len(kept) < len(original):
        following = (*told.headers, original[len(kept)])
        assert len(following) > headers.MAX_HEADERS or headers.size_of(following) > headers.MAX_HEADERS_BYTES


@given(HEADERS)
def test_a_record_that_waited_twice_goes_back_as_one_that_waited_once(original: Headers):
    once = put_off(record(original))
    twice = put_off(Record(once.topic, 0, 5, once.key, once.value, once.headers, 0), timedelta(seconds=3), 4)
    back = [returned(Record(one.topic, 0, 5, one.key, one.value, one.headers, 0), TEXT.name) for one in (once, twice)]

    assert back[0] == back[1]
    assert (back[0].topic, back[0].key, back[0].value) == (TEXT.name, once.key, once.value)
    assert not {name for name, _ in back[0].headers} & set(OURS)


@given(
    st.datetimes(EPOCH.replace(tzinfo=None), LATEST.replace(tzinfo=None)).map(
        lambda naive: naive.replace(tzinfo=EPOCH.tzinfo)
    )
)
def test_an_instant_survives_its_header_and_is_never_early(instant):
    again = instant_of(str(milliseconds(instant)))

    assert again is not None
    assert timedelta(0) <= again - instant < timedelta(milliseconds=1)


@given(st.none() | st.text(max_size=30) | st.integers().map(str))
def test_any_text_is_an_instant_of_our_era_or_none(text: str | None):
    found = instant_of(text)

    assert found is None or EPOCH <= found <= LATEST
    assert (found is None) == (text is None or not (text.isascii() and text.isdigit() and len(text) <= 20))
