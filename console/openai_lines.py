"""Results as OpenAI's batch output file has them, with what lies in the blob store."""

from contextlib import AsyncExitStack
from typing import Any, Self

from console.exits import CommandError
from console.payload_files import bytes_inside
from runtime.blobs import BlobError, BlobStore, BlobUnavailable
from runtime.blobs.stores import open_store
from runtime.settings import Settings
from schemas import codec
from schemas.media import DATA_SCHEME, REF, BlobRef, is_ref
from schemas.openai_answers import line_of, reference_of


class OpenAiLines:
    """Makes lines of results. The blob store is opened when the first result refers to it. Use as `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lifetime = AsyncExitStack()
        self._store: BlobStore | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifetime.aclose()

    async def of(self, result: dict[str, Any]) -> dict[str, Any] | None:
        """The line of one result; None for a task that OpenAI's batches do not know."""
        output = result.get("output")
        if output is not None and is_ref(output):  # too large for its record: the whole of it lies in the store
            whole = await self._read(output[REF])
            result = {**result, "output": None if whole is None else codec.decode(whole)}
        reference = reference_of(result)
        return line_of(result, await self._read(reference) if reference is not None else None)

    async def _read(self, reference: Any) -> bytes | None:
        """What a reference of a result names; None if it cannot be had any more. Raises `CommandError` where the store
        is away: a line that says so would be taken for the job's end."""
        ref = BlobRef.model_validate(reference)
        try:
            if ref.uri.startswith(DATA_SCHEME):
                return bytes_inside(ref)
            if self._store is None:
                self._store = await self._lifetime.enter_async_context(open_store(self._settings))
            most = max(ref.bytes, self._settings.max_response_bytes)
            return (await self._store.get(ref.sha256, max_bytes=most)).data
        except BlobUnavailable as error:
            raise CommandError(str(error)) from None
        except BlobError:
            return None
