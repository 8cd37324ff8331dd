"""Images, sounds and videos in a task's input and output: where they stand, and how each may be given.

A producer gives one as base64 (as the published schemas have it), as a `data:` URI, as an https address, or by
reference: `{"$ref": {...}}` (`BlobRef`). An output has references alone: the bytes of a small one are in its `uri`
(`data:`), a large one lies in the blob store under its sha256.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, StrictInt, StrictStr

from schemas.base import Contract

Kind = Literal["image", "audio", "video"]
REF = "$ref"
"""The one member of an object that stands for a payload."""
BLOB_SCHEME = "blob://"
"""`blob://<sha256>`: the installation's blob store has it."""
DATA_SCHEME = "data:"
MAX_INLINE_BYTES = 262_144
"""Of all payloads of one output together that travel inside the result (`data:`); more goes to the blob store."""
MAX_REF_CHARS = 400_000
"""Of a reference's `uri`: `MAX_INLINE_BYTES` in base64 with its head fits."""


class BlobRef(Contract):
    """A payload by reference (claim check), written as `{"$ref": {...}}` where the payload would stand."""

    sha256: StrictStr = Field(pattern="^[0-9a-f]{64}$")
    uri: StrictStr = Field(min_length=1, max_length=MAX_REF_CHARS)
    """`blob://<sha256>`, `data:<type>;base64,...`, or an https address."""
    media_type: StrictStr = Field(min_length=1, max_length=255)
    """As the payload's first bytes say, not as somebody declared it."""
    bytes: StrictInt = Field(ge=0)
    """Size of the payload in bytes."""
    width: StrictInt | None = Field(default=None, ge=1)
    """Of an image or video, in pixels."""
    height: StrictInt | None = Field(default=None, ge=1)
    duration_ms: StrictInt | None = Field(default=None, ge=0)
    """Of a sound or video."""
    sampling_rate: StrictInt | None = Field(default=None, ge=1)
    """Of a sound, in hertz."""
    channels: StrictInt | None = Field(default=None, ge=1)
    """Of a sound."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload stands in a task's input or output. `*` is every element of a list."""

    path: tuple[str, ...]
    kind: Kind


def _at(kind: Kind, *path: str) -> tuple[Place, ...]:
    return (Place(path, kind),)


INPUTS: Mapping[str, tuple[Place, ...]] = {
    "audio-classification": _at("audio", "inputs"),
    "audio-to-audio": _at("audio", "inputs"),
    "automatic-speech-recognition": _at("audio", "inputs"),
    "chat-completion": _at("image", "messages", "*", "content", "*", "image_url", "url"),
    "depth-estimation": _at("image", "inputs"),
    "document-question-answering": _at("image", "inputs", "image"),
    "image-classification": _at("image", "inputs"),
    "image-segmentation": _at("image", "inputs"),
    "image-text-to-image": _at("image", "inputs"),
    "image-text-to-video": _at("image", "inputs"),
    "image-to-image": _at("image", "inputs"),
    "image-to-text": _at("image", "inputs"),
    "image-to-video": _at("image", "inputs"),
    "object-detection": _at("image", "inputs"),
    "video-classification": _at("video", "inputs"),
    "visual-question-answering": _at("image", "inputs", "image"),
    "zero-shot-image-classification": _at("image", "inputs"),
    "zero-shot-object-detection": _at("image", "inputs"),
}
"""Tasks that take payloads. In a chat, an https address is passed on as it is: the provider fetches it."""

OUTPUTS: Mapping[str, tuple[Place, ...]] = {
    "audio-to-audio": _at("audio", "*", "blob"),
    "depth-estimation": _at("image", "depth"),
    "image-segmentation": _at("image", "*", "mask"),
    "image-text-to-image": _at("image", "image"),
    "image-text-to-video": _at("video", "video"),
    "image-to-image": _at("image", "image"),
    "image-to-video": _at("video", "video"),
    "text-to-audio": _at("audio", "audio"),
    "text-to-image": _at("image", "image"),
    "text-to-speech": _at("audio", "audio"),
    "text-to-video": _at("video", "video"),
}
"""Tasks that give payloads."""

PLACES: Mapping[str, Mapping[str, tuple[Place, ...]]] = {"input": INPUTS, "output": OUTPUTS}


def found(places: tuple[Place, ...], value: Any) -> list[tuple[Place, Any]]:
    """What stands at `places` in `value`, in document order. Total: what has another shape is passed over."""
    return [(place, one) for place in places for one in _found(place.path, value)]


def _found(path: tuple[str, ...], value: Any) -> list[Any]:
    """Step by step over all that is left: most inputs have nothing there, and are done after a step or two."""
    here = [value]
    for step in path:
        if step == "*":
            here = [item for one in here if isinstance(one, list) for item in one]
        else:
            here = [one[step] for one in here if isinstance(one, dict) and step in one]
        if not here:
            break
    return here


def replaced(places: tuple[Place, ...], value: Any, by: Callable[[Place, Any], Any]) -> Any:
    """`value` with `by(place, what stands there)` at each of `places`. Copies along the way, changes nothing."""
    for place in places:
        value = _replaced(place.path, value, lambda one, place=place: by(place, one))  # type: ignore[misc]
    return value


def _replaced(path: tuple[str, ...], value: Any, by: Callable[[Any], Any]) -> Any:
    if not path:
        return by(value)
    if path[0] == "*":
        return [_replaced(path[1:], item, by) for item in value] if isinstance(value, list) else value
    if isinstance(value, Mapping) and path[0] in value:
        return {**value, path[0]: _replaced(path[1:], value[path[0]], by)}
    return value


def is_ref(value: Any) -> bool:
    """Whether `value` is written as a reference; `BlobRef` says whether it is a sound one."""
    return isinstance(value, Mapping) and set(value) == {REF}


def references(task: str, task_input: Any) -> Iterator[Any]:
    """What stands under each `$ref` of an input, sound or not."""
    for _, value in found(INPUTS.get(task, ()), task_input):
        if is_ref(value):
            yield value[REF]


def published_form(task: str, part: str, value: Any) -> Any:
    """`value` as the task's published schema knows it: a text where a reference stands."""
    places = PLACES.get(part, {}).get(task, ())
    standing = found(places, value)
    if not standing or not any(is_ref(one) for _, one in standing):
        return value
    return replaced(places, value, lambda _, one: "" if is_ref(one) else one)
