"""Chat completion: from the wire to llama.cpp and back. Pure."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.hf import wire
from sandbox.hf.bill import Work
from schemas import codec

DEFAULT_MAX_TOKENS = 1024
"""The published schema's default."""

DEFAULT_TEMPERATURE, DEFAULT_TOP_P = 0.2, 0.9
"""What the model card of SmolLM2-135M-Instruct samples with."""

LARGEST_SEED = 2**32 - 1
"""llama.cpp seeds with 32 bits and takes this value for "any"; the wire allows 64 bits, so we fold."""

DONE = b"data: [DONE]\n\n"

HONOURED = ("stop", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")


def ask(body: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's request for a body that fits the published input schema.

    `n` and `logit_bias` are dropped: the schema marks them unused. Raises `Refusal` for what this model cannot do:
    images, a forced tool call, no tokens at all. Offered tools are never called.
    """
    if any(_has_image(message) for message in body["messages"]):
        raise wire.unsupported("image_url", "messages")
    if body.get("tool_choice") not in (None, "auto", "none"):
        raise wire.unsupported("tool_choice", "parameters")
    if len(body.get("stop") or ()) > 4:
        raise wire.invalid(f"`stop` supports up to 4 stop sequences. Given: {len(body['stop'])}")
    max_tokens = body.get("max_tokens")
    if max_tokens == 0:
        raise wire.invalid("`max_new_tokens` must be strictly positive")
    made: dict[str, Any] = {
        "messages": body["messages"],
        "max_tokens": DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens,
        "temperature": _or(body.get("temperature"), DEFAULT_TEMPERATURE),
        "top_p": _or(body.get("top_p"), DEFAULT_TOP_P),
        "top_k": 0,  # llama.cpp's own cuts (40, 0.05) would bend the temperature and top_p that were asked for
        "min_p": 0.0,
    }
    made |= {name: body[name] for name in HONOURED if body.get(name) is not None}
    if body.get("response_format") is not None:
        made["response_format"] = _format(body["response_format"])
    if body.get("seed") is not None:
        made["seed"] = body["seed"] % LARGEST_SEED
    return made


@dataclass(frozen=True, slots=True)
class Frame:
    """What every object of one answer repeats."""

    inference_id: str
    created: int
    """Seconds since 1970."""
    model: str
    fingerprint: str

    def around(self, kind: str, **members: Any) -> dict[str, Any]:
        """An answer object of `kind` with these members."""
        return {
            "object": kind,
            "id": f"chatcmpl-{self.inference_id}",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            **members,
        }


@dataclass(slots=True)
class Usage:
    """Tokens so far. Exact: llama.cpp's own counts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, piece: dict[str, Any]) -> None:
        """Take over the counts that a piece of llama.cpp's carries."""
        if timings := piece.get("timings"):
            self.prompt_tokens = timings["prompt_n"] + timings["cache_n"]
            self.completion_tokens = timings["predicted_n"]
        if usage := piece.get("usage"):
            self.prompt_tokens = usage["prompt_tokens"]
            self.completion_tokens = usage["completion_tokens"]

    def told(self) -> dict[str, int]:
        """As the wire tells it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }

    def work(self, compute_ms: int) -> Work:
        """As the bill takes it."""
        return Work(compute_ms, self.prompt_tokens, self.completion_tokens)


@dataclass
class Answer:
    """One answer as it grows. After the piece with a finish reason only usage changes."""

    frame: Frame
    include_usage: bool = False
    """Whether a stream tells its tokens before it ends: `stream_options.include_usage`."""
    usage: Usage = field(default_factory=Usage)
    text: list[str] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None

    enough = False
    """The engine finds the stop sequences and ends by itself."""

    def take(self, piece: dict[str, Any]) -> list[bytes]:
        """Take one piece of llama.cpp's stream; return the events to stream on."""
        self.usage.count(piece)
        if not piece["choices"]:
            return []
        choice = piece["choices"][0]
        content, logprobs = choice["delta"].get("content"), _logprobs(choice.get("logprobs"))
        self.finish_reason = choice["finish_reason"]
        if content is None and self.finish_reason is None:
            return []
        self.text.append(content or "")
        self.logprobs += logprobs or []
        told = None if logprobs is None else {"content": logprobs}
        delta = {"role": "assistant", "content": content or ""}
        chunk = {"index": 0, "delta": delta, "logprobs": told, "finish_reason": self.finish_reason}
        return [event(self.frame.around("chat.completion.chunk", choices=[chunk], usage=None))]

    def ending(self) -> list[bytes]:
        """The events that close a stream: all tokens with no choices, if that was asked for, then the end mark."""
        last = self.frame.around("chat.completion.chunk", choices=[], usage=self.usage.told())
        return [event(last), DONE] if self.include_usage else [DONE]

    def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        message = {"role": "assistant", "content": "".join(self.text)}
        logprobs = {"content": self.logprobs} if self.logprobs else None
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self.finish_reason or "stop",
        }
        return self.frame.around("chat.completion", choices=[choice], usage=self.usage.told())


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + codec.encode(value) + b"\n\n"


def characters(body: dict[str, Any]) -> int:
    """Characters of all texts in the messages, for `x-compute-characters`."""
    total = 0
    for message in body["messages"]:
        content = message.get("content") or ""
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        total += sum(map(len, parts))
    return total


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    """An answer format as llama.cpp names it: hf-inference's clients write the schema of a `json_object` as `value`."""
    if "value" not in wanted:
        return wanted
    return {"type": "json_object", "schema": wanted["value"]}


def _has_image(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] == "image_url" for part in content)


def _logprobs(value: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    if not value:
        return None
    return [
        {
            "token": token["token"],
            "logprob": token["logprob"],
            "top_logprobs": [{"token": top["token"], "logprob": top["logprob"]} for top in token["top_logprobs"]],
        }
        for token in value["content"]
    ]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
