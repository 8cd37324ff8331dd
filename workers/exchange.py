"""What passes between a task, a provider's dialect and the shell: values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

INPUT_TOKENS = "input_tokens"
OUTPUT_TOKENS = "output_tokens"
COMPUTE_MS = "compute_ms"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a task wants of a model, in the task's own terms."""

    task: str
    """Hugging Face's task name."""
    body: Mapping[str, Any]
    """The task's input object with the assignment's parameters in it; no nulls in its root."""
    stream: bool = False
    """Whether the answer shall come in pieces. It is put together either way."""
    adapted: Mapping[str, Any] = field(default_factory=dict)
    """What was left out of the input because it would break the price ceiling; same form as a result's `adapted`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, without its credential."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    """Lower-case names."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered, in the task's own terms: the JSON document and what its headers measured."""

    document: Any
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A task's published output object, and the units that money counts."""

    output: Any
    usage: Mapping[str, int] = field(default_factory=dict)
    """As the provider reported them."""
    estimate: Mapping[str, int] = field(default_factory=dict)
    """Tokens by our own rule (`tokens_in`), for what was not reported."""
    told_nanousd: int | None = None
    """The price of the call, if the provider told it."""


def tokens_in(size_bytes: int) -> int:
    """Tokens of a text of `size_bytes` (UTF-8) where nobody counted them: one for four bytes, rounded up.

    Four characters of English a token is OpenAI's rule of thumb for byte-pair encodings. An estimate, labelled as one.
    """
    return -(-size_bytes // 4)


def text_bytes(value: Any) -> int:
    """UTF-8 bytes of every text inside `value`, keys left out."""
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    if isinstance(value, Mapping):
        return sum(text_bytes(item) for item in value.values())
    if isinstance(value, list):
        return sum(text_bytes(item) for item in value)
    return 0


def measured(headers: Mapping[str, str]) -> dict[str, int]:
    """The units that an answer's headers tell: `x-compute-time` (seconds), `x-prompt-tokens`, `x-generated-tokens`.

    A part of a millisecond counts as a whole one. What is no number is not told.
    """
    told = {
        COMPUTE_MS: milliseconds(headers.get("x-compute-time")),
        INPUT_TOKENS: count(headers.get("x-prompt-tokens")),
        OUTPUT_TOKENS: count(headers.get("x-generated-tokens")),
    }
    return {unit: value for unit, value in told.items() if value is not None}


def milliseconds(seconds: str | None) -> int | None:
    """`"0.123"` is 123, exactly: decimal, because 0.123 * 1000 in binary is not."""
    try:
        value = Decimal(seconds or "")
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 <= value <= 10**9:
        return None
    return int((value * 1000).to_integral_value(ROUND_CEILING))


def count(value: Any) -> int | None:
    """A number of tokens as JSON or a header tells it; None for anything that is no whole number from 0 to 10^12."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 13:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**12:
        return None
    return value
