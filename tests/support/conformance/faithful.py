"""Whether an answer that was understood still says what the server said: read a second way, and held against it."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

TOLD = frozenset(
    {
        "answer", "arguments", "content", "end", "generated_text", "label", "score", "start", "summary_text", "text",
        "token_str", "translation_text", "word", "xmax", "xmin", "ymax", "ymin",
    }
)  # fmt: skip
"""Members whose values are the answer itself, wherever they stand."""


def lost(body: bytes, output: Any) -> list[str]:
    """The values of an answer that are not in the output, as `name: value`."""
    kept = set(_leaves(output))
    return [f"{name}: {value!r}"[:120] for name, value in _told(body) if value not in kept]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str | int | float):
        yield value


def _told(body: bytes) -> Iterator[tuple[str, Any]]:
    events = [line.partition(b":")[2].strip() for line in body.splitlines() if line.startswith(b"data:")]
    if not events:
        with contextlib.suppress(ValueError):
            yield from _members(json.loads(body))
        return
    chunks = [json.loads(one) for one in events if one.startswith(b"{")]
    whole = [chunk["generated_text"] for chunk in chunks if chunk.get("generated_text")]
    if whole:
        yield "generated_text", whole[-1]
    deltas = [choice.get("delta") or {} for chunk in chunks for choice in chunk.get("choices") or []]
    spoken = "".join(delta.get("content") or "" for delta in deltas)
    if spoken:
        yield "content", spoken


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _members(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in TOLD and isinstance(one, str | int | float) and one not in ("", None):
                yield name, one
            elif name not in ("details", "logprobs", "input"):
                yield from _members(one)
