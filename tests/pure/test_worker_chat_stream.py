"""Streamed completions, put together."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_world import delta

from runtime.sse import SseParser
from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.modalities.streams import lines_of
from workers.modalities.text.chat_stream import MAX_CHOICES, MAX_TOOL_CALLS, ChatStream

RECORDED = Path(__file__).parents[1] / "contracts" / "data" / "hf" / "recorded.jsonl"
STREAMS = [
    record
    for record in map(json.loads, RECORDED.read_text().splitlines())
    if record["stream"] and record["task"] == "conversational"
]
CUT = {"inf-1084", "inf-1189"}
"""Recorded by their first characters only: streams that were cut, as far as a reader can tell."""


def read(body: bytes, *cuts: int) -> ChatStream:
    parser, stream = SseParser(), ChatStream()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        for event in parser.feed(body[start:end]):
            stream.feed(event.data)
    return stream


def fed(*chunks: Any) -> ChatStream:
    stream = ChatStream()
    for chunk in chunks:
        stream.feed(json.dumps(chunk).encode())
    return stream


@pytest.mark.parametrize("record", STREAMS, ids=lambda record: f"{record['id']}-{record['provider']}")
def test_recorded_streams_are_whole_unless_they_were_cut(record: dict[str, Any]) -> None:
    stream = read(record["body"].encode())
    assert stream.emitted
    assert stream.whole == (record["id"] not in CUT)
    if stream.whole:
        (choice,) = stream.completion()["choices"]
        assert choice["message"]["content"]
        assert choice["finish_reason"] in ("stop", "length", "eos_token")


@given(
    st.sampled_from([record for record in STREAMS if record["id"] not in CUT]),
    st.lists(st.integers(0, 10**4), max_size=8),
)
def test_where_the_bytes_are_cut_does_not_matter(record: dict[str, Any], cuts: list[int]) -> None:
    body = record["body"].encode()
    assert read(body, *cuts).completion() == read(body).completion()


def test_the_text_is_that_of_the_pieces_and_the_newest_usage_counts() -> None:
    stream = fed(
        delta("Hel", role="assistant") | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}},
        delta("lo"),
        delta(None, "length"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    )
    done = stream.completion()
    assert done["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert done["choices"][0]["finish_reason"] == "length"
    assert done["usage"]["completion_tokens"] == 2
    assert done["object"] == "chat.completion"


def test_pieces_are_the_content_added_since_the_last_call_and_nothing_else() -> None:
    stream = fed(delta("Hel", role="assistant"), delta("lo"), delta(None, reasoning="hm"))
    assert stream.pieces() == ["Hel", "lo"]
    assert stream.pieces() == []
    stream.feed(json.dumps(delta(" you", "stop")).encode())
    assert stream.pieces() == [" you"]


def test_reasoning_is_kept_apart_and_counts_as_output() -> None:
    stream = fed(delta(None, reasoning="thin"))
    assert stream.emitted
    stream.feed(json.dumps(delta("42", "stop", reasoning="king", sla_metrics={"x": 1})).encode())
    assert stream.completion()["choices"][0]["message"] == {
        "role": "assistant",
        "reasoning": "thinking",
        "content": "42",
    }


def test_tool_calls_are_put_together_by_their_index() -> None:
    first = [{"index": 0, "id": "c0", "type": "function", "function": {"name": "add", "arguments": '{"a"'}}]
    both = [
        {"index": 1, "id": "c1", "function": {"name": "sub", "arguments": {"b": 2}}},
        {"index": 0, "function": {"arguments": ": 1}"}},
    ]
    stream = fed(delta(None, tool_calls=first), delta(None, tool_calls=both), delta(None, "tool_calls"))
    calls = stream.completion()["choices"][0]["message"]["tool_calls"]
    assert [call["function"] for call in calls] == [
        {"name": "add", "arguments": '{"a": 1}'},
        {"name": "sub", "arguments": '{"b":2}'},
    ]
    assert [call["id"] for call in calls] == ["c0", "c1"]


def test_a_tool_call_that_is_no_list_is_read_too() -> None:
    """Old text-generation-inference streamed one object."""
    stream = fed(
        delta(None, "eos_token", tool_calls={"index": 0, "id": "", "function": {"name": "f", "arguments": "{}"}})
    )
    assert stream.completion()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"


def test_done_alone_ends_a_stream_and_nothing_before_it_does() -> None:
    stream = fed(delta("a"))
    assert not stream.whole
    stream.feed(b"[DONE]")
    assert stream.whole
    assert stream.completion()["choices"][0]["finish_reason"] == "stop"


def test_an_empty_stream_is_not_whole() -> None:
    stream = ChatStream()
    stream.feed(b"[DONE]")
    assert not stream.whole


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error":"Input validation error","error_type":"validation"}', FailureKind.REQUEST_REFUSED),
        (b'{"error":{"message":"x","code":503}}', FailureKind.OVERLOADED),
        (b"not json", FailureKind.INVALID_OUTPUT),
        (b"[1]", FailureKind.INVALID_OUTPUT),
        (b'{"choices":[{"delta":{"tool_calls":[3]}}]}', FailureKind.INVALID_OUTPUT),
    ],
)
def test_what_is_no_chunk_is_a_failure_that_says_whether_output_had_begun(data: bytes, kind: FailureKind) -> None:
    for stream in (ChatStream(), fed(delta("begun"))):
        with pytest.raises(ProviderError) as caught:
            stream.feed(data)
        assert caught.value.kind == kind
        assert caught.value.emitted == stream.emitted


def test_an_index_that_counts_tokens_is_no_other_choice() -> None:
    """As text-generation-inference 1.4 sent it, which we ask for one choice alone."""
    pieces = [{"choices": [{"index": at, "delta": {"content": text}}]} for at, text in enumerate("abc", 1)]
    stream = fed(*pieces, {"choices": [{"index": 4, "delta": {}, "finish_reason": "eos_token"}]})

    [choice] = stream.completion()["choices"]
    assert (choice["message"]["content"], choice["index"]) == ("abc", 0)


def test_lines_that_are_objects_each_are_events_each() -> None:
    assert lines_of(b'{"a": 1}\n{"b": 2} ') == [b'{"a": 1}', b'{"b": 2} ']
    assert lines_of(b'{"a":\n 1}') == [b'{"a":\n 1}']
    assert lines_of(b'{"a": 1}') == [b'{"a": 1}']


def test_a_stream_cannot_grow_without_bound() -> None:
    with pytest.raises(ProviderError, match="choices"):
        fed({"choices": [{"delta": {"content": "x"}}] * (MAX_CHOICES + 1)})
    with pytest.raises(ProviderError, match="tool calls"):
        fed(*(delta(None, tool_calls=[{"index": index}]) for index in range(MAX_TOOL_CALLS + 1)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "index", "content", "tool_calls", "function", "arguments", "usage", "logprobs"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.lists(json_values, max_size=4))
def test_any_chunks_give_a_completion_or_a_typed_failure(chunks: list[Any]) -> None:
    stream = ChatStream()
    try:
        for chunk in chunks:
            stream.feed(json.dumps(chunk).encode())
    except ProviderError:
        return
    if stream.whole:
        assert stream.completion()["choices"]
