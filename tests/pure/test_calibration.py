"""The calibration: intervals that cover what comes, from the narrowest history that is long enough."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.calibration import LEAST, LOOK, WINDOW, Calibration, Observed, interval

RATIOS = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=200)


def one(paid: int, *, expected: int = 1_000_000, tenant: str = "acme", model: str = "m", task: str = "t") -> Observed:
    return Observed(task, model, tenant, expected, paid)


def folded(*ratios: float, calibration: Calibration | None = None, **where: str) -> Calibration:
    calibration = Calibration() if calibration is None else calibration
    for ratio in ratios:
        calibration.fold(one(round(ratio * 1_000_000), **where))  # type: ignore[arg-type]
    return calibration


@given(RATIOS, st.sampled_from([0.05, 0.1, 0.2, 0.5]))
def test_of_n_earlier_values_and_the_next_nine_in_ten_orders_put_the_next_inside(ratios: list[float], miss: float):
    """The claim of split conformal prediction, counted: each value left out once, do the others hold it?"""
    held = 0
    for at, value in enumerate(ratios):
        low, high = interval(sorted(ratios[:at] + ratios[at + 1 :]), miss)
        held += low <= value <= high

    assert held >= math.floor(len(ratios) * (1 - miss))


def test_ends_that_so_few_cannot_give_stay_open():
    assert interval([1.0] * 18, 0.1) == (0.0, math.inf)
    assert interval([1.0] * 19, 0.1) == (1.0, 1.0)
    assert interval([], 0.1) == (0.0, math.inf)


def test_a_tenant_with_enough_history_is_told_by_its_own_and_another_by_that_of_the_model():
    calibration = folded(*[3.0] * LEAST, tenant="dear")
    folded(*[1.0] * (LEAST - 1), calibration=calibration, tenant="new")

    own, shared = calibration.band("t", "m", "dear"), calibration.band("t", "m", "new")

    assert own is not None
    assert shared is not None
    assert (own.low, own.high, own.basis) == (3.0, 3.0, "task, model and tenant")
    assert (shared.group, shared.number) == (("t", "m"), 2 * LEAST - 1)
    assert (shared.low, shared.high) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("model", "task", "group"), [("other", "t", ("t",)), ("other", "other", ()), ("m", "t", ("t", "m"))]
)
def test_what_has_no_history_of_its_own_is_told_by_the_next_wider_one(model: str, task: str, group: tuple[str, ...]):
    calibration = folded(*[1.5] * LEAST)

    band = calibration.band(task, model, "stranger")

    assert band is not None
    assert band.group == group


def test_a_short_history_is_told_and_its_ends_are_open():
    band = folded(1.0, 2.0).band("t", "m", "acme")

    assert band is not None
    assert (band.low, band.high, band.mean, band.number) == (0.0, math.inf, 1.5, 2)
    assert band.basis == "task, model and tenant"
    assert Calibration().band("t", "m", "acme") is None


def test_only_the_newest_of_a_group_count_and_what_was_expected_to_cost_nothing_does_not():
    calibration = folded(*[5.0] * WINDOW, *[1.0] * WINDOW)
    calibration.fold(one(7, expected=0))

    band = calibration.band("t", "m", "acme")

    assert len(calibration) <= WINDOW
    assert band is not None
    assert (band.low, band.high) == (1.0, 1.0)


def test_a_history_that_no_longer_foresees_what_comes_is_put_away():
    dice = random.Random(3)
    before = [dice.uniform(0.5, 1.5) for _ in range(400)]
    after = [dice.uniform(2.5, 4.5) for _ in range(LOOK)]
    adaptive, patient = (folded(*before, *after, calibration=Calibration(adaptive=one)) for one in (True, False))

    def covers(calibration: Calibration) -> float:
        band = calibration.band("t", "m", "acme")
        assert band is not None
        return sum(band.low <= dice.uniform(2.5, 4.5) <= band.high for _ in range(2_000)) / 2_000

    assert (adaptive.cuts > 0, patient.cuts) == (True, 0)
    assert covers(adaptive) > 0.9
    assert covers(patient) < 0.8


@pytest.mark.parametrize("seed", range(5))
def test_chance_alone_puts_no_history_away_in_a_thousand_jobs_of_one_distribution(seed: int):
    dice = random.Random(seed)
    calibration = folded(*[dice.lognormvariate(0, 0.7) for _ in range(1_000)])

    assert calibration.cuts == 0
