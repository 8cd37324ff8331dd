"""The price book: which statement holds when, whatever order they came in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from price_world import GROQ, MODEL, NOON, NOVITA, book_of, catalogue, event, record, tokens, write

from router.estimate import rates
from router.prices.book import PriceBook
from router.prices.rule import RANKS, units_of
from runtime.ports import Record
from schemas.prices import PriceEvent
from schemas.topics import PRICES
from schemas.units import UNITS

HOUR = timedelta(hours=1)
INSTANTS = st.integers(0, 6).map(lambda hours: NOON + hours * HOUR)
PRICES_TOLD = st.none() | st.builds(tokens, st.integers(1, 9), st.integers(1, 9))
TOLD = st.builds(
    lambda price, valid, seen, source, state, live: event(
        price, provider=NOVITA, valid_from=valid, seen_at=seen, source=source, state=state, is_live=live
    ),
    PRICES_TOLD, INSTANTS, INSTANTS, st.sampled_from([*RANKS, "hearsay"]),
    st.sampled_from(["accepted", "accepted", "held", "refused"]), st.booleans(),
)  # fmt: skip


def told_at(book: PriceBook, at: datetime, **more: str) -> tuple[int, ...] | None:
    held = book.price_at(NOVITA, MODEL, at, **more)
    return None if held is None or held.price is None else units_of(held.price)[:2]


def scanned(told: Sequence[tuple[PriceEvent, datetime]], at: datetime) -> tuple[str, tuple[int, ...]] | None:
    """The rule once more, by hand: look at every statement, keep the better of two."""

    def better(one: PriceEvent, other: PriceEvent | None) -> bool:
        if other is None or one.valid_from != other.valid_from:
            return other is None or one.valid_from > other.valid_from
        if one.source != other.source:
            return (RANKS.get(one.source, 0), one.source) > (RANKS.get(other.source, 0), other.source)
        if one.seen_at != other.seen_at:
            return one.seen_at > other.seen_at
        if (one.price is None) != (other.price is None):
            return one.price is None
        return units_of(one.price) > units_of(other.price)

    own: PriceEvent | None = None
    rest: PriceEvent | None = None
    for one, written in told:
        if one.state == "accepted" and one.valid_from <= at and written <= at:
            if one.source == "operator":
                own = one if better(one, own) else own
            else:
                rest = one if better(one, rest) else rest
    found = own if own is not None and own.price is not None else rest
    return None if found is None else (found.source, units_of(found.price))


@settings(deadline=None)
@given(st.lists(st.tuples(TOLD, INSTANTS), max_size=8), INSTANTS)
def test_the_price_at_an_instant_is_what_a_look_at_every_statement_finds(
    told: list[tuple[PriceEvent, datetime]], at: datetime
) -> None:
    book = PriceBook()
    for offset, (one, written) in enumerate(told):
        book.fold(record(one, offset, written))
    holds = book.price_at(NOVITA, MODEL, at)
    assert (None if holds is None else (holds.source, units_of(holds.price))) == scanned(told, at)
    assert book.version == str(len(told))
    assert list(book.history(NOVITA, MODEL)) == [one for one, _ in told]


@settings(deadline=None, max_examples=50)
@given(st.lists(TOLD, min_size=2, max_size=4), st.lists(INSTANTS, min_size=1, max_size=3))
def test_in_whichever_order_statements_of_one_instant_were_written_the_book_says_the_same(
    told: list[PriceEvent], asked: list[datetime]
) -> None:
    together = [one.model_copy(update={"valid_from": NOON}) for one in told]
    answers = set()
    for order in permutations(together):
        book = PriceBook()
        for offset, one in enumerate(order):
            book.fold(record(one, offset, NOON))
        answers.add(tuple(told_at(book, at) for at in asked))
    assert len(answers) == 1


def test_a_price_holds_from_its_instant_until_the_next_and_the_past_stays_as_it_was() -> None:
    book = book_of(event(tokens(1, 2)), event(tokens(3, 4), NOON + HOUR))
    assert told_at(book, NOON - HOUR) is None
    assert told_at(book, NOON + HOUR / 2) == (1, 2)
    assert told_at(book, NOON + HOUR) == (3, 4)


def test_no_price_counts_before_it_was_written_whatever_day_it_claims() -> None:
    late = event(tokens(9, 9), NOON - HOUR)
    book = PriceBook()
    book.fold(record(late, 0, NOON))
    assert told_at(book, NOON - HOUR / 2) is None
    assert told_at(book, NOON) == (9, 9)


def test_what_is_valid_from_later_holds_although_the_other_was_written_after_it() -> None:
    book = PriceBook()
    book.fold(record(event(tokens(4, 4), NOON + HOUR), 0, NOON + HOUR))
    book.fold(record(event(tokens(3, 3), NOON), 1, NOON + 2 * HOUR))
    assert told_at(book, NOON + 2 * HOUR) == (4, 4)


def test_of_two_prices_that_one_source_told_at_once_the_dearer_holds_whichever_was_written_first() -> None:
    told = event(tokens(1, 9)), event(tokens(2, 1))
    assert [told_at(book_of(*both), NOON) for both in (told, told[::-1])] == [(2, 1)] * 2


def test_a_price_of_tomorrow_waits_until_tomorrow() -> None:
    book = book_of(event(tokens(1, 2)), event(tokens(5, 5), seen_at=NOON, valid_from=NOON + 24 * HOUR))
    assert told_at(book, NOON + HOUR) == (1, 2)
    assert told_at(book, NOON + 24 * HOUR) == (5, 5)


def test_the_operators_word_holds_until_he_withdraws_it() -> None:
    book = book_of(
        event(tokens(1, 2)), event(tokens(7, 7), source="operator"), event(tokens(3, 4), NOON + HOUR),
        event(None, NOON + 2 * HOUR, source="operator"),
    )  # fmt: skip
    assert told_at(book, NOON + HOUR) == (7, 7)
    assert told_at(book, NOON + 2 * HOUR) == (3, 4)


def test_a_price_that_was_withdrawn_is_unknown_and_an_older_source_does_not_bring_it_back() -> None:
    book = book_of(event(tokens(1, 2), source="genai-prices"), event(tokens(3, 4)), event(None, NOON + HOUR))
    holds = book.price_at(NOVITA, MODEL, NOON + HOUR)
    assert holds is not None
    assert holds.price is None


def test_what_is_held_counts_for_nothing_and_is_listed_until_its_source_says_something_else() -> None:
    huge = event(tokens(1_000, 2_000), NOON + HOUR, state="held", reason="grew")
    book = book_of(event(tokens(1, 2)), huge)
    assert told_at(book, NOON + HOUR) == (1, 2)
    assert book.held() == [huge]
    write(book, event(tokens(1_000, 2_000), NOON + 2 * HOUR, by="novix prices"))
    assert told_at(book, NOON + 2 * HOUR) == (1_000, 2_000)
    assert book.held() == []


def test_service_tiers_have_prices_of_their_own() -> None:
    """U29."""
    book = book_of(event(tokens(10, 20)), event(tokens(5, 10), service_tier="batch"))
    assert told_at(book, NOON) == (10, 20)
    assert told_at(book, NOON, service_tier="batch") == (5, 10)
    assert told_at(book, NOON, service_tier="flex") is None


@given(st.binary(max_size=60) | st.none(), st.integers(-(2**63), 2**63 - 1))
def test_what_cannot_be_read_is_passed_over_and_moves_the_version(value: bytes | None, written_ms: int) -> None:
    book = book_of(event(tokens(1, 2)))
    book.fold(Record(PRICES.name, 0, 1, b"k", value, (), written_ms))
    assert book.version == "2"
    assert told_at(book, NOON) == (1, 2)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_timestamp_of_a_record_is_some_instant(written_ms: int) -> None:
    book = PriceBook()
    outgoing = record(event(tokens(1, 2)), 0)
    book.fold(Record(PRICES.name, 0, 0, outgoing.key, outgoing.value, (), written_ms))
    assert told_at(book, datetime.max.replace(tzinfo=UTC)) == (1, 2)


def test_a_record_that_is_given_twice_is_folded_once() -> None:
    book = book_of(event(tokens(1, 2)))
    book.fold(record(event(tokens(1, 2)), 0))
    assert (len(book.history(NOVITA, MODEL)), book.version) == (1, "1")


def test_a_catalogue_is_the_same_object_while_no_price_of_it_changes() -> None:
    rows, book = catalogue((NOVITA, tokens(50, 60))), PriceBook()
    assert book.priced(rows, NOON) is rows
    write(book, event(tokens(1, 2), provider=GROQ))
    assert book.priced(rows, NOON) is rows
    write(book, event(tokens(7, 8)))
    priced = book.priced(rows, NOON)
    assert priced.offers[0].price == tokens(7, 8)
    assert priced.offers[0].rates == rates(tokens(7, 8))
    assert priced.version == rows.version
    assert [offer.price for offer in priced.by_task["chat-completion"]] == [tokens(7, 8)]
    write(book, event(tokens(3, 3), NOON + HOUR, provider=GROQ))
    assert book.priced(rows, NOON + HOUR) is priced
    assert book.priced(rows, NOON - HOUR) is rows


def test_a_price_of_tomorrow_comes_into_the_catalogue_by_itself() -> None:
    rows = catalogue((NOVITA, tokens(50, 60)))
    book = book_of(event(tokens(5, 5), seen_at=NOON, valid_from=NOON + HOUR))
    assert book.priced(rows, NOON) is rows
    assert book.priced(rows, NOON + HOUR).offers[0].price == tokens(5, 5)
    assert book.priced(rows, NOON) is rows


def test_an_offer_keeps_its_rows_price_until_somebody_says_something_and_has_none_once_it_is_withdrawn() -> None:
    rows = catalogue((NOVITA, tokens(50, 60)), (GROQ, None))
    book = book_of(event(tokens(1, 2)), event(None, NOON + HOUR, is_live=False))
    assert [offer.price for offer in book.priced(rows, NOON).offers] == [tokens(1, 2), None]
    gone = book.priced(rows, NOON + HOUR).offers[0]
    assert (gone.price, gone.rates) == (None, ())
    assert gone.live, "that nobody names its price any more says nothing of whether it is served"


def test_several_statements_between_two_questions_all_count_each_from_its_own_instant() -> None:
    rows = catalogue((NOVITA, tokens(50, 60)), (GROQ, tokens(50, 60)))
    book = book_of(event(tokens(1, 1)), event(tokens(1, 1), provider=GROQ))
    assert [offer.price for offer in book.priced(rows, NOON).offers] == [tokens(1, 1), tokens(1, 1)]
    write(book, event(tokens(2, 2), provider=GROQ), event(tokens(3, 3), seen_at=NOON, valid_from=NOON + HOUR))
    assert [offer.price for offer in book.priced(rows, NOON).offers] == [tokens(1, 1), tokens(2, 2)]
    assert [offer.price for offer in book.priced(rows, NOON + HOUR).offers] == [tokens(3, 3), tokens(2, 2)]


def test_an_offer_takes_the_prices_of_its_own_service_tier_and_no_others() -> None:
    """U29."""
    rows = catalogue((NOVITA, tokens(50, 60, service_tier="batch")))
    book = book_of(event(tokens(1, 2)))
    assert book.priced(rows, NOON).offers[0].price == rows.offers[0].price
    write(book, event(tokens(3, 4), service_tier="batch"))
    assert book.priced(rows, NOON).offers[0].price == tokens(3, 4)


def test_where_the_router_chooses_the_provider_the_dearest_live_one_bounds_the_price() -> None:
    rows = catalogue(("auto", tokens(50, 60)))
    book = book_of(
        event(tokens(100, 10, as_of="2026-11-24"), provider=GROQ), event(tokens(20, 90)),
        event(tokens(999, 999), provider="together", is_live=False),
    )  # fmt: skip
    price = book.priced(rows, NOON).offers[0].price
    assert price is not None
    assert units_of(price)[:2] == (100, 90)
    assert (price.source, price.as_of) == ("the dearest of 3", "2026-11-24"), "of the day of the newest of them"
    assert units_of(price)[2:] == (0,) * (len(UNITS) - 2), "what nobody charges by itself has no price of its own"
    write(book, event(tokens(1, 1), provider="auto", source="operator"))
    assert book.priced(rows, NOON).offers[0].price == tokens(1, 1)


def test_a_part_counts_in_the_dearest_with_what_a_provider_takes_for_the_whole() -> None:
    """One gives cached tokens for a tenth, the other makes no difference: the dearest makes none either."""
    rows = catalogue(("auto", None))
    book = book_of(
        event(tokens(100, 10, cached_input_nanousd_per_million_tokens=10), provider=GROQ), event(tokens(90, 10))
    )
    price = book.priced(rows, NOON).offers[0].price
    assert price is not None
    assert price.cached_input_nanousd_per_million_tokens == 90


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(TOLD, INSTANTS, st.sampled_from([NOVITA, GROQ, "auto"])), max_size=6),
    st.lists(INSTANTS, min_size=1, max_size=4),
)
def test_a_catalogue_is_priced_alike_by_who_asked_after_every_statement_and_by_who_asks_now(
    told: list[tuple[PriceEvent, datetime, str]], asked: list[datetime]
) -> None:
    """At every instant, in any order of questions."""
    rows, book, folded = catalogue((NOVITA, tokens(50, 60)), ("auto", tokens(3, 3)), (GROQ, None)), PriceBook(), []
    for offset, (one, written, provider) in enumerate(told):
        folded.append(record(one.model_copy(update={"provider": provider}), offset, written))
        book.fold(folded[-1])
        for at in asked:
            new = PriceBook()
            for each in folded:
                new.fold(each)
            assert book.priced(rows, at).offers == new.priced(rows, at).offers
            holds = book.price_at(NOVITA, MODEL, at)
            expected = rows.offers[0].price if holds is None else holds.price
            assert book.priced(rows, at).offers[0].price == expected
