"""What sources say, against what the price book has: the events that are worth writing. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from router.prices.book import Key, PriceBook
from router.prices.judge import judge
from router.prices.rule import OPERATOR, same
from schemas.assignment import Price
from schemas.prices import PriceEvent

NO_ROWS: Mapping[Key, Price] = {}


def news(
    book: PriceBook,
    told: Iterable[PriceEvent],
    *,
    hold_factor: float,
    rows: Mapping[Key, Price] = NO_ROWS,
    is_live_source: bool = False,
) -> list[PriceEvent]:
    """Of `told`, what the book does not know yet, judged: accepted, or held with the reason.

    A statement is news if its source said something else last (a price, whether it is served, its context), or said
    nothing and names a price now. A source that is looked at now (`is_live_source`) says its price again where an older
    statement of another holds. Whatever is news is judged against what its source said before it, else against the
    price that holds, else against the catalogue's `rows`. The same list told twice is no news the second time.
    """
    return [
        _judged(book, one, hold_factor, rows)
        for one in told
        if _is_news(book, one) or (is_live_source and _is_overruled(book, one))
    ]


def absent(book: PriceBook, told: Iterable[PriceEvent], source: str) -> set[Key]:
    """What `source` has priced, or said to be served, and does not name in `told` any more."""
    named = {key_of(one) for one in told}
    gone: set[Key] = set()
    for key in book.known:
        last = None if key in named else book.last_of(source, *key)
        if last is not None and (last.price is not None or last.is_live):
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


def _place(event: PriceEvent) -> tuple[str, str, datetime, str]:
    """Where and when, as `PriceBook.price_at` asks."""
    return event.provider, event.model, event.seen_at, event.service_tier


def _is_news(book: PriceBook, one: PriceEvent) -> bool:
    last = book.last_of(one.source, *key_of(one))
    if last is None:
        return one.price is not None or one.state == "held"
    return _said(one) != _said(last) or not same(one.price, last.price)


def _said(event: PriceEvent) -> tuple[bool, int | None, bool]:
    """What a statement says beside its price. A price that was held and then approved is the same statement."""
    is_no_price = event.price is None and event.state == "held"
    return event.is_live, event.context_tokens, is_no_price


def _is_overruled(book: PriceBook, one: PriceEvent) -> bool:
    """Whether what `one` says again was accepted, and another source's statement holds all the same."""
    last, holds = book.last_of(one.source, *key_of(one)), book.price_at(*_place(one))
    if last is None or last.state != "accepted" or one.price is None or holds is None:
        return False
    return holds.source not in (one.source, OPERATOR) and not same(holds.price, one.price)


def _judged(book: PriceBook, one: PriceEvent, hold_factor: float, rows: Mapping[Key, Price]) -> PriceEvent:
    if one.price is None:
        return one
    verdict = judge(_before(book, one, rows), one.price, hold_factor=hold_factor)
    return one.model_copy(update={"state": verdict.state, "reason": verdict.reason, "moved_ppm": verdict.moved_ppm})


def _before(book: PriceBook, one: PriceEvent, rows: Mapping[Key, Price]) -> Price | None:
    """The price that `one` is judged against."""
    own = [
        event.price
        for event in book.history(*key_of(one))
        if event.source == one.source and event.state == "accepted" and event.price is not None
    ]
    if own:
        return own[-1]
    holds = book.price_at(*_place(one))
    if holds is not None and holds.price is not None:
        return holds.price
    return rows.get(key_of(one))
