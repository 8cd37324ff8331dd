"""Records that wait elsewhere than in memory: which retry topic takes them, and what their headers say. Pure.

A wait is written down in the lane's own transaction: the record goes to a retry topic, and a lane of that topic
(`runtime/retrying.py`) moves it back when it is due. Its key goes with it, its value is the caller's.
"""

from datetime import UTC, datetime, timedelta

from runtime.ports import Outgoing, Record
from schemas import headers
from schemas.headers import Headers
from schemas.topics import RETRY_TIERS, Topic

OURS = (headers.NOT_BEFORE, headers.WAITS_SINCE, headers.RETURN_TO, headers.ATTEMPT, headers.CAUSE)
"""What only a record of a retry topic says: written here, taken off when it goes back."""
KEPT_FIRST = (headers.IDENTITY, headers.ORDERED, headers.TRACEPARENT, headers.TRACESTATE, headers.SCHEMA)
"""What does not give way to a producer's headers."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
"""Waits that would end later end here."""
MAX_DIGITS = 20
"""Of an instant in milliseconds; more is no instant of this era."""


def tier_for(wait: timedelta) -> Topic:
    """The retry topic for a wait: the smallest that is not shorter; for a wait longer than all, the longest."""
    long_enough = (topic for longest_ms, topic in RETRY_TIERS if wait <= timedelta(milliseconds=longest_ms))
    return next(long_enough, RETRY_TIERS[-1][1])


def postponed(
    record: Record, value: bytes, *, not_before: datetime, now: datetime, attempt: int, cause: str, back_to: str
) -> Outgoing:
    """`record` with the value `value` as it waits in a retry topic until `not_before`.

    `attempt` are the calls made so far, `cause` is the failure kind that it waits for, `back_to` the logical topic that
    it goes back to. The key stays, so records of one key stay in one partition. Other headers stay as well, within
    the limits of `schemas.headers`: 64 of them and 16,384 bytes, ours included.
    """
    told: Headers = (
        (headers.NOT_BEFORE, str(milliseconds(not_before)).encode()),
        (headers.WAITS_SINCE, str(milliseconds(now)).encode()),
        (headers.RETURN_TO, back_to.encode()),
        (headers.ATTEMPT, str(attempt).encode()),
        (headers.CAUSE, cause.encode(errors="replace")),
    )
    return Outgoing(tier_for(not_before - now).name, record.key, value, (*_kept(record.headers, told), *told))


def returned(record: Record, back_to: str) -> Outgoing:
    """A record of a retry topic as it goes back: key and value untouched, what only concerned its wait taken off."""
    kept: Headers = tuple(header for header in record.headers if header[0] not in OURS)
    return Outgoing(back_to, record.key, record.value, kept)


def milliseconds(instant: datetime) -> int:
    """Since 1970, rounded up: a record is never due before its time."""
    return -((instant - EPOCH) // timedelta(milliseconds=-1))


def instant_of(text: str | None) -> datetime | None:
    """The instant that a header gives in milliseconds since 1970, `LATEST` at most; None for what is no number."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        return None
    return instant(int(text))


def instant(since_1970_ms: int) -> datetime:
    """The instant so many milliseconds (0 or more) after 1970 began, `LATEST` at most."""
    return EPOCH + timedelta(milliseconds=min(since_1970_ms, milliseconds(LATEST)))


def _kept(original: Headers, told: Headers) -> Headers:
    """The headers that go along: each of ours once, of the others the first that fit beside them."""
    firsts: dict[str, bytes] = {}
    for name, value in original:
        if name in KEPT_FIRST:
            firsts.setdefault(name, value)
    kept: list[tuple[str, bytes]] = list(firsts.items())
    room = headers.MAX_HEADERS - len(kept) - len(told)
    room_bytes = headers.MAX_HEADERS_BYTES - headers.size_of(kept) - headers.size_of(told)
    for name, value in original:
        if name in OURS or name in KEPT_FIRST:
            continue
        room, room_bytes = room - 1, room_bytes - headers.size_of([(name, value)])
        if room < 0 or room_bytes < 0:
            break
        kept.append((name, value))
    return tuple(kept)
