"""New prices: which are believed, which wait, and which are worth writing at all."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_world import GROQ, MODEL, NOON, NOVITA, book_of, event, tokens, write

from router.prices.intake import absent, news, withdrawn
from router.prices.judge import MOST_MOVED_PPM, judge, largest_move
from router.prices.rule import ROUTER, same, units_of
from schemas.assignment import Price
from schemas.base import MAX_NANOUSD

HOUR = timedelta(hours=1)
FACTOR = 10.0
AMOUNTS = st.integers(1, 10**12)


def news_of(*told, book=None, live=True, rows=None):
    return news(book or book_of(), told, hold_factor=FACTOR, rows=rows or {}, is_live_source=live)


@given(AMOUNTS, AMOUNTS)
def test_a_price_is_held_exactly_if_it_moves_by_more_than_the_factor(old: int, new: int) -> None:
    verdict = judge(tokens(old, 7), tokens(new, 7), hold_factor=FACTOR)
    assert (verdict.state == "held") == (Fraction(max(old, new), min(old, new)) > 10)
    assert (verdict.reason == "") == (verdict.state == "accepted")
    assert verdict.moved_ppm == min(abs(new - old) * 10**6 // old, MOST_MOVED_PPM)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (tokens(5, 5), tokens(0, 0), "zero"),
        (None, tokens(0, 0), "zero"),
        (None, tokens(5, 0), "output_nanousd_per_million_tokens is zero"),
        (tokens(0, 0, is_free=True), tokens(0, 5), "input_nanousd_per_million_tokens is zero"),
        (None, tokens(0, 0, is_free=True), "free"),
        (tokens(5, 5), tokens(5_000, 5), "grew by more than 10 times"),
        (tokens(5_000, 5), tokens(5, 5), "fell by more than 10 times"),
        (tokens(5, 5), tokens(5, 0), "not charged any more"),
        (tokens(5, 5), tokens(5, 5, nanousd_per_call=1), "not charged before"),
        (tokens(1_000, 5), tokens(1_000, 5, cached_input_nanousd_per_million_tokens=99), "fell by more than"),
    ],
)
def test_what_looks_wrong_waits_for_approval_and_says_why(old: Price | None, new: Price, reason: str) -> None:
    verdict = judge(old, new, hold_factor=FACTOR)
    assert verdict.state == "held"
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, tokens(5, 5)),
        (tokens(5, 0), tokens(6, 0)),
        (None, Price(nanousd_per_image=5, source="test", as_of="")),
        (tokens(5, 5), tokens(50, 5)),
        (tokens(1_000, 5), tokens(1_000, 5, cached_input_nanousd_per_million_tokens=100)),
        (tokens(0, 0, is_free=True), tokens(0, 0)),
        (tokens(0, 0, is_free=True), tokens(5, 5)),
    ],
)
def test_what_may_well_be_is_believed(old: Price | None, new: Price) -> None:
    assert judge(old, new, hold_factor=FACTOR).state == "accepted"


@given(st.builds(tokens, st.integers(0, MAX_NANOUSD), st.integers(0, MAX_NANOUSD)) | st.none(), AMOUNTS, AMOUNTS)
def test_a_verdict_is_in_integers(old: Price | None, inp: int, out: int) -> None:
    moved = judge(old, tokens(inp, out), hold_factor=FACTOR).moved_ppm
    assert moved is None or (type(moved) is int and 0 <= moved <= MOST_MOVED_PPM)


def test_a_price_that_trebles_says_so_with_its_first_statement() -> None:
    """C4: at once. Whether that is a drift says the alert rule."""
    book = book_of(event(tokens(100, 100)))
    [trebled] = news_of(event(tokens(100, 300), NOON + HOUR), book=book)
    assert (trebled.moved_ppm, trebled.state) == (2_000_000, "accepted")


def test_of_several_units_that_move_the_one_that_moves_most_is_told_whichever_way_it_moves() -> None:
    assert largest_move(tokens(100, 100), tokens(110, 300)) == ("output_nanousd_per_million_tokens", 2_000_000)
    assert largest_move(tokens(100, 100), tokens(40, 110)) == ("input_nanousd_per_million_tokens", 600_000)
    assert largest_move(tokens(100, 100), tokens(300, 110)) == ("input_nanousd_per_million_tokens", 2_000_000)
    assert largest_move(tokens(7, 7), tokens(7, 7)) is None


def test_the_same_list_told_twice_is_news_once() -> None:
    book, told = book_of(), [event(tokens(1, 2)), event(tokens(3, 4), provider=GROQ)]
    write(book, *news_of(*told, book=book))
    assert book.version == "2"
    again = [one.model_copy(update={"seen_at": NOON + HOUR, "valid_from": NOON + HOUR}) for one in told]
    assert news_of(*again, book=book) == []


def test_latency_alone_is_no_news_and_going_dead_is() -> None:
    book = book_of(event(tokens(1, 2), first_token_ms=100))
    assert news_of(event(tokens(1, 2), NOON + HOUR, first_token_ms=900), book=book) == []
    [dead] = news_of(event(tokens(1, 2), NOON + HOUR, is_live=False), book=book)
    assert not dead.is_live


def test_a_source_that_never_named_a_price_says_nothing_by_naming_none() -> None:
    book = book_of(event(tokens(1, 2), source="genai-prices"))
    assert news_of(event(None, NOON + HOUR), book=book) == []
    write(book, event(tokens(3, 4), NOON + HOUR))
    [gone] = news_of(event(None, NOON + 2 * HOUR), book=book)
    assert (gone.price, gone.state) == (None, "accepted")


def test_what_is_held_is_told_once_and_what_comes_back_is_believed_again() -> None:
    book = book_of(event(tokens(5, 5)))
    write(book, *news_of(event(tokens(5_000, 5), NOON + HOUR), book=book))
    assert [one.state for one in book.history(NOVITA, MODEL)] == ["accepted", "held"]
    assert news_of(event(tokens(5_000, 5), NOON + 2 * HOUR), book=book) == []
    [back] = news_of(event(tokens(5, 5), NOON + 3 * HOUR), book=book)
    assert (back.state, back.moved_ppm) == ("accepted", 0)


def test_a_price_that_was_approved_is_not_held_again() -> None:
    book = book_of(event(tokens(5, 5)), event(tokens(0, 0), NOON + HOUR, state="held"))
    write(book, event(tokens(0, 0, is_free=True), NOON + 2 * HOUR, by="anna"))
    assert news_of(event(tokens(0, 0), NOON + 3 * HOUR), book=book) == []


def test_a_live_source_says_again_what_an_older_statement_of_another_source_hides_and_a_table_does_not() -> None:
    book = book_of(event(tokens(5, 5)), event(tokens(6, 6), NOON + HOUR, source="endpoints"))
    [again] = news_of(event(tokens(5, 5), NOON + 2 * HOUR), book=book)
    assert again.state == "accepted"
    assert news_of(event(tokens(5, 5), NOON + 2 * HOUR), book=book, live=False) == []


def test_nobody_talks_against_the_operator() -> None:
    book = book_of(event(tokens(5, 5)), event(tokens(6, 6), NOON + HOUR, source="operator"))
    assert news_of(event(tokens(5, 5), NOON + 2 * HOUR), book=book) == []
    [changed] = news_of(event(tokens(7, 7), NOON + 2 * HOUR), book=book)
    assert changed.moved_ppm == 400_000


def test_the_first_price_is_judged_against_the_catalogues_row() -> None:
    rows = {(NOVITA, MODEL, "standard"): tokens(5, 5)}
    [held] = news_of(event(tokens(5_000, 5)), rows=rows)
    assert held.state == "held"


def test_where_others_withdrew_their_price_the_first_one_is_judged_against_the_catalogues_row_too() -> None:
    rows = {(NOVITA, MODEL, "standard"): tokens(5, 5)}
    book = book_of(event(tokens(5, 5), source="genai-prices"), event(None, NOON + HOUR, source="genai-prices"))
    [held] = news_of(event(tokens(5_000, 5), NOON + 2 * HOUR), book=book, rows=rows)
    assert held.state == "held"


def test_what_a_list_does_not_name_any_more_is_absent_and_withdrawn_once() -> None:
    book = book_of(event(tokens(5, 5)), event(tokens(6, 6), provider=GROQ))
    now = event(tokens(5, 5), NOON + HOUR)
    gone = absent(book, [now], ROUTER)
    assert gone == {(GROQ, MODEL, "standard")}
    write(book, *news_of(*(withdrawn(now, key) for key in gone), book=book))
    assert absent(book, [now], ROUTER) == set()
    assert book.price_at(GROQ, MODEL, NOON + HOUR) == withdrawn(now, (GROQ, MODEL, "standard"))


def looked(book, price, at, rows=None):
    """One look of the router's: what is news is written, and what holds then is told."""
    write(book, *news_of(event(price, at), book=book, rows=rows))
    holds = book.price_at(NOVITA, MODEL, at)
    return holds and holds.price and holds.price.input_nanousd_per_million_tokens


@given(st.lists(st.integers(1, 10**5), min_size=1, max_size=30), st.sampled_from([HOUR, HOUR / 3, 4 * HOUR]))
def test_no_number_of_small_steps_carries_a_price_past_the_factor_within_a_day(amounts, every) -> None:
    """Against the price of a day before, whatever is told and however often."""
    book, rows, held = book_of(), {(NOVITA, MODEL, "standard"): tokens(100, 7)}, [100]
    a_day = timedelta(days=1) // every
    for at, amount in enumerate(amounts):
        now = looked(book, tokens(amount, 7), NOON + at * every, rows) or held[-1]
        before = held[max(0, len(held) - a_day)]
        assert now == held[-1] or max(now, before) <= FACTOR * min(now, before)
        held.append(now)


def test_small_steps_are_held_as_one_jump_and_what_was_held_is_believed_once_the_day_is_over() -> None:
    book = book_of(event(tokens(5, 7)))
    assert looked(book, tokens(40, 7), NOON + HOUR) == 40
    assert looked(book, tokens(60, 7), NOON + 2 * HOUR) == 40
    assert "within a day" in book.held()[0].reason
    assert looked(book, tokens(60, 7), NOON + 3 * HOUR) == 40
    assert [one.state for one in book.history(NOVITA, MODEL)] == ["accepted", "accepted", "held"]
    assert looked(book, tokens(60, 7), NOON + 25 * HOUR) == 60
    assert book.held() == []


def test_the_first_steps_away_from_the_catalogues_row_are_one_jump_too() -> None:
    book, rows = book_of(), {(NOVITA, MODEL, "standard"): tokens(5, 7)}
    assert looked(book, tokens(45, 7), NOON, rows) == 45
    assert looked(book, tokens(400, 7), NOON + HOUR, rows) == 45


def test_a_jump_stays_held_however_long_it_is_told_and_never_blocks_the_normal_price_behind_it() -> None:
    book = book_of(event(tokens(5, 5)))
    for hours in range(1, 60, 7):
        assert looked(book, tokens(5_000, 5), NOON + hours * HOUR) == 5
    for broken in (tokens(0, 0), tokens(1, 0), None):
        assert looked(book, tokens(6, 5), NOON + 60 * HOUR) == 6
        looked(book, broken, NOON + 61 * HOUR)
        assert looked(book, tokens(5, 5), NOON + 62 * HOUR) == 5


def test_what_was_approved_is_where_the_day_begins() -> None:
    book = book_of(event(tokens(5, 5)))
    looked(book, tokens(5_000, 5), NOON + HOUR)
    write(book, event(tokens(5_000, 5), NOON + 2 * HOUR, by="anna"))
    assert looked(book, tokens(5_100, 5), NOON + 3 * HOUR) == 5_100


def test_a_clock_that_was_ahead_leaves_no_price_that_comes_back_later() -> None:
    """The list was read once with a clock a day ahead: neither is its price kept waiting, nor does it return."""
    book = book_of(event(tokens(5, 5)), event(tokens(6, 6), NOON + 24 * HOUR))
    assert looked(book, tokens(6, 6), NOON + HOUR) == 6
    assert looked(book, tokens(7, 7), NOON + 2 * HOUR) == 7
    assert looked(book, tokens(7, 7), NOON + 25 * HOUR) == 7
    assert looked(book, None, NOON + 26 * HOUR) is None


def test_what_a_clock_that_was_ahead_had_said_is_no_part_of_the_day_before() -> None:
    """Both of its statements are of tomorrow, by its clock: what is said now is judged against the last alone."""
    book = book_of(event(tokens(5, 5), NOON + 24 * HOUR), event(tokens(40, 5), NOON + 25 * HOUR))
    assert looked(book, tokens(60, 5), NOON) == 60


def test_a_clock_that_was_behind_hides_no_price_and_a_withdrawal_counts_on_either_side() -> None:
    book = book_of(event(tokens(5, 5)))
    assert looked(book, tokens(6, 6), NOON - 24 * HOUR) == 6
    assert looked(book, tokens(6, 6), NOON + HOUR) == 6
    write(book, withdrawn(event(tokens(1, 1), NOON - HOUR), (NOVITA, MODEL, "standard")))
    assert looked(book, None, NOON + 2 * HOUR) is None
    other = event(tokens(1, 1), NOON + 6 * HOUR, provider=GROQ)
    gone = withdrawn(event(tokens(1, 1), NOON + 3 * HOUR), (NOVITA, MODEL, "standard"))
    write(book, event(tokens(5, 5), NOON + 5 * HOUR), gone)
    assert absent(book, [other], ROUTER) == {(NOVITA, MODEL, "standard")}
    write(book, *news_of(withdrawn(other, (NOVITA, MODEL, "standard")), book=book))
    assert absent(book, [other], ROUTER) == set()
    assert looked(book, None, NOON + 6 * HOUR) is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [tokens(5, 5), tokens(6, 5), tokens(40, 5), tokens(5_000, 5), tokens(0, 0), None, "absent"]
            ),
            st.integers(-50, 50),
            st.sampled_from([ROUTER, ROUTER, ROUTER, "genai-prices"]),
        ),
        max_size=12,
    )
)
def test_whatever_the_clock_did_what_a_list_says_now_and_is_believed_holds_now(looks) -> None:
    """Prices that jump, vanish and come back, read at hours that go forth and back."""
    book = book_of()
    for number, (told, hours, source) in enumerate(looks):
        live, at = source == ROUTER, NOON + hours * HOUR + timedelta(seconds=number)
        if told == "absent":
            one = withdrawn(event(None, at, source=source), (NOVITA, MODEL, "standard"))
            listed = [one] if absent(book, [event(None, at, provider=GROQ)], source) else []
        else:
            one, listed = event(told, at, source=source), [event(told, at, source=source)]
        write(book, *news_of(*listed, book=book, live=live))
        assert news_of(*listed, book=book, live=live) == []
        last, holds = book.last_of(source, NOVITA, MODEL), book.price_at(NOVITA, MODEL, at)
        if last is None or holds is None:
            continue
        if live and last.state == "accepted" and (one.price is not None or holds.source == ROUTER):
            assert same(holds.price, one.price)
        assert holds.price is None or any(units_of(holds.price))
