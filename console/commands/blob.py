"""`novix blob`: payloads in the blob store."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded

MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
MOST_BYTES = 2**31
"""Of a blob that is read: as many as NOVIX_MAX_PAYLOAD_BYTES may allow."""


@command
def put(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The payload; - reads standard input.")],
    media_type: Annotated[
        str | None, typer.Option("--type", help="Media type of what is neither image, sound nor video.")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Put a file into the blob store. Prints its sha256, and the reference to write where a payload would stand.

    The same bytes again are the same blob, and make it young again.
    """
    return asyncio.run(_put(settings(), Screen(as_json=as_json), file, media_type))


async def _put(loaded: "Loaded", screen: Screen, file: str, media_type: str | None) -> Exit:
    from console.payload_files import kept, looked_at, read_file
    from runtime.blobs import BlobError
    from runtime.blobs.stores import open_store
    from schemas import codec
    from schemas.media import BLOB_SCHEME

    limit = loaded.settings.max_payload_bytes
    if file == "-":
        data = sys.stdin.buffer.read(limit + 1)
        if len(data) > limit:
            raise CommandError(f"standard input has more than {limit} bytes (NOVIX_MAX_PAYLOAD_BYTES)", Exit.USAGE)
    else:
        data = read_file(file, limit)
    if media_type is not None and not MEDIA_TYPE.fullmatch(media_type):
        raise CommandError("--type must be a media type such as text/plain", Exit.USAGE)
    looked = looked_at(data, loaded.settings, media_type, file)
    try:
        async with open_store(loaded.settings) as store:
            sha256 = await kept(store, looked)
    except BlobError as error:
        raise CommandError(str(error)) from None
    reference = looked.reference(BLOB_SCHEME + sha256)
    screen.answer(reference, [sha256, codec.encode(reference).decode()])
    return Exit.OK


@command
def get(
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="Its name; blob://SHA256 as well.")],
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE|-", help="Where to; default: a new file named after it.")
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Write a blob into a new file, its sha256 checked. Overwrites no file. Exit code 3 if there is no such blob."""
    from schemas.media import BLOB_SCHEME

    return asyncio.run(_get(settings(), Screen(as_json=as_json), sha256.removeprefix(BLOB_SCHEME), out))


async def _get(loaded: "Loaded", screen: Screen, sha256: str, out: str | None) -> Exit:
    from console.payload_files import new_file, suffix_of
    from runtime.blobs import BlobError, BlobMissing
    from runtime.blobs.stores import open_store

    try:
        async with open_store(loaded.settings) as store:
            blob = await store.get(sha256, max_bytes=MOST_BYTES)
    except BlobMissing as error:
        raise CommandError(str(error), Exit.NOT_MET) from None
    except BlobError as error:
        raise CommandError(str(error)) from None
    if out == "-":
        return _to_stdout(blob.data)
    path = Path(out) if out else Path(sha256[:16] + suffix_of(blob.media_type))
    try:
        new_file(path, blob.data)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None
    told = {"file": str(path), "sha256": sha256, "media_type": blob.media_type, "bytes": len(blob.data)}
    screen.answer(told, [f"{path}: {blob.media_type}, {len(blob.data):,} bytes"])
    return Exit.OK


def _to_stdout(data: bytes) -> Exit:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"standard output: {error.strerror}") from None
    return Exit.OK


@command
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Remove blobs that nobody put for NOVIX_BLOB_DAYS and that neither an unfinished job nor a dead letter names.

    Reads the topics of this installation to their ends first; a store that several installations share must be swept by
    none of them. A blob that is put again meanwhile stays.
    """
    return asyncio.run(_gc(settings(), Screen(as_json=as_json), dry_run=dry_run))


async def _gc(loaded: "Loaded", screen: Screen, *, dry_run: bool) -> Exit:
    from console.expiry import sweep
    from console.kafka import connected
    from console.words import count
    from runtime.blobs import BlobError
    from runtime.blobs.stores import open_store
    from runtime.ports import NotReadable

    days = loaded.settings.blob_days
    since = datetime.now(UTC) - timedelta(days=days)
    try:
        async with connected(loaded) as log, open_store(loaded.settings) as store:
            swept = await sweep(log, store, since, dry_run=dry_run)
    except BlobError as error:
        raise CommandError(str(error)) from None
    except NotReadable as error:
        raise CommandError(f"the topic {error} may not be read: nothing was removed") from None
    document = {
        "dry_run": dry_run, "removed": swept.removed, "bytes": swept.bytes, "needed": swept.needed, "young": swept.young
    }  # fmt: skip
    done = "would be removed" if dry_run else "removed"
    line = (
        f"{count(swept.removed, 'blob')} {done} ({swept.bytes:,} bytes); kept: {swept.needed:,} that an unfinished job "
        f"or a dead letter names, {swept.young:,} younger than {days:g} days"
    )
    screen.answer(document, [line])
    return Exit.OK
