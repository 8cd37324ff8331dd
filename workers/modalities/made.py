"""Payloads that a model has made, and what a model says about places in one that it was shown."""

import base64
import binascii
from typing import Any

from schemas.media import DATA_SCHEME, Kind
from workers.exchange import Answer, Ask, Binary, Media, Reply
from workers.media import MediaFault, MediaLimits, probed
from workers.modalities import asking
from workers.modalities.reading import answer_of, bad, kind_of, number

LIMITS = MediaLimits(max_bytes=2**31, max_pixels=2**28, max_audio_s=86_400, max_video_s=86_400)
"""Of what was made, wider than of what is given: it is paid for and nobody here decodes it. Its bytes are bounded while
they come."""
SLACK_PERCENT = 10
"""Of a side: how far a box may reach beyond it, at least one pixel. Detectors place the whole of an object that the
edge cuts; who runs them cuts their boxes, or does not."""
MAX_SIDE = 1_000_000
"""Of an image whose size is not known."""
_HEAD_BYTES = 65_536


def made(value: Any, kind: Kind, place: str) -> Media:
    """The payload in `value`: bytes, base64, or a `data:` URI. Raises `invalid_output` for anything else.

    That is also for bytes of another kind, cut short, or beyond the limits: whoever declared them may have lied.
    """
    data = value.data if isinstance(value, Binary) else _decoded(value, place)
    if not data:
        raise bad(f"{place}: is empty; {kind} bytes are needed")
    try:
        return probed(data, kind, LIMITS)
    except MediaFault as error:
        fault = str(error)
    raise bad(f"{place}: {fault}")


def alone(document: Any, name: str, kind: Kind) -> dict[str, Any]:
    """`{name: payload}`: from the payload alone, or from an object (or a list of one) that has it there."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if isinstance(document, dict):
        return {**document, name: made(document.get(name), kind, name)}
    return {name: made(document, kind, "(whole)")}


def one(ask: Ask, reply: Reply, kind: Kind) -> Answer:
    """`{image}`, `{video}` or `{audio, sampling_rate?}`: bytes that are one, whatever was declared, and their measures.

    The rate is in hertz; it is there where the sound's header tells it.
    """
    output = alone(reply.document, kind, kind)
    media: Media = output[kind]
    if kind == "audio" and media.sampling_rate is not None:
        output["sampling_rate"] = media.sampling_rate
    return answer_of(ask, reply, output, **_MEASURED[kind](media))


_MEASURED = {"image": asking.of_image, "audio": asking.of_sound, "video": asking.of_video}


def _decoded(value: Any, place: str) -> bytes:
    if not isinstance(value, str):
        raise bad(f"{place}: is {kind_of(value)}; bytes or base64 are needed")
    text = value.partition(",")[2] if value.startswith(DATA_SCHEME) else value
    if "\n" in text:  # as MIME has it, in lines (RFC 2045)
        text = "".join(text.split())
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise bad(f"{place}: {len(value)} characters that are no base64")


def sizes(image: Media) -> list[tuple[int, int]]:
    """Width and height in pixels that a model may have seen; nothing if they are not known.

    A photograph whose Exif may turn it was seen as it lies or as it stands.
    """
    if image.width is None or image.height is None:
        return []
    upright = (image.width, image.height)
    turns = image.media_type == "image/jpeg" and b"Exif\x00\x00" in image.data[:_HEAD_BYTES]
    return [upright, upright[::-1]] if turns and upright != upright[::-1] else [upright]


def boxed(value: Any, seen: list[tuple[int, int]], place: str) -> dict[str, Any]:
    """`{xmin, ymin, xmax, ymax}` in whole pixels, within the image (`seen`: its possible sizes).

    What reaches over the edge a little (`SLACK_PERCENT`) is cut; what lies further out is refused, and what is turned
    inside out.
    """
    if not isinstance(value, dict):
        raise bad(f"{place}: is {kind_of(value)}; a box is needed")
    edges = [round(number(value.get(name), f"{place}.{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]
    if edges[0] > edges[2] or edges[1] > edges[3]:
        raise bad(f"{place}: its least edge lies beyond its greatest")
    for width, height in seen:
        if _fits(edges, width, height):
            across, down = range(width + 1), range(height + 1)
            edges = [min(max(edge, side[0]), side[-1]) for edge, side in zip(edges, (across, down) * 2, strict=True)]
            break
    else:
        if seen or not _fits(edges, MAX_SIDE, MAX_SIDE):
            seen = seen or [(MAX_SIDE, MAX_SIDE)]
            raise bad(f"{place}: reaches beyond the image of {seen[0][0]} x {seen[0][1]} pixels")
    return {**value, **dict(zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True))}


def _fits(edges: list[int], width: int, height: int) -> bool:
    x, y = (max(1, side * SLACK_PERCENT // 100) for side in (width, height))
    return edges[0] >= -x and edges[1] >= -y and edges[2] <= width + x and edges[3] <= height + y
