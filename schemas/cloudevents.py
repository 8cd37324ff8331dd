"""A job as a CloudEvent: binary mode of the Kafka protocol binding, CloudEvents 1.0. Pure.

The value is the job, as always; the event's attributes are headers: `ce_id`, `ce_specversion`, `ce_type`, `ce_source`,
... Only the first two mean something here. The others, `ce_time` and extensions too, travel on with the job as its
producer's other headers do. In structured mode the job would have to be cut out of the event's JSON, and would not be
the bytes that its producer wrote any more: it is refused.
"""

import re
from typing import Any

from schemas import codec
from schemas.headers import Headers

ID = "ce_id"
SPEC_VERSION = "ce_specversion"
CONTENT_TYPE = "content-type"
ENVELOPES = b"application/cloudevents"
"""How the content type of the structured and the batched mode begins."""
REFUSED = (
    "a CloudEvent in structured mode (content-type application/cloudevents...); binary mode is spoken: the job as the "
    "record's value, the event's attributes as headers ce_id, ce_specversion, ..."
)
_SPOKEN = re.compile(rb"1(\.[0-9]{1,3})?")


def is_envelope(headers: Headers) -> bool:
    """Whether the record says that its value is an event around the job, not the job."""
    return any(name == CONTENT_TYPE and (value or b"").lower().startswith(ENVELOPES) for name, value in headers)


def names_within(event: dict[str, Any]) -> dict[str, Any]:
    """What of a structured event may tell tenant and id: its `data` if that is an object, else its own attributes."""
    data = event.get("data")
    return {"id": event.get("id"), **(data if isinstance(data, dict) else {})}


def completed(document: dict[str, Any], value: bytes, headers: Headers) -> tuple[dict[str, Any], bytes]:
    """A job that tells no `id`, and its bytes, with the event's; any other job as it is.

    The id is put before the producer's own bytes, which stay as they are: numbers of any length too.
    """
    told = _raw(headers, ID) if "id" not in document else None
    try:
        text = told.decode() if told else ""
    except UnicodeDecodeError:
        text = ""
    if not text:
        return document, value
    rest = value.lstrip(b" \t\r\n")[1:]
    return {"id": text, **document}, b'{"id":' + codec.encode(text) + (b"," if document else b"") + rest


def fault(job_id: str, headers: Headers) -> str | None:
    """Why the event that a job came as is refused: another version of CloudEvents, or an id that is not the job's.

    Tells sizes, never values."""
    version = _raw(headers, SPEC_VERSION)
    if version is not None and not _SPOKEN.fullmatch(version):
        return f"{SPEC_VERSION}: a version of {len(version)} bytes that is not 1.x; CloudEvents 1.0 is spoken"
    told = _raw(headers, ID)
    own = job_id.encode(errors="replace")
    if told is not None and told != own:
        return f"{ID} has {len(told)} bytes and is not the job's own id, which has {len(own)}; give one, or the same"
    return None


def _raw(headers: Headers, name: str) -> bytes | None:
    return next((value or b"" for key, value in headers if key == name), None)
