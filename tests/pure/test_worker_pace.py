"""How fast a queue moves on: properties."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from workers.pace import MOST, Pace

seconds = st.floats(0.001, 100)


@given(st.lists(seconds, min_size=1, max_size=50))
def test_the_mean_lies_between_the_fastest_and_the_slowest_call(calls: list[float]) -> None:
    pace: Pace[str] = Pace()
    for each in calls:
        pace.took("model", timedelta(seconds=each))
    wait = pace.wait("model", before=0, at_once=1)
    assert wait is not None
    assert min(calls) - 1e-5 <= wait.total_seconds() <= max(calls) + 1e-5


@given(seconds, st.integers(0, 1_000), st.integers(1, 1_000))
def test_the_wait_grows_with_who_is_before_and_shrinks_with_how_many_are_called_at_once(
    each: float, before: int, at_once: int
) -> None:
    pace: Pace[str] = Pace()
    pace.took("model", timedelta(seconds=each))
    wait = pace.wait("model", before=before, at_once=at_once)
    later = pace.wait("model", before=before + 1, at_once=at_once)
    sooner = pace.wait("model", before=before, at_once=at_once + 1)
    assert wait is not None
    assert later is not None
    assert sooner is not None
    assert sooner <= wait <= later


def test_of_a_model_that_was_never_called_nothing_is_known() -> None:
    assert Pace[str]().wait("model", before=0, at_once=1) is None


def test_the_models_that_are_remembered_are_bounded_and_the_latest_stay() -> None:
    pace: Pace[int] = Pace()
    for model in range(MOST + 10):
        pace.took(model, timedelta(seconds=1))
    assert pace.wait(9, before=0, at_once=1) is None
    assert pace.wait(MOST + 9, before=0, at_once=1) is not None
