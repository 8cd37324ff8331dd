"""What a call's body brings, and what an answer is that is no JSON. Pure."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from sandbox.hf import wire
from schemas import codec, media, tasks

LARGEST_WHOLE = 2.0**53
"""Beyond it a float is no count."""


@dataclass(frozen=True, slots=True)
class Product:
    """An answer of a task that takes or gives sounds or images."""

    value: Any
    """JSON, or the bytes of a file."""
    media_type: str = wire.JSON
    audio_s: float | None = None
    """Seconds of sound that were listened to or spoken."""


def body(task: str, content: bytes) -> dict[str, Any]:
    """The request of a call for `task`, with bytes where the published schema has an image or a sound.

    A file may be the whole body, or stand in JSON as base64. Which it is, its first byte tells and not its declared
    type: the official client says `application/json` for bytes of which it knows no type. Raises `Refusal`.
    """
    places = media.INPUTS.get(task, ()) if task != "chat-completion" else ()
    if [place.path for place in places] == [("inputs",)] and not content.lstrip().startswith(b"{"):
        return {"inputs": content}
    try:
        value = codec.decode(content)
    except codec.Undecodable as error:
        raise wire.not_json(str(error)) from None
    check(task, value)
    given: dict[str, Any] = media.replaced(places, whole(value), lambda place, text: _bytes(".".join(place.path), text))
    return given


def check(task: str, value: Any) -> None:
    """Raise 422 if the task's published input schema refuses `value`. Names the field and never its value."""
    if fault := tasks.input_fault(task, value):
        raise wire.invalid(fault)


def whole(value: Any) -> Any:
    """JSON with 2.0 as 2: to JSON Schema both are integers, to an engine a float is none."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE else value


def preferred(accept: str | None, offered: tuple[str, ...]) -> str:
    """Which of the media types `offered` an `Accept` header likes best; the first where it likes none or all.

    The real servers answer rather than refuse (406) whatever was asked for.
    """
    best, liking = offered[0], 0.0
    for part in (accept or "").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        much = float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0
        if name in offered and much > liking:
            best, liking = name, much
    return best


def _bytes(where: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise wire.unreadable(where, "expected base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wire.unreadable(where, "malformed base64") from None
