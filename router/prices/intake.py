"""What sources say, against what the price book has: the events that are worth writing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from router.prices.book import Key, PriceBook
from router.prices.judge import judge
from router.prices.rule import OPERATOR, same
from schemas.assignment import Price
from schemas.prices import PriceEvent

NO_ROWS: Mapping[Key, Price] = {}
DAY = timedelta(days=1)
"""Several small steps within it are judged as one."""


def news(
    book: PriceBook,
    told: Sequence[PriceEvent],
    *,
    hold_factor: float,
    rows: Mapping[Key, Price] = NO_ROWS,
    is_live_source: bool = False,
) -> list[PriceEvent]:
    """Of `told`, what the book does not know yet, judged: accepted, or held with the reason.

    A statement is news if its source said something else last (a price, whether it is served, its context), or said
    nothing and names a price now; or if what it said last was held and would be believed now. A source that is looked
    at now (`is_live_source`) says its price again where another statement holds: another source's, or one of its own
    that a clock since corrected had dated later. The same list told twice is no news the second time.

    Whatever is news is judged against what its source said before it and against what that said a day before; where
    it said nothing, against the price that held, else against the catalogue's `rows`. So no number of small steps
    carries a price past `hold_factor` within a day. What an operator approved is where the day begins.
    """
    found: list[PriceEvent] = []
    for one in told:
        is_new = _is_news(book, one) or (is_live_source and _is_overruled(book, one))
        if is_new or _is_held(book, one):
            judged = _judged(book, one, hold_factor, rows)
            if is_new or (judged.price is not None and judged.state == "accepted"):
                found.append(judged)
    return found


def absent(book: PriceBook, told: Sequence[PriceEvent], source: str) -> set[Key]:
    """What `source` has priced, or said to be served, and does not name in `told` any more."""
    named = {key_of(one) for one in told}
    gone: set[Key] = set()
    for key in book.known:
        last = None if key in named else book.last_of(source, *key)
        if last is not None and (last.price is not None or last.is_live or _still_holds(book, last, told)):
            gone.add(key)
    return gone


def withdrawn(event: PriceEvent, key: Key) -> PriceEvent:
    """That the source of `event` names no price of `key` any more, since the time of `event`."""
    provider, model, service_tier = key
    return PriceEvent(
        provider=provider, model=model, service_tier=service_tier, source=event.source, price=None,
        valid_from=event.valid_from, seen_at=event.seen_at, is_live=False, reason="not named any more",
    )  # fmt: skip


def key_of(event: PriceEvent) -> Key:
    """What a statement speaks of."""
    return event.provider, event.model, event.service_tier


def _is_news(book: PriceBook, one: PriceEvent) -> bool:
    last = book.last_of(one.source, *key_of(one))
    if last is None:
        return one.price is not None or one.state == "held"
    return _said(one) != _said(last) or not same(one.price, last.price)


def _said(event: PriceEvent) -> tuple[bool, int | None, bool]:
    """What a statement says beside its price. A price that was held and then approved is the same statement."""
    is_no_price = event.price is None and event.state == "held"
    return event.is_live, event.context_tokens, is_no_price


def _is_held(book: PriceBook, one: PriceEvent) -> bool:
    """Whether what the source said last is held: it may have become believable since."""
    last = book.last_of(one.source, *key_of(one))
    return last is not None and last.state == "held"


def _is_overruled(book: PriceBook, one: PriceEvent) -> bool:
    """Whether what `one` says again was accepted, and another statement holds all the same."""
    last, holds = book.last_of(one.source, *key_of(one)), _holding(book, one, one.seen_at)
    if last is None or last.state != "accepted":
        return False
    if holds is None:
        return one.price is not None
    if same(holds.price, one.price):
        return False
    return holds.source == one.source or (one.price is not None and holds.source != OPERATOR)


def _still_holds(book: PriceBook, last: PriceEvent, told: Sequence[PriceEvent]) -> bool:
    """Whether an earlier price of the source holds although `last` withdrew it."""
    holds = _holding(book, last, told[0].seen_at) if told else None
    return holds is not None and holds.source == last.source and holds.price is not None


def _judged(book: PriceBook, one: PriceEvent, hold_factor: float, rows: Mapping[Key, Price]) -> PriceEvent:
    if one.price is None:
        return one
    before, a_day_before = _before(book, one, rows)
    verdict = judge(before, one.price, hold_factor=hold_factor)
    if verdict.state == "accepted" and a_day_before is not None:
        since = judge(a_day_before, one.price, hold_factor=hold_factor)
        if since.state == "held":
            verdict = replace(since, reason=f"within a day, {since.reason}", moved_ppm=verdict.moved_ppm)
    return one.model_copy(update={"state": verdict.state, "reason": verdict.reason, "moved_ppm": verdict.moved_ppm})


def _before(book: PriceBook, one: PriceEvent, rows: Mapping[Key, Price]) -> tuple[Price | None, Price | None]:
    """The prices that `one` is judged against: the last, and that of a day before; None: nothing to compare with."""
    own = [
        event
        for event in book.history(*key_of(one))
        if event.source == one.source and event.state == "accepted" and event.price is not None
    ]
    if not own:
        return _told_by_others(book, one, one.seen_at, rows), None
    a_day_before: Price | None = None
    for event in reversed(own):
        if event.seen_at <= one.seen_at:  # else of a clock that was put back since: no part of this day
            a_day_before = event.price
        if event.by or event.seen_at <= one.seen_at - DAY:
            break
    else:
        a_day_before = _told_by_others(book, one, one.seen_at - DAY, rows) or a_day_before
    return own[-1].price, a_day_before


def _told_by_others(book: PriceBook, one: PriceEvent, at: datetime, rows: Mapping[Key, Price]) -> Price | None:
    holds = _holding(book, one, at)
    return holds.price if holds is not None and holds.price is not None else rows.get(key_of(one))


def _holding(book: PriceBook, one: PriceEvent, at: datetime) -> PriceEvent | None:
    return book.price_at(one.provider, one.model, at, one.service_tier)
