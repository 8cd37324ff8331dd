"""Payloads on their way: fetched, loaded into memory, looked at, and kept in the blob store."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from runtime.blobs import BlobDamaged, BlobError, BlobMissing, BlobStore, BlobTooLarge
from runtime.http import Fetched, Fetcher, FetchError, FetchRefused, FetchStatus, FetchTooLarge
from runtime.settings import Settings
from schemas import codec
from schemas.failure import FailureKind
from schemas.media import BLOB_SCHEME, INPUTS, MAX_INLINE_BYTES, OUTPUTS, REF, BlobRef, Kind, found, replaced
from schemas.payload import Address, Inline, PayloadFault, passes_on, source_of
from workers.errors import ProviderError
from workers.exchange import Media
from workers.media import MediaFault, MediaLimits, probed
from workers.room import AnswerRoom, Share

T = TypeVar("T")
K = FailureKind
_DICE = random.SystemRandom().random

MAX_JSON_BYTES = 786_432
"""Of an output inside a result; the rest of a record (`RECORD_LIMIT_BYTES`) is for what the result says besides."""
JSON_TYPE = "application/json"
_TRIAL = b"Novix: whether the store takes as many bytes as this."
_LIGHT_BYTES = 65_536
"""Payloads up to this are decoded and looked at where they are: that takes less than to ask a thread."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0
_LOOK_S, _LOOK_AGAIN_S = 2.0, 2.0
"""For a look whether the store takes what it did not take before, and until the next such look."""
_LONGEST_FETCH_S = 600.0
"""Of one fetch; what the caller has left for all of them ends it sooner."""


def payload_room(settings: Settings) -> AnswerRoom:
    """The memory that payloads share in one process."""
    return AnswerRoom(settings.max_payloads_bytes, settings.max_payload_bytes)


class Payloads:
    """Brings payloads to where they are needed. One event loop owns it.

    What `loaded` holds is counted in `room`, whose `largest` is `limits.max_bytes`; so many bytes may all payloads of
    one input have together, so that the oldest job always gets what it needs. Who finds no room waits within `total_s`.
    Raises `ProviderError`: `invalid_media`, `too_large`, `payload_missing`, `payload_unreachable`, `egress_refused`
    (all `nothing_sent`), and `store_failed`.
    """

    def __init__(
        self, store: BlobStore, fetcher: Fetcher, limits: MediaLimits, room: AnswerRoom,
        *, dice: Callable[[], float] = _DICE,
    ) -> None:  # fmt: skip
        self._store = store
        self._fetcher = fetcher
        self._limits = limits
        self._room = room
        self._dice = dice
        self._untaken: dict[str, int] = {}
        """Bytes of the last output that the store did not take, by task, until it has taken as many."""
        self._looking = asyncio.Lock()
        self._look_at = 0.0

    async def gathered(self, task: str, task_input: Any, *, total_s: float) -> Any:
        """The input without addresses: what lies there is fetched, looked at, and kept in the blob store.

        A chat's address of an image stays. While other payloads fill the room `total_s` stands still.
        """
        places = INPUTS.get(task, ())
        values = [value for _, value in found(places, task_input)]
        if not any(_has_address(task, value) for value in values):
            return task_input
        kinds = [place.kind for place, _ in found(places, task_input)]
        try:
            async with asyncio.timeout(total_s) as bound:
                kept = iter(await self._gather(task, kinds, values, bound))
        except TimeoutError:
            raise _late(total_s) from None
        return replaced(places, task_input, lambda *_: next(kept))

    @asynccontextmanager
    async def loaded(self, task: str, task_input: Any, *, total_s: float) -> AsyncIterator[Any]:
        """The input with a `Media` at each place, until the context ends. `total_s` is for the loading alone."""
        places = INPUTS.get(task, ())
        standing = list(found(places, task_input))
        if not standing:
            yield task_input
            return
        with self._room.share() as share:
            media = iter(await self._within(total_s, self._load(task, standing, share)))
            yield replaced(places, task_input, lambda *_: next(media))

    async def stored(self, task: str, output: Any, *, total_s: float, answer_bytes: int = 0) -> codec.Json:
        """The output as a result carries it: `{"$ref": ...}` for each `Media`.

        Up to `MAX_INLINE_BYTES` of all together travel inside, more lie in the blob store. What was read of an answer
        of many `answer_bytes` is measured, and goes to the store as a whole if it does not fit into a record.
        """
        places = OUTPUTS.get(task, ())
        media = [value for _, value in found(places, output) if isinstance(value, Media)]
        size = sum(len(one.data) for one in media)
        if not media and answer_bytes <= MAX_JSON_BYTES // 4:
            return output
        try:
            async with asyncio.timeout(total_s):
                refs = iter([await self._referred(one, inside=size <= MAX_INLINE_BYTES) for one in media])
                output = replaced(places, output, lambda _, one: next(refs) if isinstance(one, Media) else one)
                if answer_bytes + size <= MAX_JSON_BYTES // 4:
                    return output
                document = await asyncio.to_thread(codec.encode, output)
                if len(document) <= MAX_JSON_BYTES:
                    return output
                return _ref(BlobRef(**await self._kept(document, JSON_TYPE), media_type=JSON_TYPE))
        except TimeoutError:
            self._untaken[task] = max(size, _LIGHT_BYTES)
            message = f"the blob store did not take {size} bytes of payloads within {total_s:g} s"
            raise ProviderError(K.STORE_FAILED, message) from None

    async def storable(self, task: str) -> None:
        """Raise `store_failed` (`nothing_sent`) while an output of `task` would be paid for and lost: the last one was,
        and the store does not take as many bytes now.
        """
        if task not in self._untaken:
            return
        async with self._looking:
            now = asyncio.get_running_loop().time
            size = self._untaken.get(task)
            if size is None:
                return
            try:
                if now() >= self._look_at:
                    async with asyncio.timeout(_LOOK_S):
                        await self._store.put(_TRIAL.ljust(1 << (size - 1).bit_length()), "text/plain")
                    del self._untaken[task]
                    return
            except (BlobError, TimeoutError):
                self._look_at = now() + _LOOK_AGAIN_S
        message = f"the blob store did not take an output of {size} bytes and does not take as many now"
        raise _before(K.STORE_FAILED, message)

    async def _gather(self, task: str, kinds: list[Kind], values: list[Any], bound: asyncio.Timeout) -> list[Any]:
        return [
            await self._gathered(kind, value, bound) if _has_address(task, value) else value
            for kind, value in zip(kinds, values, strict=True)
        ]

    async def _gathered(self, kind: Kind, value: Any, bound: asyncio.Timeout) -> codec.Json:
        with self._room.share() as share:
            data = await self._data(_source(value), _Unhurried(share, bound), 0)
            media = await _heavy(len(data), partial(self._probed, data, kind))
            del data
            return await self._referred(media, inside=False)

    async def _load(self, task: str, standing: list[tuple[Any, Any]], share: Share) -> list[Any]:
        full: list[Any] = []
        total = 0
        for place, value in standing:
            if value is None or passes_on(task, value):
                full.append(value)
                continue
            data = await self._data(_source(value), share, total)
            total += len(data)
            full.append(await _heavy(len(data), partial(self._probed, data, place.kind)))
        return full

    async def _data(self, source: Inline | Address | BlobRef, share: "Share | _Unhurried", before: int) -> bytes:
        """The bytes of one payload, counted in `share` above the `before` bytes that it holds already."""
        room = self._limits.max_bytes - before
        if isinstance(source, Address):
            return (await self._fetched(source.url, share, before)).data
        if source.bytes > room:
            raise _before(
                K.TOO_LARGE, f"{before + source.bytes} bytes of payloads; {self._limits.max_bytes} are allowed"
            )
        await share.grow(before + source.bytes)
        if isinstance(source, Inline):
            return await _heavy(source.bytes, partial(base64.b64decode, source.text, validate=True))
        inner = _source(source.uri) if not source.uri.startswith(BLOB_SCHEME) else None
        if inner is None:
            return await self._blob(source)
        if isinstance(inner, Inline):
            data = await _heavy(inner.bytes, partial(base64.b64decode, inner.text, validate=True))
        else:
            data = (await self._fetched(source.uri, share, before, source.bytes)).data
        if len(data) != source.bytes or await _heavy(len(data), partial(_sha256, data)) != source.sha256:
            raise _before(K.INVALID_MEDIA, f"{len(data)} bytes came, and they are not those of the $ref's sha256")
        return data

    async def _blob(self, ref: BlobRef) -> bytes:
        message = ""
        try:
            data = (await self._store.get(ref.sha256, max_bytes=ref.bytes)).data
            if len(data) == ref.bytes:
                return data
            kind, message = K.INVALID_MEDIA, f"$ref says {ref.bytes} bytes, and the blob has {len(data)}"
        except BlobTooLarge:
            kind, message = K.INVALID_MEDIA, f"$ref says {ref.bytes} bytes, and the blob has more"
        except (BlobMissing, BlobDamaged) as error:
            kind, message = K.PAYLOAD_MISSING, str(error)
        except BlobError as error:
            gone = isinstance(error, FetchStatus) and error.status in (404, 410)
            kind, message = K.PAYLOAD_MISSING if gone else K.PAYLOAD_UNREACHABLE, str(error)
        raise _before(kind, message)

    async def _fetched(self, url: str, share: "Share | _Unhurried", before: int, most: int | None = None) -> Fetched:
        most = self._limits.max_bytes - before if most is None else most

        async def hold(size: int) -> None:
            await share.grow(before + size)

        try:
            return await self._fetcher.get(url, max_bytes=most, total_s=_LONGEST_FETCH_S, hold=hold)
        except FetchRefused as error:
            kind, message = K.EGRESS_REFUSED, str(error)
        except FetchTooLarge as error:
            kind, message = K.TOO_LARGE, str(error)
        except FetchError as error:
            gone = isinstance(error, FetchStatus) and error.status in (404, 410)
            kind, message = K.PAYLOAD_MISSING if gone else K.PAYLOAD_UNREACHABLE, str(error)
        raise _before(kind, message)

    def _probed(self, data: bytes, kind: Kind) -> Media:
        try:
            return probed(data, kind, self._limits)
        except MediaFault as fault:
            raise _before(K.INVALID_MEDIA, str(fault)) from None

    async def _referred(self, media: Media, *, inside: bool) -> codec.Json:
        told = {
            "media_type": media.media_type, "width": media.width, "height": media.height,
            "duration_ms": media.duration_ms, "sampling_rate": media.sampling_rate, "channels": media.channels,
        }  # fmt: skip
        if inside:
            uri = f"data:{media.media_type};base64,{base64.b64encode(media.data).decode()}"
            return _ref(BlobRef(sha256=_sha256(media.data), uri=uri, bytes=len(media.data), **told))
        return _ref(BlobRef(**await self._kept(media.data, media.media_type), **told))

    async def _kept(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Put into the blob store, again and again until the caller's time is up."""
        wait = _FIRST_WAIT_S
        while True:
            try:
                sha256 = await self._store.put(data, media_type)
                return {"sha256": sha256, "uri": BLOB_SCHEME + sha256, "bytes": len(data)}
            except BlobError:
                # Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
                await asyncio.sleep(wait * self._dice())
                wait = min(_LONGEST_WAIT_S, wait * 2)

    @staticmethod
    async def _within(total_s: float, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(total_s):
                return await work
        except TimeoutError:
            raise _late(total_s) from None


class _Unhurried:
    """A share whose waits for memory are not counted in `bound`: they are no fault of the address."""

    def __init__(self, share: Share, bound: asyncio.Timeout) -> None:
        self._share = share
        self._bound = bound

    async def grow(self, size: int) -> None:
        """As a share grows."""
        ends, loop = self._bound.when(), asyncio.get_running_loop()
        if ends is None or self._share.fits(size):
            await self._share.grow(size)
            return
        left_s = ends - loop.time()
        self._bound.reschedule(None)
        try:
            await self._share.grow(size)
        finally:
            self._bound.reschedule(loop.time() + left_s)


def _has_address(task: str, value: Any) -> bool:
    if value is None or passes_on(task, value):
        return False
    source = _source(value)
    return isinstance(source, Address) or (isinstance(source, BlobRef) and source.uri[:4].lower() == "http")


def _source(value: Any) -> Inline | Address | BlobRef:
    try:
        return source_of(value)
    except PayloadFault as fault:
        raise _before(K.INVALID_MEDIA, str(fault)) from None


def _late(total_s: float) -> ProviderError:
    return _before(K.PAYLOAD_UNREACHABLE, f"the payloads were not here within {total_s:g} s")


def _before(kind: FailureKind, message: str) -> ProviderError:
    return ProviderError(kind, message[:300], nothing_sent=True)


def _ref(ref: BlobRef) -> codec.Json:
    return {REF: ref.model_dump(exclude_none=True)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _heavy(size: int, work: Callable[[], T]) -> T:
    """`work` on `size` bytes, in a thread where it would hold others up."""
    return work() if size <= _LIGHT_BYTES else await asyncio.to_thread(work)
