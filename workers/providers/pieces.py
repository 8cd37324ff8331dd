"""Bodies in pieces: JSON with payloads inside, and forms. No payload is copied once it is encoded."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from schemas import codec
from workers.exchange import Media

_GAP = b"\x00"
"""Stands for a payload while the JSON around it is written: JSON itself has no such byte, also not within texts."""
_PLAIN = frozenset({str, int, float, bool})
"""Nothing is inside these: every chat passes here."""
EXTENSIONS = {
    "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/flac": ".flac", "audio/x-flac": ".flac", "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3", "audio/ogg": ".ogg", "audio/opus": ".opus", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a",
    "audio/aac": ".aac", "audio/webm": ".webm", "video/mp4": ".mp4", "video/webm": ".webm",
}  # fmt: skip
"""Of a file's name in a form: transcription servers look at it."""


class Embedded:
    """A payload as a text inside a JSON document, encoded once however often it stands there.

    Base64 alone, or a `data:` URI (RFC 2397) if `media_type` is told. No dataclass: the codec would write its fields.
    """

    __slots__ = ("_data", "_head", "_text")

    def __init__(self, data: bytes, media_type: str = "") -> None:
        self._data = data
        self._head = f'"data:{media_type};base64,'.encode() if media_type else b'"'
        self._text: bytes | None = None

    def pieces(self) -> tuple[bytes, bytes, bytes]:
        """Its JSON text, with the quotation marks."""
        if self._text is None:
            self._text = base64.b64encode(self._data)
        return self._head, self._text, b'"'


def as_base64(media: Media) -> Embedded:
    """`media` as the published schemas have it."""
    return Embedded(media.data)


def as_uri(default: str) -> Callable[[Media], Embedded]:
    """`media` as a `data:` URI of its own type; `default` is said of bytes of which nobody knows the type."""
    return lambda media: Embedded(media.data, media.media_type or default)


def embedded(value: Any, embed: Callable[[Media], Embedded]) -> Any:
    """`value` with every payload in it as `embed` has it, nulls kept."""
    if isinstance(value, dict):
        return {name: item if type(item) in _PLAIN else embedded(item, embed) for name, item in value.items()}
    if isinstance(value, list):
        return [item if type(item) in _PLAIN else embedded(item, embed) for item in value]
    return embed(value) if isinstance(value, Media) else value


def pruned(value: Any, embed: Callable[[Media], Embedded] = as_base64) -> Any:
    """`value` without members that are null, at any depth, and with its payloads embedded.

    So does huggingface_hub 2.4.0 (`filter_none`), down to the schema of a tool.
    """
    if isinstance(value, dict):
        return {
            name: item if type(item) in _PLAIN else pruned(item, embed)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [item if type(item) in _PLAIN else pruned(item, embed) for item in value]
    return embed(value) if isinstance(value, Media) else value


def json_body(document: Any) -> bytes | tuple[bytes, ...]:
    """`document` as JSON; in pieces if there are payloads in it."""
    payloads: list[Embedded] = []

    def written(value: Any) -> codec.Fragment:
        if not isinstance(value, Embedded):
            raise TypeError(type(value).__name__)
        payloads.append(value)
        return codec.Fragment(_GAP)

    text = codec.encode(document, written)
    if not payloads:
        return text
    between = text.split(_GAP)
    parts: list[bytes] = [between[0]]
    for payload, after in zip(payloads, between[1:], strict=True):
        head, encoded, tail = payload.pieces()
        parts[-1] += head
        parts += (encoded, tail + after)
    return tuple(parts)


def form_body(media: Media, fields: Mapping[str, Any]) -> tuple[str, tuple[bytes, ...]]:
    """A form (RFC 7578) with `media` as its `file`, then `fields`: its content type and its body.

    The boundary is a digest of everything in it, so no part can hold it, and the same form is the same bytes.
    """
    texts = [(name, _field(value)) for name, value in fields.items()]
    digest = hashlib.sha256(media.data)
    digest.update(codec.encode(texts))
    boundary = digest.hexdigest()[:32]
    name = f"audio{EXTENSIONS.get(media.media_type, '.wav')}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {media.media_type or 'application/octet-stream'}\r\n\r\n"
    )
    tail = "".join(
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}'
        for name, text in texts
    )
    body = (head.encode(), media.data, f"{tail}\r\n--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", body


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value)


def _quoted(name: str) -> str:
    """A field's name as HTML's form encoding writes it: a producer chose it, and it must not end its line."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def decoded(text: str) -> bytes | None:
    """The bytes of base64, with or without a `data:` head; None for what is none."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
