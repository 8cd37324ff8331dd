"""Prices that move, and prices that wait for approval. Pure."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from console.alerting.reading import Reading, instant_of
from router.prices.book import PriceBook
from runtime.ports import Record
from schemas.assignment import Price
from schemas.policies import AlertRule
from schemas.prices import PriceEvent
from schemas.units import UNITS
from schemas.values import frozen

Row = tuple[str, str, str]
"""Provider, model and service tier."""
MOST_MOVES = 100_000
APPEARED = 1.0
"""A unit that was free and is charged, or the other way round, moved by all of itself."""


@frozen
class Move:
    """One price that took the place of another."""

    row: Row
    offset: int
    share: float
    """Of the unit that moved most: 0.2 is a fifth, up or down."""
    unit: str
    before: int
    after: int
    source: str
    at: datetime


class Prices:
    """Folds the price history: what moved, and what is held. Which price holds says the price book."""

    def __init__(self) -> None:
        self._book = PriceBook()
        self._held: dict[tuple[Row, str], PriceEvent] = {}
        """By what it prices and who says so: what a source says next takes its place."""
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
        before = self._book.price_at(row[0], row[1], at, row[2])
        self._book.fold(record)
        if event.state == "held":
            self._held[row, event.source] = event
            return
        self._held.pop((row, event.source), None)
        after = self._book.price_at(row[0], row[1], at, row[2])
        was = before.price if before is not None else None
        now = after.price if after is not None else None
        if was is not None and now is not None and (moved := _moved(was, now)) is not None:
            unit, share = moved
            move = Move(row, record.offset, share, unit, getattr(was, unit), getattr(now, unit), event.source, at)
            self._moves.append(move)

    def drifts(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Each move of the rule's window of a price that holds, in percent of the price before."""
        if rule.tenant != "*":
            return
        begin = now - timedelta(seconds=rule.window_s)
        for move in self._moves:
            if begin <= move.at <= now:
                provider, model, tier = move.row
                told = f"{move.unit} from {move.before} to {move.after}, says {move.source}"
                subject = f"{provider}/{model} {tier}, event {move.offset}"
                yield Reading(subject, round(100 * move.share, 3), "%", told)

    def held(self, rule: AlertRule, now: datetime) -> Iterator[Reading]:
        """Each price that waits for somebody's approval."""
        if rule.tenant != "*":
            return
        for ((provider, model, tier), source), event in self._held.items():
            told = f"a price of {source} waits for approval: {event.reason or 'no reason given'}"
            subject = f"{provider}/{model} {tier} by {source}, held since {event.seen_at:%Y-%m-%dT%H:%M:%SZ}"
            yield Reading(subject, 1, "prices", told)


def _moved(before: Price, after: Price) -> tuple[str, float] | None:
    """The unit whose price moved most, and by which share; None if none moved."""
    moves = {unit.price: _share(getattr(before, unit.price), getattr(after, unit.price)) for unit in UNITS}
    name, share = max(moves.items(), key=lambda item: item[1])
    return (name, share) if share else None


def _share(before: int, after: int) -> float:
    if before == after:
        return 0.0
    return abs(after - before) / before if before and after else APPEARED
