"""Blobs in a local folder: one file for each, named by its digest, its media type in a small file beside it.

Safe for any number of processes on one machine: a blob is written under another name and renamed into place, whole and
on the disk; a lock for each shard keeps removing apart from putting the same bytes again.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import Self, TypeVar

from runtime.blobs import Blob, BlobDamaged, BlobInfo, BlobMissing, BlobTooLarge, BlobUnavailable
from runtime.blobs.digests import digest_of, named

T = TypeVar("T")

THREADS = 8
"""For the file work of one store; more wait."""
STALE_S = 86_400
"""An unfinished file is left over if nobody wrote to it for so long: its process was killed."""
UNKNOWN_TYPE = "application/octet-stream"
_TYPE = ".type"


class FolderStore:
    """A `BlobStore` in `folder`, which is made where it is missing. Files are readable by their owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / "unfinished"
        self._threads: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(THREADS, "novix-blobs")
        try:
            await self._work(self._prepare)
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._threads is not None:
            threads, self._threads = self._threads, None
            threads.shutdown(wait=False)

    async def put(self, data: bytes, media_type: str) -> str:
        """See `BlobStore`. A full disk leaves nothing behind."""
        return await self._work(lambda: self._put(data, media_type))

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        """See `BlobStore`."""
        return await self._work(lambda: self._get(named(sha256), max_bytes))

    async def info(self, sha256: str) -> BlobInfo | None:
        """See `BlobStore`."""
        return await self._work(lambda: self._info(named(sha256)))

    async def all(self) -> AsyncIterator[BlobInfo]:
        """See `BlobStore`. One shard, of 256, is in memory at a time."""
        for shard in range(256):
            for sha256 in await self._work(lambda name=f"{shard:02x}": self._names(name)):  # type: ignore[misc]
                found = await self._work(lambda one=sha256: self._info(one))  # type: ignore[misc]
                if found is not None:  # else it was removed meanwhile
                    yield found

    async def remove(self, sha256: str, *, untouched_since: datetime) -> bool:
        """See `BlobStore`."""
        return await self._work(lambda: self._remove(named(sha256), untouched_since))

    async def _work(self, what: Callable[[], T]) -> T:
        """Blocking work in a thread. What is begun ends there even if nobody waits for it any longer."""
        if self._threads is None:
            raise BlobUnavailable("the blob store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, what)
        except OSError as error:
            # Only the kind of fault: the text of an OSError may hold a path that somebody else named.
            reason = errno.errorcode.get(error.errno or 0, "unknown")
            raise BlobUnavailable(f"the blob store's folder: {reason} ({os.strerror(error.errno or 0)})") from None

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _prepare(self) -> None:
        self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._unfinished.iterdir():
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - STALE_S:
                    left.unlink()

    def _put(self, data: bytes, media_type: str) -> str:
        sha256 = digest_of(data)
        path = self._path(sha256)
        with suppress(FileExistsError):
            path.parent.mkdir(mode=0o700)
            _to_disk(self._folder)
        with self._locked(sha256, fcntl.LOCK_SH):
            if self._touched(path, media_type):
                return sha256
        with self._written(data) as blob, self._written(media_type.encode()) as kind:
            with self._locked(sha256, fcntl.LOCK_SH):
                kind.rename(_beside(path))  # first: who sees the blob, sees its type
                blob.rename(path)
            _to_disk(path.parent)
        return sha256

    def _touched(self, path: Path, media_type: str) -> bool:
        """Make the blob that is there young again; whether that is enough: it is sound, and of that type."""
        try:
            if _sha256_of(path) != path.name or _beside(path).read_bytes() != media_type.encode():
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _get(self, sha256: str, max_bytes: int) -> Blob:
        path = self._path(sha256)
        try:
            with path.open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                if size > max_bytes:
                    raise BlobTooLarge(f"blob {sha256} has {size} bytes; taken are {max_bytes}")
                data = source.read()
        except FileNotFoundError:
            raise BlobMissing(f"the blob store has no blob {sha256}") from None
        if digest_of(data) != sha256:
            raise BlobDamaged(f"blob {sha256}: the {len(data)} bytes in the store have another sha256")
        return Blob(data, self._type(path))

    def _type(self, path: Path) -> str:
        try:
            return _beside(path).read_text(errors="replace") or UNKNOWN_TYPE
        except FileNotFoundError:
            return UNKNOWN_TYPE

    def _info(self, sha256: str) -> BlobInfo | None:
        path = self._path(sha256)
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return BlobInfo(sha256, found.st_size, self._type(path), datetime.fromtimestamp(found.st_mtime, UTC))

    def _names(self, shard: str) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder / shard) if len(name) == 64]
        except FileNotFoundError:
            return []

    def _remove(self, sha256: str, untouched_since: datetime) -> bool:
        path = self._path(sha256)
        if not path.exists():
            return False
        with self._locked(sha256, fcntl.LOCK_EX):
            try:
                if path.stat().st_mtime > untouched_since.timestamp():
                    return False
                _beside(path).unlink(missing_ok=True)  # first: killed in between, the blob is found and removed again
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _locked(self, sha256: str, how: int) -> Iterator[None]:
        """The shard's lock, shared by those who put, alone for who removes; the kernel frees it when we are killed."""
        lock = os.open(self._folder / sha256[:2] / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A file with `data`, whole and on the disk, under a name of its own; gone at the end unless it was renamed."""
        self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = mkstemp(dir=self._unfinished)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _TYPE)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _to_disk(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
