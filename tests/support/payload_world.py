"""A blob store in memory, a web in memory, and payloads between them."""

import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import media_files
import pytest

from runtime.blobs import Blob, BlobInfo, BlobMissing, BlobTooLarge
from runtime.http import Fetched, FetchTooLarge
from workers.errors import ProviderError
from workers.media import MediaLimits
from workers.payloads import Payloads
from workers.room import AnswerRoom

PNG = media_files.good_png()
URL = "https://images.example/cat.png"
SOON = 5.0
"""Seconds that no test takes."""


class Memory:
    """A blob store in memory that does as it is told."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self.faults: list[Exception] = []
        """Raised by the next calls, one each."""
        self.gets = 0
        self.most = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def put(self, data: bytes, media_type: str) -> str:
        self._fail()
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = Blob(data, media_type)
        return name

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        self.gets += 1
        self._fail()
        if sha256 not in self.blobs:
            raise BlobMissing(sha256)
        if len(self.blobs[sha256].data) > max_bytes:
            raise BlobTooLarge(sha256)
        return self.blobs[sha256]

    async def info(self, sha256: str) -> BlobInfo | None:
        blob = self.blobs.get(sha256)
        return blob and BlobInfo(sha256, len(blob.data), blob.media_type, datetime.now(UTC))

    async def all(self):
        for name in list(self.blobs):
            info = await self.info(name)
            assert info is not None
            yield info

    async def remove(self, sha256: str, *, untouched_since: datetime) -> bool:
        return self.blobs.pop(sha256, None) is not None


class Web:
    """What lies at addresses."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception] = {URL: PNG}
        self.asked: list[str] = []

    async def get(self, url: str, *, max_bytes: int, total_s: float, hold=None) -> Fetched:
        self.asked.append(url)
        page = self.pages[url]
        if isinstance(page, Exception):
            raise page
        if len(page) > max_bytes:
            raise FetchTooLarge(f"more than {max_bytes} bytes")
        await hold(len(page))
        return Fetched(page, "text/plain")


class World:
    def __init__(self, limits: MediaLimits | None = None, room: int = 10**6) -> None:
        self.store, self.web = Memory(), Web()
        self.limits = limits or MediaLimits()
        self.room = AnswerRoom(room, self.limits.max_bytes)
        self.payloads = Payloads(self.store, self.web, self.limits, self.room, dice=lambda: 0.01)

    @asynccontextmanager
    async def loaded(self, value, task="image-classification", total_s=SOON):
        async with self.payloads.loaded(task, {"inputs": value}, total_s=total_s) as full:
            yield full["inputs"]

    async def refused(self, value, task="image-classification") -> ProviderError:
        with pytest.raises(ProviderError) as refused:
            async with self.loaded(value, task):
                raise AssertionError("it was loaded")
        return refused.value
