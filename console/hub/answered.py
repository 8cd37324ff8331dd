"""What an answer has to be seen or heard: the payloads of a result, of the few types that a page shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from console.hub.trying import Try
from console.payload_files import bytes_of, looked_at, references_in
from runtime.blobs import BlobError
from runtime.blobs.stores import open_store
from runtime.settings import BadSettings, Settings
from schemas.media import BLOB_SCHEME, DATA_SCHEME, BlobRef

SHOWN = {
    "image/png": "image", "image/jpeg": "image", "image/webp": "image", "image/gif": "image", "audio/wav": "audio",
    "audio/mpeg": "audio", "audio/flac": "audio", "audio/ogg": "audio", "video/mp4": "video", "video/webm": "video",
}  # fmt: skip
"""Types that a browser draws or plays and runs nothing of: no SVG, no HTML."""
MOST_SHOWN = 16
"""Payloads of one answer."""


class NoMedia(Exception):
    """A payload that is not shown; the message says why."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload of an answer, as its result tells it."""

    number: int
    kind: str
    """`image`, `audio`, `video`; empty: of a type that no page shows."""
    ref: BlobRef


def media_of(one: Try) -> Sequence[Payload]:
    """The payloads of a try's result, in its order. Total: what is no sound reference is passed over."""
    result = one.result
    if result is None or result.get("output") is None:
        return ()
    task = result.get("task") or one.job.get("task")
    try:
        found = references_in(str(task), result["output"])
    except ValidationError:
        return ()
    ours = [ref for ref in found if ref.uri.startswith((DATA_SCHEME, BLOB_SCHEME))]
    return [Payload(number, SHOWN.get(ref.media_type, ""), ref) for number, ref in enumerate(ours[:MOST_SHOWN])]


async def payload_of(payload: Payload, settings: Settings) -> tuple[bytes, str]:
    """Its bytes, with the type that the first of them tell. Raises `NoMedia`."""
    limit = settings.max_payload_bytes
    if payload.ref.bytes > limit:
        raise NoMedia(f"the payload has {payload.ref.bytes:,} bytes; {limit:,} are shown")
    try:
        async with open_store(settings) as store:
            data = await bytes_of(store, payload.ref, limit)
    except (BlobError, BadSettings, ValueError, OSError) as error:
        raise NoMedia(f"the payload is not there: {type(error).__name__}") from error
    media_type = looked_at(data, settings).media_type
    if media_type not in SHOWN:
        raise NoMedia(f"the payload is {media_type}, which no page shows")
    return data, media_type
