"""A streamed text generation, put together into the object that the same call gives in one piece. Pure.

Two dialects: text-generation-inference's token objects, the last of which has the whole `generated_text` and the
details; and the pieces of an OpenAI completion (`choices[].text`), which ends with a reason and `[DONE]`.
"""

from typing import Any

from workers.exchange import count
from workers.modalities.reading import bad, given, kind_of
from workers.modalities.streams import DECODED_TIMES, DONE, PIECE_BYTES, event, failed

TOKEN_BYTES = 512
"""What one token takes in memory: a dictionary of four members."""
_KEPT = ("id", "created", "model", "system_fingerprint")


class GenerationStream:
    """The events so far; see `Assembler`. One text: what belongs to another choice is refused."""

    def __init__(self) -> None:
        self.emitted = False
        self.done = False
        self.kept_bytes = 0
        self._texts: list[str] = []
        self._told = 0
        """Pieces that were given out."""
        self._tokens: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None
        """The event of text-generation-inference that has the whole text."""
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._reason: str | None = None
        self._completion = False
        """Whether the stream is one of an OpenAI completion."""

    def feed(self, data: bytes) -> None:
        """Take the data of one event. Raises `ProviderError` for an error that the stream carries, and for garbage."""
        if data.strip() == DONE:
            self.done = True
            return
        chunk = event(data, emitted=self.emitted)
        if isinstance(chunk.get("token"), dict):
            self._token(chunk, len(data))
        elif "choices" in chunk or isinstance(chunk.get("usage"), dict):
            self._completion = True
            self._choices(chunk)
        else:
            raise failed(bad("an event has neither token nor choices"), emitted=self.emitted)

    @property
    def whole(self) -> bool:
        """The whole text has come, or the reason why it ends; `[DONE]` after a piece of it will do."""
        return self._last is not None or self._reason is not None or (self.done and self._completion and self.emitted)

    def pieces(self) -> list[str]:
        """The text that was added since the last call."""
        added = self._texts[self._told :]
        self._told = len(self._texts)
        return added

    def completion(self) -> dict[str, Any]:
        """`{generated_text, details}`, or an OpenAI completion: what a call without streaming gives."""
        if self._last is None:
            choice = {"index": 0, "text": "".join(self._texts), "finish_reason": self._reason or "stop"}
            usage = {} if self._usage is None else {"usage": self._usage}
            return {"object": "text_completion", **self._head, "choices": [choice], **usage}
        output = {"generated_text": self._last["generated_text"]}
        # An event is a token: they are counted even where the stream was not asked for its details.
        counted = {"generated_tokens": len(self._tokens)}
        details = self._last.get("details")
        told = {"prefill": [], **details, "tokens": self._tokens} if isinstance(details, dict) else {}
        return {**output, "details": {**counted, **told}}

    def _token(self, chunk: dict[str, Any], size: int) -> None:
        token = chunk["token"]
        text = token.get("text")
        if not isinstance(text, str):
            raise failed(bad(f"token.text: is {kind_of(text)}; a text is needed"), emitted=self.emitted)
        self.emitted = True
        self._tokens.append(token)
        self.kept_bytes += TOKEN_BYTES if size <= TOKEN_BYTES else DECODED_TIMES * size
        if token.get("special") is not True:  # an end mark is no part of the text
            self._texts.append(text)
        if chunk.get("generated_text") is not None:
            if not isinstance(chunk["generated_text"], str):
                raise failed(bad(f"generated_text: is {kind_of(chunk['generated_text'])}"), emitted=True)
            self._last = chunk
            self.done = True

    def _choices(self, chunk: dict[str, Any]) -> None:
        for name in _KEPT:
            if chunk.get(name) and name not in self._head:
                self._head[name] = chunk[name]
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            piece = given(choice)
            if (count(piece.get("index")) or 0) > 0:
                raise failed(bad("a second choice; one was asked for"), emitted=self.emitted)
            if isinstance(piece.get("text"), str) and piece["text"]:
                self.emitted = True
                self._texts.append(piece["text"])
                self.kept_bytes += PIECE_BYTES + len(piece["text"])
            if isinstance(piece.get("finish_reason"), str) and piece["finish_reason"]:
                self._reason = piece["finish_reason"]
