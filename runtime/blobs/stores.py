"""Which blob store an installation has: a line for each kind."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from runtime.blobs import BlobStore
from runtime.settings import BadSettings, Settings


def _folder(settings: Settings) -> BlobStore:
    from runtime.blobs.folder import FolderStore

    named = settings.blob_store.removeprefix("file://")
    return FolderStore(Path(os.path.expanduser(named)).absolute() if named else settings.home / "blobs")


def _s3(settings: Settings) -> BlobStore:
    from runtime.blobs.s3 import S3Store  # half a second that a process with a folder does not spend

    try:
        parts = urlsplit(settings.blob_store)
        bucket = parts.netloc if parts.username is None and not parts.query and not parts.fragment else ""
    except ValueError:
        bucket = ""
    if not bucket:
        raise BadSettings(
            f"NOVIX_BLOB_STORE, {len(settings.blob_store)} characters: must be s3://bucket or s3://bucket/prefix"
        )
    return S3Store(bucket, parts.path, endpoint=settings.s3_endpoint, region=settings.s3_region)


STORES: Mapping[str, Callable[[Settings], BlobStore]] = {"": _folder, "file": _folder, "s3": _s3}
"""By the scheme of `NOVIX_BLOB_STORE`; none: a folder."""


def open_store(settings: Settings) -> BlobStore:
    """The installation's blob store, for `async with`. Raises `BadSettings` for an address of no kind here."""
    scheme, found, _ = settings.blob_store.partition("://")
    store = STORES.get(scheme if found else "")
    if store is None:
        raise BadSettings(f"NOVIX_BLOB_STORE={scheme[:20]}://...: must be a folder, or s3://bucket/prefix")
    return store(settings)
