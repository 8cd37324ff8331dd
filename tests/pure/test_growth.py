"""Whether a series of the soak grows: a slope with its error against a limit."""

import random

import pytest

from bench.soak.growth import BLOCKS, slope

HOUR = 3600.0


def series(per_hour: float, *, noise: float = 0.0, minutes: float = 60, seed: int = 1) -> list[tuple[float, float]]:
    """A sample each 6 s of something that is 100 at the start."""
    dice = random.Random(seed)
    count = int(minutes * 10)
    return [(6.0 * n, 100 + per_hour * 6.0 * n / HOUR + dice.gauss(0, noise)) for n in range(count)]


def test_a_straight_line_has_its_own_slope_and_no_error():
    found = slope(series(30), limit=10)

    assert found.per_hour == pytest.approx(30)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.verdict == "grows"


def test_noise_around_a_level_does_not_grow():
    assert slope(series(0, noise=2), limit=10).verdict == "does not grow"


def test_a_leak_is_found_through_noise_that_is_ten_times_as_large_as_its_step():
    assert slope(series(60, noise=1), limit=10).verdict == "grows"


def test_only_the_second_half_counts_so_that_warming_up_is_no_growth():
    warming = [(at, min(value, 120.0)) for at, value in series(200)]

    assert slope(warming, limit=10).verdict == "does not grow"


def test_a_run_that_is_too_uneven_for_its_length_cannot_be_told():
    assert slope(series(0, noise=10, minutes=21), limit=10).verdict == "cannot be told"


def test_a_second_half_of_under_ten_minutes_has_no_slope():
    """It shows what is made up for after the last fault."""
    assert slope(series(300, minutes=19), limit=10) is None


def test_too_few_samples_have_no_slope():
    assert slope([], limit=10) is None
    assert slope(series(30)[: 2 * BLOCKS], limit=10) is None


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_is_wide_enough_where_neighbours_are_alike(seed):
    """A walk that always comes back to its level has long waves; a fit of single samples would call them growth."""
    dice, value, walk = random.Random(seed), 0.0, []
    for number in range(600):
        value = 0.9 * value + dice.gauss(0, 0.4)
        walk.append((6.0 * number, 100 + value))

    assert slope(walk, limit=10).verdict != "grows"


def moving(per_hour: float, each: float, lanes: list[float], noise: float) -> list[tuple[float, float]]:
    return [(at, value + each * here) for (at, value), here in zip(series(per_hour, noise=noise), lanes, strict=True)]


def here_and_there(seed: int = 5) -> list[float]:
    """Lanes of a process, from which they go and to which they come every few minutes."""
    dice = random.Random(seed)
    stays = [float(dice.choice((6, 9, 12))) for _ in range(40)]
    return [lanes for lanes in stays for _ in range(15)]


def test_what_goes_along_with_lanes_that_move_is_no_growth_and_no_noise():
    lanes = here_and_there()
    moved = moving(0, 5, lanes, noise=0.5)

    assert slope(moved, limit=4).verdict == "cannot be told"
    found = slope(moved, limit=4, along=lanes)
    assert found.verdict == "does not grow"
    assert found.error < slope(moved, limit=4).error / 4


def test_a_leak_beside_lanes_that_move_is_found():
    lanes = here_and_there()

    found = slope(moving(20, 5, lanes, noise=0.5), limit=4, along=lanes)

    assert found.per_hour == pytest.approx(20, abs=2)
    assert found.verdict == "grows"


def test_lanes_that_never_move_change_nothing():
    still = series(20, noise=1)

    assert slope(still, limit=4, along=[6.0] * len(still)) == slope(still, limit=4)
