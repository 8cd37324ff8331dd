"""Streamed text generations, put together: text-generation-inference's tokens, and OpenAI's completion pieces."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_rows import RECORDS, ask_of

from runtime.sse import SseParser
from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.exchange import Reply
from workers.modalities import answered
from workers.modalities.text.generation_stream import GenerationStream

STREAMS = [record for record in RECORDS.values() if record["task"] == "text-generation" and record["stream"]]
WHOLE = [record for record in STREAMS if '"generated_text":"' in record["body"]]


def token(text: str, *, special: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "token": {"id": 1, "text": text, "logprob": -0.5, "special": special},
        "generated_text": None,
        "details": None,
        **more,
    }


def piece(text: str, reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": index, "text": text, "finish_reason": reason}]}


def read(body: bytes, *cuts: int) -> GenerationStream:
    parser, stream = SseParser(), GenerationStream()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        for event in parser.feed(body[start:end]):
            stream.feed(event.data)
    return stream


def fed(*events: Any) -> GenerationStream:
    stream = GenerationStream()
    for event in events:
        stream.feed(event if isinstance(event, bytes) else json.dumps(event).encode())
    return stream


def test_there_are_recorded_streams_to_read() -> None:
    assert len(WHOLE) >= 2


@pytest.mark.parametrize("record", WHOLE, ids=lambda record: record["id"])
def test_a_recorded_stream_is_whole_and_its_pieces_are_its_text(record: dict[str, Any]) -> None:
    stream = read(record["body"].encode())
    assert stream.whole
    assert stream.done
    assert stream.emitted
    assert "".join(stream.pieces()).strip() == stream.completion()["generated_text"].strip()
    assert answered(ask_of("text-generation"), Reply(stream.completion())).output["generated_text"]


@given(st.sampled_from(WHOLE), st.lists(st.integers(0, 10**4), max_size=8))
def test_where_the_bytes_are_cut_does_not_matter(record: dict[str, Any], cuts: list[int]) -> None:
    body = record["body"].encode()
    assert read(body, *cuts).completion() == read(body).completion()


def test_the_last_event_of_tokens_has_the_text_and_what_it_took() -> None:
    details = {"finish_reason": "length", "generated_tokens": 2, "input_length": 7, "seed": None}
    stream = fed(token("a"), token(" b", generated_text="a b", details=details))
    done = stream.completion()
    assert done["generated_text"] == "a b"
    assert [one["text"] for one in done["details"]["tokens"]] == ["a", " b"]
    asked = ask_of("text-generation", {"inputs": "x", "stream": True, "parameters": {"details": True}})
    answer = answered(asked, Reply(done))
    assert answer.usage == {"output_tokens": 2, "input_tokens": 7}
    assert answer.output["details"]["finish_reason"] == "length"
    assert asked.body["stream"] is True
    unasked = answered(ask_of("text-generation", {"inputs": "x", "stream": True}), Reply(done))
    assert unasked.output == {"generated_text": "a b"}
    assert unasked.usage == answer.usage


def test_the_tokens_of_a_stream_without_details_are_counted() -> None:
    done = fed(token("a"), token("b"), token("</s>", special=True, generated_text="ab")).completion()
    for asked in ({"inputs": "x", "stream": True}, {"inputs": "x"}):
        answer = answered(ask_of("text-generation", asked), Reply(done))
        assert answer.output == {"generated_text": "ab"}
        assert answer.usage == {"output_tokens": 3}


def test_an_end_mark_is_no_piece_of_the_text() -> None:
    stream = fed(token("a"), token("</s>", special=True, generated_text="a"))
    assert stream.pieces() == ["a"]
    assert stream.pieces() == []


def test_a_stream_without_its_last_event_is_not_whole() -> None:
    assert not fed(token("a"), token("b")).whole
    assert not fed(token("a"), b"[DONE]").whole
    assert not fed(b"[DONE]").whole
    assert not fed(piece("a")).whole


def test_the_pieces_of_a_completion_become_one() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    stream = fed(piece("Hel"), piece("lo", "length"), {"choices": [], "usage": usage}, b"[DONE]")
    assert stream.whole
    assert stream.pieces() == ["Hel", "lo"]
    assert stream.completion() == {
        "object": "text_completion", "id": "c", "model": "m", "usage": usage,
        "choices": [{"index": 0, "text": "Hello", "finish_reason": "length"}],
    }  # fmt: skip
    assert fed(piece("a"), b"[DONE]").completion()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":"Request failed during generation","error_type":"generation"}', FailureKind.PROVIDER_ERROR),
        (b'{"error":"Model is overloaded","error_type":"overloaded"}', FailureKind.OVERLOADED),
        (b"not json", FailureKind.INVALID_OUTPUT),
        (b"[1]", FailureKind.INVALID_OUTPUT),
        (b'{"x":1}', FailureKind.INVALID_OUTPUT),
        (b'{"token":{"text":5}}', FailureKind.INVALID_OUTPUT),
        (b'{"token":{"text":"a"},"generated_text":5}', FailureKind.INVALID_OUTPUT),
        (b'{"choices":[{"index":1,"text":"b"}]}', FailureKind.INVALID_OUTPUT),
    ],
)
def test_what_is_no_event_is_a_failure_that_says_whether_output_had_begun(data: bytes, kind: FailureKind) -> None:
    for stream in (GenerationStream(), fed(token("begun"))):
        with pytest.raises(ProviderError) as caught:
            stream.feed(data)
        assert caught.value.kind == kind
        assert caught.value.emitted == stream.emitted


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "text", "index", "token", "generated_text", "details", "usage", "finish_reason"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.lists(json_values, max_size=4))
def test_any_events_give_an_answer_or_a_typed_failure(events: list[Any]) -> None:
    stream = GenerationStream()
    try:
        for event in events:
            stream.feed(json.dumps(event).encode())
    except ProviderError:
        return
    if stream.whole:
        assert stream.completion()
