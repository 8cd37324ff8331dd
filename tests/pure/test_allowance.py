"""The rule of `novix publish --max-total`: what was spent and what may still be, never beyond the limit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.quotes.allowance import Allowance


def result(place: tuple[int, int], cost: int) -> dict[str, Any]:
    return {"received": {"partition": place[0], "offset": place[1]}, "cost_nanousd": cost}


@given(
    st.integers(0, 1_000),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100), st.sampled_from(["send", "placed", "result"]))),
)
def test_spent_and_open_together_never_pass_the_limit(limit: int, steps: list[tuple[int, int, str]]):
    """Whatever the order of sending, acknowledgement and results, with jobs that cost at most their ceilings."""
    allowance = Allowance(limit)
    ceilings: list[int] = []
    sending, told, paid = 0, set[int](), 0
    for amount, choice, step in steps:
        if step == "send" and allowance.send(amount):
            ceilings.append(amount)
            sending += 1
        elif step == "placed":
            allowance.placed([(0, number) for number in range(len(ceilings) - sending, len(ceilings))])
            sending = 0
        elif step == "result" and ceilings:
            number = choice % len(ceilings)  # also of a job whose place is not acknowledged yet
            cost = ceilings[number] * choice // 100
            paid += cost if number not in told else 0
            allowance.result(result((0, number), cost if number not in told else 10**9))
            told.add(number)
        unknown = sum(ceiling for number, ceiling in enumerate(ceilings) if number not in told)

        assert paid + unknown <= limit
        assert allowance.spent + allowance.open_nanousd <= limit
        assert allowance.left == limit - allowance.spent - allowance.open_nanousd


def test_what_a_job_did_not_use_of_its_ceiling_is_there_for_the_next():
    allowance = Allowance(100)
    assert allowance.send(60)
    assert not allowance.send(60)
    allowance.placed([(0, 1)])

    assert allowance.result(result((0, 1), 10))

    assert allowance.send(60)
    assert (allowance.spent, allowance.open_nanousd, allowance.left) == (10, 60, 30)


def test_results_of_others_and_second_results_count_for_nothing():
    allowance = Allowance(100)
    allowance.send(60)
    allowance.placed([(0, 1)])
    allowance.result(result((0, 1), 10))

    assert not allowance.result(result((0, 1), 10))
    assert not allowance.result(result((3, 9), 10))
    assert not allowance.result({"cost_nanousd": 10})

    assert (allowance.spent, allowance.ended, allowance.open_jobs) == (10, 1, 0)


def test_a_result_that_is_read_before_the_job_is_acknowledged_is_not_lost():
    allowance = Allowance(100)
    allowance.send(60)
    allowance.result(result((0, 1), 10))

    allowance.placed([(0, 1)])

    assert (allowance.spent, allowance.open_nanousd) == (10, 0)


def test_what_was_published_before_is_of_the_same_limit_and_so_is_what_it_cost_when_it_ran_again():
    allowance = Allowance(100)
    allowance.before((0, 1), 60, again=[(0, 7)])
    assert not allowance.send(50)

    allowance.result(result((0, 1), 0))
    allowance.result(result((0, 7), 40))
    allowance.result(result((0, 7), 40))

    assert (allowance.spent, allowance.open_nanousd, allowance.left) == (40, 0, 60)


@pytest.mark.parametrize("cost", [-1, "10", None, 1.5])
def test_a_result_that_tells_no_cost_leaves_its_job_open(cost: Any):
    allowance = Allowance(100)
    allowance.send(60)
    allowance.placed([(0, 1)])

    assert not allowance.result({"received": {"partition": 0, "offset": 1}, "cost_nanousd": cost})
    assert not allowance.result({"received": ["0", 1], "cost_nanousd": 1})

    assert (allowance.spent, allowance.open_nanousd) == (0, 60)
