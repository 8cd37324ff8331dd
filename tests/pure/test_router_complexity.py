"""The complexity scorer: what it promises, and golden prompts for both tiers."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.complexity import SCORER, WEIGHTS, measure, score
from schemas.tasks import MODALITIES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)

SMALL = (
    "Hi",
    "What is the capital of France?",
    "Translate to German: good morning, how are you?",
    "Write a haiku about rain.",
    "Give me a synonym for happy.",
    "What is 17 times 23?",
    "Is this review positive? 'The room was clean and the staff were kind.'",
    "Correct the spelling: I recieved you're leter yesterday.",
    "Wie spät ist es in Tokio, wenn es in Berlin zwölf Uhr ist?",
    "The meeting was long and nothing was decided. " * 60 + "Summarise this.",
)
LARGE = (
    "Prove that the square root of 2 is irrational, then explain why the same argument fails for 4 and compare both.",
    "Design an architecture for a payment system that must never lose a transaction. Compare at least three options, "
    "evaluate the trade-offs and justify your choice. Answer as JSON.",
    "Debug this function and explain why it fails:\n```python\ndef f(x):\n    if x == 1: return {};\n```\n"
    "Then refactor it and analyse its complexity.",
    "Analyze the causes of the crisis of 2008, evaluate the policy response, compare it to 1929, and derive "
    "implications for today. Format: a table with exactly 5 rows.",
)


def chat(*texts: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts], **more}


def test_the_scorer_has_a_name_and_a_version() -> None:
    assert SCORER == "features/2"


@pytest.mark.parametrize("prompt", SMALL)
def test_a_simple_prompt_is_for_the_small_model(prompt: str) -> None:
    assert score("chat-completion", chat(prompt)) < 0.4


@pytest.mark.parametrize("prompt", LARGE)
def test_a_demanding_prompt_is_for_the_large_model(prompt: str) -> None:
    assert score("chat-completion", chat(prompt)) >= 0.4


@settings(deadline=None)
@given(st.sampled_from(sorted(MODALITIES)), JSON)
def test_any_input_has_a_score_between_0_and_1(task: str, task_input: Any) -> None:
    assert 0.0 <= score(task, task_input) <= 1.0
    assert measure(task, task_input).keys() == WEIGHTS.keys()


@settings(deadline=None)
@given(st.text(max_size=400), st.text(max_size=400))
def test_a_further_line_never_makes_a_prompt_simpler(text: str, more: str) -> None:
    assert score("chat-completion", chat(f"{text}\n{more}")) >= score("chat-completion", chat(text))


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=12), st.text(max_size=80))
def test_a_further_turn_never_makes_a_chat_simpler(turns: list[str], more: str) -> None:
    assert score("chat-completion", chat(*turns, more)) >= score("chat-completion", chat(*turns))


@pytest.mark.parametrize("feature", sorted(set(WEIGHTS) - {"tools"}))
def test_each_feature_of_a_text_can_raise_the_score(feature: str) -> None:
    texts = {
        "length": "word " * 2_000,
        "reasoning": "prove explain compare derive",
        "constraints": "must exactly only json",
        "code": "```\ndef f(x):\n  return {}\n```",
        "structure": "- a\n- b\n- c",
        "numbers": "1 22 333 4444",
        "turns": "",
    }
    asked = chat(*["ok"] * 9) if feature == "turns" else chat(texts[feature])
    assert measure("chat-completion", asked)[feature] > 0


def test_tools_and_answer_schemas_raise_the_score() -> None:
    plain = score("chat-completion", chat("Book a table"))
    tool = {"type": "function", "function": {"name": "book", "parameters": {}}}
    assert score("chat-completion", chat("Book a table", tools=[tool])) > plain
    assert score("chat-completion", chat("Book a table", response_format={"type": "json_object"})) > plain


def test_length_alone_is_not_complexity() -> None:
    assert score("chat-completion", chat("lorem ipsum dolor " * 10_000)) < 0.4


def test_chunks_of_a_message_are_read() -> None:
    chunks = [{"type": "text", "text": LARGE[0]}]
    asked = {"messages": [{"role": "user", "content": chunks}]}
    assert score("chat-completion", asked) == score("chat-completion", chat(LARGE[0]))


def test_an_image_is_no_text_however_it_is_given() -> None:
    page = {"image": "QUJD" * 30_000, "question": "Why? Prove it."}
    scores = {
        score("visual-question-answering", {"inputs": {**page, "image": image}})
        for image in (page["image"], "https://example.org/why.png", {"$ref": {"uri": "blob://" + "0" * 64}}, "")
    }
    assert len(scores) == 1
