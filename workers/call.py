"""One call to a provider: send, read, put together. All I/O of this room is here."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from runtime.http import (
    DEADLINE,
    MAX_BYTES,
    URL,
    AsyncBaseTransport,
    ByteStream,
    HTTPError,
    InvalidURL,
    Request,
    Response,
    fields_of,
)
from runtime.ports import Clock
from schemas import codec
from schemas.assignment import Candidate
from schemas.topics import RESULTS
from schemas.values import frozen
from workers import errors
from workers.body import Reading
from workers.errors import ProviderError
from workers.exchange import FIRST, Answer, Ask, Call, Got, Next
from workers.modalities import answered
from workers.providers import Dialect
from workers.providers.common import parsed
from workers.room import AnswerRoom

MAX_PROVIDER_CHARS = 64
"""Of a provider's name in `x-inference-provider`; as many as a job may have in its field."""
ROOM_BYTES = 67_108_864
"""Of answers in memory, where nobody says otherwise."""
HEAVY_BYTES = 1_048_576
"""Answers above this are decoded and held against their schema in a thread, one at a time: 30 MB of text take 30 ms to
decode and as much again to check, and the loop gets its turns between these."""


@frozen
class Bounds:
    """Bounds of one call: spans in seconds, size in bytes."""

    connect_s: float
    read_s: float
    """The longest silence."""
    total_s: float
    """What is left until the job's deadline."""
    max_bytes: int


@frozen
class Called:
    """A call that ended in an answer."""

    answer: Answer
    status: int
    request_id: str | None
    provider: str | None
    """Who served it, if the door chose."""
    adapted: Mapping[str, Any]
    """What the request left out of the input, in the form of a result's `adapted`."""
    first_token_s: float | None
    """From sending to the first piece of output; None if the answer came in one piece."""
    too_large_bytes: int = 0
    """Of an output that no record can hold, and that was dropped; 0: it is there."""

    def redacted(self, redact: Callable[[str], str]) -> "Called":
        """Without credentials in what the provider says about itself."""
        if not self.request_id and not self.provider:
            return self
        said = redact(self.request_id or "") or None
        return replace(self, request_id=said, provider=redact(self.provider or "") or None)


class Caller:
    """Makes calls over `http`. Never retries; raises `ProviderError` for every fault of provider and network.

    Whatever else it raises is a fault of ours.
    """

    def __init__(self, http: AsyncBaseTransport, clock: Clock, room: AnswerRoom | None = None) -> None:
        self._http = http
        self._clock = clock
        self._room = room or AnswerRoom(ROOM_BYTES, ROOM_BYTES)
        self._heavy = asyncio.Semaphore(1)

    async def __call__(
        self, call: Call, ask: Ask, candidate: Candidate, dialect: Dialect, token: str | None, bounds: Bounds
    ) -> Called:
        """Send `call` and read its answer as an answer to `ask`. Cancelling it closes the connection."""
        began = self._clock.monotonic()
        response = await self._send(call, token, bounds)
        headers = _fields(response)
        with self._room.share() as share:
            left_s = began + bounds.total_s - self._clock.monotonic()
            reading = Reading(self._clock, share, max_bytes=bounds.max_bytes, left_s=left_s)
            try:
                answer, too_large = await self._answer(response, call.url, reading, ask, candidate, dialect)
            except ProviderError as error:
                error.upstream_status = response.status_code
                error.request_id = error.request_id or errors.request_id(headers)
                error.emitted = error.emitted or reading.stream.emitted
                raise
            finally:
                await response.aclose()
        first = None if reading.first_at is None else reading.first_at - began
        served_by = headers.get("x-inference-provider", "")
        provider = served_by if served_by.isprintable() and 0 < len(served_by) <= MAX_PROVIDER_CHARS else None
        request_id = errors.request_id(headers)
        return Called(answer, response.status_code, request_id, provider, ask.adapted, first, too_large)

    async def _answer(
        self, response: Response, url: str, reading: Reading, ask: Ask, candidate: Candidate, dialect: Dialect
    ) -> tuple[Answer, int]:
        """The answer, and the bytes of its output if that had to be dropped."""
        headers = _fields(response)
        if not 200 <= response.status_code < 300:
            body = await reading.prefix(response, errors.MAX_BODY_BYTES)
            raise errors.read_error(response.status_code, headers, body, now=self._clock.now())
        if _in_events(headers, ask):
            streamed = (await reading.events(response)).completion()
            got = Got(FIRST, url, response.status_code, headers, streamed=streamed)
        else:
            got = Got(FIRST, url, response.status_code, headers, await reading.whole(response))
        understand = partial(_understood, got, ask, candidate, dialect, self._clock)
        if reading.size <= HEAVY_BYTES:
            return understand(), 0
        async with self._heavy:
            return await asyncio.to_thread(_deliverable, understand)

    async def _send(self, call: Call, token: str | None, bounds: Bounds) -> Response:
        try:
            return await self._http.handle_async_request(_request(call, token, bounds))
        except (HTTPError, InvalidURL) as error:
            failure = errors.of_exception(error)
        raise failure  # outside the handler: the original holds the request with its credential


def _understood(got: Got, ask: Ask, candidate: Candidate, dialect: Dialect, clock: Clock) -> Answer:
    """The answer to `ask` in what came. Raises `ProviderError`."""
    if got.streamed is not None or got.body.lstrip()[:1] == b"{":
        found = parsed(got)
        if isinstance(found, dict) and found.get("error"):
            raise errors.read_error(200, got.headers, codec.encode(found), now=clock.now())
    step = dialect.read(ask, candidate, got)
    if isinstance(step, Next):
        raise NotImplementedError(step.stage)
    return answered(ask, step)


def _deliverable(understand: Callable[[], Answer]) -> tuple[Answer, int]:
    """The answer without an output that no record of the results topic can hold: it is not carried any further."""
    answer = understand()
    size = len(codec.encode(answer.output))
    return (answer, 0) if size <= RESULTS.limit_bytes else (replace(answer, output=None), size)


def _request(call: Call, token: str | None, bounds: Bounds) -> Request:
    headers = (*call.headers, ("authorization", f"Bearer {token}")) if token else call.headers
    timeout = {"connect": bounds.connect_s, "read": bounds.read_s, "write": bounds.read_s, "pool": bounds.total_s}
    return Request(
        call.method,
        _url(call.url),
        headers=fields_of([(name.encode(), text.encode()) for name, text in headers]),
        stream=ByteStream(
            call.body if isinstance(call.body, bytes) else b"".join(call.body)
        ),  # not `content=`: httpx would add a Host and a length that the transport writes
        extensions={"timeout": timeout, DEADLINE: bounds.total_s, MAX_BYTES: bounds.max_bytes},
    )


_url = functools.lru_cache(maxsize=1_024)(URL)
"""An address taken apart once: a worker calls few of them, each of them often."""


def _fields(response: Response) -> dict[str, str]:
    """The headers by lower-case name; those that come several times joined by commas, as httpx does it."""
    encoding = response.headers.encoding
    fields: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.lower().decode(encoding), raw_value.decode(encoding)
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _in_events(headers: Mapping[str, str], ask: Ask) -> bool:
    """Whether the body is a stream of events. Some stream without saying so, some answer whole all the same."""
    declared = headers.get("content-type", "").lower()
    return "text/event-stream" in declared or (ask.stream and "json" not in declared)
