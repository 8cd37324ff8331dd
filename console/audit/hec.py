"""The audit as events of Splunk's HTTP Event Collector: what is sent, and what is done about each answer.

Form: `POST /services/collector/event`, JSON objects one after the other, `Authorization: Splunk TOKEN`; answers
`{"text":..., "code":..., "invalid-event-number":...}`, with an acknowledging indexer also `ackId`, asked for at
`/services/collector/ack?channel=...` (Splunk, "Format events for HTTP Event Collector" and "Troubleshoot HTTP Event
Collector"). Each event is sent at least once; `fields.novix_id`, lane/sequence/index and 16 digits of the batch's hash,
is the same each time, and no other cluster's, nor another's of a lane that began anew.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from console.audit.batches import Batch
from runtime.http import DEADLINE, MAX_BYTES, AsyncBaseTransport, HTTPError, InvalidURL, Request
from runtime.ports import Clock, Dice
from schemas import codec

log = structlog.get_logger("novix.audit")

EVENT_PATH, ACK_PATH = "/services/collector/event", "/services/collector/ack"
BATCH_BYTES = 524_288
"""Of one request: half of what a collector takes at its smallest default (1 MB)."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
CALL_S = 10.0
ANSWER_BYTES = 65_536
ACK_S = 60.0
"""For the indexer to acknowledge; after it the events are sent again."""
ACK_EVERY_S = 0.5
SOURCE, SOURCETYPE = "novix", "novix:audit"


class Stopped(Exception):
    """Told to stop before everything was taken."""


class Refused(Exception):
    """The collector will not take anything as it is asked: a wrong token, index or address. The message says which."""


def events_of(batch: Batch, index: str = "") -> list[bytes]:
    """A batch's entries as events, in their order."""
    told = []
    for number, entry in enumerate(batch.entries):
        event: dict[str, Any] = {
            "source": SOURCE,
            "sourcetype": SOURCETYPE,
            "host": batch.lane,
            "event": {**entry, "lane": batch.lane, "sequence": batch.sequence, "index": number, "hash": batch.hash},
            "fields": {"novix_id": f"{batch.lane}/{batch.sequence}/{number}/{batch.hash[:16]}"},
        }
        if index:
            event["index"] = index
        seconds = _seconds(entry.get("at"))
        if seconds is not None:
            event["time"] = seconds
        told.append(codec.encode(event))
    return told


def packed(events: Sequence[bytes], limit: int = BATCH_BYTES) -> list[list[bytes]]:
    """The events in requests of at most `limit` bytes; a larger one goes alone."""
    made: list[list[bytes]] = []
    size = limit + 1
    for event in events:
        if size + len(event) > limit:
            made.append([])
            size = 0
        made[-1].append(event)
        size += len(event)
    return made


@dataclass(frozen=True, slots=True)
class Answer:
    """What a collector said."""

    status: int
    told: Mapping[str, Any]

    @property
    def code(self) -> int | None:
        """Its own code."""
        code = self.told.get("code")
        return code if isinstance(code, int) else None


WRONG_TOKEN = frozenset({1, 2, 3, 4})
WRONG_USE = frozenset({7, 10, 11, 14, 15, 16})
"""Codes of a wrong index, channel or query: no event is at fault."""
NO_COLLECTOR = -1
"""Stands for the code of an answer that is no JSON object: the page of a proxy or a portal, which took nothing."""
OF_EVENTS = frozenset({6, 12, 13})
"""Codes of data that is no event. Any other 400 is not the collector's word on the events (a proxy says so while it is
misconfigured): it is an outage."""


def waits_s(attempt: int, jitter: float) -> float:
    """`min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))`, with equal jitter."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(attempt - 1, 20)) * (0.5 + jitter / 2))


class Hec:
    """Sends events until they are taken."""

    def __init__(
        self, url: str, token: str, transport: AsyncBaseTransport, clock: Clock, dice: Dice, *, acks: bool = False,
        patient: bool = True,
    ) -> None:  # fmt: skip
        """`patient`: what refuses everything (a wrong token) is waited for, as an outage is; else `Refused`."""
        self._url = url.rstrip("/").removesuffix(EVENT_PATH)
        self._headers = {
            "authorization": f"Splunk {token}", "content-type": "application/json", "user-agent": "novix-audit",
        }  # fmt: skip
        self._channel = str(uuid.uuid4())
        if acks:
            self._headers["x-splunk-request-channel"] = self._channel
        self._acks = acks
        self._patient = patient
        self._transport = transport
        self._clock = clock
        self._dice = dice
        self.taken = self.skipped = self.failures = 0

    async def deliver(self, events: Sequence[bytes], is_stopped: Callable[[], bool] = bool) -> None:
        """Send all of them. Returns when each was taken, or cannot be taken by itself (told and counted). Raises
        `Stopped`, and `Refused` if not patient."""
        work = packed(events)[::-1]
        attempt = 0
        while work:
            some = work.pop()
            answer, why = await self._send(some)
            if answer is None:
                attempt += 1
                self.failures += 1
                log.warning("hec.not_taken", reason=why, attempt=attempt)
                work.append(some)
                if is_stopped():
                    raise Stopped
                await self._clock.sleep(waits_s(attempt, self._dice()))
                continue
            attempt = 0
            self._done(some, answer, work)

    def _done(self, some: list[bytes], answer: Answer, work: list[list[bytes]]) -> None:
        """An answer that says something of these events themselves."""
        if answer.status == 200:
            self.taken += len(some)
            return
        if len(some) == 1:
            self.skipped += 1
            log.error("hec.poison", id=_id_of(some[0]), bytes=len(some[0]), status=answer.status, code=answer.code)
            return
        number = answer.told.get("invalid-event-number")
        if isinstance(number, int) and 0 <= number < len(some) and answer.status != 413:
            parts = [some[:number], [some[number]], some[number + 1 :]]
        else:
            parts = [some[: len(some) // 2], some[len(some) // 2 :]]
        work += [part for part in reversed(parts) if part]

    async def _send(self, some: Sequence[bytes]) -> tuple[Answer | None, str]:
        """One request: its answer if that says something of the events, else why they must be sent again."""
        try:
            answer = await self._post(EVENT_PATH, b"\n".join(some))
        except (HTTPError, InvalidURL) as error:
            return None, type(error).__name__
        if answer.status == 200 and answer.code in (0, None):
            why = await self._acknowledged(answer) if self._acks else ""
            return (answer, "") if not why else (None, why)
        wrong = answer.code in WRONG_TOKEN or answer.code in WRONG_USE or answer.status in (401, 403, 404, 405)
        if wrong and not self._patient:
            raise Refused(f"the collector answered {answer.status}, code {answer.code}: {_text(answer)}")
        if answer.status == 413 or (answer.status == 400 and answer.code in OF_EVENTS):
            return answer, ""
        return None, f"status {answer.status}, code {answer.code}"

    async def _acknowledged(self, answer: Answer) -> str:
        """Wait until the indexer has what was sent; why not."""
        number = answer.told.get("ackId")
        if not isinstance(number, int):
            return "no ackId: acknowledgement is not switched on for the token"
        until = self._clock.monotonic() + ACK_S
        while self._clock.monotonic() < until:
            try:
                asked = await self._post(f"{ACK_PATH}?channel={self._channel}", codec.encode({"acks": [number]}))
            except (HTTPError, InvalidURL) as error:
                return type(error).__name__
            acks = asked.told.get("acks")
            if asked.status == 200 and isinstance(acks, dict) and acks.get(str(number)) is True:
                return ""
            await self._clock.sleep(ACK_EVERY_S)
        return f"not acknowledged within {ACK_S:.0f} s"

    async def _post(self, path: str, body: bytes) -> Answer:
        request = Request("POST", self._url + path, headers=self._headers, content=body)
        request.extensions.update({DEADLINE: CALL_S, MAX_BYTES: ANSWER_BYTES})
        response = await self._transport.handle_async_request(request)
        try:
            data = await response.aread()
        finally:
            await response.aclose()
        try:
            told = codec.decode(data or b"{}")
        except codec.Undecodable:
            told = None
        return Answer(response.status_code, told if isinstance(told, dict) else {"code": NO_COLLECTOR})


def _seconds(text: Any) -> float | None:
    try:
        return round(datetime.fromisoformat(text).timestamp(), 3)
    except (ValueError, TypeError, OverflowError):
        return None


def _id_of(event: bytes) -> str:
    return str(codec.decode(event)["fields"]["novix_id"])


def _text(answer: Answer) -> str:
    return "".join(char for char in str(answer.told.get("text", ""))[:200] if char.isprintable())
