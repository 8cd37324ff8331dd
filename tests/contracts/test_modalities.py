"""One suite for every task: what is asked fits the published input, what is answered the published output."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_files import image
from task_rows import (
    CANDIDATE,
    IMAGE,
    MP4,
    PARAMETERS,
    PNG,
    RECORDS,
    ROWS,
    WAV,
    Row,
    ask_of,
    b64,
    completion,
    published,
    without,
)

from schemas import codec
from schemas.failure import FailureKind
from schemas.media import OUTPUTS, found
from schemas.tasks import MODALITIES, input_fault, output_fault
from schemas.units import UNITS
from workers.errors import ProviderError
from workers.exchange import Ask, Binary, Media, Reply
from workers.modalities import TASKS, answered

K = FailureKind


def each(part: Callable[[Row], list[Any]]) -> list[Any]:
    return [
        pytest.param(task, value, id=f"{task}-{at}") for task, row in ROWS.items() for at, value in enumerate(part(row))
    ]


def test_every_task_has_a_file_a_row_and_its_modality() -> None:
    assert set(TASKS) == set(MODALITIES) == set(ROWS)
    for task, done in TASKS.items():
        assert done.modality == MODALITIES[task]
        assert done.ask.__module__ == done.answer.__module__
        assert done.ask.__module__.startswith(f"workers.modalities.{done.modality}.")
        assert done.units
        assert set(done.units) <= {unit.name for unit in UNITS}
    assert {task for task, done in TASKS.items() if done.streams} == {"chat-completion", "text-generation"}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_is_asked_is_still_the_tasks_published_input(task: str) -> None:
    ask = ask_of(task)
    assert ask.task == task
    assert input_fault(task, published(task, "input", ROWS[task].job_input)) is None
    assert input_fault(task, published(task, "input", dict(ask.body))) is None


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_is_known_before_the_call_is_told_in_units(task: str) -> None:
    assert ask_of(task).units == {"calls": 1, **ROWS[task].units}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_nulls_and_what_other_doors_read_are_not_sent(task: str) -> None:
    job_input = {**ROWS[task].job_input, "model": "dear/model", "provider": "x", "options": None}
    if task != "chat-completion":
        job_input["parameters"] = {**job_input.get("parameters", {}), "seed": None}
    body = ask_of(task, job_input).body
    assert not {"model", "options"} & set(body)
    assert None not in body.get("parameters", {}).values()


@pytest.mark.parametrize(("task", "document"), each(lambda row: row.good))
def test_every_form_of_a_good_answer_becomes_the_published_output(task: str, document: Any) -> None:
    answer = answered(ask_of(task), Reply(document))
    shown = TASKS[task].shown(published(task, "output", answer.output))
    assert output_fault(task, shown) is None
    codec.encode(published(task, "output", answer.output))
    assert all(isinstance(media, Media) for _, media in found(OUTPUTS.get(task, ()), answer.output))
    assert all(isinstance(units, int) and units >= 0 for units in (*answer.usage.values(), *answer.estimate.values()))


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_first_form_becomes_what_is_expected(task: str) -> None:
    row = ROWS[task]
    assert answered(ask_of(task), Reply(row.good[0])).output == (row.good[0] if row.output is None else row.output)


@pytest.mark.parametrize(("task", "document"), each(lambda row: row.bad))
def test_an_answer_that_is_none_is_invalid_output_and_never_a_success(task: str, document: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        answered(ask_of(task), Reply(document))
    assert caught.value.kind == K.INVALID_OUTPUT
    assert len(caught.value.message) <= 300


@pytest.mark.parametrize(("task", "id"), each(lambda row: row.recorded))
def test_recorded_answers_are_understood(task: str, id: str) -> None:
    record = RECORDS[id]
    asked = ROWS[task].recorded_input or ROWS[task].job_input
    if ROWS[task].recorded_input is None and record["request"]:
        asked = {
            name: value for name, value in json.loads(record["request"]).items() if name not in ("options", "model")
        }
        if task == "table-question-answering":  # the wire's word for it
            asked["inputs"]["question"] = asked["inputs"].pop("query")
    if "body" in record:
        document = codec.decode(record["body"].encode())
    else:
        document = Binary(base64.b64decode(record["body_b64"]), record["headers"]["content-type"])
    assert answered(ask_of(task, asked), Reply(document)).output


WORDS = ["choices", "message", "content", "label", "labels", "score", "scores", "generated_text", "usage", "answer",
         "start", "end", "box", "xmin", "mask", "image", "blob", "audio", "video", "text", "chunks", "timestamp",
         "cells", "coordinates", "token", "token_str", "sequence", "word", "entity", "depth",
         "predicted_depth"]  # fmt: skip


@pytest.mark.parametrize("task", sorted(TASKS))
@settings(max_examples=40)
@given(
    document=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=True)
        | st.sampled_from(["", "refund", "cat", b64(PNG), b64(WAV), Binary(PNG), Binary(MP4[:90]), Binary(b"{}")])
        | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_document_is_an_answer_or_invalid_output(task: str, document: Any) -> None:
    _is_an_answer_or_invalid_output(task, document)


def _is_an_answer_or_invalid_output(task: str, document: Any) -> None:
    try:
        output, kind = answered(ask_of(task), Reply(document)).output, None
    except ProviderError as error:
        output, kind = None, error.kind
    if kind is None:
        assert output_fault(task, TASKS[task].shown(published(task, "output", output))) is None
    else:
        assert kind is K.INVALID_OUTPUT


LIES: list[Any] = [None, -1, 10**18, float("nan"), "", "x", [], {}, [None], True, Binary(b"x")]


@pytest.mark.parametrize("task", sorted(TASKS))
@settings(max_examples=40)
@given(mutation=st.data())
def test_a_good_answer_with_one_thing_changed_is_an_answer_or_invalid_output(
    task: str, mutation: st.DataObject
) -> None:
    document = ROWS[task].good[0]
    steps: list[Any] = []
    while isinstance(document, dict | list) and document:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        steps.append(mutation.draw(st.sampled_from(keys)))
        document = document[steps[-1]]
        if mutation.draw(st.booleans()):
            break
    new: Any = mutation.draw(
        st.sampled_from([None, -1, 10**18, float("nan"), "", "x", [], {}, [None], True, Binary(b"x")])
    )
    changed = _with(ROWS[task].good[0], steps, new)
    _is_an_answer_or_invalid_output(task, changed)


def _with(document: Any, steps: list[Any], new: Any) -> Any:
    if not steps:
        return new
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[steps[0]] = _with(document[steps[0]], steps[1:], new)
    return copy


def test_the_assignments_parameters_win_over_the_inputs() -> None:
    messages = [{"role": "user", "content": "x"}]
    ask = ask_of("chat-completion", {"messages": messages, "max_tokens": 9_000, "temperature": None, "seed": 1})
    assert ask.body == {"messages": messages, "seed": 1, **PARAMETERS}
    generated = ask_of("text-generation", {"inputs": "x", "parameters": {"max_new_tokens": 9_000, "stop": ["."]}})
    assert generated.body["parameters"] == {"max_new_tokens": 64, "stop": ["."], "temperature": 0.7, "top_p": 0.9}


def test_what_would_break_the_price_ceiling_is_left_out_and_said() -> None:
    messages = [{"role": "user", "content": "x"}]
    ask = ask_of(
        "chat-completion", {"messages": messages, "n": 5, "max_completion_tokens": 10**6, "model": "dear/model"}
    )
    assert ask.body == {"messages": messages, **PARAMETERS}
    assert ask.adapted == {"n": {"asked": 5, "given": 1, "bound_by": "one output"}}
    generated = ask_of("text-generation", {"inputs": "x", "parameters": {"best_of": 3}})
    assert generated.adapted == {"best_of": {"asked": 3, "given": 1, "bound_by": "one output"}}
    drawn = ask_of("text-to-image", {"inputs": "x", "parameters": {"num_images": 4, "num_images_per_prompt": 1}})
    assert drawn.body == {"inputs": "x"}
    several = {"max_new_tokens": 9, "num_return_sequences": 3, "seed": None}
    summary = ask_of("summarization", {"inputs": "x", "parameters": {"generate_parameters": several}})
    assert summary.body["parameters"] == {"generate_parameters": {"max_new_tokens": 9}}
    assert summary.adapted == {"num_return_sequences": {"asked": 3, "given": 1, "bound_by": "one output"}}
    assert drawn.adapted == {"num_images": {"asked": 4, "given": 1, "bound_by": "one output"}}


def test_greedy_decoding_is_said_in_the_words_of_text_generation_inference() -> None:
    row = {"inputs": "x", "parameters": {}}
    ask = TASKS["text-generation"].ask(row, {"max_tokens": 5, "temperature": 0, "top_p": 1.0}, CANDIDATE)
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
    in_floats = completion() | {"usage": {"prompt_tokens": 20.0, "completion_tokens": 5.0}}
    assert answered(ask, Reply(in_floats)).usage == told.usage
    guessed = answered(ask, Reply(without(completion("12345678"), "usage")))
    assert guessed.usage == {}
    assert guessed.output["usage"]["completion_tokens"] == guessed.estimate["output_tokens"] == 2


def test_the_providers_own_price_is_taken_exactly() -> None:
    document = completion() | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated_cost": 1.1e-06}}
    assert answered(ask_of("chat-completion"), Reply(document)).told_nanousd == 1_100


def test_what_was_made_is_measured_whatever_was_asked_for() -> None:
    drawn = answered(ask_of("text-to-image"), Reply(Binary(PNG, "image/jpeg")))
    assert drawn.estimate == {"calls": 1, "images": 1, "pixels": 64 * 48, "steps": 4}
    assert drawn.output["image"].media_type == "image/png"
    assert answered(ask_of("text-to-speech"), Reply(Binary(WAV))).estimate["audio_ms"] == 500
    assert answered(ask_of("text-to-video"), Reply(Binary(MP4))).estimate["video_ms"] == 1_000


def test_a_box_a_little_over_the_edge_is_cut_and_one_further_out_is_refused() -> None:
    def box_in(width: int, **edges: int) -> Any:
        ask = ask_of("object-detection", {"inputs": Media("image", PNG, "image/png", width=width, height=480)})
        box = {"xmin": 0, "ymin": 0, "xmax": 10, "ymax": 10, **edges}
        return answered(ask, Reply([{"label": "x", "score": 1, "box": box}])).output[0]["box"]

    assert box_in(640, xmax=704, xmin=-33) == {"xmin": 0, "ymin": 0, "xmax": 640, "ymax": 10}
    for edges in ({"xmax": 705}, {"ymax": 529}, {"xmin": -65}):
        with pytest.raises(ProviderError, match="beyond the image of 640 x 480"):
            box_in(640, **edges)


def test_a_photograph_that_its_exif_turns_may_be_seen_either_way() -> None:
    data = image(form="JPEG") + b"Exif\x00\x00"
    for turned, fits in ((Media("image", data, "image/jpeg", width=64, height=48), True), (IMAGE, False)):
        ask = ask_of("image-segmentation", {"inputs": turned})
        reply = Reply([{"label": "x", "mask": b64(image(48, 64))}])
        if fits:
            assert answered(ask, reply).output[0]["mask"].width == 48
        else:
            with pytest.raises(ProviderError, match="48 x 64 pixels; the image has 64 x 48"):
                answered(ask, reply)


def test_scores_are_probabilities_only_where_they_are_meant_to_be() -> None:
    raw = Reply([{"label": "x", "score": 7.5}])
    assert answered(ask_of("text-classification"), raw).output[0]["score"] == 7.5
    asked = {"inputs": IMAGE, "parameters": {"function_to_apply": "none"}}
    assert answered(ask_of("image-classification", asked), raw).output
    softmax = {"inputs": "x", "parameters": {"function_to_apply": "softmax"}}
    for document in (raw.document, [{"label": "x", "score": 0.9}, {"label": "y", "score": 0.9}]):
        with pytest.raises(ProviderError):
            answered(ask_of("text-classification", softmax), Reply(document))


def test_more_answers_than_were_asked_for_are_no_answer() -> None:
    asked = {"inputs": "x", "parameters": {"top_k": 1}}
    two = [{"label": "x", "score": 0.5}, {"label": "y", "score": 0.5}]
    with pytest.raises(ProviderError, match="2 labels; 1 were asked for"):
        answered(ask_of("text-classification", asked), Reply(two))
    multi = {"inputs": "x", "parameters": {"candidate_labels": ["x", "y"], "multi_label": True}}
    both = [{"label": "x", "score": 0.9}, {"label": "y", "score": 0.9}]
    assert answered(ask_of("zero-shot-classification", multi), Reply(both)).output == both


def test_the_windows_of_a_long_text_add_up_and_a_short_text_has_one() -> None:
    span = {"answer": "a", "score": 1.4, "start": 0, "end": 1}
    for context, holds in (("a" * 127, False), ("a " * 300, True)):
        ask = ask_of("question-answering", {"inputs": {"question": "?!a", "context": context}})
        if holds:
            assert answered(ask, Reply(span)).output == [span]
        else:
            with pytest.raises(ProviderError, match="a probability is from 0 to 1"):
                answered(ask, Reply(span))


def test_numbers_that_are_whole_come_out_as_such_and_nulls_do_not_come_out() -> None:
    ask = ask_of("token-classification")
    word = {"entity": "PER", "entity_group": None, "score": 1, "word": "Ada", "start": 0.0, "end": 3.0}
    assert answered(ask, Reply([word])).output == [{"entity": "PER", "score": 1, "word": "Ada", "start": 0, "end": 3}]
    labels = answered(ask_of("text-classification"), Reply([{"label": 3, "score": 1, "note": None}])).output
    assert labels == [{"label": "3", "score": 1}]


def test_each_gap_of_a_text_has_its_own_words() -> None:
    document = ROWS["fill-mask"].good[2]
    assert [item["mask"] for item in answered(ask_of("fill-mask"), Reply(document)).output] == [0, 1, 1]


def test_a_chat_that_shows_images_counts_them() -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in (IMAGE, "https://example.org/cat.png")]
    ask = ask_of(
        "chat-completion", {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}]}
    )
    assert ask.units == {"calls": 1, "images": 2, "pixels": 64 * 48}
    assert isinstance(ask, Ask)
