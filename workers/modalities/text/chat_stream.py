"""A streamed chat completion, put together into the object that the same call gives in one piece. Pure."""

from dataclasses import dataclass, field
from typing import Any

from schemas import codec
from workers.exchange import count
from workers.modalities.reading import bad, given, kind_of
from workers.modalities.streams import DECODED_TIMES, DONE, PIECE_BYTES, event, failed

_GROWING = ("content", "reasoning", "reasoning_content", "refusal")
_KEPT = ("id", "created", "model", "system_fingerprint")
MAX_CHOICES = 16
MAX_TOOL_CALLS = 256


@dataclass(slots=True)
class _Choice:
    """One choice as it grows: texts as lists of pieces, tool calls by their index."""

    role: str = ""
    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    arguments: dict[int, list[str]] = field(default_factory=dict)
    logprobs: list[Any] = field(default_factory=list)
    finish_reason: str | None = None


class ChatStream:
    """The chunks so far; see `Assembler`."""

    def __init__(self) -> None:
        self.emitted = False
        self.done = False
        self.kept_bytes = 0
        self._choices: dict[int, _Choice] = {}
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._added: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take the data of one event. Raises `ProviderError` for an error that the stream carries, and for garbage."""
        if data.strip() == DONE:
            self.done = True
            return
        chunk = event(data, emitted=self.emitted)
        for name in _KEPT:
            if chunk.get(name) and name not in self._head:
                self._head[name] = chunk[name]
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]  # the newest counts for all before it
        choices = chunk.get("choices")
        for at, choice in enumerate(choices if isinstance(choices, list) else []):
            if isinstance(choice, dict):
                self._grow(choice, at)
                self.kept_bytes += DECODED_TIMES * len(data) if choice.get("logprobs") else 0

    @property
    def whole(self) -> bool:
        """Every choice has said why it ended, or the stream has said that nothing follows."""
        if not self._choices:
            return False
        return self.done or all(choice.finish_reason is not None for choice in self._choices.values())

    def pieces(self) -> list[str]:
        """The content that was added to the first choice since the last call. Reasoning and calls are not told."""
        added, self._added = self._added, []
        return added

    def completion(self) -> dict[str, Any]:
        """The plain completion. Only for a stream that is `whole`."""
        return {
            "object": "chat.completion",
            **self._head,
            "choices": [_plain(at, choice) for at, choice in sorted(self._choices.items())],
            **({"usage": self._usage} if self._usage is not None else {}),
        }

    def _grow(self, piece: dict[str, Any], at: int) -> None:
        """A choice's place in its chunk tells which one it is: we ask for one alone, and the `index` of
        text-generation-inference 1.4 counts tokens."""
        choice = self._choices.setdefault(at, _Choice())
        if len(self._choices) > MAX_CHOICES:
            raise failed(bad(f"more than {MAX_CHOICES} choices"), emitted=self.emitted)
        if isinstance(piece.get("finish_reason"), str) and piece["finish_reason"]:
            choice.finish_reason = piece["finish_reason"]
        logprobs = given(piece.get("logprobs")).get("content")
        choice.logprobs += logprobs if isinstance(logprobs, list) else []
        delta = given(piece.get("delta"))
        if isinstance(delta.get("role"), str):
            choice.role = delta["role"]
        for name in _GROWING:
            if isinstance(delta.get(name), str) and delta[name]:
                choice.texts.setdefault(name, []).append(delta[name])
                self.kept_bytes += PIECE_BYTES + len(delta[name])
                self.emitted = True
                if name == "content" and choice is self._choices.get(0):
                    self._added.append(delta[name])
        calls = delta.get("tool_calls")
        for place, call in enumerate([calls] if isinstance(calls, dict) else calls if isinstance(calls, list) else []):
            self._grow_call(choice, call, place)

    def _grow_call(self, choice: _Choice, piece: Any, place: int) -> None:
        """Calls come split: the first piece names the function, the others bring arguments, told apart by `index`."""
        if not isinstance(piece, dict):
            raise failed(bad(f"a tool call is {kind_of(piece)}; an object is needed"), emitted=self.emitted)
        index = count(piece.get("index"))
        index = place if index is None else index
        call = choice.calls.setdefault(index, {"function": {}})
        if len(choice.calls) > MAX_TOOL_CALLS:
            raise failed(bad(f"more than {MAX_TOOL_CALLS} tool calls"), emitted=self.emitted)
        self.emitted = True
        for name in ("id", "type"):
            if isinstance(piece.get(name), str) and piece[name]:
                call.setdefault(name, piece[name])
        function = given(piece.get("function"))
        if isinstance(function.get("name"), str) and function["name"]:
            call["function"].setdefault("name", function["name"])
        arguments = function.get("arguments")
        if arguments is not None:
            text = arguments if isinstance(arguments, str) else codec.encode(arguments).decode()
            choice.arguments.setdefault(index, []).append(text)
            self.kept_bytes += PIECE_BYTES + len(text)


def _plain(index: int, choice: _Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": choice.role or "assistant"}
    message |= {name: "".join(pieces) for name, pieces in choice.texts.items()}
    if choice.calls:
        message["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": "".join(choice.arguments.get(at, []))}}
            for at, call in sorted(choice.calls.items())
        ]
    # A stream may end with [DONE] alone; nobody said why, and "stop" is what an end without a reason means.
    reason = choice.finish_reason or ("tool_calls" if choice.calls else "stop")
    logprobs = {"content": choice.logprobs} if choice.logprobs else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}
