"""The decision under budgets: what is reserved, what waits, what gets less, what is refused."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import NOW, VIEWS, catalogue_of, chat, job, offer, ruled, view

from router.purse import Line, Purse
from router.ruling import Ruling
from router.terms import FREE, Terms, Turn
from router.view import View
from schemas.failure import FailureKind as K
from schemas.job import InferenceJob

TOMORROW = NOW + timedelta(hours=12)
ROWS = catalogue_of(offer("a/a", price=10**8), offer("b/b", price=2 * 10**8), offer("c/c", price=3 * 10**8))
PLAIN = view(ROWS)
FULL = 102_400
"""What 1,024 tokens of a/a cost at most."""


def line(limit: int, spent: int = 0, reserved: int = 0, **more: Any) -> Line:
    return Line("day", "2026-11-22", limit, spent, reserved, **({"resets_at": TOMORROW} | more))


def with_budgets(*lines: Line, over_limit: Any = "wait") -> View:
    return replace(PLAIN, purse=Purse(lines), terms=Terms(tenant="t", over_limit=over_limit))


def decided(*lines: Line, over_limit: Any = "wait", **asked: Any) -> Ruling:
    return ruled(job(task_input=chat(text=""), **asked), with_budgets(*lines, over_limit=over_limit))


def test_without_a_hard_budget_the_jobs_ceiling_is_reserved() -> None:
    ruling = decided(line(1, hard=False), max_cost_nanousd=5 * 10**6, quoted_nanousd=7)
    assert ruling.reserve is not None
    assert (ruling.reserve.nanousd, ruling.max_cost_nanousd) == (5 * 10**6, 5 * 10**6)
    assert (ruling.reserve.quoted_nanousd, ruling.reserve.expected_nanousd) == (7, 25_600)
    assert [one.id for one in ruling.reserve.budgets] == ["day"]
    assert not ruling.reserve.budgets[0].hard


def test_a_hard_budget_sets_two_of_the_dearest_calls_aside() -> None:
    ruling = decided(line(10**9))
    assert ruling.reserve is not None
    assert ruling.reserve.nanousd == ruling.max_cost_nanousd == 2 * 3 * FULL
    assert len(ruling.candidates) == 3


def test_what_hugging_face_may_send_to_a_provider_counts_against_that_providers_budget() -> None:
    """Nobody knows before the call where `auto` leads: a hard budget is not passed by way of it."""
    there = line(FULL - 1, provider="groq")
    rows = catalogue_of(offer("a/a", provider="auto", price=10**8))
    ruling = ruled(job(task_input=chat(text="")), replace(view(rows), purse=Purse((there,)), terms=Terms(tenant="t")))
    assert ruling.reserve is not None
    assert [one.id for one in ruling.reserve.budgets] == ["day"]
    assert ruling.max_cost_nanousd <= FULL - 1


def test_a_fallback_that_the_budget_cannot_pay_is_left_out() -> None:
    ruling = decided(line(2 * FULL))
    assert [one.model for one in ruling.candidates] == ["a/a", "b/b"]
    assert ruling.max_cost_nanousd == 2 * FULL
    assert [one.reason for one in ruling.exclusions if one.model == "c/c"] == [K.OVER_BUDGET]


@pytest.mark.parametrize("left", [5_000, 20_000, FULL // 2])
def test_near_a_budgets_end_the_cheapest_offer_is_still_the_first_and_gives_the_longest_answer(left: int) -> None:
    """The answer that money cuts shortest costs least, and is not the cheapest."""
    ruling = decided(line(10**9, spent=10**9 - left))
    assert ruling.candidates[0].model == "a/a"
    assert ruling.bound_by == "budget"
    assert ruling.parameters["max_tokens"] == left // 100


@pytest.mark.parametrize(("over_limit", "verdict"), [("wait", "waiting"), ("refuse", "rejected")])
def test_while_reservations_are_open_a_job_waits_for_their_money_or_is_refused_at_once(
    over_limit: str, verdict: str
) -> None:
    ruling = decided(line(10 * FULL, 0, 9 * FULL + 1), over_limit=over_limit)
    assert (ruling.verdict, ruling.kind) == (verdict, K.OVER_BUDGET)
    assert ruling.until == (TOMORROW if verdict == "waiting" else None)
    assert f"{FULL} are needed" in (ruling.message or "")


def test_a_job_waits_for_any_of_its_budgets_whose_reservations_are_open_not_for_the_scarcest_alone() -> None:
    """What the scarcest has left would buy an answer; the other one's money may come back all the same."""
    scarce, reserved = line(10**9, 10**9 - 20_000), line(10**9, 10**9 - 50_000, 20_000)
    ruling = decided(scarce, replace(reserved, id="month", resets_at=TOMORROW + timedelta(days=8)))
    assert (ruling.verdict, ruling.kind) == ("waiting", K.OVER_BUDGET)
    assert ruling.until == TOMORROW + timedelta(days=8)
    assert "budget day" in (ruling.message or "")


def test_when_no_reservation_is_open_the_rest_buys_fewer_tokens_and_says_so() -> None:
    """A58."""
    ruling = decided(line(10 * FULL, 10 * FULL - 20_000))
    assert ruling.verdict == "assigned"
    assert ruling.bound_by == "budget"
    given_tokens = ruling.parameters["max_tokens"]
    assert ruling.adapted == {"max_tokens": {"asked": 1024, "given": given_tokens, "bound_by": "budget"}}
    assert 19_900 <= ruling.max_cost_nanousd <= 20_000


def test_a_rest_that_buys_nothing_of_use_waits_for_the_next_window_if_that_begins_in_time() -> None:
    spent = line(10 * FULL, 10 * FULL - 100)
    waiting = decided(spent, timeout_s=13 * 3600)
    assert (waiting.verdict, waiting.until) == ("waiting", TOMORROW)
    refused = decided(spent, timeout_s=600)
    assert (refused.verdict, refused.kind) == ("rejected", K.OVER_BUDGET)
    assert refused.message == (
        f"budget day of 2026-11-22 has 100 of {10 * FULL} nano-dollars left ({10 * FULL - 100} spent, 0 reserved); "
        "1600 are needed; its next window begins at 2026-11-23T00:00:00+00:00"
    )
    for_ever = decided(replace(spent, resets_at=None), timeout_s=13 * 3600)
    assert for_ever.verdict == "rejected"
    assert "no next window" in (for_ever.message or "")


def test_a_models_own_budget_excludes_that_model_and_no_other() -> None:
    ruling = decided(line(10, model="a/a"))
    assert [one.model for one in ruling.candidates] == ["b/b", "c/c"]
    assert ruling.max_cost_nanousd == 10_000_000, "no hard budget holds for those that are left"
    assert [one.reason for one in ruling.exclusions if one.model == "a/a"] == [K.OVER_BUDGET]
    assert decided(line(10, model="a/a"), model="a/a").kind == K.OVER_BUDGET
    assert decided(line(10 * FULL, 0, 10 * FULL, provider="acme")).verdict == "waiting"


def test_a_models_own_budget_that_is_soft_turns_nobody_away_and_is_told_of() -> None:
    ruling = decided(line(10, model="a/a", hard=False))
    assert [one.model for one in ruling.candidates] == ["a/a", "b/b", "c/c"]
    assert ruling.reserve is not None
    assert [(one.id, one.hard) for one in ruling.reserve.budgets] == [("day", False)]


def test_nobody_waits_for_the_money_of_one_model_where_others_have_theirs() -> None:
    """The cheapest model's own budget is reserved by others: the next one does it at once."""
    ruling = decided(line(10 * FULL, 0, 10 * FULL, model="a/a"))
    assert ruling.verdict == "assigned"
    assert [one.model for one in ruling.candidates] == ["b/b", "c/c"]


def test_the_reserve_fits_the_own_budgets_of_every_candidate() -> None:
    ruling = decided(line(5 * FULL, model="b/b"), line(100 * FULL))
    assert ruling.max_cost_nanousd == 5 * FULL
    assert [one.model for one in ruling.candidates] == ["a/a", "b/b", "c/c"]
    assert ruling.reserve is not None
    assert len(ruling.reserve.budgets) == 2


def test_a_budget_of_nothing_lets_nothing_through() -> None:
    assert decided(line(0)).kind == K.OVER_BUDGET


def test_what_has_no_bound_before_the_call_is_held_by_the_rest_of_the_budget() -> None:
    """A picture of no asked size may have any number of pixels: its bound is the ceiling itself."""
    rest = Purse((line(10**9, 10**9 - 5_000_000),))
    asked = job("text-to-image", {"inputs": "a fox"}, provider="nscale")
    ruling = ruled(asked, replace(VIEWS["hosted"], purse=rest))
    assert ruling.verdict == "assigned"
    assert ruling.max_cost_nanousd == 5_000_000
    waiting = ruled(asked, replace(VIEWS["hosted"], purse=Purse((line(10**9, 10**9 - 6_000_000, 1_000_000),))))
    assert (waiting.verdict, waiting.kind) == ("waiting", K.OVER_BUDGET)


@pytest.mark.parametrize(
    ("task", "task_input"),
    [
        ("feature-extraction", {"inputs": "a"}),
        ("automatic-speech-recognition", {"inputs": "AAAA"}),
        ("sentence-similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}),
        ("text-classification", {"inputs": "good"}),
    ],
)
@pytest.mark.parametrize("room", [0, 1, 50, 10_000, 10**6, 10**8])
def test_every_task_keeps_within_its_budget(task: str, task_input: Any, room: int) -> None:
    ruling = ruled(job(task, task_input), replace(VIEWS["sandbox"], purse=Purse((line(10**9, 10**9 - room),))))
    assert (ruling.verdict, ruling.kind) in {("assigned", None), ("rejected", K.OVER_BUDGET)}
    assert ruling.verdict == "rejected" or ruling.max_cost_nanousd <= room
    assert all(one.ceiling_nanousd <= ruling.max_cost_nanousd for one in ruling.candidates)


def test_the_rest_of_a_budget_pays_for_all_of_a_call_that_cannot_be_cut_or_for_none_of_it() -> None:
    """Compute time is charged as it comes: 30 s, the longest silence that is waited for, at 120 nano-dollars a ms."""
    asked, longest = job("feature-extraction", {"inputs": "a"}), 30_000 * 120
    enough, less = (Purse((line(10**9, 10**9 - room),)) for room in (longest, longest - 1))
    assert ruled(asked, replace(VIEWS["sandbox"], purse=enough)).max_cost_nanousd == longest
    refused = ruled(asked, replace(VIEWS["sandbox"], purse=less))
    assert refused.kind == K.OVER_BUDGET
    assert f"{longest} are needed" in (refused.message or "")


def test_a_fallback_is_reserved_for_the_tokens_that_it_is_sent_and_for_no_more() -> None:
    """The first choice's context cuts the answer, and all candidates are sent the same parameters."""
    small = offer("a/a", price=10**8, context_tokens=400)
    asked = job(task_input=chat(text="x" * 60, max_tokens=1000))
    ruling = ruled(
        asked, replace(view(catalogue_of(small, offer("b/b", price=2 * 10**8))), purse=Purse((line(10**9),)))
    )
    tokens = ruling.parameters["max_tokens"]
    assert [one.model for one in ruling.candidates] == ["a/a", "b/b"]
    assert 0 < tokens < 400
    assert [one.ceiling_nanousd for one in ruling.candidates] == [tokens * 100, tokens * 200]
    assert ruling.max_cost_nanousd == 2 * tokens * 200


def test_a_call_is_never_expected_to_cost_more_than_it_may() -> None:
    """A text of 50,000 tokens takes 50 s of compute to read, and only the longest silence, 30 s, can be charged."""
    told = {"nanousd_per_compute_ms": 100, "source": "t", "as_of": "t"}
    rows = catalogue_of(offer("e/e", "hf-inference", told, dialect="hf-inference", tasks=["feature-extraction"]))
    ruling = ruled(job("feature-extraction", {"inputs": "word " * 40_000}), view(rows))
    assert [(one.estimate_nanousd, one.ceiling_nanousd) for one in ruling.candidates] == [(30_000 * 100, 30_000 * 100)]
    assert ruling.reserve is not None
    assert ruling.reserve.expected_nanousd == 30_000 * 100


LINES = st.lists(
    st.builds(
        lambda limit, spent, reserved, hard, model, at: Line(
            str(at), "total", limit, spent, reserved, hard, model, None, None if at % 2 else TOMORROW
        ),
        st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from([0, 0, 10**4]), st.booleans(),
        st.sampled_from([None, None, "a/a", "b/b"]), st.integers(0, 9),
    ),
    max_size=4,
    unique_by=lambda one: one.id,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(LINES, st.text(max_size=300), st.none() | st.integers(0, 20_000), st.none() | st.integers(0, 10**6))
def test_no_hard_budget_is_ever_passed_and_the_answer_never_costs_more_than_is_reserved(
    lines: list[Line], text: str, max_tokens: int | None, ceiling: int | None
) -> None:
    """A57, A63, B225: for every candidate, fallbacks too."""
    asked = job(task_input=chat(text=text, max_tokens=max_tokens), max_cost_nanousd=ceiling)
    ruling = ruled(asked, with_budgets(*lines))
    assert (ruling.reserve is not None) == (ruling.verdict == "assigned")
    if ruling.reserve is None:
        assert ruling.kind in (K.OVER_BUDGET, K.PRICE_CEILING)
        return
    reserve = ruling.reserve.nanousd
    assert 0 <= reserve == ruling.max_cost_nanousd <= (10_000_000 if ceiling is None else ceiling)
    assert 0 <= ruling.parameters["max_tokens"] <= 8192
    for one in ruling.candidates:
        output = ruling.parameters["max_tokens"] * one.price.output_nanousd_per_million_tokens
        assert -(-output // 10**6) <= one.ceiling_nanousd <= reserve
        for held in lines:
            if held.hard and held.holds_for(one.model, one.provider):
                assert reserve <= held.available_nanousd


def test_of_a_budget_with_enough_work_99_percent_are_used() -> None:
    """Jobs one after the other, each charged its candidate's ceiling: what is left buys no useful answer."""
    limit, spent = 10**8, 0
    while (ruling := decided(line(limit, spent), timeout_s=600)).verdict == "assigned":
        spent += ruling.candidates[0].ceiling_nanousd
    assert 0.99 * limit <= spent <= limit


def test_of_a_tiny_budget_99_percent_are_used_by_jobs_of_all_lengths_fifty_at_a_time() -> None:
    """One cent; prompts of 40 to 20,000 characters, answers that are a part of what they might have been. Up to the
    first job that is refused: until then all that waited had something to wait for."""
    dice, limit = random.Random(6), 10**7
    spent = reserved = 0
    running: list[tuple[int, int]] = []
    asked: InferenceJob | None = None
    while True:
        if asked is None:
            text = "word " * (min(int(dice.paretovariate(1.1) * 40), 20_000) // 5)
            asked = job(task_input=chat(text=text, max_tokens=dice.choice([None, 20, 500, 4_000])))
        here = replace(VIEWS["sandbox"], purse=Purse((line(limit, spent, reserved, resets_at=None),)))
        ruling = ruled(asked, here)
        if ruling.kind == K.OVER_BUDGET and ruling.verdict == "rejected":
            break
        if ruling.verdict == "rejected":
            asked = None  # its context is too short for the prompt
        if ruling.verdict == "assigned":
            paid = int(ruling.candidates[0].ceiling_nanousd * dice.uniform(0.02, 0.5))
            running.append((ruling.max_cost_nanousd, paid))
            reserved, asked = reserved + ruling.max_cost_nanousd, None
            assert spent + reserved <= limit
        if ruling.verdict == "waiting" or len(running) == 50:
            held, paid = running.pop(dice.randrange(len(running)))
            reserved, spent = reserved - held, spent + paid
    assert not running
    assert 0.99 * limit <= spent <= limit


MIXED = catalogue_of(
    offer("a/a", price=10**8), offer("a/a", "other", price=3 * 10**8), offer("b/b", price=2 * 10**9, tier="large"),
    offer("e/e", "hf-inference", {"nanousd_per_compute_ms": 120, "source": "t", "as_of": "t"}, dialect="hf-inference",
          tasks=["feature-extraction"]),
    offer("f/f", "other", None, dialect="openai-compatible", tasks=["feature-extraction"]),
)  # fmt: skip
ANY_LINES = st.lists(
    st.builds(
        Line, st.sampled_from(["x", "y", "z"]), st.just("2026-11-22"), st.integers(-5, 4 * 10**6),
        st.integers(0, 10**6), st.sampled_from([0, 0, 1, 10**6]), st.booleans(),
        st.sampled_from([None, None, "a/a", "e/e"]), st.sampled_from([None, None, "acme", "other", "hf-inference"]),
        st.sampled_from([None, NOW + timedelta(seconds=90), NOW + timedelta(days=9)]),
    ),
    max_size=4,
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    ANY_LINES, st.sampled_from(["wait", "refuse"]), st.sampled_from([1.0, 600.0]), st.none() | st.integers(0, 10**7),
    st.sampled_from([FREE, Turn(allowed=False, at=NOW + timedelta(seconds=60), limit="one"), Turn(allowed=False)]),
    st.sampled_from(["chat-completion", "feature-extraction"]), st.sampled_from([0, 500]),
)  # fmt: skip
def test_whoever_waits_waits_for_something_that_will_come(
    lines: list[Line], over_limit: Any, timeout_s: float, ceiling: int | None, turn: Turn, task: str, cap: int
) -> None:
    """The end of a reservation that is open, or an instant: else a job would stand until its deadline for nothing."""
    asked = job(task, chat() if task == "chat-completion" else {"inputs": "a"}, timeout_s=timeout_s)
    terms = Terms(tenant="t", over_limit=over_limit, unknown_price_cap_nanousd=cap)
    here = replace(view(MIXED), terms=terms).at(Purse(tuple(lines)), turn)
    ruling = ruled(asked.model_copy(update={"max_cost_nanousd": ceiling}), here)
    if ruling.verdict != "waiting":
        assert ruling.until is None
        for one in ruling.candidates:
            assert one.ceiling_nanousd <= ruling.max_cost_nanousd
            rooms = [line.available_nanousd for line in lines if line.hard and line.holds_for(one.model, one.provider)]
            assert ruling.max_cost_nanousd <= min(rooms, default=10**7)
        return
    assert over_limit == "wait"
    assert ruling.kind == (K.OVER_BUDGET if turn.allowed else K.OVER_RATE)
    assert ruling.until is None or ruling.until > NOW
    if not (turn.allowed and any(one.hard and one.reserved_nanousd for one in lines)):
        assert ruling.until is not None
        assert ruling.until < ruling.deadline
