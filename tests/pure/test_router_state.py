"""What a router decides from, between two records of its histories and over time."""

from datetime import timedelta
from pathlib import Path

from price_world import MODEL, NOON, NOVITA, catalogue, event, record, tokens

from router.state import State
from runtime.settings import Settings

SETTINGS = Settings(home=Path("/nonexistent"))


def test_a_price_that_was_told_ahead_counts_from_its_hour_on_although_nothing_is_told_then():
    state = State(SETTINGS, catalogue((NOVITA, tokens(100, 200))))
    state.prices.fold(record(event(tokens(300, 400), NOON + timedelta(hours=1)), 0, written=NOON))

    def price(hours: float) -> int:
        [offer] = state.view("acme", NOON + timedelta(hours=hours)).catalogue.by_model[MODEL]
        assert offer.price is not None
        return offer.price.input_nanousd_per_million_tokens

    assert [price(hours) for hours in (0, 0.9, 1, 2)] == [100, 100, 300, 300]
    assert state.view("acme").versions["prices"] == "1"
