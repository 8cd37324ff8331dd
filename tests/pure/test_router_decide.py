"""The decision: total, deterministic, and the job's own word first."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import HARD, HOSTED, IMAGE, LARGE, LLAMA, NOW, SMALL, VIEWS, chat, job, ruled, view

from router.catalogue import BadCatalogue, load, merge, parse
from router.decide import MOST_CANDIDATES
from router.view import view_of
from schemas import codec
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.tasks import MODALITIES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
NUMBERS = st.none() | st.integers(0, 10**12) | st.floats(0, 1e30)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*sorted(MODALITIES), "no-such-task"]),
    st.dictionaries(st.sampled_from(["inputs", "messages", "parameters", "max_tokens", "n", "tools", "x"]), JSON),
    st.sampled_from(["auto", LLAMA, SMALL, "zephyr-7b", "x\u0007"]),
    st.sampled_from(["auto", "groq", "hf-inference", "fal-ai", "nobody"]),
    st.none() | st.integers(0, 10**15),
    st.sampled_from(["hosted", "sandbox"]),
)
def test_any_job_gets_a_ruling(
    task: str, task_input: dict[str, Any], model: str, provider: str, ceiling: int | None, where: str
) -> None:
    ruling = ruled(job(task, task_input, model=model, provider=provider, max_cost_nanousd=ceiling), where)
    assert (ruling.kind is None) == (ruling.verdict == "assigned") == bool(ruling.candidates)
    codec.encode([ruling.parameters, ruling.adapted, ruling.message])


@settings(deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=300), NUMBERS, st.none() | st.integers(0, 50),
    st.integers(0, 10**8), st.sampled_from(["hosted", "sandbox"]),
)  # fmt: skip
def test_no_candidate_may_cost_more_than_the_jobs_ceiling(
    text: str, max_tokens: float | None, copies: int | None, ceiling: int, where: str
) -> None:
    asked = chat(text=text, max_tokens=max_tokens, n=copies)
    ruling = ruled(job(task_input=asked, max_cost_nanousd=ceiling), where)
    for one in ruling.candidates:
        output = ruling.parameters["max_tokens"]
        text_bytes = len(json.dumps(text, ensure_ascii=False).encode())
        price = one.price
        worst = text_bytes * price.input_nanousd_per_million_tokens + output * price.output_nanousd_per_million_tokens
        assert worst <= ceiling * 10**6
        assert one.estimate_nanousd <= one.ceiling_nanousd <= ceiling
        assert 0 <= ruling.parameters["max_tokens"] <= 8192


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=200), st.none() | st.integers(0, 30_000))
def test_the_same_job_is_decided_the_same_again(text: str, max_tokens: int | None) -> None:
    """A59: from a stored job and a view made anew, byte for byte."""
    asked = job(task_input=chat(text=text, max_tokens=max_tokens))
    again = InferenceJob.model_validate_json(asked.model_dump_json(by_alias=True))
    assert repr(ruled(asked)) == repr(ruled(again, view_of(HOSTED, load(HOSTED))))


def test_a_simple_prompt_goes_to_the_small_tier_and_a_hard_one_to_the_large() -> None:
    assert ruled(job(), "sandbox").candidates[0].model == SMALL
    assert ruled(job(task_input=chat(text=HARD)), "sandbox").candidates[0].model == LARGE


def test_within_a_tier_the_cheapest_is_asked_first_and_three_are_asked_at_most() -> None:
    ruling = ruled(job())
    assert ruling.candidates[0].model == LLAMA
    assert len(ruling.candidates) == MOST_CANDIDATES
    estimates = [one.estimate_nanousd for one in ruling.candidates]
    assert estimates == sorted(estimates)


def test_every_offer_is_a_candidate_or_excluded_with_a_reason() -> None:
    ruling = ruled(job())
    counted = sum(int(one.model[1:].split()[0]) if one.model[0] == "(" else 1 for one in ruling.exclusions)
    assert counted + len(ruling.candidates) == len(VIEWS["hosted"].catalogue.offers)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, {"max_tokens": 1024, "temperature": 0.8, "top_p": 0.95}),
        ({"temperature": 0.1}, {"max_tokens": 1024, "temperature": 0.1, "top_p": 0.95}),
        ({"temperature": 0}, {"max_tokens": 1024, "temperature": 0, "top_p": 0.95}),
        ({"top_p": 0.5, "max_tokens": 7}, {"max_tokens": 7, "temperature": 0.8, "top_p": 0.5}),
        (
            {"temperature": None, "top_p": None, "max_tokens": None},
            {"max_tokens": 1024, "temperature": 0.8, "top_p": 0.95},
        ),
    ],
)  # fmt: skip
def test_the_jobs_own_value_wins_over_the_policys_and_that_over_the_default(
    given_: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert ruled(job(task_input=chat(**given_))).parameters == expected


def test_a_named_model_gets_the_installations_temperature_not_the_policys() -> None:
    assert ruled(job(model=LLAMA)).parameters["temperature"] == 0.7


def test_above_a_complexity_of_0_6_the_temperature_is_0_5() -> None:
    very_hard = HARD + "\n" + "```\ndef f(x): return {};\n```\n- must\n- exactly\n- only\n1 2 3 4"
    ruling = ruled(job(task_input=chat(text=very_hard)))
    assert ruling.complexity is not None
    assert ruling.complexity > 0.6
    assert ruling.parameters["temperature"] == 0.5


def test_text_generation_is_bound_by_its_own_parameters() -> None:
    asked = {"inputs": "Once", "parameters": {"max_new_tokens": 12, "temperature": 0.3}}
    ruling = ruled(job("text-generation", asked), "sandbox")
    assert ruling.parameters == {"max_tokens": 12, "temperature": 0.3, "top_p": 0.95}
    assert ruling.bound_by == "job"


def test_greedy_generation_stays_greedy() -> None:
    asked = {"inputs": "Once", "parameters": {"do_sample": False}}
    assert ruled(job("text-generation", asked), "sandbox").parameters == {"max_tokens": 1024}


@pytest.mark.parametrize(
    ("task", "task_input"),
    [
        ("feature-extraction", {"inputs": ["a", "b"]}),
        ("sentence-similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}),
        ("zero-shot-classification", {"inputs": "a", "parameters": {"candidate_labels": ["b", "c"]}}),
        ("text-classification", {"inputs": "a"}),
    ],
)
@pytest.mark.parametrize("where", ["hosted", "sandbox"])
def test_a_task_that_generates_nothing_gets_no_parameters(task: str, task_input: dict[str, Any], where: str) -> None:
    ruling = ruled(job(task, task_input), where)
    assert ruling.verdict == "assigned"
    assert (ruling.parameters, ruling.adapted, ruling.bound_by) == ({}, None, None)


def test_a_fallback_never_changes_the_model_where_answers_do_not_compare() -> None:
    ruling = ruled(job("text-classification", {"inputs": "a"}), "sandbox")
    assert [one.model for one in ruling.candidates] == ["novix-sandbox/e5-sentiment"]
    assert any("do not compare" in one.detail for one in ruling.exclusions)


@pytest.mark.parametrize(
    ("asked", "ceiling", "given_tokens", "bound"),
    [
        ({"max_tokens": 20_000}, None, 8192, "cap"),
        ({"max_tokens": 200}, None, 200, "job"),
        ({}, None, 1024, None),
        ({"max_tokens": 4_090, "text": "x" * 4_000}, None, None, "context"),
        ({}, 50_000, None, "money"),
        ({"max_tokens": 1e30}, 10**9, 8192, "cap"),
    ],
)
def test_the_decision_names_the_limit_that_bound(
    asked: dict[str, Any], ceiling: int | None, given_tokens: int | None, bound: str | None
) -> None:
    world, model = ("sandbox", SMALL) if bound == "context" else ("hosted", LLAMA)
    ruling = ruled(job(task_input=chat(**asked), model=model, max_cost_nanousd=ceiling), world)
    assert ruling.bound_by == bound
    if given_tokens is not None:
        assert ruling.parameters["max_tokens"] == given_tokens
    if bound in ("job", None):
        assert ruling.adapted is None
    else:
        assert ruling.adapted is not None
        told = ruling.adapted["max_tokens"]
        assert told["bound_by"] == bound
        assert told["given"] == ruling.parameters["max_tokens"] < told["asked"]


def test_a_ceiling_below_any_price_is_refused_with_a_quote_that_is_enough() -> None:
    refused = ruled(job(max_cost_nanousd=10), "sandbox")
    assert (refused.verdict, refused.kind) == ("rejected", FailureKind.PRICE_CEILING)
    assert refused.message is not None
    quoted = int(refused.message.split(" needs ")[1].split()[0])
    assert ruled(job(max_cost_nanousd=quoted - 1), "sandbox").kind == FailureKind.PRICE_CEILING
    accepted = ruled(job(max_cost_nanousd=quoted), "sandbox")
    assert accepted.verdict == "assigned"
    assert accepted.parameters["max_tokens"] >= 16


def test_a_ceiling_of_nothing_buys_nothing() -> None:
    assert ruled(job("feature-extraction", {"inputs": "a"}, max_cost_nanousd=0)).kind == FailureKind.PRICE_CEILING


def test_a_job_that_names_its_model_gets_that_model_alone() -> None:
    ruling = ruled(job(model="openai/gpt-oss-120b"))
    assert {one.model for one in ruling.candidates} == {"openai/gpt-oss-120b"}
    assert len(ruling.candidates) == 3


def test_a_job_that_names_its_provider_is_never_given_another() -> None:
    assert {one.provider for one in ruled(job(provider="groq")).candidates} == {"groq"}
    routed = ruled(job(model=LLAMA, provider="novita")).candidates
    assert [(one.provider, one.price.source) for one in routed] == [("novita", "novix-assumed")]
    ruling = ruled(job(model="zai-org/GLM-5.2", provider="groq"))
    assert ruling.kind == FailureKind.NO_CANDIDATE


@pytest.mark.parametrize(
    ("asked", "kind", "told"),
    [
        (job("text-to-nothing"), FailureKind.UNKNOWN_TASK, "text-to-nothing"),
        (job(task_input={}), FailureKind.INVALID_INPUT, "input."),
        (job("depth-estimation", {"inputs": "AAAA"}), FailureKind.NO_CANDIDATE, "depth-estimation"),
        (job("image-to-text", {"inputs": "http://example.org/a.png"}), FailureKind.INVALID_MEDIA, "https:// is needed"),
        (job("image-to-text", {"inputs": {"$ref": {"uri": "blob://x"}}}), FailureKind.INVALID_MEDIA, "inputs: "),
        (job("image-to-text", {"inputs": "no base64!"}), FailureKind.INVALID_MEDIA, "inputs: "),
        (job(model="no/such"), FailureKind.UNKNOWN_MODEL, "no/such"),
        (job(provider="nobody"), FailureKind.UNKNOWN_PROVIDER, "groq"),
        (job(model=SMALL), FailureKind.NO_CANDIDATE, "not served by this installation"),
        (job(model="deepseek-ai/DeepSeek-V4-Flash-0731"), FailureKind.UNKNOWN_PRICE, "unknown is never zero"),
        (job(task_input=chat(text="word " * 120_000), model=LLAMA), FailureKind.CONTEXT_EXCEEDED, "131072"),
        (
            job(task_input={"messages": [{"role": "user", "content": [IMAGE]}]}, model=LLAMA),
            FailureKind.NO_CANDIDATE, "has an image",
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_typed_and_says_what_is_wrong(asked: InferenceJob, kind: FailureKind, told: str) -> None:
    ruling = ruled(asked)
    assert (ruling.verdict, ruling.kind) == ("rejected", kind)
    assert ruling.message is not None
    assert told in ruling.message


def test_past_its_deadline_a_job_is_expired_not_rejected() -> None:
    late = ruled(job(timeout_s=10), now=NOW + timedelta(seconds=10))
    assert (late.verdict, late.kind) == ("expired", FailureKind.DEADLINE_PASSED)
    assert ruled(job(timeout_s=10), now=NOW + timedelta(seconds=9.999)).verdict == "assigned"


def test_a_canary_in_the_prompt_is_told_nowhere() -> None:
    asked = chat(text="canary-4711", max_tokens="canary-4711")
    for ruling in (ruled(job(task_input=asked)), ruled(job(task_input=chat(text="canary-4711")))):
        assert "canary" not in repr(ruling)


def test_an_input_is_never_deeper_than_a_worker_can_read_it_inside_its_assignment() -> None:
    for levels, verdict in ((57, "assigned"), (58, "rejected")):
        schema: Any = {}
        for _ in range(levels):
            schema = {"items": schema}
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        ruling = ruled(job(task_input=chat(tools=[tool])))
        assert ruling.verdict == verdict
    assert ruling.kind == FailureKind.INVALID_INPUT
    assert ruling.message is not None
    assert "63 levels" in ruling.message


def test_the_briefs_tiers_are_aliases_of_what_is_served() -> None:
    assert ruled(job(model="zephyr-7b")).candidates[0].model == LLAMA
    assert ruled(job(model="HuggingFaceH4/zephyr-7b-beta"), "sandbox").candidates[0].model == SMALL
    assert ruled(job(model="mixtral-8x7b"), "sandbox").candidates[0].model == LARGE


def test_the_installations_model_stands_for_auto_where_it_does_the_task() -> None:
    chosen = view(text_model="openai/gpt-oss-120b")
    assert {one.model for one in ruled(job(), chosen).candidates} == {"openai/gpt-oss-120b"}
    assert ruled(job("feature-extraction", {"inputs": "a"}), chosen).verdict == "assigned"
    assert ruled(job(), view(text_model="no/such")).candidates == ruled(job()).candidates, "nobody has it: as `auto`"


def test_the_cap_and_the_defaults_are_settings() -> None:
    ruling = ruled(job(model=LLAMA), view(max_tokens=100, temperature=0.3, top_p=0.5))
    assert ruling.parameters == {"max_tokens": 100, "temperature": 0.3, "top_p": 0.5}
    assert ruling.bound_by == "cap"


def test_a_provider_with_a_row_of_its_own_is_not_reached_through_the_open_row() -> None:
    def offer(provider: str, cost: int) -> dict[str, Any]:
        return {
            "provider": provider, "provider_model": "m/m", "dialect": "hf-router", "base": "huggingface",
            "tasks": ["chat-completion"], "max_in_flight": 1,
            "price": {"output_nanousd_per_million_tokens": cost, "source": "t", "as_of": "t"},
        }  # fmt: skip

    rows = {
        "origin": "test",
        "models": [{"model": "m/m", "tier": "small", "offers": [offer("auto", 10**8), offer("acme", 2 * 10**8)]}],
    }
    catalogue = merge([parse("t.json", codec.encode(rows))], {"huggingface": "http://127.0.0.1:1", "sandbox": None})
    assert [one.provider for one in ruled(job(), view(catalogue)).candidates] == ["auto", "acme"]
    named = ruled(job(provider="acme"), view(catalogue)).candidates
    assert [one.price.output_nanousd_per_million_tokens for one in named] == [2 * 10**8]
    rows["models"] = [{"model": "m/m", "tier": "small", "offers": [offer("acme", 10), offer("acme", 20)]}]
    with pytest.raises(BadCatalogue, match="twice"):
        merge([parse("t.json", codec.encode(rows))], {"huggingface": "http://127.0.0.1:1", "sandbox": None})
