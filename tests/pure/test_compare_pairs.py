"""Two models on the same examples: what the tests in pairs tell apart, and what they say of who is best."""

import random

import pytest
from compare_world import compared, run, subject
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from hub.compare.pairs import DRAWN, EXACT, Pairs, adjusted, chance_exact
from schemas.comparison import PairedTest


def marked(model, marks, *, metric="accuracy", width=1, **more):
    """A run with marks; its score and interval are what the test says they are."""
    asked = len(marks) // width
    value = more.pop("value", sum(marks) / len(marks))
    return run(model, value, metric=metric, asked=asked, answered=asked, marks=marks, **more)


def best(*runs):
    return compared(*(subject(one.model, runs=[one]) for one in runs)).decision_support.best_for_quality


def test_a_test_in_pairs_tells_apart_what_intervals_cannot():
    """Of 100 examples b has the 80 of a, and 8 more: their intervals overlap, but no example speaks for a."""
    a = marked("a", [1.0] * 80 + [0.0] * 20, low=0.71, high=0.87)
    b = marked("b", [1.0] * 88 + [0.0] * 12, low=0.80, high=0.93)

    found = compared(subject("a", runs=[a]), subject("b", runs=[b]))

    quality = found.decision_support.best_for_quality
    assert (quality.models, quality.tie) == (("b",), False)
    assert "8 examples right for b alone and 0 for a (p = 0.008)" in quality.why
    [test] = found.analysis.paired
    assert (test.model, test.other, test.n, test.only_model, test.only_other) == ("b", "a", 100, 8, 0)
    assert (test.method, test.p, test.p_adjusted) == (EXACT, 2 / 2**8, 2 / 2**8)
    assert test.difference == pytest.approx(0.08)


def test_models_that_are_right_on_other_examples_are_a_tie_though_their_intervals_do_not_overlap():
    a = marked("a", [1.0] * 4 + [0.0] * 6, low=0.4, high=0.4)
    b = marked("b", [0.0] * 4 + [1.0] * 6, low=0.6, high=0.6)

    found = best(a, b)

    assert (found.models, found.tie) == (("a", "b"), True)
    assert "tested in pairs, 6 examples right for b alone and 4 for a (p = 0.754): not told apart" in found.why


def test_without_marks_of_both_the_intervals_decide():
    a, b = run("a", 0.80, low=0.71, high=0.87), marked("b", [1.0] * 88 + [0.0] * 12, low=0.80, high=0.93)

    assert best(a, b).models == ("a", "b")
    assert compared(subject("a", runs=[a]), subject("b", runs=[b])).analysis.paired == ()


def test_marks_of_another_number_than_was_asked_test_nothing():
    runs = {"a": marked("a", [1.0] * 10), "b": marked("b", [1.0] * 10).model_copy(update={"asked": 9})}

    assert Pairs(runs).test("a", "b") is None


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_the_exact_test_equals_scipys_binomial_test(only_one, only_other):
    n = only_one + only_other

    wanted = binomtest(min(only_one, only_other), n, 0.5).pvalue if n else 1.0

    assert chance_exact(only_one, only_other) == pytest.approx(wanted)
    assert chance_exact(only_one, only_other) == chance_exact(only_other, only_one)


def test_the_exact_test_of_ten_thousand_examples_is_a_number():
    assert chance_exact(5_000, 5_000) == 1.0
    assert 0 < chance_exact(4_900, 5_100) < 0.05
    assert chance_exact(0, 10_000) == 0.0


@pytest.mark.parametrize(("metric", "width", "marks"), [
    ("ndcg", 1, lambda good: [good]),
    ("wer", 2, lambda good: [round(10 * (1 - good)), 10]),
    ("f1", 3, lambda good: [round(10 * good), 10, 10]),
])  # fmt: skip
def test_scores_that_are_not_right_or_wrong_are_drawn_in_pairs(metric, width, marks):
    """b is a little better on every example: what differs between examples differs for both."""
    dice = random.Random(1)
    goods = [dice.uniform(0.1, 0.8) for _ in range(60)]
    a = [number for good in goods for number in marks(good)]
    b = [number for good in goods for number in marks(good + 0.1)]
    runs = {
        model: marked(model, some, metric=metric, width=width, value=0.5, low=0.1, high=0.9)
        for model, some in (("a", a), ("b", b), ("c", a))
    }
    pairs = Pairs(runs)

    test, same = pairs.test("b", "a"), pairs.test("a", "c")

    assert (test.method, test.n) == (DRAWN, 60)
    assert abs(test.difference) == pytest.approx(0.1, abs=0.02)
    assert test.low <= test.difference <= test.high
    assert test.p < 0.01
    assert (same.difference, same.p) == (0.0, 1.0)
    assert pairs.apart("a", "b") is True
    assert pairs.apart("a", "c") is False
    assert pairs.test("a", "nobody") is None


def test_the_best_of_many_is_tested_more_strictly_by_holm():
    """p of 0.01, 0.02 and 0.04 over three tests: 0.03, 0.04 and 0.04; over each other none falls."""
    tests = [
        PairedTest(model="m", other=name, metric="accuracy", n=9, difference=0.1, method=EXACT, p=p)
        for name, p in (("a", 0.04), ("b", 0.01), ("c", 0.02))
    ]

    assert [one.p_adjusted for one in adjusted(tests)] == pytest.approx([0.04, 0.03, 0.04])


def test_one_lucky_model_in_twenty_is_not_told_apart_from_all_others():
    """19 others, each 7 examples behind and 1 before: p is 0.07 of a pair, and it is a tie with all of them."""
    others = [marked(f"o{n:02}", [0.0] * 7 + [1.0] * 93, value=0.93, low=0.93, high=0.93) for n in range(19)]
    top = marked("top", [1.0] * 99 + [0.0], value=0.99, low=0.99, high=0.99)

    assert len(best(top, *others).models) == 20


def test_equally_good_models_are_told_apart_in_about_one_of_twenty_runs():
    """200 times two models that are right with the same chance: the exact test is wrong in at most one of twenty, give
    or take what 200 draws allow."""
    dice, wrong = random.Random(7), 0
    for _ in range(200):
        runs = {name: marked(name, [float(dice.random() < 0.7) for _ in range(100)], value=0.7) for name in "ab"}
        wrong += bool(Pairs(runs).apart("a", "b"))

    assert wrong <= 20
