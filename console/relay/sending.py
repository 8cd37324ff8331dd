"""Handing spans to a receiver: what a request holds, what an answer means, how long to wait. One thin shell posts."""

import asyncio
import gzip
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from console.relay.target import Target
from runtime.http import (
    DEADLINE,
    MAX_BYTES,
    PRIVATE_NETWORKS,
    AsyncBaseTransport,
    AsyncClient,
    Egress,
    HTTPError,
    HttpTransport,
)
from schemas.values import frozen

REQUEST_BYTES = 4_194_304
"""Of one request before compression, but for a single record that has more."""
ANSWER_BYTES = 65_536
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LONGEST_TOLD_S = 300.0
"""Of a receiver's Retry-After that is waited for."""
HEAVY_BYTES = 65_536
"""More is compressed in a thread."""
OF_THE_CONTENT = frozenset({400, 413, 422})
"""Refusals of what was sent: fewer records at a time are tried, and at last the one is left out."""

Meaning = Literal["taken", "refused", "later"]


@frozen
class Answer:
    """What became of one request."""

    meaning: Meaning
    why: str = ""
    """A status or the class name of an error; nothing that a receiver says."""
    wait_s: float | None = None
    """What the receiver asks for."""
    rejected: int = 0
    """Spans that it took and did not keep."""


def is_readable(value: bytes | None) -> bool:
    """Whether a record holds an OTLP trace request. A receiver would refuse the whole request for one that does not."""
    if not value:
        return False
    try:
        ExportTraceServiceRequest().ParseFromString(value)
    except DecodeError:
        return False
    return True


def bodies(values: Sequence[bytes], limit: int = REQUEST_BYTES) -> Iterator[list[bytes]]:
    """The records as requests, in their order. Requests of protobuf put one behind the other are one request: repeated
    fields are added up (protobuf.dev/programming-guides/encoding, "Last One Wins")."""
    group: list[bytes] = []
    size = 0
    for value in values:
        if group and size + len(value) > limit:
            yield group
            group, size = [], 0
        group.append(value)
        size += len(value)
    if group:
        yield group


def meaning_of(status: int) -> Meaning:
    """What a status means. All that somebody may mend (credentials, an address, an outage) is waited for: the OTLP
    specification lets a client drop for those, and then an outage would lose spans."""
    if 200 <= status < 300:
        return "taken"
    return "refused" if status in OF_THE_CONTENT else "later"


def wait_after(failures: int, jitter: float, told_s: float | None) -> float:
    """Seconds: `min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (failures - 1)) * (0.5 + jitter / 2)`, or what the receiver
    asks for if that is longer ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015: equal jitter)."""
    wait: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(max(failures, 1) - 1, 20)) * (0.5 + jitter / 2)
    return max(wait, min(told_s or 0.0, LONGEST_TOLD_S))


def told_wait(value: str | None, now: datetime) -> float | None:
    """A Retry-After in seconds: a number, or a date; None where there is none that can be read."""
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


def transport_to(target: Target) -> HttpTransport:
    """To that receiver and nobody else. Raises OSError for certificates that cannot be read."""
    tls = None
    if target.ca_file or target.client_certificate:
        tls = ssl.create_default_context(cafile=target.ca_file or None)
        if target.client_certificate:
            tls.load_cert_chain(target.client_certificate, target.client_key)
    return HttpTransport(Egress([target.url], private=PRIVATE_NETWORKS), tls=tls)


class Sender:
    """Posts requests. An async context manager; `transport` is closed with it."""

    def __init__(self, target: Target, transport: AsyncBaseTransport) -> None:
        self._target = target
        self._client = AsyncClient(transport=transport, timeout=target.timeout_s, trust_env=False)

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, records: Sequence[bytes]) -> Answer:
        """Send the records as one request. Never raises for what the receiver or the network does."""
        target, body = self._target, b"".join(records)
        fields = {"content-type": "application/x-protobuf", "user-agent": "novix-relay", **dict(target.headers)}
        if target.gzip:
            fields["content-encoding"] = "gzip"
            body = await asyncio.to_thread(_packed, body) if len(body) > HEAVY_BYTES else _packed(body)
        limits = {DEADLINE: target.timeout_s, MAX_BYTES: ANSWER_BYTES}
        try:
            response = await self._client.post(target.url, content=body, headers=fields, extensions=limits)
        except HTTPError as error:
            return Answer("later", type(error).__name__)
        meaning = meaning_of(response.status_code)
        if meaning == "taken":
            return Answer("taken", rejected=_rejected(response.content))
        wait_s = told_wait(response.headers.get("retry-after"), datetime.now(UTC)) if meaning == "later" else None
        return Answer(meaning, str(response.status_code), wait_s)


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=5, mtime=0)


def _rejected(body: bytes) -> int:
    answer = ExportTraceServiceResponse()
    try:
        answer.ParseFromString(body)
    except DecodeError:  # an empty or foreign body: it said 200
        return 0
    return max(0, int(answer.partial_success.rejected_spans))
