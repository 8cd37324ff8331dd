"""Prices that move, and prices that wait for approval. Pure."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from console.alerting.reading import Reading, instant_of
from router.prices.book import PriceBook
from router.prices.judge import largest_move
from runtime.ports import Record
from schemas.assignment import Price
from schemas.policies import AlertRule
from schemas.prices import PriceEvent
from schemas.values import frozen

Row = tuple[str, str, str]
"""Provider, model and service tier."""
MOST_MOVES = 20_000
"""The last of all prices: a look goes over them all."""
MILLION = 1_000_000


@frozen
class Move:
    """One price that took the place of another."""

    row: Row
    offset: int
    before: Price
    """The last that was known: of a price that was withdrawn and comes back, the one before that."""
    after: Price
    source: str
    at: datetime


class Prices:
    """Folds the price history: what moved, and what is held. Which price holds says the price book."""

    def __init__(self) -> None:
        self._book = PriceBook()
        self._held: dict[tuple[Row, str], PriceEvent] = {}
        """By what it prices and who says so: what a source says next takes its place."""
        self._known: dict[Row, Price] = {}
        """The last price of each that held."""
        self._moves: deque[Move] = deque(maxlen=MOST_MOVES)
        self._next = 0

    def fold(self, record: Record) -> None:
        """A record of `novix.prices.v1`. One that is read twice counts once."""
        if record.offset < self._next:
            return
        self._next = record.offset + 1
        try:
            event = PriceEvent.model_validate_json(record.value or b"")
        except ValidationError:
            return
        row = event.provider, event.model, event.service_tier
        at = max(event.valid_from, instant_of(record))
        self._book.fold(record)
        if event.state == "held":
            self._held[row, event.source] = event
            return
        self._held.pop((row, event.source), None)
        after = self._book.price_at(row[0], row[1], at, row[2])
        now = after.price if after is not None else None
        if now is None:
            return
        before = self._known.get(row, now)
        self._known[row] = now
        if largest_move(before, now) is not None:
            self._moves.append(Move(row, record.offset, before, now, event.source, at))

    def drifts(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """In percent, how far a price that holds had come when it was over the threshold, of the rule's window.

        Counted from where it stood when it was over it last, or first of all: small steps add up until they are told.
        """
        if rule.tenant != "*":
            return
        begin = now - timedelta(seconds=rule.window_s)
        stood: dict[Row, Price] = {}
        for move in self._moves:
            since = stood.setdefault(move.row, move.before)
            moved = largest_move(since, move.after)
            percent = 0.0 if moved is None else round(100 * moved[1] / MILLION, 3)
            if moved is None or percent < rule.threshold:
                continue
            stood[move.row] = move.after
            if begin <= move.at <= now:
                provider, model, tier = move.row
                unit = moved[0]
                told = f"{unit} from {getattr(since, unit)} to {getattr(move.after, unit)}, says {move.source}"
                subject = f"{provider}/{model} {tier}, event {move.offset}"
                yield Reading(subject, percent, "%", told)

    def held(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Each price that waits for somebody's approval."""
        if rule.tenant != "*":
            return
        for ((provider, model, tier), source), event in self._held.items():
            told = f"a price of {source} waits for approval: {event.reason or 'no reason given'}"
            subject = f"{provider}/{model} {tier} by {source}, held since {event.seen_at:%Y-%m-%dT%H:%M:%SZ}"
            yield Reading(subject, 1, "prices", told)
