"""One suite for every task: what is asked fits the published input, what is answered the published output."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_world import candidate, completion

from schemas import codec
from schemas.failure import FailureKind
from schemas.tasks import MODALITIES, input_fault, output_fault
from workers.errors import ProviderError
from workers.exchange import Ask, Reply
from workers.modalities import TASKS, answered

RECORDS = {
    record["id"]: record
    for record in map(json.loads, (Path(__file__).parent / "data" / "hf" / "recorded.jsonl").read_text().splitlines())
}
PARAMETERS = {"max_tokens": 64, "temperature": 0.7, "top_p": 0.9}


@dataclass(frozen=True)
class Row:
    """One task: an input, answers that are good, answers that are none."""

    job_input: dict[str, Any]
    good: list[Any]
    """Documents in every shape that the wire has had."""
    output: Any
    """What the first of them becomes; None: itself."""
    bad: list[Any]
    recorded: list[str] = field(default_factory=list)
    """Ids of recorded calls, whose own input is taken."""


LABELS = [{"label": "refund", "score": 0.9}, {"label": "faq", "score": 0.1}]
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}


def chat(**message: Any) -> dict[str, Any]:
    whole = completion()
    whole["choices"][0]["message"] = {"role": "assistant", **message}
    return whole


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


ROWS: dict[str, Row] = {
    "chat-completion": Row(
        {"messages": [{"role": "user", "content": "Hi"}]},
        [
            completion(),
            without(completion(), "system_fingerprint", "usage", "id", "created"),
            chat(content=None, tool_calls=[TOOL_CALL]),
            chat(content="", tool_calls=[TOOL_CALL]),
            chat(content="Let me add.", tool_calls=[TOOL_CALL]),
            chat(content=None, tool_calls=[{"function": {"name": "add", "arguments": {"a": 1}}}]),
            chat(content="x", tool_calls=[], reasoning="hm", refusal=None),
            chat(content=None, reasoning="it used up its tokens"),
        ],
        None,
        [
            None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": ["x"]}, "text", 5,
            chat(content=5), chat(content="x", tool_calls=[{"function": {}}]), chat(content=None, tool_calls=["x"]),
            {"choices": [{"message": {"content": "x"}}]},
        ],
        ["inf-0146", "inf-0167", "inf-0200", "inf-0406", "inf-0547", "inf-1146", "inf-1194", "inf-1192"],
    ),
    "text-generation": Row(
        {"inputs": "Once"},
        [[{"generated_text": "a"}], {"generated_text": "a"}, {"generated_text": "a", "details": None}],
        {"generated_text": "a"},
        [None, [], {}, [{"generated_text": "a"}, {"generated_text": "b"}], [{"generated_text": 3}], "a",
         {"generated_text": "a", "details": {"finish_reason": "bored"}}],
        ["inf-0009", "inf-0110"],
    ),
    "feature-extraction": Row(
        {"inputs": ["one", "two"]},
        [[[0.5, 1], [2, 3]], [[[0.0, 0], [1, 2]], [[2, 3]]]],
        [[0.5, 1], [2, 3]],
        [None, [], [[]], [1, 2], [[1, 2]], [[1, 2], [3]], [[1, "x"], [2, 3]], [[1, None], [2, 3]], [[1, True], [2, 3]],
         [[[[1]]]], {"embedding": [1]}, [[1, 2], 3]],
        ["inf-0309"],
    ),
    "sentence-similarity": Row(
        {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}},
        [[0.1, 0.9]],
        [0.1, 0.9],
        [None, [], [0.1], [0.1, 0.2, 0.3], [0.1, "0.2"], [0.1, None], {"scores": [0.1, 0.2]}, [[0.1, 0.2]]],
        ["inf-0004", "inf-0080"],
    ),
    "zero-shot-classification": Row(
        {"inputs": "I want my money back", "parameters": {"candidate_labels": ["refund", "faq"]}},
        [
            LABELS,
            {"sequence": "I", "labels": ["refund", "faq"], "scores": [0.9, 0.1]},
            [{"sequence": "I", "labels": ["refund", "faq"], "scores": [0.9, 0.1]}],
        ],
        LABELS,
        [None, [], LABELS[:1], [*LABELS, LABELS[0]], [{"label": "other", "score": 1}, LABELS[0]],
         {"labels": ["refund", "faq"], "scores": [1]}, {"labels": "refund"}, [{"label": "refund"}, {"label": "faq"}]],
        ["inf-0217"],
    ),
    "text-classification": Row(
        {"inputs": "I like you"},
        [[[{"label": "POSITIVE", "score": 0.9}]], [{"label": "POSITIVE", "score": 0.9}]],
        [{"label": "POSITIVE", "score": 0.9}],
        [None, [], [[]], [{"label": "x"}], [{"score": 1}], [{"label": 1, "score": 1}], [{"label": "x", "score": "1"}],
         {"label": "x", "score": 1}],
        ["inf-0002"],
    ),
}  # fmt: skip


def ask_of(task: str, job_input: dict[str, Any] | None = None) -> Ask:
    return TASKS[task].ask(job_input or ROWS[task].job_input, PARAMETERS, candidate())


def each(part: Callable[[Row], list[Any]]) -> list[Any]:
    return [
        pytest.param(task, value, id=f"{task}-{at}") for task, row in ROWS.items() for at, value in enumerate(part(row))
    ]


def test_every_task_of_the_text_worker_has_its_rows() -> None:
    assert set(ROWS) == set(TASKS)
    assert {MODALITIES[task] for task in TASKS} == {"text"}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_is_asked_is_still_the_tasks_published_input(task: str) -> None:
    ask = ask_of(task)
    assert ask.task == task
    assert input_fault(task, ROWS[task].job_input) is None
    assert input_fault(task, dict(ask.body)) is None


@pytest.mark.parametrize(("task", "document"), each(lambda row: row.good))
def test_every_shape_of_a_good_answer_becomes_the_published_output(task: str, document: Any) -> None:
    answer = answered(ask_of(task), Reply(document))
    if not (task == "chat-completion" and "tool_calls" in answer.output["choices"][0]["message"]):
        assert output_fault(task, answer.output) is None
    codec.encode(answer.output)
    assert all(isinstance(units, int) and units >= 0 for units in (*answer.usage.values(), *answer.estimate.values()))


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_first_shape_becomes_what_is_expected(task: str) -> None:
    row = ROWS[task]
    assert answered(ask_of(task), Reply(row.good[0])).output == (row.good[0] if row.output is None else row.output)


@pytest.mark.parametrize(("task", "document"), each(lambda row: row.bad))
def test_an_answer_that_is_none_is_invalid_output_and_never_a_success(task: str, document: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        answered(ask_of(task), Reply(document))
    assert caught.value.kind == FailureKind.INVALID_OUTPUT


@pytest.mark.parametrize(("task", "id"), each(lambda row: row.recorded))
def test_recorded_answers_are_understood(task: str, id: str) -> None:
    record = RECORDS[id]
    asked = {name: value for name, value in json.loads(record["request"]).items() if name not in ("options", "model")}
    answer = answered(ask_of(task, asked), Reply(codec.decode(record["body"].encode())))
    assert answer.output


@pytest.mark.parametrize("task", sorted(TASKS))
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=True) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "label", "labels", "score", "scores", "generated_text", "usage"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_document_is_an_answer_or_invalid_output(task: str, document: Any) -> None:
    try:
        output, kind = answered(ask_of(task), Reply(document)).output, None
    except ProviderError as error:
        output, kind = None, error.kind
    assert kind == FailureKind.INVALID_OUTPUT or output_fault(task, output) is None


def test_a_number_that_is_none_is_refused_wherever_it_stands() -> None:
    for task, document in (
        ("feature-extraction", [[1.0, float("nan")], [1, 2]]),
        ("sentence-similarity", [float("inf"), 0]),
        ("text-classification", [{"label": "x", "score": float("nan")}]),
    ):
        with pytest.raises(ProviderError, match="finite"):
            answered(ask_of(task), Reply(document))


def test_the_assignments_parameters_win_over_the_inputs() -> None:
    ask = ask_of("chat-completion", {"messages": [], "max_tokens": 9_000, "temperature": None, "seed": 1})
    assert ask.body == {"messages": [], "seed": 1, **PARAMETERS}
    generated = ask_of("text-generation", {"inputs": "x", "parameters": {"max_new_tokens": 9_000, "stop": ["."]}})
    assert generated.body["parameters"] == {"max_new_tokens": 64, "stop": ["."], "temperature": 0.7, "top_p": 0.9}


def test_what_would_break_the_price_ceiling_is_left_out_and_said() -> None:
    ask = ask_of("chat-completion", {"messages": [], "n": 5, "max_completion_tokens": 10**6, "model": "dear/model"})
    assert ask.body == {"messages": [], **PARAMETERS}
    assert ask.adapted == {"n": {"asked": 5, "given": 1, "bound_by": "one output"}}
    generated = ask_of("text-generation", {"inputs": "x", "parameters": {"best_of": 3}})
    assert generated.adapted == {"best_of": {"asked": 3, "given": 1, "bound_by": "one output"}}


def test_greedy_decoding_is_said_in_the_words_of_text_generation_inference() -> None:
    row = {"inputs": "x", "parameters": {}}
    ask = TASKS["text-generation"].ask(row, {"max_tokens": 5, "temperature": 0, "top_p": 1.0}, candidate())
    assert ask.body["parameters"] == {"max_new_tokens": 5, "do_sample": False}


def test_one_input_may_come_back_in_any_rank() -> None:
    ask = ask_of("feature-extraction", {"inputs": "one"})
    for document, vector in (
        ([1, 2], [1, 2]),
        ([[1, 2]], [1, 2]),
        ([[0, 0], [2, 4]], [1, 2]),
        ([[[0, 0], [2, 4]]], [1, 2]),
    ):
        assert answered(ask, Reply(document)).output == [vector]


def test_usage_is_told_and_where_it_is_not_it_is_estimated_in_the_output_too() -> None:
    ask = ask_of("chat-completion")
    told = answered(ask, Reply(completion()))
    assert told.usage == {"input_tokens": 20, "output_tokens": 5}
    guessed = answered(ask, Reply(without(completion("12345678"), "usage")))
    assert guessed.usage == {}
    assert guessed.output["usage"]["completion_tokens"] == guessed.estimate["output_tokens"] == 2


def test_the_providers_own_price_is_taken_exactly() -> None:
    document = completion() | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated_cost": 1.1e-06}}
    assert answered(ask_of("chat-completion"), Reply(document)).told_nanousd == 1_100
