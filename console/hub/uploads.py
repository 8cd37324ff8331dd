"""What a form of several parts (`multipart/form-data`, RFC 7578) carries, and the file in it as a payload. Pure but for
what puts a large one into the blob store."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.hub.tasks import BadForm
from console.payload_files import INLINE_BYTES, Looked, kept, looked_at
from runtime.blobs.stores import open_store
from runtime.settings import Settings
from schemas.media import BLOB_SCHEME, DATA_SCHEME, INPUTS
from workers.media import MediaFault, media_limits, probed

MOST_FILE_BYTES = 8_388_608
"""Of a file that is chosen on a page. What is larger is put with `novix blob put`, or with `novix run --file`."""
FILE_TYPE = "multipart/form-data"
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(r'(?:^|;)\s*(name|filename)="([^"\r\n]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parts:
    """A form's fields, and its files by the fields' names; a field without a chosen file is not among them."""

    fields: Mapping[str, str]
    files: Mapping[str, bytes]


def is_parts(content_type: str) -> bool:
    """Whether a form comes in parts."""
    return content_type.partition(";")[0].strip().lower() == FILE_TYPE


def parts_of(content_type: str, body: bytes, *, most_fields: int = 100) -> Parts:
    """Read a form. Raises `BadForm`: it is none, or has more fields than that."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise BadForm("a form in parts names no boundary between them")
    mark = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    fields, files = dict[str, str](), dict[str, bytes]()
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, most_fields + 2)
    if len(pieces) > most_fields + 2:
        raise BadForm(f"a form in parts may have {most_fields:,} fields")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise BadForm(f"a form in parts breaks off after {len(body):,} bytes")
    for piece in pieces[1:-1]:
        head, gap, data = piece.partition(b"\r\n\r\n")
        told = {name.lower(): value for name, value in _disposition(head)}
        if not gap or "name" not in told:
            raise BadForm("a part of the form has no name")
        if "filename" not in told:
            fields[told["name"]] = data.decode("utf-8", "replace")
        elif data:
            files[told["name"]] = data
    return Parts(fields, files)


def _disposition(head: bytes) -> list[tuple[str, str]]:
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            return _NAME.findall(value)
    return []


def payload(data: bytes, task: str, settings: Settings) -> tuple[Any, Looked | None]:
    """A chosen file as it stands in the task's input; and, where it is too large for the job itself, what has to be put
    into the blob store before. By its first bytes, whatever its name is. Raises `BadForm`."""
    if len(data) > MOST_FILE_BYTES:
        raise BadForm(f"the file has {len(data):,} bytes; on a page it may have {MOST_FILE_BYTES:,}")
    places = INPUTS.get(task, ())
    if not places:
        raise BadForm(f"{task[:64]} takes no file")
    try:
        probed(data, places[0].kind, media_limits(settings))
    except MediaFault as fault:
        raise BadForm(f"the file: {fault}") from None
    file = looked_at(data, settings)
    if len(data) <= INLINE_BYTES:
        return f"{DATA_SCHEME}{file.media_type};base64,{base64.b64encode(data).decode()}", None
    return file.reference(BLOB_SCHEME + hashlib.sha256(data).hexdigest()), file


async def put(file: Looked, settings: Settings) -> None:
    """Keep it. Raises `CommandError`."""
    async with open_store(settings) as store:
        await kept(store, file)
