"""What an answer names rather than brings: fetched as any stranger's address is, without a credential."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from runtime.http import Fetched, FetchError, FetchRefused, FetchStatus, FetchTooLarge
from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.room import Share

K = FailureKind


class Fetching(Protocol):
    """Gets strangers' addresses (`runtime.http.fetch.Fetcher`)."""

    async def get(
        self, url: str, *, max_bytes: int, total_s: float, hold: Callable[[int], Awaitable[None]] | None = None
    ) -> Fetched:
        """What lies at `url`; `hold` waits for room for so many bytes. Raises `FetchError`."""
        ...


async def fetched(fetching: Fetching | None, url: str, share: Share, *, max_bytes: int, left_s: float) -> Fetched:
    """What an answer's address gives, its bytes counted in `share`.

    Raises `ProviderError`; the work is done by then and may be charged, so each is `accepted`.
    """
    if fetching is None:
        raise ProviderError(K.EGRESS_REFUSED, "the answer names an address, and none is fetched here", accepted=True)
    try:
        async with asyncio.timeout(max(0.0, left_s)):
            return await fetching.get(url, max_bytes=max_bytes, total_s=left_s, hold=share.grow)
    except TimeoutError:
        message = "what the answer names was not had before the deadline"
        failure = ProviderError(K.TIMEOUT, message, accepted=True)
    except FetchError as error:
        failure = of_fetch(error)
    raise failure


def of_fetch(error: FetchError) -> ProviderError:
    """Say a failed fetch of an output as a `ProviderError`. Total."""
    status = error.status if isinstance(error, FetchStatus) else None
    if isinstance(error, FetchRefused):
        kind = K.EGRESS_REFUSED
    elif isinstance(error, FetchTooLarge):
        kind = K.RESPONSE_TOO_LARGE
    elif status is not None:
        kind = K.PROVIDER_ERROR if status >= 500 or status == 429 else K.INVALID_OUTPUT
    else:
        kind = K.CONNECTION_LOST
    message = f"what the answer names was not had: {error}"
    return ProviderError(kind, message, upstream_status=status, accepted=True)
