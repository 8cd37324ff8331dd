"""Content for whoever asks to see it: prompts and outputs in the blob store, of which spans name the place alone.

Off by default (NOVIX_CAPTURE_CONTENT). On, the messages are written as the conventions' `gen_ai.input.messages` and
`gen_ai.output.messages` have them (the JSON schema of opentelemetry-semantic-conventions 0.66b2), under their sha256;
the spans carry reference, digest and size. They never stand in a span, so no collector, back end or log gets them.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from runtime import telemetry as names
from runtime.blobs import BlobError, BlobStore
from schemas import codec
from schemas.media import BLOB_SCHEME
from schemas.values import frozen

log = structlog.get_logger("novix.capture")

MEDIA_TYPE = "application/json"
MOST_BYTES = 1_048_576
"""Of the messages on one side of a call; longer ones are not kept."""
KEEP_S = 5.0
"""For both sides together. A store that is away delays a job by no more, and fails none."""
AWAY = 3
"""Failures in a row after which the store is asked only once in `AGAIN` jobs."""
AGAIN = 100


@frozen
class Kept:
    """Messages in the blob store."""

    sha256: str
    size_bytes: int

    @property
    def ref(self) -> str:
        """As jobs and results write it: `novix blob get` takes it."""
        return f"{BLOB_SCHEME}{self.sha256}"


@frozen
class Captured:
    """Both sides of a call; None: not kept."""

    input: Kept | None
    output: Kept | None

    def attributes(self) -> dict[str, str | int]:
        """For the span of the logical call."""
        told: dict[str, str | int] = {}
        if self.input is not None:
            told |= {
                names.INPUT_REF: self.input.ref,
                names.INPUT_SHA256: self.input.sha256,
                names.INPUT_BYTES: self.input.size_bytes,
            }
        if self.output is not None:
            told |= {
                names.OUTPUT_REF: self.output.ref,
                names.OUTPUT_SHA256: self.output.sha256,
                names.OUTPUT_BYTES: self.output.size_bytes,
            }
        return told


class Capture:
    """Keeps content. Never raises for what the store does: capturing fails no job."""

    def __init__(self, store: BlobStore, *, keep_s: float = KEEP_S) -> None:
        """`store` is the caller's to open and close."""
        self._store = store
        self._keep_s = keep_s
        self._failures = self._passed = 0
        self.kept = self.lost = 0
        """Calls whose content was kept, and those where the store did not take it."""

    async def of(self, task_input: Mapping[str, Any], output: Any) -> Captured | None:
        """Keep what was asked and what was answered; None where nothing was kept."""
        if self._failures >= AWAY and self._passed < AGAIN:
            self._passed += 1
            self.lost += 1
            return None
        self._passed = 0
        try:
            async with asyncio.timeout(self._keep_s):
                captured = Captured(
                    await self._put(input_messages(task_input)), await self._put(output_messages(output))
                )
        except (BlobError, TimeoutError) as error:
            self._failures += 1
            self.lost += 1
            log.warning("capture.failed", error=type(error).__name__, lost=self.lost)
            return None
        self._failures = 0
        self.kept += 1
        return captured

    def describe(self) -> dict[str, int]:
        """What was counted, for /healthz."""
        return {"kept": self.kept, "lost": self.lost}

    async def _put(self, messages: list[dict[str, Any]]) -> Kept | None:
        data = codec.encode(messages)
        if len(data) > MOST_BYTES:
            return None
        return Kept(await self._store.put(data, MEDIA_TYPE), len(data))


def input_messages(task_input: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The input as messages: a chat's own, anything else as one message of the user with the input as JSON."""
    given = task_input.get("messages")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        return [{"role": "user", "parts": [_text(codec.encode(dict(task_input)).decode())]}]
    return [{"role": str(one.get("role", "user")), "parts": _parts(one.get("content"))} for one in given]


def output_messages(output: Any) -> list[dict[str, Any]]:
    """The output as messages, one a choice; what is no chat's as one message with the output as JSON."""
    choices = output.get("choices") if isinstance(output, dict) else None
    if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
        return [{"role": "assistant", "parts": [_text(codec.encode(output).decode())], "finish_reason": "stop"}]
    messages = []
    for choice in choices:
        said = choice.get("message")
        said = said if isinstance(said, dict) else {}
        reason = str(choice.get("finish_reason") or "stop")
        role = str(said.get("role", "assistant"))
        messages.append({"role": role, "parts": _parts(said.get("content")), "finish_reason": reason})
    return messages


def _parts(content: Any) -> list[dict[str, Any]]:
    """A message's content as parts; what is no text is told by its type, its bytes stay where they are."""
    if isinstance(content, str):
        return [_text(content)]
    given = content if isinstance(content, list) else []
    parts = []
    for one in given:
        if isinstance(one, dict):
            text = one.get("text")
            parts.append(_text(text) if isinstance(text, str) else {"type": str(one.get("type", "unknown"))})
    return parts


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
