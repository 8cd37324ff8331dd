"""What people type to find jobs: one line in logfmt, as Jaeger's users know it, and the query that it means. Pure.

`tenant=acme status=failed min=2s cost>=$0.01 since=1h gen_ai.request.model=x error=true inference.text.v1/2/1042 words`
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

MAX_LINE_CHARS = 2_048
MAX_WORD_CHARS = 512
MAX_WORDS = 32
INT64 = 2**63 - 1
"""Largest integer of SQLite, and of an offset."""
NANOUSD = 1_000_000_000
STATUSES = ("queued", "routed", "succeeded", "failed", "rejected", "expired", "cancelled")

_TRACE = re.compile(r"[0-9a-fA-F]{32}")
_RECORD = re.compile(r"([A-Za-z0-9._-]{1,249})/(\d{1,10})/(\d{1,19})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', re.DOTALL)
_PAIR = re.compile(r'("(?:[^"\\]|\\.)*"|[^\s"=<>]+)(>=|<=|=|>|<)(.*)', re.DOTALL)
_SPAN = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)(ms|us|s|m|h|d)")
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_DOLLARS = re.compile(r"\$?(\d{1,10}(?:\.\d{1,12})?)")
_UNITS_MS: dict[str, Decimal | int] = {
    "us": Decimal("0.001"),
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}


class QueryError(ValueError):
    """A line that is no query. The message names the word and the limit."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which jobs are wanted; empty: all. All conditions hold together. Bounds are inclusive, `until_ms` is not."""

    text: str = ""
    """Words, each of them part of the job's id, model, task, tenant, provider or error; case counts for nothing."""
    job_id: str = ""
    trace_id: str = ""
    """32 lower-case hex digits."""
    record: tuple[str, int, int] | None = None
    """Topic without prefix, partition, offset."""
    tenant: str = ""
    team: str = ""
    model: str = ""
    """Asked for, or served by."""
    provider: str = ""
    task: str = ""
    status: str = ""
    error_kind: str = ""
    min_ms: int | None = None
    """From publication to the result, in milliseconds."""
    max_ms: int | None = None
    min_nanousd: int | None = None
    max_nanousd: int | None = None
    since_ms: int | None = None
    """Of publication, in milliseconds since 1970."""
    until_ms: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """Attributes of the job's spans and their resources, each with its value as text; also `error`, `name`, `service`
    of a span, and `tag.NAME`, a label of the job's producer."""

    @property
    def is_empty(self) -> bool:
        """It wants all jobs."""
        return self == Query()

    def line(self) -> str:
        """The query as a line that `parse` reads as the same query."""
        words = []
        for name, key in _TEXT_WORDS.items():
            if value := getattr(self, name):
                words.append(f"{key}={_quoted(value)}")
        if self.trace_id:
            words.append(self.trace_id)
        if self.record:
            words.append("/".join(map(str, self.record)))
        for name, key in (("min_ms", "min"), ("max_ms", "max")):
            if (value := getattr(self, name)) is not None:
                words.append(f"{key}={value}ms")
        for name, sign in (("min_nanousd", ">="), ("max_nanousd", "<=")):
            if (value := getattr(self, name)) is not None:
                words.append(f"cost{sign}${Decimal(value) / NANOUSD:f}")
        for name, key in (("since_ms", "since"), ("until_ms", "until")):
            if (value := getattr(self, name)) is not None:
                words.append(f"{key}={_iso(value)}")
        words += [f"{_quoted(key, bare=True)}={_quoted(value)}" for key, value in self.attributes]
        words += [_quoted(word, bare=True) for word in self.text.split()]
        return " ".join(words)


_TEXT_WORDS = {
    "job_id": "job",
    "tenant": "tenant",
    "team": "team",
    "model": "model",
    "provider": "provider",
    "task": "task",
    "status": "status",
    "error_kind": "error_kind",
}
_TEXT_KEYS = {
    **{key: name for name, key in _TEXT_WORDS.items()},
    "id": "job_id",
    "job_id": "job_id",
    # What spans call the same; a column answers faster, and for jobs without spans too.
    "novix.job.id": "job_id",
    "novix.tenant": "tenant",
    "novix.task": "task",
    "novix.status": "status",
}
_OTHER_KEYS = ("trace", "record", "min", "max", "cost", "since", "until")


def parse(text: str, now_ms: int = 0) -> Query:
    """Read one line. `since=1h` counts back from `now_ms` (milliseconds since 1970).

    Raises `QueryError`, which names the word and the limit.
    """
    if len(text) > MAX_LINE_CHARS:
        raise QueryError(f"the search has {len(text)} characters; it may have {MAX_LINE_CHARS}")
    text = text.encode(errors="replace").decode()  # a lone surrogate is no text that a file takes
    words = _words(text)
    if len(words) > MAX_WORDS:
        raise QueryError(f"the search has {len(words)} words; it may have {MAX_WORDS}")
    query, free = Query(), list[str]()
    for word in words:
        if len(word) > MAX_WORD_CHARS:
            raise QueryError(f"{word[:20]}…: a word may have {MAX_WORD_CHARS} characters")
        pair = _PAIR.fullmatch(word)
        if pair is not None:
            query = _with(query, _unquoted(pair[1]), pair[2], _unquoted(pair[3]), now_ms)
        elif _TRACE.fullmatch(word):
            query = replace(query, trace_id=word.lower())
        elif place := _RECORD.fullmatch(word):
            query = replace(query, record=_record(word, place))
        else:
            free += _unquoted(word).split()
    return replace(query, text=" ".join(free))


def _words(text: str) -> list[str]:
    """Split at spaces outside of quotes; the quotes stay."""
    if _WORD.sub("", text).strip():
        raise QueryError('a quote (") is not closed')
    return [one[0] for one in _WORD.finditer(text)]


def _unquoted(text: str) -> str:
    return _QUOTED.sub(lambda one: re.sub(r"\\(.)", r"\1", one[1], flags=re.DOTALL), text)


def _with(query: Query, key: str, sign: str, value: str, now_ms: int) -> Query:
    if key == "cost":
        return _cost(query, sign, value)
    if key in ("duration", "min", "max") and sign != "=":
        if key != "duration":
            raise QueryError(f"{key}{sign}{value}: write {key}={value}")
        bound = "min_ms" if sign.startswith(">") else "max_ms"
        return replace(query, **{bound: _bound(sign, _milliseconds(key, value))})  # type: ignore[arg-type]
    if sign != "=":
        raise QueryError(f"{key}{sign}{value}: only cost and duration can be compared; write {key}={value}")
    if key in _TEXT_KEYS:
        name = _TEXT_KEYS[key]
        if name == "status" and value not in STATUSES:
            raise QueryError(f"status={value}: there are {', '.join(STATUSES)}")
        return replace(query, **{name: value})  # type: ignore[arg-type]
    if key in _READ:
        return _READ[key](query, value, now_ms)
    return replace(query, attributes=(*query.attributes, (key, value)))


def _cost(query: Query, sign: str, value: str) -> Query:
    told = _DOLLARS.fullmatch(value)
    if told is None:
        raise QueryError(f"cost{sign}{value}: write dollars, as in cost>=$0.01")
    nanousd = Decimal(told[1]) * NANOUSD
    if sign == "=":
        return replace(query, min_nanousd=_bound(">=", nanousd), max_nanousd=_bound("<=", nanousd))
    return replace(query, **{"min_nanousd" if sign[0] == ">" else "max_nanousd": _bound(sign, nanousd)})  # type: ignore[arg-type]


def _bound(sign: str, value: Decimal) -> int:
    """The last whole number that a comparison lets through, at most the greatest that SQLite knows."""
    below, above = math.floor(value), math.ceil(value)
    return min(INT64, {">": below + 1, ">=": above, "<": above - 1, "<=": below}[sign])


def _milliseconds(key: str, value: str) -> Decimal:
    told = _SPAN.fullmatch(value)
    if told is None:
        raise QueryError(f"{key}={value}: write a number with its unit, us, ms, s, m, h or d, as in {key}=2s")
    return Decimal(told[1]) * _UNITS_MS[told[2]]


def _instant(key: str, value: str, now_ms: int) -> int:
    if _SPAN.fullmatch(value):
        return now_ms - min(int(_milliseconds(key, value)), now_ms)
    try:
        moment = datetime.fromisoformat(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MS
    except (ValueError, OverflowError):
        raise QueryError(
            f"{key}={value}: write how long ago, as in {key}=1h, or a UTC instant, 2026-11-22T12:00"
        ) from None


def _trace(query: Query, value: str, _: int) -> Query:
    if _TRACE.fullmatch(value) is None:
        raise QueryError(f"trace={value}: a trace id has 32 hex digits")
    return replace(query, trace_id=value.lower())


def _where(query: Query, value: str, _: int) -> Query:
    place = _RECORD.fullmatch(value)
    if place is None:
        raise QueryError(f"record={value}: write TOPIC/PARTITION/OFFSET")
    return replace(query, record=_record(value, place))


def _record(word: str, place: "re.Match[str]") -> tuple[str, int, int]:
    topic, partition, offset = place[1], int(place[2]), int(place[3])
    if partition >= 2**31 or offset > INT64:
        raise QueryError(f"{word}: a partition is below {2**31}, an offset at most {INT64}")
    return topic, partition, offset


_READ: dict[str, Callable[[Query, str, int], Query]] = {
    "trace": _trace,
    "record": _where,
    "min": lambda query, value, _: replace(query, min_ms=_bound(">=", _milliseconds("min", value))),
    "max": lambda query, value, _: replace(query, max_ms=_bound("<=", _milliseconds("max", value))),
    "since": lambda query, value, now_ms: replace(query, since_ms=_instant("since", value, now_ms)),
    "until": lambda query, value, now_ms: replace(query, until_ms=_instant("until", value, now_ms)),
}


def _iso(since_1970_ms: int) -> str:
    try:
        return (_EPOCH + since_1970_ms * _MS).isoformat(timespec="milliseconds")
    except OverflowError:
        return "9999-12-31T00:00:00.000+00:00"


def _quoted(value: str, *, bare: bool = False) -> str:
    """As `parse` reads it as this text and nothing else. `bare`: a word that must not be taken for an id or a pair."""
    meant = _TRACE.fullmatch(value) or _RECORD.fullmatch(value) if bare else None
    if not meant and re.fullmatch(r'[^\s"=<>]+' if bare else r'[^\s"]+', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
