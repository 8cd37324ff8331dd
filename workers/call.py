"""One call to a provider, however many requests it takes: sent, followed, read, put together."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import partial
from typing import Any

from runtime.http import AsyncBaseTransport, HTTPError, InvalidURL, Response
from runtime.ports import Clock
from schemas import codec
from schemas.failure import FailureKind
from schemas.values import frozen
from workers import errors
from workers.access import Access
from workers.body import Reading
from workers.errors import ProviderError
from workers.exchange import FIRST, Answer, Ask, Call, Got, Next
from workers.fetching import Fetching, fetched
from workers.modalities import TASKS, answered
from workers.patience import Patience, Wait, after_a_fault, before_the_next
from workers.providers.common import parsed
from workers.room import AnswerRoom, Share
from workers.sending import Bounds, fields_by_name, is_in_events, request_of, same_origin

MAX_PROVIDER_CHARS = 64
"""Of a provider's name in `x-inference-provider`; as many as a job may have in its field."""
ROOM_BYTES = 67_108_864
"""Of answers in memory, where nobody says otherwise."""
HEAVY_BYTES = 1_048_576
"""Answers above this are decoded and held against their schema in a thread, one at a time: 30 MB of text take 30 ms to
decode and as much again to check, and the loop gets its turns between these."""
FAREWELL_S = 2.0
"""For telling a provider that nobody waits any longer."""
MOST_FAREWELLS = 64
"""At once: beyond that the provider finds out by itself."""


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
    size: int = 0
    """Bytes of the answer as it came."""

    def redacted(self, redact: Callable[[str], str]) -> "Called":
        """Without credentials in what the provider says about itself."""
        said = redact(self.request_id) if self.request_id else None
        who = redact(self.provider) if self.provider else None
        if (said, who) == (self.request_id, self.provider):
            return self
        return replace(self, request_id=said, provider=who)


@frozen
class Errand:
    """What one call is about."""

    call: Call
    ask: Ask
    access: Access
    """Its credential is shown to the origin of `call` alone."""
    bounds: Bounds
    told: Callable[[str], None] | None = None
    """Given each piece of a streamed answer's text."""
    headers: tuple[tuple[str, str], ...] = ()
    """Of every request to the provider: who pays, whose session it is. `call` has them already."""


@frozen
class _Heard:
    """The last answer of an errand, and what all of them told."""

    got: Got
    size: int = 0
    first_at: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Caller:
    """Makes calls over `http`. Never calls a second time what is charged; raises `ProviderError` for every fault of
    provider and network.

    Whatever else it raises is a fault of ours. `fetching` gets the addresses that answers name; without it they are
    refused. `room` bounds all answers in memory together.
    """

    def __init__(
        self, http: AsyncBaseTransport, clock: Clock, room: AnswerRoom | None = None, *,
        fetching: Fetching | None = None, patience: Patience | None = None,
    ) -> None:  # fmt: skip
        self._http = http
        self._clock = clock
        self.room = room or AnswerRoom(ROOM_BYTES, ROOM_BYTES)
        self._fetching = fetching
        self._patience = patience or Patience()
        self._heavy = asyncio.Semaphore(1)
        self._farewells: set[asyncio.Task[None]] = set()

    async def __call__(self, errand: Errand, share: Share) -> Called:
        """Run the errand to its answer. `share` holds what is in memory of it.

        A provider that queues its work is asked again until it is done, at most until the deadline. Cancelling closes
        the connection; a provider whose work is then given up is told so, if it has a way to be told.
        """
        began = self._clock.monotonic()
        first = heard = await self._exchanged(errand, Next(errand.call, FIRST), share, began)
        step = await self._understood(errand, heard)
        stage, waited = FIRST, 0.0
        while isinstance(step, Next):
            under_way = step
            try:
                left_s = began + errand.bounds.total_s - self._clock.monotonic()
                wait = before_the_next(under_way, stage, waited, left_s, self._patience)
                await self._clock.sleep(wait.seconds)
                waited, stage = waited + wait.seconds, under_way.stage
                heard = await self._followed(errand, under_way, share, began)
                step = await self._understood(errand, heard)
            except BaseException as error:
                if not _has_ended(error):
                    self._farewell(errand, under_way)
                raise
        served_by = first.headers.get("x-inference-provider", "")
        return Called(
            step,
            heard.got.status,
            errors.request_id(first.headers),
            served_by if served_by.isprintable() and 0 < len(served_by) <= MAX_PROVIDER_CHARS else None,
            errand.ask.adapted,
            None if heard.first_at is None else heard.first_at - began,
            heard.size,
        )

    async def settled(self) -> None:
        """Wait until every provider that had to be told to stop has been, as far as that can be."""
        while self._farewells:
            await asyncio.wait(self._farewells)

    async def _followed(self, errand: Errand, step: Next, share: Share, began: float) -> _Heard:
        """The answer to a further call of work that is under way. A fault of the way there is no fault of the work: it
        is asked again, some times. What is given up then may be charged."""
        faults = 0
        while True:
            try:
                return await self._exchanged(errand, step, share, began)
            except ProviderError as error:
                faults += 1
                error.accepted, error.nothing_sent = True, False
                left_s = began + errand.bounds.total_s - self._clock.monotonic()
                wait: Wait | None = after_a_fault(error, faults, left_s, self._patience)
                if wait is None:
                    raise
            await self._clock.sleep(wait.seconds)

    async def _exchanged(self, errand: Errand, step: Next, share: Share, began: float) -> _Heard:
        """One request and the whole of its answer; a stream comes put together."""
        call, bounds = step.call, errand.bounds
        left_s = began + bounds.total_s - self._clock.monotonic()
        if call.public:
            found = await fetched(self._fetching, call.url, share, max_bytes=bounds.max_bytes, left_s=left_s)
            headers = {"content-type": found.media_type}
            got = Got(step.stage, call.url, 200, headers, found.data, memo=step.memo)
            return _Heard(got, len(found.data), headers=headers)
        left = Bounds(bounds.connect_s, bounds.read_s, left_s, bounds.max_bytes)
        response = await self._send(*_as_sent(errand, call), left)
        headers = fields_by_name(response)
        reading = Reading(self._clock, share, max_bytes=bounds.max_bytes, left_s=left_s, told=errand.told)
        try:
            if not 200 <= response.status_code < 300:
                body = await reading.prefix(response, errors.MAX_BODY_BYTES)
                raise errors.read_error(response.status_code, headers, body, now=self._clock.now())
            assembler, status = TASKS[errand.ask.task].assembler, response.status_code
            if step.stage == FIRST and assembler is not None and is_in_events(headers, errand.ask.stream):
                streamed = await reading.events(response, assembler())
                got = Got(step.stage, call.url, status, headers, streamed=streamed, memo=step.memo)
            else:
                whole = await reading.whole(response)
                got = Got(step.stage, call.url, status, headers, whole, memo=step.memo)
        except ProviderError as error:
            error.upstream_status = response.status_code
            error.request_id = error.request_id or errors.request_id(headers)
            error.emitted = error.emitted or reading.emitted
            raise
        finally:
            await response.aclose()
        return _Heard(got, reading.size, reading.first_at, headers)

    async def _understood(self, errand: Errand, heard: _Heard) -> Answer | Next:
        """What an answer means. Raises `ProviderError`."""
        understand = partial(_understood, heard.got, errand, self._clock)
        try:
            if heard.size <= HEAVY_BYTES:
                return understand()
            async with self._heavy:
                return await asyncio.to_thread(understand)
        except ProviderError as error:
            error.upstream_status = error.upstream_status or heard.got.status
            error.request_id = error.request_id or errors.request_id(heard.headers)
            error.emitted = error.emitted or heard.first_at is not None
            raise

    async def _send(self, call: Call, authorization: str | None, bounds: Bounds) -> Response:
        try:
            return await self._http.handle_async_request(request_of(call, authorization, bounds))
        except (HTTPError, InvalidURL) as error:
            failure = errors.of_exception(error)
        raise failure  # outside the handler: the original holds the request with its credential

    def _farewell(self, errand: Errand, step: Next) -> None:
        """Have the provider told that nobody waits for its work any more. Nobody waits for that either."""
        if step.cancel is None or len(self._farewells) >= MOST_FAREWELLS:
            return
        bounds = replace(errand.bounds, total_s=FAREWELL_S, read_s=min(errand.bounds.read_s, FAREWELL_S))
        saying = self._say(*_as_sent(errand, step.cancel), bounds)  # the errand and its payloads are let go of now
        task = asyncio.get_running_loop().create_task(saying)
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _say(self, call: Call, authorization: str | None, bounds: Bounds) -> None:
        try:
            async with asyncio.timeout(FAREWELL_S):
                response = await self._send(call, authorization, bounds)
                await response.aclose()
        except (ProviderError, TimeoutError):
            pass  # it was worth a try


def _as_sent(errand: Errand, call: Call) -> tuple[Call, str | None]:
    """One of the errand's calls with what every request has, and its credential. Where an answer leads to another
    origin, both are left out: it is told nothing of whose call it is."""
    if call is errand.call:
        return call, errand.access.authorization
    if not same_origin(call.url, errand.call.url):
        return call, None
    own = {name for name, _ in call.headers} | {"content-type"}
    headers = (*call.headers, *(field for field in errand.headers if field[0] not in own))
    return replace(call, headers=headers), errand.access.authorization


def _has_ended(error: BaseException) -> bool:
    """Whether the provider itself says that its work has come to nothing: there is nothing to stop."""
    return isinstance(error, ProviderError) and not error.accepted and error.kind is not FailureKind.INVALID_OUTPUT


def _understood(got: Got, errand: Errand, clock: Clock) -> Answer | Next:
    """What the dialect reads in an answer, an error inside a success told as one.

    A look at work under way is first the dialect's, which knows the state of work that has failed. An error without
    one says nothing of the work: that goes on, and may be charged.
    """
    refusal = _refusal(got, clock)
    if refusal is not None and got.stage == FIRST:
        raise refusal
    try:
        step = errand.access.dialect.read(errand.ask, errand.access.candidate, got)
    except ProviderError as error:
        if refusal is None or error.kind is not FailureKind.INVALID_OUTPUT:
            raise
        refusal.accepted = True
        raise refusal from None
    return step if isinstance(step, Next) else answered(errand.ask, step)


def _refusal(got: Got, clock: Clock) -> ProviderError | None:
    """The error object in an answer whose status is that of a success."""
    if got.streamed is None and got.body.lstrip()[:1] != b"{":
        return None
    found = parsed(got)
    if not isinstance(found, dict) or not found.get("error"):
        return None
    return errors.read_error(200, got.headers, codec.encode(found), now=clock.now())
