"""Models beside each other: who is best, who is beaten, what is told of what nobody knows."""

import itertools
from datetime import timedelta

import pytest
from compare_world import NOON, cell, compared, run, subject
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.compare import choose
from hub.compare.compare import UnknownModel, near
from hub.compare.front import dominates, front
from hub.compare.matrix import size
from hub.compare.mix import CannotPrice, Mix, Used, cost, priced, usual
from schemas.assignment import Price
from schemas.catalog import Security
from schemas.comparison import DIMENSIONS, UNKNOWN

PRICE = {"source": "test", "as_of": "2026-11-22"}


# What a job costs


def test_the_cost_of_a_mix_is_that_of_a_hand_calculation():
    """Two chats (1,000 in, 200 out; 500 in, 100 out) at $0.10 and $0.40 a million: 180,000 and 90,000 nano-dollars."""
    price = Price(input_nanousd_per_million_tokens=100_000_000, output_nanousd_per_million_tokens=400_000_000, **PRICE)
    jobs = [
        Used("chat-completion", {"input_tokens": 1_000, "output_tokens": 200}),
        Used("chat-completion", {"input_tokens": 500, "output_tokens": 100}),
    ]

    told = priced(Mix("acme", jobs), price)

    assert (told.each.value, told.each.low, told.each.high, told.each.n) == (135_000, 90_000, 180_000, 2)
    assert told.each.source == "predicted"
    [share] = told.shares
    assert (share.jobs, share.units, share.nanousd) == (2, {"input_tokens": 750, "output_tokens": 150}, 135_000)


def test_a_part_with_a_price_of_its_own_is_charged_once():
    """1,000 tokens in, 400 of them read before: 600 at 1 and 400 at 0.25 nano-dollars."""
    price = Price(input_nanousd_per_million_tokens=1_000_000, cached_input_nanousd_per_million_tokens=250_000, **PRICE)

    assert cost({"input_tokens": 1_000, "cached_input_tokens": 400}, price) == 700
    assert cost({"input_tokens": 100, "cached_input_tokens": 400}, price) == 25  # no more parts than the whole has


def test_nine_of_ten_jobs_lie_between_the_ends_of_the_interval():
    jobs = [Used("chat-completion", {"input_tokens": tokens}) for tokens in range(1, 101)]

    told = priced(Mix("acme", jobs), Price(input_nanousd_per_million_tokens=1_000_000, **PRICE)).each

    assert (told.low, told.high) == (5, 95)
    assert sum(told.low <= tokens <= told.high for tokens in range(1, 101)) >= 90


@pytest.mark.parametrize(
    ("mix", "price", "why"),
    [
        (usual(), {}, "unknown"),
        (usual("image-to-image"), {"nanousd_per_call": 5}, "no job"),
        (usual(), {"nanousd_per_compute_ms": 5}, "compute time"),
        (Mix("t", [Used("text-to-image", {"images": 1})]), {"input_nanousd_per_million_tokens": 5}, "unit"),
    ],
)
def test_what_cannot_be_priced_is_told_and_is_not_zero(mix, price, why):
    with pytest.raises(CannotPrice, match=why):
        priced(mix, Price(**price, **PRICE))


def test_compute_time_is_that_of_the_models_own_results():
    jobs = [Used("text-classification", {"compute_ms": 9_999})]

    assert priced(Mix("t", jobs), Price(nanousd_per_compute_ms=3, **PRICE), compute_ms=20.0).each.value == 60


def test_a_free_offer_costs_nothing_and_is_known():
    assert priced(usual(), Price(is_free=True, **PRICE)).each.value == 0


# The front

NUMBERS = st.one_of(st.none(), st.integers(0, 5).map(float))
POINTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.fixed_dictionaries(dict.fromkeys(DIMENSIONS, NUMBERS)), max_size=12
)


def values(point, by):
    return tuple(point[one] for one in by)


@given(POINTS)
@settings(max_examples=300, deadline=None)
def test_nobody_on_the_front_is_dominated_and_everybody_off_it_is(points):
    found = front(points)

    assert set(found.models) | set(found.dominated) | set(found.unjudged) == set(points)
    assert len(found.models) + len(found.dominated) + len(found.unjudged) == len(points)
    for one, other in itertools.product(found.models, repeat=2):
        assert not dominates(values(points[one], found.by), values(points[other], found.by))
    for beaten, by_whom in found.dominated.items():
        assert by_whom in found.models
        assert dominates(values(points[by_whom], found.by), values(points[beaten], found.by))
    for one in found.unjudged:
        assert not found.by or any(points[one][name] is None for name in found.by)
    judged = [one for one in points if one not in found.unjudged]
    assert bool(found.models) == bool(judged)


def test_two_that_are_alike_both_stand_on_the_front():
    same = {"speed": 1.0, "quality": -1.0, "cost": 1.0}

    assert front({"a": same, "b": dict(same)}).models == ("a", "b")


# Who is best


def test_best_for_speed_has_the_lowest_95th_percentile_and_says_of_how_many_calls():
    found = compared(subject("a", p95=300, n=50), subject("b", p95=200, n=7), subject("c")).decision_support

    assert found.best_for_speed.models == ("b",)
    assert "p95 of 200 ms over 7 calls" in found.best_for_speed.why
    assert "few calls" in found.best_for_speed.why
    assert "unknown of 1" in found.best_for_speed.why


def test_best_for_cost_is_the_least_and_unknown_is_no_price_of_zero():
    found = compared(subject("a", nanousd=50), subject("b", nanousd=20), subject("c")).decision_support

    assert found.best_for_cost.models == ("b",)
    assert "$0.00000002 a job" in found.best_for_cost.why


def test_models_whose_intervals_overlap_the_best_ones_are_a_tie():
    found = compared(
        subject("a", runs=[run("a", 0.90, low=0.86, high=0.93)]),
        subject("b", runs=[run("b", 0.92, low=0.89, high=0.95)]),
        subject("c", runs=[run("c", 0.80, low=0.75, high=0.85)]),
    ).decision_support.best_for_quality

    assert (found.models, found.tie) == (("a", "b"), True)
    assert "0.920 (0.890 to 0.950) on reviews, 100 examples" in found.why


def test_of_an_error_rate_the_lowest_is_best():
    found = compared(
        subject("a", runs=[run("a", 0.30, metric="wer")]), subject("b", runs=[run("b", 0.10, metric="wer")])
    )

    assert found.decision_support.best_for_quality.models == ("b",)
    row = next(row for row in found.comparison.rows if row.name == "quality")
    assert (row.better, row.best) == ("low", (1,))


def test_quality_is_compared_on_the_same_examples_alone():
    """Model b was measured on another version of the set: it has no quality here, whatever it scored there."""
    found = compared(
        subject("a", quality=0.7), subject("b", runs=[run("b", 0.99, digest="other")]), subject("c", quality=0.6)
    )

    assert found.decision_support.best_for_quality.models == ("a",)
    assert cell(found, "quality", "b").text == UNKNOWN
    assert found.analysis.quality[1].others == ("r-b-1795348800",)


def test_the_newest_run_on_the_same_ground_counts():
    old, new = run("a", 0.9), run("a", 0.5, ended=NOON + timedelta(days=1))

    assert compared(subject("a", runs=[new, old])).analysis.quality[0].value == 0.5


def test_who_may_not_be_used_is_in_the_table_and_best_for_nothing():
    found = compared(
        subject("a", p95=1, nanousd=1, quality=0.99, allowed=False), subject("b", p95=9, nanousd=9, quality=0.5)
    )

    support = found.decision_support
    for best in (support.best_for_speed, support.best_for_cost, support.best_for_quality, support.best_overall):
        assert best.models == ("b",)
    assert found.analysis.front == ("b",)
    assert cell(found, "allowed", "a").text == "no"
    assert any("a may not be used" in note for note in found.notes)


def test_the_best_overall_is_the_weighted_sum_that_is_shown():
    """a: speed 100/100, cost 10/20, quality 0.6/0.9; b: speed 100/200, cost 10/10, quality 0.9/0.9."""
    models = subject("a", p95=100, nanousd=20, quality=0.6), subject("b", p95=200, nanousd=10, quality=0.9)
    found = compared(*models, weights={"speed": 2, "quality": 1, "cost": 1})

    scores = {row.model: row for row in found.recommendations}
    assert scores["a"].score == pytest.approx(0.5 * 1 + 0.25 * (0.6 / 0.9) + 0.25 * 0.5)
    assert scores["b"].score == pytest.approx(0.5 * 0.5 + 0.25 * 1 + 0.25 * 1)
    assert found.decision_support.weights == {"speed": 0.5, "quality": 0.25, "cost": 0.25}
    assert found.decision_support.best_overall.models == ("a",)
    assert found.criteria.weights.speed == 2
    faster = compared(*models, weights={"speed": 0, "quality": 1, "cost": 1})
    assert faster.decision_support.best_overall.models == ("b",)


def test_a_model_of_which_something_is_unknown_is_not_ranked_and_loses_nothing_by_it():
    found = compared(subject("a", p95=100, nanousd=10), subject("b", nanousd=1)).recommendations

    assert [(row.model, row.score) for row in found] == [("a", pytest.approx(0.5 + 0.5 * 0.1)), ("b", None)]
    assert "observed speed unknown" in found[1].why


def test_where_nothing_is_known_nobody_is_best_and_every_cell_says_unknown():
    found = compared(subject("a"), subject("b"))

    support = found.decision_support
    for best in (support.best_for_speed, support.best_for_cost, support.best_for_quality, support.best_overall):
        assert (best.models, best.tie) == ((), False)
    assert found.analysis.front == ()
    cells = [cell for row in found.comparison.rows for cell in row.cells]
    assert {one.text for one in cells} == {UNKNOWN}
    assert {one.value for one in cells} == {None}


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_in_which_models_are_named_decides_nothing(order):
    told = {
        "a": {"p95": 100, "nanousd": 5, "quality": 0.9},
        "b": {"p95": 100, "nanousd": 5, "quality": 0.9},
        "c": {"p95": 50, "nanousd": 50, "quality": 0.8},
        "d": {"nanousd": 1},
    }
    found = compared(*(subject(name, **told[name]) for name in order))
    usual = compared(*(subject(name, **told[name]) for name in "abcd"))

    assert found.decision_support == usual.decision_support
    assert found.recommendations == usual.recommendations
    assert found.analysis.tradeoffs == usual.analysis.tradeoffs
    assert set(found.analysis.front) == set(usual.analysis.front) == {"a", "b", "c"}


# In words


def test_a_trade_is_told_with_what_is_won_and_what_is_lost():
    [trade] = compared(
        subject("a", p95=100, nanousd=30, quality=0.7), subject("b", p95=250, nanousd=10, quality=0.9)
    ).analysis.tradeoffs

    assert (trade.gain, trade.loss) == ({"cost": 3.0, "quality": pytest.approx(0.2)}, {"speed": 2.5})
    assert trade.says == (
        "b instead of a: 3.0 times cheaper and 20.0 points of accuracy better, but 2.5 times as slow at p95"
    )


def test_a_free_one_is_not_infinitely_cheaper():
    [trade] = compared(subject("a", p95=1, nanousd=30), subject("b", p95=9, nanousd=0)).analysis.tradeoffs

    assert trade.gain == {"cost": 0.0}
    assert "b instead of a: free, but 9.0 times as slow at p95; quality unknown" in trade.says


# The table


def test_facts_of_a_card_stand_in_the_table_as_they_are_and_the_others_as_unknown():
    found = compared(
        subject("a", parameters=7_000_000_000, license="MIT", gated="no", dtypes={"BF16": 7_000_000_000}),
        subject("b", license_raw="bigscience-openrail", security=Security(scans_done=False, level="unsafe")),
    )

    assert cell(found, "parameters", "a").text == "7,000,000,000"
    assert (cell(found, "memory", "a").text, cell(found, "memory", "a").value) == ("16.8 GB", 16_800_000_000)
    assert (cell(found, "license", "a").text, cell(found, "license", "b").text) == ("MIT", UNKNOWN)
    assert cell(found, "license", "b").note == "its card says bigscience-openrail"
    assert (cell(found, "security", "b").text, cell(found, "security", "b").note) == ("unsafe", "scans are not done")
    assert cell(found, "security", "a").text == UNKNOWN


def test_memory_is_what_the_models_page_and_the_search_tell_with_its_formula():
    """10 numbers of 4 bytes and 8 of one are 48, and a fifth; where the type is not told it says what was assumed."""
    found = compared(subject("a", dtypes={"F32": 10, "I8": 8}), subject("b", parameters=100), subject("c"))

    assert [cell(found, "memory", model).value for model in "abc"] == [58, 240, None]
    assert "10 F32 x 4 B + 8 I8 x 1 B) x 1.2" in cell(found, "memory", "a").note
    assert "16 bits assumed" in cell(found, "memory", "b").note


def test_a_size_is_told_in_decimal_units():
    assert [size(number) for number in (7, 1_500, 2_000_000)] == ["7 B", "1.5 kB", "2.0 MB"]


def test_the_best_of_a_row_is_marked_only_where_two_are_known_and_differ():
    found = compared(subject("a", p95=100), subject("b", p95=300), subject("c"))
    rows = {row.name: row for row in found.comparison.rows}

    assert (rows["p95"].best, rows["downloads"].best, rows["cost"].best) == ((0,), (), ())
    assert compared(subject("a", p95=100), subject("c")).comparison.rows[13].best == ()


def test_an_unknown_model_is_told_with_names_near_it():
    names = ["google-bert/bert-base-uncased", "gpt2", "FacebookAI/roberta-base", "openai-community/gpt2"]

    assert near("bert-base-uncased", names)[0] == "google-bert/bert-base-uncased"
    assert near("nobody/SmolLM2-135M", ["HuggingFaceTB/SmolLM2-135M-Instruct"]) == [
        "HuggingFaceTB/SmolLM2-135M-Instruct"
    ]
    assert near("openai/gpt2", names) == ["gpt2", "openai-community/gpt2"]
    assert near("FacebookAI/robberta-base", names)[0] == "FacebookAI/roberta-base"
    assert near("zzzzzz", names) == []
    error = UnknownModel("x" * 1_000, ["a"])
    assert len(str(error)) < 400
    assert error.near == ("a",)


def test_a_ratio_of_a_tie_in_all_parts_is_one():
    known = [choose.Known(name, 10.0, 5, 0.0, compared(subject("a")).analysis.quality[0], None) for name in "ab"]
    rows = choose.ranking(known, {"speed": 0.5, "cost": 0.5})

    assert [row.score for row in rows] == [1.0, 1.0]
    assert choose.overall(rows).tie
