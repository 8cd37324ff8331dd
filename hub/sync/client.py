"""Asks the Hub and the router: GET, JSON, at the pace that the answers allow. No credential is sent: lists are
public."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from hub.sync.pages import Page, page_of, page_under
from hub.sync.walk import pace_of
from runtime.http import DEADLINE, MAX_BYTES, AsyncBaseTransport, HTTPError, InvalidURL, Request, ResponseTooLargeError
from runtime.ports import Clock
from schemas import codec

CALL_S = 60.0
"""The whole of one call."""
MOST_BYTES = 67_108_864
"""Of one page. A thousand rows with their cards have some 2 MB."""
TRIES = 4
FIRST_WAIT_S = 0.5
NO_HEADERS: Mapping[str, str] = {}
LONGEST_WAIT_S = 330.0
"""A window of the Hub's is 300 s; whoever asks for a longer pause is believed to be away."""


class SourceDown(Exception):
    """A source did not answer, or not in its form. The message says what was seen: status, size, kind of error."""

    def __init__(self, reason: str, status: int | None = None, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(reason)
        self.status = status
        self.code = headers.get("x-error-code") or headers.get("x-error-message") or ""
        """The Hub's own word for it, where it gives one."""
        self.location = headers.get("location", "")


class TooLarge(SourceDown):
    """An answer has more bytes than are read of one; it would have them the next time too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One JSON document, and the headers beside it by their small names."""

    value: Any
    headers: dict[str, str]


class Asker:
    """One source. Calls follow each other; a window that is used up is waited out."""

    def __init__(self, transport: AsyncBaseTransport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._not_before = 0.0
        self.calls = 0
        self.waited_s = 0.0
        """Because an answer asked for it."""

    async def json(self, url: str) -> Answer:
        """The document at an address. Waits as 429 and 503 ask, tries faults of the way again. Raises `SourceDown`."""
        body, headers = await self.body(url)
        try:
            return Answer(await asyncio.to_thread(codec.decode, body), headers)
        except codec.Undecodable as error:
            raise SourceDown(f"{len(body)} bytes that are no JSON: {error}") from None

    async def page(self, url: str, *, under: str | None = None) -> tuple[Page, dict[str, str]]:
        """The rows of a list, and the headers beside them. One that breaks off is asked for again before what there is
        of it is taken. `under`: the list is an object's, and has this name. Raises `SourceDown`."""
        attempt = 0
        while True:
            body, headers = await self.body(url)
            page = await asyncio.to_thread(page_of if under is None else partial(page_under, under), body)
            if page is None:
                raise SourceDown(f"{len(body)} bytes that are no JSON list")
            attempt += 1
            if page.whole or attempt == TRIES:
                return page, headers
            await self._pause(FIRST_WAIT_S * 2**attempt)

    async def body(self, url: str, most: int = MOST_BYTES) -> tuple[bytes, dict[str, str]]:
        """The bytes at an address. Raises `SourceDown`."""
        last = SourceDown("it was not asked")
        for attempt in range(TRIES):
            await self._pause(self._not_before - self._clock.monotonic())
            try:
                status, headers, body = await self._once(url, most)
            except ResponseTooLargeError as error:
                raise TooLarge(f"an answer of more than {error.limit_bytes} bytes") from None
            except (HTTPError, InvalidURL, ValueError) as error:
                last = SourceDown(type(error).__name__)
                await self._pause(FIRST_WAIT_S * 2**attempt)
                continue
            pace = pace_of(headers, self._clock.now())
            if pace.left == 0 or status in (429, 503):
                usual_s = FIRST_WAIT_S * 2**attempt if status != 200 else 0.0
                wait_s = max(usual_s, pace.wait_s or 0.0)  # a pause of 0 s would spend all tries at once
                if wait_s > LONGEST_WAIT_S and status != 200:
                    raise SourceDown(
                        f"status {status}, and it asks for {wait_s:.0f} s; {LONGEST_WAIT_S:.0f} are waited", status
                    )
                self._not_before = self._clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
            if status == 200:
                return body, headers
            last = SourceDown(f"status {status}", status, headers)
            if status not in (429, 500, 502, 503, 504):
                raise last
            if status not in (429, 503):
                await self._pause(FIRST_WAIT_S * 2**attempt)
        raise last

    async def _once(self, url: str, most: int) -> tuple[int, dict[str, str], bytes]:
        self.calls += 1
        request = Request(
            "GET",
            url,
            headers=[("accept", "application/json"), ("user-agent", "novix")],
            extensions={
                "timeout": {"connect": 10.0, "read": CALL_S, "write": CALL_S, "pool": CALL_S},
                DEADLINE: CALL_S,
                MAX_BYTES: most,
            },
        )
        response = await self._transport.handle_async_request(request)
        try:
            return (
                response.status_code,
                {name.lower(): told for name, told in response.headers.items()},
                await response.aread(),
            )
        finally:
            await response.aclose()

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.waited_s += seconds
            await self._clock.sleep(seconds)
