"""Hugging Face's published schemas: all of them compile, and a fault names the path and never the value."""

from importlib import resources
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import tasks

TASKS = sorted(tasks.MODALITIES)
CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


def test_every_published_task_has_a_modality_and_no_other_has():
    published = resources.files("schemas").joinpath("data", "tasks").iterdir()

    assert {folder.name for folder in published if folder.is_dir()} == set(tasks.MODALITIES)


@pytest.mark.parametrize("task", TASKS)
def test_both_schemas_of_a_task_compile_and_judge(task: str):
    assert tasks.input_fault(task, 5) is not None
    assert tasks.output_fault(task, 5) is not None


@pytest.mark.parametrize("task", ["chat-completion", "text-generation"])
def test_the_schemas_of_streams_compile(task: str):
    assert jsonschema_rs.Draft6Validator(tasks.published(task, "stream_output")).is_valid([]) is False


def test_a_task_that_is_not_published_is_a_key_error_whatever_path_it_spells():
    for name in ("no-such-task", "../tasks/chat-completion", ""):
        with pytest.raises(KeyError):
            tasks.input_fault(name, {})


@pytest.mark.parametrize(
    "value", [CHAT, {**CHAT, "max_tokens": 5, "temperature": None, "stop": None}, {**CHAT, "stream": False}]
)
def test_a_chat_with_what_the_schema_allows_is_taken_null_included(value: dict[str, Any]):
    assert tasks.input_fault("chat-completion", value) is None


@pytest.mark.parametrize(
    ("task", "value", "told"),
    [
        ("chat-completion", {}, "messages"),
        ("chat-completion", {**CHAT, "max_tokens": "CANARY"}, "max_tokens: is a text, size 6"),
        ("chat-completion", {**CHAT, "temperature": ["CANARY"]}, "temperature: is a list, size 1"),
        ("chat-completion", {"messages": [{"content": "CANARY"}]}, "messages.0"),
        ("text-generation", {"inputs": {"CANARY": "CANARY"}}, "inputs: is a object, size 1"),
        ("feature-extraction", {"inputs": "x", "normalize": "CANARY"}, "normalize"),
        (
            "table-question-answering",
            {"inputs": {"question": "x", "table": {"CANARY": {"CANARY": "CANARY"}}}},
            "inputs.table.*",
        ),
        (
            "zero-shot-classification",
            {"inputs": "x", "parameters": {"candidate_labels": "CANARY"}},
            "parameters.candidate_labels",
        ),
        ("chat-completion", ["CANARY"], "(whole)"),
        ("chat-completion", "CANARY", "(whole): is a text, size 6"),
    ],
)
def test_a_fault_names_the_path_and_the_size_and_never_the_value(task: str, value: Any, told: str):
    fault = tasks.input_fault(task, value)

    assert fault is not None
    assert told in fault
    assert "CANARY" not in fault
    assert len(fault) <= 300


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TASKS),
    st.recursive(
        st.just("CANARY") | st.integers() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["inputs", "messages", "CANARY", "parameters", "content", "role"]), inner)
        ),
        max_leaves=12,
    ),
)
def test_any_json_value_is_judged_without_a_word_of_it(task: str, value: Any):
    for fault in (tasks.input_fault(task, value), tasks.output_fault(task, value)):
        assert fault is None or ("CANARY" not in fault and len(fault) <= 300)


def test_nullable_is_told_in_json_schemas_words_and_nothing_else_changes():
    def words(node: Any) -> Any:
        if isinstance(node, dict):
            yield from node
            for child in node.values():
                yield from words(child)
        elif isinstance(node, list):
            for child in node:
                yield from words(child)

    for task in TASKS:
        assert "nullable" not in set(words(tasks.published(task, "input")))
    properties = tasks.published("chat-completion", "input")["properties"]
    assert {"type": "null"} in properties["max_tokens"]["anyOf"]
    assert "anyOf" not in properties["messages"]
