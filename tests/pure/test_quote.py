"""Quotes: what a job would cost before anything is spent, and sums of them."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulings import LLAMA, NOW, SMALL, VIEWS, chat, job, ruled

from bench.predict import workload, world
from bench.quotes import held_out
from router.calibration import LEAST, Calibration, Observed
from router.quote import NO_HISTORY, quote, total
from router.view import View
from schemas.job import InferenceJob


def learnt(ratios: list[float], *, tenant: str = "default", model: str = LLAMA, called_ms: int = 200) -> Calibration:
    calibration = Calibration()
    for ratio in ratios:
        calibration.fold(Observed("chat-completion", model, tenant, 10**9, round(ratio * 10**9), called_ms))
    return calibration


def quoted(asked: InferenceJob, calibration: Calibration | None = None, where: str = "hosted"):
    view: View = VIEWS[where]
    return quote(asked, view, Calibration() if calibration is None else calibration, now=NOW)


def test_without_history_a_quote_goes_from_nothing_to_the_ceiling():
    asked = job(task_input=chat(max_tokens=100), max_cost_nanousd=5_000_000)

    one = quoted(asked)

    assert (one.low, one.high, one.basis) == (0, one.ceiling, NO_HISTORY)
    assert one.ceiling == ruled(asked).max_cost_nanousd
    assert 0 < one.expected == one.predicted <= one.bound <= one.ceiling


def test_with_history_it_is_the_estimate_times_what_such_jobs_paid_of_theirs():
    asked = job(task_input=chat(max_tokens=200), model=LLAMA)

    one = quoted(asked, learnt([0.5] * 10 + [1.0] * LEAST + [1.5] * 10))

    assert (one.low, one.high) == (math.floor(one.expected * 0.5), math.ceil(one.expected * 1.5))
    assert one.predicted == one.expected
    assert one.basis == f"task, model and tenant ({LEAST + 20} jobs)"


def test_what_other_tasks_paid_widens_the_interval_and_moves_no_estimate():
    calibration = Calibration()
    for number in range(3 * LEAST):
        ratio = 2 + number * 7 % (3 * LEAST)  # in no order: a ramp would be a world that changes
        calibration.fold(Observed("text-to-image", "other", "other", 10**6, ratio * 10**6))

    one = quoted(job(model=LLAMA), calibration)

    assert one.predicted == one.expected
    assert one.low > one.expected
    assert one.basis == f"all ({3 * LEAST} jobs)"
    assert total([one], 64).without_history == 1


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (job(model="nobody/knows-it"), "unknown_model"),
        (job(max_cost_nanousd=1), "price_ceiling"),
        (job("no-such-task", {"inputs": "x"}), "unknown_task"),
        (job(deadline=(NOW - timedelta(seconds=1)).isoformat()), "deadline_passed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_job_that_would_be_refused_costs_nothing_and_says_why(asked: InferenceJob, kind: str):
    one = quoted(asked, learnt([1.0] * LEAST))

    assert not one.taken
    assert (one.kind, one.high, one.ceiling, one.bound) == (kind, 0, 0, 0)
    assert one.message == ruled(asked).message


@given(
    st.text(st.characters(codec="utf-8"), max_size=300), st.none() | st.integers(1, 20_000), st.integers(0, 10**9),
    st.lists(st.floats(0, 50), min_size=1, max_size=60), st.sampled_from(["hosted", "sandbox"]),
)  # fmt: skip
def test_no_quote_goes_beyond_the_ceiling_or_below_nothing(
    text: str, max_tokens: int | None, ceiling: int, ratios: list[float], where: str
):
    asked = job(task_input=chat(text=text, max_tokens=max_tokens), max_cost_nanousd=ceiling)

    one = quoted(asked, learnt(ratios, model=SMALL), where)

    assert 0 <= one.low <= one.high <= one.ceiling <= ceiling
    assert 0 <= one.predicted <= one.ceiling
    assert one.bound <= one.ceiling


@given(st.text(max_size=200), st.none() | st.integers(1, 20_000), st.integers(0, 10**8))
def test_a_job_published_with_its_bound_as_its_ceiling_is_done_by_the_same_model_with_the_same_parameters(
    text: str, max_tokens: int | None, ceiling: int
):
    asked = job(task_input=chat(text=text, max_tokens=max_tokens), max_cost_nanousd=ceiling)
    one = quoted(asked)
    if not one.taken:
        return

    before, after = ruled(asked), ruled(asked.model_copy(update={"max_cost_nanousd": one.bound}))

    assert after.verdict == "assigned"
    assert after.candidates[0] == before.candidates[0]
    assert (after.parameters, after.bound_by) == (before.parameters, before.bound_by)
    assert after.max_cost_nanousd == one.bound


def test_the_interval_of_a_sum_is_narrower_than_the_sum_of_the_intervals():
    calibration = learnt([0.2 + number / 100 for number in range(161)])
    quotes = [quoted(job(task_input=chat(max_tokens=100), model=LLAMA), calibration) for _ in range(400)]

    told = total(quotes, 64)

    apart = sum(one.high - one.low for one in quotes)
    assert told.low < told.predicted < told.high
    assert told.high - told.low < apart / 5
    assert (told.taken, told.without_history) == (400, 0)


def test_a_total_counts_what_would_be_refused_by_its_kind_and_what_has_no_history():
    asked = [job(), job(max_cost_nanousd=1), job(max_cost_nanousd=1), job(model="nobody/knows-it")]

    told = total([quoted(one) for one in asked], 64)

    assert (told.jobs, told.taken, told.without_history) == (4, 1, 1)
    assert told.refused == {"price_ceiling": 2, "unknown_model": 1}
    assert told.time is None


def test_the_time_of_many_jobs_is_that_of_the_busiest_model_with_all_its_calls():
    calibration = learnt([1.0] * LEAST, called_ms=300)
    quotes = [quoted(job(model=LLAMA), calibration) for _ in range(640)]
    at_once = min(quotes[0].at_once, 64)

    assert total(quotes, 64).time == timedelta(milliseconds=round(640 * 300 / at_once))
    assert total(quotes, 1).time == timedelta(milliseconds=640 * 300)


def test_nine_of_ten_intervals_hold_what_is_paid_on_jobs_that_the_calibration_has_not_seen():
    """A tenth of `python -m bench quotes`, so with a wider margin; docs/quotes.md has the whole."""
    view = world()

    judged = held_out(list(workload(1, 3_000, view)), view)

    uncertain = [one for one in judged if not one.certain]
    assert len(uncertain) > 1_000
    assert sum(one.held for one in uncertain) / len(uncertain) == pytest.approx(0.9, abs=0.04)
