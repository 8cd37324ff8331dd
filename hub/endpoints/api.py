"""The management API v2 over the HTTP port. One method a route; whatever goes wrong is an `ApiError`.

No secret is logged or told: messages are the API's own words, cut, and without the token.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from hub.endpoints.wire import BadDocument, Machine, Place, Seen, body_of, listed, machines_of, seen_of
from runtime.http import DEADLINE, MAX_BYTES, AsyncBaseTransport, EgressRefusedError, HTTPError, Request
from schemas import codec
from schemas.endpoints import EndpointSpec

CALL_S = 30.0
MOST_BYTES = 8_388_608
MOST_PAGES = 100
PAGE = 100
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Answers that a later call may change. 409: somebody else changes it; one that was made meanwhile is seen then."""
LONGEST_HOLD_S = 300
"""Of a Retry-After, so much at most is kept to."""


class ApiError(Exception):
    """The management API did not do what it was asked. `again`: a later call may succeed, after `hold_s` at the
    earliest."""

    def __init__(self, message: str, *, status: int | None = None, again: bool, hold_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.again = again
        self.hold_s = hold_s


class Api:
    """Calls `{url}/v2`. `token` gives the token as it is now, or None; `transport` is the caller's to close."""

    def __init__(self, url: str, transport: AsyncBaseTransport, token: Callable[[], str | None]) -> None:
        self._url = url.rstrip("/")
        self._transport = transport
        self._token = token
        self.calls = 0
        """Of those that change something."""

    async def get(self, namespace: str, name: str) -> Seen | None:
        """One endpoint; None: there is no such."""
        try:
            return _read(seen_of, await self._json("GET", _path(namespace, name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def all_of(self, namespace: str) -> tuple[list[Seen], list[str]]:
        """All of a namespace, and why some could not be read."""
        found, faults, cursor = list[Seen](), list[str](), ""
        for _ in range(MOST_PAGES):
            query = f"?limit={PAGE}" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
            page, wrong, more = _read(listed, await self._json("GET", f"/v2/endpoint/{quote(namespace)}{query}"))
            found, faults = found + page, faults + wrong
            if more is None or more == cursor:
                break
            cursor = more
        return found, faults

    async def create(self, spec: EndpointSpec) -> Seen:
        """It is pending."""
        return await self._changed("POST", f"/v2/endpoint/{quote(spec.namespace)}", body_of(spec))

    async def update(self, spec: EndpointSpec) -> Seen:
        """It is updating, where it runs."""
        body = {name: value for name, value in body_of(spec).items() if name != "name"}
        return await self._changed("PUT", _path(spec.namespace, spec.name), body)

    async def pause(self, namespace: str, name: str) -> Seen:
        """It is paused."""
        return await self._changed("POST", f"{_path(namespace, name)}/pause")

    async def resume(self, namespace: str, name: str) -> Seen:
        """It is pending."""
        return await self._changed("POST", f"{_path(namespace, name)}/resume")

    async def scale_to_zero(self, namespace: str, name: str) -> Seen:
        """It sleeps."""
        return await self._changed("POST", f"{_path(namespace, name)}/scale-to-zero")

    async def delete(self, namespace: str, name: str) -> None:
        """It is gone."""
        self.calls += 1
        await self._called("DELETE", _path(namespace, name))

    async def machines(self) -> dict[Place, Machine]:
        """What a replica may run on, and its price."""
        return _read(machines_of, await self._json("GET", "/v2/provider"))

    async def logs(self, namespace: str, name: str, tail: int = 100) -> str:
        """The last lines of its containers. They may hold content: not for logs or events."""
        body = await self._called("GET", f"{_path(namespace, name)}/logs?tail={tail}")
        return body.decode("utf-8", "replace")

    async def metrics(self, namespace: str, name: str) -> dict[str, float]:
        """The gauges and counters of its OpenMetrics text that have no labels, by name; at most 64."""
        body = await self._called("GET", f"{_path(namespace, name)}/open-metrics")
        return read_metrics(body.decode("utf-8", "replace"))

    async def healthy(self, url: str) -> bool:
        """Whether the endpoint's health route answers with 200. Whatever else it does, it is not."""
        try:
            await self._exchange("GET", url, within_s=5.0)
        except ApiError:
            return False
        return True

    async def _changed(self, method: str, path: str, body: Any = None) -> Seen:
        self.calls += 1
        return _read(seen_of, await self._json(method, path, body))

    async def _json(self, method: str, path: str, body: Any = None) -> Any:
        raw = await self._called(method, path, body)
        try:
            return codec.decode(raw)
        except codec.Undecodable as error:
            raise ApiError(f"the management API answered no JSON: {error}", again=True) from None

    async def _called(self, method: str, path: str, body: Any = None) -> bytes:
        return await self._exchange(method, self._url + path, body)

    async def _exchange(self, method: str, url: str, body: Any = None, within_s: float = CALL_S) -> bytes:
        headers = [("accept", "application/json"), ("user-agent", "novix")]
        token = self._token()
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        content = b"" if body is None else codec.encode(body)
        if body is not None:
            headers.append(("content-type", "application/json"))
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), within_s)
        extensions = {"timeout": timeout, DEADLINE: within_s, MAX_BYTES: MOST_BYTES}
        request = Request(method, url, headers=headers, content=content, extensions=extensions)
        try:
            async with asyncio.timeout(within_s + 1):
                response = await self._transport.handle_async_request(request)
                try:
                    answer = await response.aread()
                finally:
                    await response.aclose()
        except EgressRefusedError as error:
            raise ApiError(str(error)[:300], again=False) from None
        except (HTTPError, TimeoutError) as error:
            raise ApiError(f"the management API does not answer: {type(error).__name__}", again=True) from None
        status = response.status_code
        if not 200 <= status < 300:
            said = self._without_token(_said(answer), token)
            hold_s = _hold(response.headers.get("retry-after", ""))
            raise ApiError(f"status {status}: {said}", status=status, again=status in AGAIN, hold_s=hold_s)
        return answer

    @staticmethod
    def _without_token(text: str, token: str | None) -> str:
        return text.replace(token, "***") if token else text


def read_metrics(text: str) -> dict[str, float]:
    """Samples without labels, by name; at most 64 of at most 100 characters, finite ones alone."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        parts = line.split()
        if line.startswith("#") or len(parts) < 2 or "{" in parts[0] or len(parts[0]) > 100 or len(found) >= 64:
            continue
        try:
            value = float(parts[1])
        except ValueError:
            continue
        if abs(value) < float("inf"):  # of NaN as well this is false
            found[parts[0]] = value
    return found


def _path(namespace: str, name: str) -> str:
    return f"/v2/endpoint/{quote(namespace, safe='')}/{quote(name, safe='')}"


def _hold(retry_after: str) -> int:
    """Seconds of a Retry-After; 0: it says none, or a date, which none of Hugging Face's does."""
    told = retry_after.strip()
    return min(int(told), LONGEST_HOLD_S) if told.isascii() and told.isdecimal() and len(told) < 10 else 0


def _said(answer: bytes) -> str:
    """What a refusal says, in at most 300 printable characters."""
    try:
        document = codec.decode(answer)
    except codec.Undecodable:
        document = None
    told = document.get("error") if isinstance(document, dict) else None
    text = told if isinstance(told, str) else f"{len(answer)} bytes"
    return "".join(char if char.isprintable() else " " for char in text)[:300]


T = TypeVar("T")


def _read(read: Callable[[Any], T], document: Any) -> T:
    try:
        return read(document)
    except BadDocument as error:
        raise ApiError(f"the management API answered what cannot be read: {error}", again=True) from None
