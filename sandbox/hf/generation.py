"""Text generation in the wire form of text-generation-inference: from the wire to llama.cpp and back. Pure."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.hf import wire
from sandbox.hf.chat import LARGEST_SEED, Usage, event

DEFAULT_MAX_TOKENS = 1024
"""The published schema's default."""

REFUSED = ("adapter_id", "decoder_input_details", "top_n_tokens", "truncate", "watermark")
"""Parameters that this engine cannot honour: refused rather than ignored when they are set."""

PASSED = {
    "top_k": "top_k",
    "top_p": "top_p",
    "typical_p": "typical_p",
    "repetition_penalty": "repeat_penalty",
    "frequency_penalty": "frequency_penalty",
}
"""The wire's name of a parameter and llama.cpp's."""

SAMPLING = ("temperature", "top_k", "top_p", "typical_p")


def ask(body: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's request for a body that fits the published input schema.

    Greedy unless `do_sample` or a sampling parameter is given, as text-generation-inference decides it. Stop
    sequences are not passed on: `Answer` finds them, so that they stay in the text and `finish_reason` is exact.
    """
    given = {name: value for name, value in (body.get("parameters") or {}).items() if value is not None}
    for name in REFUSED:
        if given.get(name):
            raise wire.unsupported(name, "parameters")
    if given.get("best_of", 1) > 1:
        raise wire.unsupported("best_of", "parameters")
    if not body["inputs"]:
        raise wire.invalid("`inputs` cannot be empty")
    if given.get("max_new_tokens") == 0:
        raise wire.invalid("`max_new_tokens` must be strictly positive")
    sampled = given.get("do_sample") or any(name in given for name in SAMPLING)
    made = {
        "prompt": body["inputs"],
        "max_tokens": given.get("max_new_tokens", DEFAULT_MAX_TOKENS),
        "temperature": given.get("temperature", 1.0) if sampled else 0.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "logprobs": 1,
    }
    made |= {theirs: given[ours] for ours, theirs in PASSED.items() if ours in given}
    if "seed" in given:
        made["seed"] = given["seed"] % LARGEST_SEED
    if grammar := given.get("grammar"):
        made["json_schema"] = _schema(grammar)
    return made


@dataclass
class Answer:
    """One answer as it grows.

    `finish_reason` is `length`, `eos_token` or `stop_sequence`; once it is set no piece changes the text.
    """

    prompt: str
    stop: tuple[str, ...]
    full_text: bool
    details: bool
    seed: int | None
    usage: Usage = field(default_factory=Usage)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    streamed: int = 0
    """Tokens that have gone out as events."""
    finish_reason: str | None = None

    @property
    def enough(self) -> bool:
        """Whether the engine may stop: we found a stop sequence, of which it knows nothing."""
        return self.finish_reason == "stop_sequence"

    def take(self, piece: dict[str, Any]) -> list[bytes]:
        """Take one piece of llama.cpp's stream; return the events to stream on.

        What comes after a stop sequence was made ahead of us: it is neither answered nor counted.
        """
        if self.enough:
            return []
        self.usage.count(piece)
        if piece["choices"] and self.finish_reason is None:
            self._read(piece["choices"][0])
        # The last token waits for `ending`, unless the end-of-text token will be the last.
        ready = len(self.tokens) if self.finish_reason == "eos_token" else len(self.tokens) - 1
        chunks = [
            {"index": index + 1, "token": self.tokens[index], "generated_text": None, "details": None}
            for index in range(self.streamed, ready)
        ]
        self.streamed += len(chunks)
        return [event(chunk) for chunk in chunks]

    def ending(self) -> list[bytes]:
        """The event that closes a stream: the last token, the whole text, and always the details, for the counts."""
        eos = self.finish_reason == "eos_token" or not self.tokens
        details = {
            "finish_reason": self.finish_reason,
            "generated_tokens": self.usage.completion_tokens,
            "input_length": self.usage.prompt_tokens,
            "seed": self.seed,
        }
        last = {
            "index": self.streamed + 1,
            "token": END if eos else self.tokens[-1],
            "generated_text": self.generated(),
            "details": details,
        }
        return [event(last)]

    def _read(self, choice: dict[str, Any]) -> None:
        if token := _token(choice):
            self.tokens.append(token)
            self.text += choice["text"]
        if any(stop in self.text for stop in self.stop):
            self.finish_reason = "stop_sequence"
        elif choice["finish_reason"] is not None:
            self.finish_reason = "length" if choice["finish_reason"] == "length" else "eos_token"

    def generated(self) -> str:
        """The text so far, with the prompt before it if that was asked for."""
        return self.prompt + self.text if self.full_text else self.text

    def whole(self) -> list[dict[str, Any]]:
        """The answer in one piece: a list of one, as hf-inference gives it; its item is the published output."""
        item: dict[str, Any] = {"generated_text": self.generated()}
        if self.details:
            item["details"] = {
                "finish_reason": self.finish_reason,
                "generated_tokens": self.usage.completion_tokens,
                "seed": self.seed,
                "prefill": [],
                "tokens": self.tokens,
            }
        return [item]


END = {"id": 2, "text": "<|im_end|>", "logprob": None, "special": True}
"""The end-of-text token of SmolLM2's vocabulary; llama.cpp counts it and does not send it."""


def begin(body: dict[str, Any]) -> Answer:
    """The empty answer to a request. The prompt is repeated unless `return_full_text` is false: the task's default."""
    given = body.get("parameters") or {}
    full = given.get("return_full_text")
    return Answer(
        prompt=body["inputs"],
        stop=tuple(given.get("stop") or ()),
        full_text=True if full is None else full,
        details=bool(given.get("details")),
        seed=given.get("seed"),
    )


def _token(choice: dict[str, Any]) -> dict[str, Any] | None:
    logprobs = choice.get("logprobs")
    if not logprobs:
        return None
    first = logprobs["content"][0]
    return {"id": first["id"], "text": choice["text"], "logprob": first["logprob"], "special": False}


def _schema(grammar: dict[str, Any]) -> Any:
    if grammar["type"] == "json":
        return grammar["value"]
    if grammar["type"] == "json_schema":
        return grammar["value"]["schema"]
    raise wire.unsupported("grammar.regex", "parameters")
