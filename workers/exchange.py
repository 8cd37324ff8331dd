"""What passes between a task, a provider's dialect and the shell: values only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from schemas import codec
from schemas.media import Kind
from schemas.units import CACHED_INPUT_TOKENS, COMPUTE_MS, INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS
from schemas.values import frozen

FIRST = "first"
"""The stage of the call that `Dialect.request` makes."""


@frozen
class Media:
    """The bytes of an image, a sound or a video, and what their header says. Found sound and within its limits."""

    kind: Kind
    data: bytes
    media_type: str
    """By the first bytes."""
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    sampling_rate: int | None = None
    channels: int | None = None


@frozen
class Binary:
    """Bytes that a provider answered where a task wants a payload; nobody has looked at them yet."""

    data: bytes
    declared: str = ""
    """The media type that came with them. It lies now and then."""


@frozen
class Ask:
    """What a task wants of a model, in the task's own terms."""

    task: str
    """Hugging Face's task name."""
    body: Mapping[str, Any]
    """The task's input object with the assignment's parameters in it; no nulls in its root.

    Where `schemas.media.INPUTS` has a place stands a `Media`; in a chat also an https address, as it was written."""
    stream: bool = False
    """Whether the answer shall come in pieces. It is put together either way."""
    adapted: Mapping[str, Any] = field(default_factory=dict)
    """What was left out of the input because it would break the price ceiling; same form as a result's `adapted`."""
    units: Mapping[str, int] = field(default_factory=dict)
    """What is known before the call of the units that money counts (`schemas.units`): the length of a sound, the pixels
    that are asked for. Tokens and compute time are never known."""


@frozen
class Call:
    """One HTTP request, without its credential."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    """Lower-case names."""
    body: bytes | tuple[bytes, ...] = b""
    """In one piece or several, which are sent one after the other."""
    public: bool = False
    """An address that an answer named: it gets no credential, and is fetched under the rules for strangers'
    addresses."""


@dataclass(frozen=True)
class Got:
    """One whole answer of a provider with a status below 300; a stream comes put together."""

    stage: str
    """`FIRST`, or the stage of the `Next` that asked for it."""
    url: str
    """Of the call that it answers."""
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes | bytearray = b""
    streamed: Any = None
    """The object that a stream of events was put together to."""
    memo: Mapping[str, Any] = field(default_factory=dict)
    """Of the `Next` that asked for it."""

    @property
    def media_type(self) -> str:
        """As declared, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def document(self) -> codec.Json:
        """The JSON in it, read once. Raises `codec.Undecodable`."""
        return self.streamed if self.streamed is not None else codec.decode(self.body)


@frozen
class Next:
    """The answer is not there yet: another call is to be made, after a while."""

    call: Call
    stage: str
    """Given back in the `Got` of its answer: `poll`, `result`, `fetch`, ..."""
    after_s: float = 0.0
    cancel: Call | None = None
    """Tells the provider to stop, for when nobody waits any longer."""
    memo: Mapping[str, Any] = field(default_factory=dict)
    """For the dialect itself, given back with the answer: usage that an earlier answer told."""


@frozen
class Reply:
    """What a provider answered, in the task's own terms: what stands in its answer and what its headers measured."""

    document: Any
    """JSON; a `Binary` for bytes, also inside the document where `schemas.media.OUTPUTS` has a place in a list."""
    usage: Mapping[str, int] = field(default_factory=dict)


@frozen
class Answer:
    """A task's published output object, and the units that money counts."""

    output: Any
    """JSON; a `Media` wherever `schemas.media.OUTPUTS` has a place."""
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
        return len(value) if value.isascii() else len(value.encode(errors="replace"))
    if isinstance(value, dict):
        return sum(map(text_bytes, value.values()))
    if isinstance(value, list):
        return sum(map(text_bytes, value))
    return 0


def tokens_told(usage: Any) -> dict[str, int]:
    """The tokens that an answer's `usage` tells in OpenAI's form: of the input and how many of these the provider had
    read before, of the output and how many of these were reasoning. What is no count is not told."""
    if not isinstance(usage, dict):
        return {}
    told = {INPUT_TOKENS: usage.get("prompt_tokens"), OUTPUT_TOKENS: usage.get("completion_tokens")}
    for unit, details, name in _DETAILS:
        of_these = usage.get(details)
        if isinstance(of_these, dict):
            told[unit] = of_these.get(name)
    return {unit: number for unit, value in told.items() if (number := count(value)) is not None}


_DETAILS = (
    (CACHED_INPUT_TOKENS, "prompt_tokens_details", "cached_tokens"),
    (REASONING_TOKENS, "completion_tokens_details", "reasoning_tokens"),
)


def measured(headers: Mapping[str, str]) -> dict[str, int]:
    """The units that an answer's headers tell: `x-compute-time` (seconds), `x-prompt-tokens`, `x-generated-tokens`.

    A part of a millisecond counts as a whole one. What is no number is not told.
    """
    told = {}
    for name, unit, read in _MEASURES:
        if name in headers:
            value = read(headers[name])
            if value is not None:
                told[unit] = value
    return told


def milliseconds(seconds: str | None) -> int | None:
    """`"0.123"` is 123, exactly: decimal, because 0.123 * 1000 in binary is not."""
    if seconds is None:
        return None
    try:
        value = Decimal(seconds)
    except InvalidOperation:
        return None
    if not value.is_finite() or not 0 <= value <= 10**9:
        return None
    return int((value * 1000).to_integral_value(ROUND_CEILING))


def count(value: Any) -> int | None:
    """A number of tokens as JSON or a header tells it; None for anything that is no whole number from 0 to 10^12."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 13:
        value = int(value)
    if type(value) is float and value.is_integer():  # 12.0: JSON has one kind of number
        value = int(value)
    if type(value) is not int or not 0 <= value <= 10**12:  # a bool is none
        return None
    return value


_MEASURES: tuple[tuple[str, str, Callable[[str], int | None]], ...] = (
    ("x-compute-time", COMPUTE_MS, milliseconds),
    ("x-prompt-tokens", INPUT_TOKENS, count),
    ("x-generated-tokens", OUTPUT_TOKENS, count),
)
