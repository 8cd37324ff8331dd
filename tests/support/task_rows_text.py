"""Rows of the text tasks."""

from typing import Any

from task_row import LABELS, NO_LABELS, NOTHING, Row, without

TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
CELL = {"answer": "1", "coordinates": [[0, 1]], "cells": ["1"], "aggregator": "NONE"}
WORD = {"entity_group": "PER", "score": 0.99, "word": "Ada", "start": 0, "end": 3}
GAP = {"sequence": "the world!", "score": 0.29, "token": 1996, "token_str": "the"}
SPAN = {"answer": "Paris", "score": 0.97, "start": 25, "end": 30}


def completion(text: str = "Hello there.", tokens: tuple[int, int] = (20, 5)) -> dict[str, Any]:
    """A plain chat completion."""
    return {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None,
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }  # fmt: skip


def chat(**message: Any) -> dict[str, Any]:
    """A completion with this message."""
    whole = completion()
    whole["choices"][0]["message"] = {"role": "assistant", **message}
    return whole


TEXT: dict[str, Row] = {
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
            *NOTHING, [], {"choices": []}, {"choices": [{}]}, {"choices": ["x"]},
            chat(content=5), chat(content="x", tool_calls=[{"function": {}}]), chat(content=None, tool_calls=["x"]),
            {"choices": [{"message": {"content": "x"}}]},
        ],
        ["inf-0146", "inf-0167", "inf-0200", "inf-0406", "inf-0547", "inf-1146", "inf-1194", "inf-1192"],
        texts=("messages.0.content",),
    ),
    "text-generation": Row(
        {"inputs": "Once"},
        [[{"generated_text": "a"}], {"generated_text": "a"}, {"generated_text": "a", "details": None},
         [[{"generated_text": "a"}]]],
        {"generated_text": "a"},
        [*NOTHING, [], [{"generated_text": "a"}, {"generated_text": "b"}], [{"generated_text": 3}], [[{}]],
         {"generated_text": "a", "details": {"finish_reason": "bored"}}],
        ["inf-0009", "inf-0110"],
    ),
    "feature-extraction": Row(
        {"inputs": ["one", "two"], "normalize": True},
        [[[0.5, 1], [2, 3]], [[[0.0, 0], [1, 2]], [[2, 3]]], [[[[0.5, 1]]], [[[1, 2], [3, 4]]]],
         {"embeddings": [[0.5, 1], [2, 3]]}],
        [[0.5, 1], [2, 3]],
        [*NOTHING, [], [[]], [1, 2], [[1, 2]], [[1, 2], [3]], [[1, "x"], [2, 3]], [[1, None], [2, 3]],
         [[1, True], [2, 3]], [[[[1]]]], [[[1]], None], [[[1]], 5], [[[[1]]], [[[1]], [[1]]]], [[[[1]]], [None]],
         {"embedding": [1]}, [[1, 2], 3], [[1.0, float("nan")], [1, 2]]],
        ["inf-0309"],
        texts=("inputs",),
    ),
    "sentence-similarity": Row(
        {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}},
        [[0.1, 0.9], {"similarities": [0.1, 0.9]}],
        None,
        [*NOTHING, [], [0.1], [0.1, 0.2, 0.3], [0.1, "0.2"], [0.1, None], {"scores": [0.1, 0.2]},
         {"similarities": [0.1]}, [[0.1, 0.2]],
         [float("inf"), 0]],
        ["inf-0004", "inf-0080"],
        texts=("inputs.source_sentence", "inputs.sentences.0"),
    ),
    "zero-shot-classification": Row(
        {"inputs": "I want my money back", "parameters": {"candidate_labels": ["refund", "faq"]}},
        [
            LABELS,
            {"sequence": "I", "labels": ["refund", "faq"], "scores": [0.9, 0.1]},
            [{"sequence": "I", "labels": ["refund", "faq"], "scores": [0.9, 0.1]}],
            [LABELS],
        ],
        LABELS,
        [*NO_LABELS, LABELS[:1], [*LABELS, LABELS[0]], [{"label": "other", "score": 1}, LABELS[0]],
         {"labels": ["refund", "faq"], "scores": [1]}, {"labels": "refund"},
         [{"label": "refund", "score": 0.9}, {"label": "faq", "score": 0.8}]],
        ["inf-0217"],
    ),
    "text-classification": Row(
        {"inputs": "I like you"},
        [[[{"label": "POSITIVE", "score": 0.9}]], [{"label": "POSITIVE", "score": 0.9}],
         [{"label": "grade", "score": 4.2}], {"label": "POSITIVE", "score": 1},
         [{"label": 3, "score": 0.9, "x": None}]],
        [{"label": "POSITIVE", "score": 0.9}],
        NO_LABELS,
        ["inf-0002"],
    ),
    "summarization": Row(
        {"inputs": "A long story.", "parameters": {"truncation": "longest_first"}},
        [[{"summary_text": "Story."}], {"summary_text": "Story."}],
        {"summary_text": "Story."},
        [*NOTHING, [], [{"summary_text": None}], [{"summary": "x"}], [{"summary_text": "a"}, {"summary_text": "b"}]],
        ["inf-0425"],
    ),
    "translation": Row(
        {"inputs": "Hello", "parameters": {"src_lang": "en_XX", "tgt_lang": "fr_XX"}},
        [[{"translation_text": "Bonjour"}], {"translation_text": "Bonjour"}],
        {"translation_text": "Bonjour"},
        [*NOTHING, [], [{"translation_text": 5}], [{"translation_text": "a"}, {"translation_text": "b"}]],
        ["inf-0286"],
    ),
    "fill-mask": Row(
        {"inputs": "[MASK] world!", "parameters": {"top_k": 2}},
        [[GAP], [[GAP]], [[GAP], [GAP, GAP]], GAP, [{**GAP, "token": 1996.0}]],
        [{**GAP, "tokenStr": "the"}],
        [*NOTHING, [], [[]], [without(GAP, "token_str")], [{**GAP, "score": float("nan")}], [{**GAP, "token": "x"}],
         [GAP, GAP, GAP], [[GAP], [GAP, GAP, GAP]], [[GAP], []], [{**GAP, "score": 2}]],
        ["inf-0005", "inf-0131"],
    ),
    "token-classification": Row(
        {"inputs": "Ada is here", "parameters": {"aggregation_strategy": "simple"}},
        [[WORD], [], [[WORD]], [{**without(WORD, "entity_group"), "entity": "B-PER", "index": 1}],
         [{**WORD, "start": None, "end": None}], [{**WORD, "entity_group": None, "entity": "B-PER", "end": 3.0}], WORD],
        None,
        [*NOTHING, [without(WORD, "entity_group")], [without(WORD, "word")], [{**WORD, "end": 12}],
         [{**WORD, "start": 3, "end": 1}], [{**WORD, "start": -1}], [{**WORD, "start": 0.5}],
         [{**WORD, "score": float("nan")}], [{**WORD, "start": None}]],
        ["inf-0015"],
    ),
    "question-answering": Row(
        {"inputs": {"question": "What is the capital?", "context": "The capital of France is Paris."}},
        [SPAN, [SPAN], [[SPAN]], {**SPAN, "start": 25.0, "score": 1, "extra": None},
         {"answer": "", "score": 0.4, "start": 0, "end": 0}],
        [SPAN],
        [*NOTHING, [], [SPAN, SPAN], without(SPAN, "start"), {**SPAN, "end": 32}, {**SPAN, "start": 31},
         {**SPAN, "score": 1.5}, {**SPAN, "answer": None}, {**SPAN, "start": -1}],
        ["inf-0000", "inf-0413"],
        texts=("inputs.question", "inputs.context"),
    ),
    "table-question-answering": Row(
        {"inputs": {"table": {"Name": ["x"], "Stars": ["1"]}, "question": "How many?"}},
        [CELL, [CELL], {"answer": "1"}, {**CELL, "cells": [], "coordinates": []},
         {**CELL, "aggregator": None}, {**CELL, "coordinates": [[0.0, 1]]}],
        [CELL],
        [*NOTHING, [], [CELL, CELL], {"cells": []}, {**CELL, "cells": ["1", "2"]}, {**CELL, "coordinates": [[1, 0]]},
         {**CELL, "coordinates": [[0]]}, {**CELL, "cells": [1]}, {**CELL, "coordinates": "x"}],
        ["inf-0003"],
        texts=("inputs.question",),
    ),
}  # fmt: skip
