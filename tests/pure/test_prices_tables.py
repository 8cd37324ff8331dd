"""Tables that come with the installation, what replicas cost, and how far prices lie apart."""

import time as clocks
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st
from price_world import NOON, tokens

from router.prices import radar, replicas, tables
from router.prices.listing import read_models
from router.prices.rule import units_of
from router.prices.tables import UNDATED
from schemas.assignment import Price

TOGETHERS = "together", "meta-llama/Llama-3.3-70B-Instruct"
HOUR = timedelta(hours=1)
JOBS = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(0, 10**7), max_size=8)


@given(st.integers(0, 10**15), JOBS)
def test_a_bill_is_cut_up_to_the_last_nano_dollar_and_no_job_is_a_nano_dollar_from_its_share(
    bill: int, jobs: dict[str, int]
) -> None:
    cut = replicas.allocate(bill, jobs)
    assert sum(cut.jobs.values()) + cut.unallocated == bill
    assert set(cut.jobs) == set(jobs)
    assert cut.unallocated == (0 if jobs else bill)
    total = sum(jobs.values())
    for job, ms in jobs.items():
        share = Fraction(bill * ms, total) if total else Fraction(bill, len(jobs))
        assert abs(cut.jobs[job] - share) < 1


def test_the_same_jobs_in_another_order_are_cut_up_alike() -> None:
    jobs = {"b": 1, "a": 1, "c": 1}
    assert replicas.allocate(100, jobs) == replicas.allocate(100, dict(sorted(jobs.items())))
    assert replicas.allocate(100, jobs).jobs == {"a": 34, "b": 33, "c": 33}
    assert replicas.allocate(100, dict.fromkeys(jobs, 0)).jobs == {"a": 34, "b": 33, "c": 33}, "none took any time"


def test_started_minutes_are_billed_at_a_sixtieth_of_the_hour() -> None:
    """An L4 at 0.80 dollars: 61 s of one replica and 59.5 s of another are three minutes, which are 4 cents."""
    assert replicas.billed(800_000_000, [61, 59.5]) == 40_000_000
    assert replicas.billed(800_000_000, [0, 60]) == 13_333_334
    assert replicas.billed(800_000_000, []) == 0


def test_an_hour_of_a_machine_is_the_price_of_an_hour_and_its_jobs_pay_all_of_it() -> None:
    """B45: an hour with idle time in it, three jobs; their parts are the bill."""
    machine = tables.hardware()["aws/nvidia-l4/x1"]
    bill = replicas.billed(machine.hour_nanousd, [3_600])
    assert bill == machine.hour_nanousd == 800_000_000
    cut = replicas.allocate(bill, {"a": 1_000_000, "b": 400_000, "c": 600_000})
    assert cut.jobs == {"a": 400_000_000, "b": 160_000_000, "c": 240_000_000}


@pytest.mark.parametrize("spans", [[-1.0], [float("nan")], [float("inf")]])
def test_a_span_that_is_none_is_not_billed(spans: list[float]) -> None:
    with pytest.raises(ValueError, match="span"):
        replicas.billed(1, spans)
    with pytest.raises(ValueError, match="below 0"):
        replicas.allocate(-1, {})


def test_every_machine_has_an_hourly_price_and_a_millisecond_costs_no_less_than_its_part() -> None:
    machines, told = tables.hardware(), {event.model: event for event in tables.endpoints(NOON)}
    assert len(machines) == len(told) == 55
    for name, machine in machines.items():
        price = told[name].price
        assert price is not None
        assert 0 <= price.nanousd_per_compute_ms * tables.MS_PER_HOUR - machine.hour_nanousd < tables.MS_PER_HOUR
        assert told[name].is_live == machine.is_offered
    assert machines["aws/intel-spr/x1"].hour_nanousd == 33_000_000
    an_l4 = told["aws/nvidia-l4/x1"].price
    assert an_l4 is not None
    assert an_l4.nanousd_per_compute_ms == 223  # 0.80 dollars / 3,600,000 ms = 222.2


def test_the_package_tells_prices_of_hugging_faces_providers_and_the_day_where_it_has_one() -> None:
    told = tables.genai(NOON)
    assert len(told) > 200
    assert len({(event.provider, event.model) for event in told}) == len(told)
    for event in told:
        assert event.price is not None
        assert event.price.is_known
        assert (event.valid_from == UNDATED) == (event.price.as_of == "")
        assert event.source == "genai-prices"


def test_a_price_of_the_package_that_changes_on_a_day_counts_from_that_day() -> None:
    def price(at: datetime) -> tuple[datetime, int]:
        [told] = [one for one in tables.genai(at) if (one.provider, one.model) == TOGETHERS]
        assert told.price is not None
        return told.valid_from, told.price.input_nanousd_per_million_tokens

    change = datetime(2026, 10, 19, tzinfo=UTC)
    assert price(change - timedelta(seconds=1)) == (UNDATED, 880_000_000)
    assert price(change) == (change, 1_040_000_000)


def test_a_price_of_the_package_that_depends_on_length_or_hour_is_the_dearest_of_its_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the input's the dearest length, of the output's the dearest hour; what counts only from tomorrow does not."""

    def per_million(inp: Decimal | TieredPrices, out: int) -> ModelPrice:
        return ModelPrice(input_mtok=inp, output_mtok=Decimal(out), cache_read_mtok=Decimal("0.5"))

    tiers = TieredPrices(base=Decimal(1), tiers=[Tier(start=1_000, price=Decimal(3)), Tier(2_000, Decimal(2))])
    prices = [
        ConditionalPrice(prices=per_million(tiers, 4)),
        ConditionalPrice(TimeOfDateConstraint(time(1, tzinfo=UTC), time(2, tzinfo=UTC)), prices=per_million(tiers, 6)),
        ConditionalPrice(StartDateConstraint(NOON.date() + timedelta(days=1)), prices=per_million(Decimal(9), 9)),
    ]
    model = ModelInfo("org/m", ClauseEquals("org/m"), prices=prices)
    provider = Provider("huggingface_novita", "Novita", "", models=[model])
    monkeypatch.setattr("genai_prices.data.providers", [provider])

    [told] = tables.genai(NOON)

    assert told.price is not None
    assert units_of(told.price)[:3] == (3 * 10**9, 6 * 10**9, 5 * 10**8)
    assert (told.provider, told.valid_from) == ("novita", UNDATED)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_day_of_a_price_is_utcs_wherever_this_machine_stands(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as here:
        here.setenv("TZ", zone)
        clocks.tzset()
        try:
            since = {one.valid_from for one in tables.endpoints(NOON) + tables.genai(NOON)} - {UNDATED}
            rows = {"data": [{"id": "m", "providers": [{"provider": "p", "pricing": {"input": 1, "output": 1}}]}]}
            days = {one.price and one.price.as_of for at in (0, 11) for one in read_models(rows, NOON + at * HOUR)}
        finally:
            here.undo()
            clocks.tzset()
    assert {one.time() for one in since} == {time()}
    assert days == {"2026-11-22"}


def test_the_widest_spread_comes_first_and_a_price_by_other_units_is_not_compared() -> None:
    """U28."""
    prices = [
        ("a", "m/one", tokens(100, 100)), ("b", "m/one", tokens(400, 400)), ("c", "m/one", tokens(200, 200)),
        ("b", "m/two", tokens(150, 150)), ("a", "m/two", tokens(100, 300)), ("a", "m/three", tokens(5, 5)),
        ("c", "m/two", Price(nanousd_per_compute_ms=1, source="t", as_of="t")),
        ("b", "m/three", tokens(9, 9, nanousd_per_call=1)),
    ]  # fmt: skip
    one, two = radar.spreads(prices)
    assert (one.model, one.cheapest.provider, one.dearest.provider, one.ratio) == ("m/one", "a", "b", 4)
    assert [quote.provider for quote in one.quotes] == ["a", "c", "b"]
    assert (two.model, two.ratio) == ("m/two", 1)
    assert [quote.provider for quote in two.quotes] == ["a", "b"]
