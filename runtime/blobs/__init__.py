"""The blob store: payloads by their sha256 (claim check). A new kind of store: a file here, a line in `stores`."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol, Self

from schemas.values import frozen


class BlobError(Exception):
    """A blob cannot be had or kept. The message names digest, size and limit, never content or credentials."""


class BlobMissing(BlobError):
    """The store has no blob of that digest."""


class BlobTooLarge(BlobError):
    """The blob has more bytes than the caller takes."""


class BlobDamaged(BlobError):
    """What the store gave has another sha256."""


class BlobUnavailable(BlobError):
    """The store does not answer, is full, or refuses us: later it may do."""


@frozen
class BlobInfo:
    """What is known of a blob without reading it."""

    sha256: str
    bytes: int
    media_type: str
    """Empty where a listing does not tell it."""
    touched_at: datetime
    """When it was put last: putting the same bytes again makes it young again."""


@frozen
class Blob:
    """One payload."""

    data: bytes
    media_type: str


class BlobStore(Protocol):
    """Keeps payloads, named by the sha256 of their bytes (64 hex digits). An async context manager.

    Every method raises `BlobUnavailable` where the store does not do what it should, and ends within the caller's own
    timeout: cancelling is safe.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep `data`; its sha256. Keeping the same bytes twice is one blob; a reader never sees half of one."""
        ...

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        """The blob, its digest checked. Raises `BlobMissing`, `BlobTooLarge`, `BlobDamaged`."""
        ...

    async def info(self, sha256: str) -> BlobInfo | None:
        """What is known of it; None: it is not there."""
        ...

    def all(self) -> AsyncIterator[BlobInfo]:
        """Every blob, in no order."""
        ...

    async def remove(self, sha256: str, *, untouched_since: datetime) -> bool:
        """Remove it unless it was put again after `untouched_since`; whether it was removed."""
        ...
