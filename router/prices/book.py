"""The price book: every statement about a price, and which one holds when. A fold of `novix.prices.v1`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError

from router.catalogue import ANY_PROVIDER, Catalogue, Offer
from router.estimate import rates
from router.prices.judge import effective
from router.prices.rule import Stated, holding, stated
from runtime.ports import Record
from schemas.assignment import Price
from schemas.prices import SERVICE_TIER, PriceEvent
from schemas.providers import ROUTER_DIALECT
from schemas.units import UNITS

Key = tuple[str, str, str]
"""Provider, model, service tier."""


@dataclass(slots=True)
class _Priced:
    """A catalogue with the prices of a stretch of time."""

    base: Catalogue
    begin: datetime | None
    end: datetime | None
    """`begin` <= now < `end`: meanwhile no statement begins to count. None: no bound."""
    made: Catalogue

    def holds(self, now: datetime) -> bool:
        return (self.begin is None or self.begin <= now) and (self.end is None or now < self.end)


class PriceBook:
    """All statements about prices, in the order of the log.

    A pure function of the records that were folded and of the instants that are asked for: whoever folds the same
    prefix of the topic answers every question alike. One owner; no clock, no I/O.
    """

    def __init__(self) -> None:
        self._next = 0
        self._stated: dict[Key, list[Stated]] = {}
        self._by_model: dict[tuple[str, str], set[Key]] = {}
        self._priced: _Priced | None = None
        self._fresh: list[tuple[Key, Stated]] = []
        """Folded since `_priced` was made."""

    @property
    def version(self) -> str:
        """The offset after the last record that was folded; `0`: none."""
        return str(self._next)

    def fold(self, record: Record) -> None:
        """Take in one record. What cannot be read is passed over, and moves the version all the same; a record that
        was folded before changes nothing."""
        if record.offset < self._next:
            return
        self._next = record.offset + 1
        if record.value is None:
            return
        try:
            event = PriceEvent.model_validate_json(record.value)
        except ValidationError:
            return
        key = (event.provider, event.model, event.service_tier)
        one = stated(event, offset=record.offset, written_ms=record.timestamp_ms)
        self._stated.setdefault(key, []).append(one)
        self._by_model.setdefault(key[1:], set()).add(key)
        if self._priced is not None:
            self._fresh.append((key, one))

    def price_at(self, provider: str, model: str, at: datetime, service_tier: str = SERVICE_TIER) -> PriceEvent | None:
        """The statement that holds at `at` (see `router.prices.rule`), now or in the past or in the future.

        Its price is None where it was withdrawn: unknown, which is not zero. None: nobody has said anything.
        """
        found = holding(self._stated.get((provider, model, service_tier), ()), at)
        return None if found is None else found.event

    def history(self, provider: str, model: str, service_tier: str = SERVICE_TIER) -> Sequence[PriceEvent]:
        """Every statement about one price, in the order of the log; held and refused ones as well."""
        return [one.event for one in self._stated.get((provider, model, service_tier), ())]

    def written(self, provider: str, model: str, service_tier: str = SERVICE_TIER) -> Sequence[Stated]:
        """As `history`, each statement with its place and the instant from which it counts."""
        return tuple(self._stated.get((provider, model, service_tier), ()))

    @property
    def known(self) -> list[Key]:
        """Everything of which anything was said, in order."""
        return sorted(self._stated)

    def last_of(self, source: str, provider: str, model: str, service_tier: str = SERVICE_TIER) -> PriceEvent | None:
        """What a source said last, accepted or not."""
        statements = self._stated.get((provider, model, service_tier), ())
        return next((one.event for one in reversed(statements) if one.event.source == source), None)

    def held(self) -> list[PriceEvent]:
        """Statements that wait for approval: held, and the last that their source made. In order of their keys."""
        waiting: list[PriceEvent] = []
        for key in self.known:
            last = {one.event.source: one.event for one in self._stated[key]}
            waiting += [event for event in last.values() if event.state == "held"]
        return waiting

    def priced(self, catalogue: Catalogue, now: datetime) -> Catalogue:
        """`catalogue` with the prices that hold at `now`, each with its rates, its day and its source.

        An offer of which nobody has said anything keeps the price of its row; one whose price was withdrawn has none.
        An offer of Hugging Face's router that leaves it the choice of provider costs, unit by unit, what the dearest of
        the model's live providers does, its row among them: any of these may be taken. The same object while no price
        of the catalogue changes, and `catalogue` itself where none differs.
        """
        known = self._priced
        if known is None or known.base is not catalogue:
            if not self._stated:
                return catalogue
            known, self._fresh = None, []
        if known is not None and known.holds(now):
            if not self._fresh:
                return known.made
            touched = {model for (_, model, _), _ in self._fresh}
            pairs = zip(catalogue.offers, known.made.offers, strict=True)
            offers = tuple(self._offer(row, now) if row.model in touched else made for row, made in pairs)
            begins = self._begins(catalogue, self._fresh) | {one for one in (known.begin, known.end) if one is not None}
        else:
            offers = tuple(self._offer(offer, now) for offer in catalogue.offers)
            begins = self._begins(catalogue, ((key, one) for key, rows in self._stated.items() for one in rows))
        if all(one is other for one, other in zip(offers, catalogue.offers, strict=True)):
            made = catalogue
        elif known is not None and offers == known.made.offers:
            made = known.made
        else:
            made = replace(catalogue, offers=offers)
        begin = max((one for one in begins if one <= now), default=None)
        end = min((one for one in begins if one > now), default=None)
        self._priced, self._fresh = _Priced(catalogue, begin, end, made), []
        return made

    def _offer(self, offer: Offer, now: datetime) -> Offer:
        tier = SERVICE_TIER if offer.price is None else offer.price.service_tier
        event = self.price_at(offer.provider, offer.model, now, tier)
        if event is None and offer.provider == ANY_PROVIDER and offer.dialect == ROUTER_DIALECT:
            price = self._dearest(offer, now, tier)
        elif event is None:
            return offer
        else:
            price, offer = event.price, _as_told(offer, event)
        if price == offer.price:
            return offer
        return replace(offer, price=price, rates=rates(price) if price is not None else ())

    def _dearest(self, offer: Offer, now: datetime, tier: str) -> Price | None:
        """Of the row and of every live provider of the model, the largest price of each unit."""
        told = [holding(self._stated[key], now) for key in sorted(self._by_model.get((offer.model, tier), ()))]
        live = [one.event.price for one in told if one is not None and one.event.is_live]
        known = [price for price in (offer.price, *live) if price is not None and price.is_known]
        if not any(price is not offer.price for price in known):
            return offer.price
        most = {unit.price: max(effective(price, unit) for price in known) for unit in UNITS}
        for unit in UNITS:
            if unit.part_of and not any(getattr(price, unit.price) for price in known):
                most[unit.price] = 0  # nobody charges it by itself
        return Price(
            **most,
            source=f"the dearest of {len(known)}",
            as_of=max(price.as_of for price in known),
            service_tier=tier,
            is_free=not any(most.values()),
        )

    @staticmethod
    def _begins(catalogue: Catalogue, statements: Iterable[tuple[Key, Stated]]) -> set[datetime]:
        """When statements about the catalogue's models begin to count."""
        models = catalogue.by_model
        return {one.counts_from for key, one in statements if key[1] in models and one.event.state == "accepted"}


def _as_told(offer: Offer, event: PriceEvent) -> Offer:
    """The offer with its speed, and whether it is served now, where the source of its price tells."""
    first_ms = offer.first_token_ms if event.first_token_ms is None else event.first_token_ms
    speed = offer.tokens_per_s if event.tokens_per_s is None else event.tokens_per_s
    live = offer.live if event.price is None else event.is_live
    if (first_ms, speed, live) == (offer.first_token_ms, offer.tokens_per_s, offer.live):
        return offer
    return replace(offer, first_token_ms=first_ms, tokens_per_s=speed, live=live)
