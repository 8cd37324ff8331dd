"""Fetching what lies at a stranger's address: payloads that jobs name, outputs that providers' answers name."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, cast

import httpx
from aiohttp.abc import AbstractResolver

from runtime.http.egress import Egress
from runtime.http.errors import EgressRefusedError, ResponseTooLargeError
from runtime.http.resolver import OwnThreads
from runtime.http.transport import DEADLINE, MAX_BYTES, HttpLimits, HttpTransport
from runtime.settings import Settings
from schemas.values import frozen

MAX_REDIRECTS = 3
MAX_URL_CHARS = 8_192
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"accept": "*/*", "user-agent": "novix"}

Hold = Callable[[int], Awaitable[None]]


class FetchError(Exception):
    """What lies at an address was not had. The message names the host at most: an address may carry a signature."""


class FetchRefused(FetchError):
    """The address is none that we go to. Nothing was sent there."""


class FetchUnreachable(FetchError):
    """Nobody answered, or not to the end, or not in time."""


class FetchTooLarge(FetchError):
    """There are more bytes than were asked for."""


class FetchStatus(FetchError):
    """The answer's status is none of success."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@frozen
class Fetched:
    """What lay there."""

    data: bytes
    media_type: str
    """As declared, without parameters, in lower case."""


class Fetcher:
    """Gets what lies at strangers' addresses. An async context manager.

    Any https host at port 443, and the operator's own `origins` whatever scheme, port or network they have. Every
    address that a name has must be on the public internet, and the connection is made to one of those that were
    checked, with the name's own TLS name and Host. At most `MAX_REDIRECTS` redirects, each checked as the first address
    was. Never a credential, a cookie or a proxy; number of bytes and time are capped.
    """

    def __init__(
        self,
        origins: Iterable[str] = (),
        *,
        private: Iterable[str] = (),
        limits: HttpLimits | None = None,
        tls: ssl.SSLContext | None = None,
        lookup: AbstractResolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        egress = Egress(origins, private=private, elsewhere=True)
        self._clock = clock
        self._lookup = lookup or OwnThreads()
        self._transport = HttpTransport(egress, limits=limits, tls=tls, lookup=self._lookup, clock=clock)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """On these settings: the router, the sandbox and `egress_hosts` are the operator's own."""
        listed = [host.strip() for host in settings.egress_hosts.split(",") if host.strip()]
        own = [settings.hf_router_url, settings.sandbox_url]
        own += [host if "://" in host else f"https://{host}" for host in listed]
        return cls(
            [origin for origin in own if origin],
            limits=HttpLimits(
                connect_s=settings.connect_timeout_s,
                read_s=settings.read_timeout_s,
                max_in_flight=settings.max_in_flight,
                max_in_flight_per_host=max(1, settings.max_in_flight // 4),  # one slow host leaves others their slots
            ),
        )

    async def get(self, url: str, *, max_bytes: int, total_s: float, hold: Hold | None = None) -> Fetched:
        """What lies at `url`: at most `max_bytes`, within `total_s` seconds over all redirects. Raises `FetchError`.

        `hold` is told how many bytes have come; while it waits, nobody reads the connection.
        """
        ends = self._clock() + total_s
        here = _parsed(url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with asyncio.timeout(max(0.0, ends - self._clock())):
                    got = await self._once(here, max_bytes, ends - self._clock(), hold)
            except TimeoutError:
                raise FetchUnreachable(f"{_host(here)}: no whole answer within {total_s:g} s") from None
            if isinstance(got, Fetched):
                return got
            here = got
        raise FetchUnreachable(f"{_host(here)}: more than {MAX_REDIRECTS} redirects")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.aclose()
        await self._lookup.close()

    async def _once(self, url: httpx.URL, max_bytes: int, left_s: float, hold: Hold | None) -> Fetched | httpx.URL:
        """What one address gives, or where it leads."""
        request = httpx.Request("GET", url, headers=_HEADERS, extensions={DEADLINE: left_s, MAX_BYTES: max_bytes})
        try:
            response = await self._transport.handle_async_request(request)
            async with contextlib.aclosing(response):
                if response.status_code in _REDIRECTS:
                    return _parsed(response.headers.get("location", ""), url)
                if response.status_code != 200:
                    raise FetchStatus(f"{_host(url)}: status {response.status_code}", response.status_code)
                return await _body(response, url, max_bytes, hold)
        except EgressRefusedError as error:
            failure: FetchError = FetchRefused(str(error))
        except ResponseTooLargeError:
            failure = _too_large(url, max_bytes)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            failure = FetchRefused(f"{_host(url)}: no address to go to ({type(error).__name__})")
        except httpx.HTTPError as error:
            failure = FetchUnreachable(f"{_host(url)}: {type(error).__name__}")
        raise failure  # outside the handler: the original holds the request with its address


async def _body(response: httpx.Response, url: httpx.URL, max_bytes: int, hold: Hold | None) -> Fetched:
    told = response.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and len(told) < 20 and int(told) > max_bytes:
        raise _too_large(url, max_bytes)
    chunks, size = [], 0
    # httpx types it as an iterator, which could not be closed; the transport counts the bytes.
    async with contextlib.aclosing(cast(AsyncGenerator[bytes, None], aiter(response.stream))) as stream:  # type: ignore[arg-type]
        async for chunk in stream:
            size += len(chunk)
            if hold is not None:
                await hold(size)
            chunks.append(chunk)
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Fetched(b"".join(chunks), media_type)


def _too_large(url: httpx.URL, max_bytes: int) -> FetchTooLarge:
    return FetchTooLarge(f"{_host(url)}: more than {max_bytes} bytes, which is the limit")


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """`text` as an address, from `base` on where it is relative. Raises `FetchRefused`."""
    if not text or len(text) > MAX_URL_CHARS:
        raise FetchRefused(f"an address has 1 to {MAX_URL_CHARS} characters, and this one {len(text)}")
    try:
        url = httpx.URL(text) if base is None else base.join(text)
        return url.copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, TypeError):  # UnicodeError is a ValueError: lone surrogates
        raise FetchRefused(f"a text of {len(text)} characters is no address") from None


def _host(url: httpx.URL) -> str:
    return url.host[:253]
