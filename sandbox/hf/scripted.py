"""A stand-in for the chat model: says given words in llama.cpp's form, at once. For tests of all that is around it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.hf.llama import PromptTooLong
from sandbox.hf.seat import Emit

WORDS = ("The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".")


@dataclass
class ScriptedText:
    """Says `words` up to `max_tokens`, then ends with `length` or `stop` as llama.cpp would; a word is a token.

    A prompt has as many tokens as words. With `hold_after` it waits for `go_on` before its next word, so that a test
    can act in the middle of an answer without guessing at times.
    """

    words: Sequence[str] = WORDS
    context_tokens: int = 4096
    hold_after: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """What it was asked, in order."""

    def load(self) -> None:
        """Nothing to do."""

    def chat(self, ask: dict[str, Any], emit: Emit) -> None:
        """As llama.cpp's chat completion."""
        prompt = " ".join(str(message.get("content")) for message in ask["messages"])
        self._admit(prompt)
        role = {"delta": {"role": "assistant", "content": None}, "index": 0, "finish_reason": None}
        if not emit({"choices": [role]}):
            self._say(ask, prompt, emit, lambda word: {"delta": {} if word is None else {"content": word}})

    def complete(self, ask: dict[str, Any], emit: Emit) -> None:
        """As llama.cpp's text completion."""

        def said(word: str | None) -> dict[str, Any]:
            token: dict[str, Any] = {"id": 7, "token": word, "logprob": -0.5, "top_logprobs": []}
            return {"text": word or "", "logprobs": None if word is None else {"content": [token]}}

        self._admit(ask["prompt"])
        self._say(ask, ask["prompt"], emit, said)

    def _admit(self, prompt: str) -> None:
        """llama.cpp refuses a prompt before it emits anything."""
        if len(prompt.split()) > self.context_tokens:
            raise PromptTooLong(len(prompt.split()))

    def _say(self, ask: dict[str, Any], prompt: str, emit: Emit, said: Any) -> None:
        self.asked.append(ask)
        prompt_tokens = len(prompt.split())
        words = self.words[: ask["max_tokens"]]
        for number, word in enumerate(words, 1):
            timings = {"cache_n": 0, "prompt_n": prompt_tokens, "predicted_n": number}
            choice = {"index": 0, "finish_reason": None} | said(word)
            if emit({"choices": [choice], "timings": timings}):
                return
            if number == self.hold_after:
                self.go_on.wait()
        why = "length" if len(words) == ask["max_tokens"] else "stop"
        made = len(words) + (why == "stop")  # llama.cpp counts the end-of-text token
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": made}
        if not emit({"choices": [{"index": 0, "finish_reason": why} | said(None)]}):
            emit({"choices": [], "usage": usage})
