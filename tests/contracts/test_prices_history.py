"""Eleven months of real prices, day by day: what the book says of every one of them, and of the list they come from."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

import price_replay
import pytest
from price_replay import HISTORY, Replay
from price_world import NOON

from router.prices.listing import parse, read_models

SAMPLE = HISTORY.parent / "v1_models_sample.json"


@pytest.fixture(scope="module")
def replay() -> Replay:
    return price_replay.replayed()


def told(replay: Replay, key: tuple[str, str], at: datetime) -> tuple[Decimal, Decimal] | None:
    holds = replay.book.price_at(*key, at)
    if holds is None or holds.price is None:
        return None
    price = holds.price
    each = price.input_nanousd_per_million_tokens, price.output_nanousd_per_million_tokens
    return Decimal(each[0]) / 10**9, Decimal(each[1]) / 10**9


def test_every_price_of_every_day_is_what_the_router_told_that_day_and_a_zero_changes_nothing(replay: Replay) -> None:
    """A price of zero is held: what held before holds on, and if nothing did, the price is unknown. What is not listed
    is unknown, too."""
    last: dict[tuple[str, str], tuple[Decimal, Decimal] | None] = {}
    compared = 0
    for at, listed in replay.days:
        for key, prices in listed.items():
            if any(prices):
                last[key] = prices
            last.setdefault(key, None)
            assert told(replay, key, at) == last[key], (key, at)
            compared += len(prices)
        for key in last.keys() - listed.keys():
            last[key] = None
            assert told(replay, key, at) is None, (key, at)
    assert compared == 6_848


def test_between_two_days_the_earlier_one_holds(replay: Replay) -> None:
    for (at, listed), (after, _) in zip(replay.days, replay.days[1:], strict=False):
        for key in listed:
            assert told(replay, key, after - timedelta(microseconds=1)) == told(replay, key, at)


def test_no_change_is_lost_and_none_is_written_twice(replay: Replay) -> None:
    """Each written statement differs from the one before it of the same offer; and every change of the file is one."""
    changes, last = 0, {}
    for _, listed in replay.days:
        for key in last.keys() | listed.keys():
            changes += listed.get(key) != last.get(key)
            last[key] = listed.get(key)
    assert len(replay.written) == changes
    assert replay.book.version == str(changes)
    states = Counter(event.state for event in replay.written)
    zeros = [event for event in replay.written if event.state == "held"]
    assert all("zero" in event.reason for event in zeros)
    assert states["held"] == len(zeros) > 20
    assert {event.model for event in replay.book.held()} <= {event.model for event in zeros}


def test_the_routers_own_entry_is_read_with_all_that_it_tells() -> None:
    """A61. Two of its five providers name no price."""
    found = {event.provider: event for event in read_models(parse(SAMPLE.read_bytes()), NOON)}
    assert set(found) == {"novita", "together", "fireworks-ai", "featherless-ai", "deepinfra"}
    novita = found["novita"]
    assert novita.price is not None
    assert novita.price.input_nanousd_per_million_tokens == 1_690_000_000
    assert novita.price.output_nanousd_per_million_tokens == 3_380_000_000
    assert (novita.context_tokens, novita.first_token_ms) == (1_048_576, 1_490)
    assert novita.tokens_per_s == pytest.approx(24.69124)
    assert [name for name, event in found.items() if event.price is None] == ["featherless-ai", "fireworks-ai"]
    assert all(event.is_live and event.model == "deepseek-ai/DeepSeek-V4-Pro" for event in found.values())
