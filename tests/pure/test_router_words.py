"""A decision read aloud says who, what it costs, which limit bound, what was left out and why; whatever it is."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulings import NOW, catalogue_of, chat, job, offer, ruled, view

from router.purse import Line, Purse
from router.ruling import Ruling
from router.terms import Terms
from router.words import dollars, told
from schemas import codec
from schemas.base import contents


def document(ruling: Ruling, **more: Any) -> dict[str, Any]:
    """A decision's record, as far as a ruling makes it."""
    fields = {
        "verdict": ruling.verdict, "complexity": ruling.complexity, "candidates": ruling.candidates,
        "exclusions": ruling.exclusions, "parameters": ruling.parameters, "bound_by": ruling.bound_by,
        "reserve": ruling.reserve, "held": ruling.held, "kind": ruling.kind, "message": ruling.message,
        "max_cost_nanousd": ruling.max_cost_nanousd,
    }  # fmt: skip
    named = {"tenant": "acme", "job_id": "j1", "submission": 1, "task": "chat-completion", "policy": "brief/1"}
    read: dict[str, Any] = json.loads(codec.encode({**named, **fields, **more}, contents))
    return read


ROWS = catalogue_of(
    offer("a/a", price=10**8), offer("b/b", price=2 * 10**8), offer("c/c", price=3 * 10**8, licence="other")
)


def test_an_assignment_is_told_from_the_first_choice_to_the_money() -> None:
    lines = (Line("day", "2026-11-22", 10**6, 10**6 - 60_000, 0, resets_at=NOW + timedelta(hours=1)),)
    here = replace(view(ROWS), purse=Purse(lines), terms=Terms(tenant="acme"), shut=frozenset({("acme", "b/b")}))
    versions = {"scorer": "features/2", "prices": "7"}
    sentences = told(document(ruled(job(task_input=chat(text="")), here), versions=versions, team="red"))
    assert " ".join(sentences) == (
        "Job j1 of tenant acme (team red) asks for chat-completion. "
        "Its complexity is 0 on a scale from 0, simple, to 1, hard, as scorer features/2 reckons from its text. "
        "Policy brief/1, which gives simple jobs to small models and hard ones to large models, the least expected "
        "cost first, chose a/a at acme: one attempt costs about $0.0000256, and $0.00006 at most, at a price from t. "
        "If that fails, nobody else is asked. "
        "The answer may have at most 600 tokens (some three quarters of a word each), "
        "which is what is left of the budget; its temperature is 0.8 and its top_p is 0.95. "
        "For all attempts together $0.00006 is reserved; what is not spent comes back when it ends. "
        "It counts against budget day, which has $0.001 for the day 2026-11-22: when this job came, $0.00094 was spent "
        "and $0.00 reserved by others, so $0.00006 was left. "
        "c/c at acme was left out (over budget): has room for 200 tokens of output, the first choice for 600. "
        "b/b at acme was left out (breaker open): its breaker is open. "
        "Nobody was sent to b/b at acme then: the breaker was open, for too many calls had failed. "
        "It was decided from prices 7: whoever decides it again from these comes to the same."
    )


def test_a_refusal_is_told_with_what_to_do() -> None:
    here = replace(view(ROWS), terms=Terms(tenant="acme", licences=frozenset({"mit"})))
    sentences = told(document(ruled(job(task_input=chat(text="")), here)))
    assert "It was refused, and nobody was called: chat-completion by any model: 3 of 3 offers:" in sentences[2]
    assert (
        "What to do: Name another model, or add the licence to the tenant's record or the registry's rules."
        in sentences
    )
    assert "c/c at acme was left out (licence refused): its licence is other, none of the tenant's." in sentences


@pytest.mark.parametrize(
    ("left", "task_input", "words"),
    [
        (100, {}, "day of 2026-11-22 has $0.0000001 of $0.001 left ($0.0009999 spent, $0.00 reserved); $0.0000016 are"),
        (10**6, {"max_cost_nanousd": 5}, "$0.000000005"),
    ],
)
def test_what_is_said_aloud_has_no_nano_dollars(left: int, task_input: dict[str, Any], words: str) -> None:
    lines = (Line("day", "2026-11-22", 10**6, 10**6 - left, 0, resets_at=NOW + timedelta(hours=1)),)
    here = replace(view(ROWS), purse=Purse(lines), terms=Terms(tenant="acme", over_limit="refuse"))

    sentences = told(document(ruled(job(task_input=chat(text="x"), **task_input), here)))

    assert words in " ".join(sentences)
    assert "nano-dollars" not in " ".join(sentences)


def test_one_offer_and_several_are_told_as_people_count() -> None:
    rows = [
        {"model": f"({count} offers)", "provider": "*", "reason": "no_candidate", "detail": "x"} for count in (1, 2)
    ]
    sentences = told({"verdict": "assigned", "exclusions": rows})
    assert {"1 offer was left out: x.", "2 offers were left out: x."} <= set(sentences)


@pytest.mark.parametrize(
    ("nanousd", "words"), [(0, "$0.00"), (1, "$0.000000001"), (1_500_000_000, "$1.50"), (-25 * 10**7, "-$0.25")]
)
def test_money_is_told_to_the_last_digit_that_says_something(nanousd: int, words: str) -> None:
    assert dollars(nanousd) == words


FIELDS = [
    "verdict", "complexity", "candidates", "exclusions", "parameters", "bound_by", "reserve", "held", "kind", "message",
    "versions", "shut", "budgets", "price", "max_tokens", "submission", "model", "provider", "quoted_nanousd", "task",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.sampled_from(["assigned", "rejected", "cancelled", None]))
def test_any_record_is_told(record: dict[str, Any], verdict: str | None) -> None:
    sentences = told({**record, "verdict": verdict})
    assert all(isinstance(one, str) and one for one in sentences)
    assert sentences[0].startswith("Job ")
