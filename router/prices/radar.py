"""How far the providers' prices of one model lie apart. Pure."""

from collections.abc import Iterable
from fractions import Fraction

from router.estimate import money, rates
from schemas.assignment import Price
from schemas.units import INPUT_TOKENS, OUTPUT_TOKENS
from schemas.values import frozen

BASKET = {INPUT_TOKENS: 750_000, OUTPUT_TOKENS: 250_000}
"""What is compared: a million tokens, three of the input for one of the output."""


@frozen
class Quote:
    """What one provider takes for the basket."""

    provider: str
    nanousd: int


@frozen
class Spread:
    """One model at all its providers."""

    model: str
    quotes: tuple[Quote, ...]
    """Two at least, the cheapest first."""

    @property
    def cheapest(self) -> Quote:
        return self.quotes[0]

    @property
    def dearest(self) -> Quote:
        return self.quotes[-1]

    @property
    def ratio(self) -> Fraction:
        """How many times the cheapest the dearest takes."""
        return Fraction(self.dearest.nanousd, self.cheapest.nanousd)


def spreads(prices: Iterable[tuple[str, str, Price]]) -> list[Spread]:
    """Of each model that two providers or more price by tokens (provider, model, price), the widest spread first."""
    quotes: dict[str, dict[str, int]] = {}
    for provider, model, price in prices:
        charged = rates(price)
        if charged and all(unit in BASKET for unit, _ in charged):
            quotes.setdefault(model, {})[provider] = money(charged, BASKET)
    found = [
        Spread(
            model, tuple(sorted((Quote(*one) for one in by.items()), key=lambda quote: (quote.nanousd, quote.provider)))
        )
        for model, by in quotes.items()
        if len(by) > 1
    ]
    return sorted(found, key=lambda spread: (-spread.ratio, spread.model))
