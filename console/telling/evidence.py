"""What is known of one job. Values only; `gather.py` finds them on the topics, `indexed.py` in the explorer's index."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from console.words import shown
from schemas.job import InferenceJob

LONGEST_SHOWN = 2_000
"""Characters of one text in the JSON form: nothing of ours is longer, but a stranger's header may be."""
SKEW_MS = 60_000
"""Clocks of two machines may differ by so much before a search by time misses."""
LONG_MS = 15 * 60_000
"""Of a longer way only the beginning and the end are looked at."""
EITHER_END_MS = 120_000
MOST_WAYS = 4
"""Of the newest so many submissions."""
TOLD_LATE_MS = 1_000
"""After a job's end, of a breaker that it may have opened itself."""
Window = tuple[int, int | None]
ASKED = tuple(name for name in InferenceJob.model_fields if name not in ("input", "schema_version"))
"""What of a job's own record is shown: everything but its content."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The job's own record."""

    partition: int
    offset: int
    timestamp_ms: int
    size_bytes: int
    job: dict[str, Any]
    """What it asks; `input` is never shown. Empty where only its place is known."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A copy that was set aside, with its reason; never its content."""

    partition: int
    offset: int
    timestamp_ms: int
    message: str
    from_topic: str
    has_result: bool


@dataclass(frozen=True, slots=True)
class Deed:
    """One audit entry, and the batch of its lane's chain that holds it."""

    at_ms: int
    action: str
    detail: dict[str, Any]
    lane: str
    sequence: int
    partition: int
    offset: int
    submission: int | None = None
    """None: nobody says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How one reservation ended, as the ledger tells it."""

    partition: int
    offset: int
    kind: str
    """`settle` or `release`."""
    nanousd: int
    """What was spent."""
    ambiguous_nanousd: int
    """Of it: for calls that may have been paid without an answer."""
    submission: int = 1
    by: str = ""
    """Who wrote it, if that was an operator."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One span of its trace: a length of time with a name."""

    name: str
    start_ms: float
    end_ms: float
    error: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def length_ms(self) -> float:
        """At least 0."""
        return max(0.0, self.end_ms - self.start_ms)


@dataclass(frozen=True, slots=True)
class Parked:
    """A record of it in a retry topic."""

    topic: str
    partition: int
    offset: int
    since_ms: int | None
    until_ms: int | None
    cause: str
    submission: int = 1


@dataclass(slots=True)
class Evidence:
    """All that was found of (tenant, job_id). Decisions and results in the order of their submissions."""

    tenant: str
    job_id: str
    arrival: Arrival | None = None
    decisions: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    """By their time."""
    ledger: list[Entry] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    breakers: list[dict[str, Any]] = field(default_factory=list)
    """`schemas.breakers.BreakerState` of the providers it was for, the newest of each up to its end."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    """`schemas.alerts.Alert` of its tenant or providers, told while it was on its way."""
    wishes: list[dict[str, Any]] = field(default_factory=list)
    """`schemas.control.ControlEvent` about it."""
    places: dict[str, str] = field(default_factory=dict)
    """Where `decision/1`, `result/1` ... lie: topic/partition/offset."""
    written_ms: dict[int, int] = field(default_factory=dict)
    """When the record of each submission's result was written, in milliseconds since 1970."""
    cut: bool = False
    """The topics go further back than was looked."""

    @property
    def submissions(self) -> list[int]:
        """The numbers of which something is known."""
        return sorted({submission_of(told) for told in (*self.decisions, *self.results)})

    def decision(self, submission: int) -> dict[str, Any] | None:
        """What was decided about it."""
        return next((one for one in self.decisions if submission_of(one) == submission), None)

    def result(self, submission: int) -> dict[str, Any] | None:
        """How it ended."""
        return next((one for one in self.results if submission_of(one) == submission), None)

    def deeds_of(self, submission: int) -> list[Deed]:
        """The audit's entries about it; those that name no submission count for each."""
        return [deed for deed in self.deeds if deed.submission in (None, submission)]


def as_json(found: Evidence) -> dict[str, Any]:
    """The evidence as one document, fit for a terminal: without the job's input and the results' outputs."""
    document = asdict(found)
    if found.arrival is not None:
        document["arrival"]["job"] = {name: found.arrival.job[name] for name in ASKED if name in found.arrival.job}
    document["results"] = [{name: value for name, value in one.items() if name != "output"} for one in found.results]
    safe: dict[str, Any] = _safe(document)
    return safe


def shortened(found: Evidence) -> Evidence:
    """The same with no text that is longer than anything of ours: a stranger's may have a million characters."""
    names = {name: _short(getattr(found, name)) for name in ("tenant", "job_id", "decisions", "results", "breakers")}
    names |= {name: _short(getattr(found, name)) for name in ("alerts", "wishes", "places")}
    arrival = found.arrival
    return replace(
        found,
        **names,
        arrival=None if arrival is None else replace(arrival, job=_short(arrival.job)),
        dead_letters=[
            replace(one, message=_short(one.message), from_topic=_short(one.from_topic)) for one in found.dead_letters
        ],
        deeds=[
            replace(one, action=_short(one.action), lane=_short(one.lane), detail=_short(one.detail))
            for one in found.deeds
        ],
        parked=[replace(one, cause=_short(one.cause)) for one in found.parked],
    )


def _short(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]} ..."
        case dict():
            return {_short(name): _short(one) for name, one in value.items()}
        case list():
            return [_short(one) for one in value]
    return value


def _safe(value: Any) -> Any:
    """Short texts without control characters."""
    match value:
        case str():
            return shown(_short(value))
        case dict():
            return {_safe(str(name)): _safe(one) for name, one in value.items()}
        case list() | tuple():
            return [_safe(one) for one in value]
    return value


def submission_of(told: Mapping[str, Any]) -> int:
    """Which submission a decision or a result is about."""
    number = told.get("submission", 1)
    return number if isinstance(number, int) else 1


def milliseconds(instant: Any) -> int | None:
    """An instant as records write it, in milliseconds since 1970; None for what is none."""
    try:
        return int(datetime.fromisoformat(instant).timestamp() * 1_000)
    except (TypeError, ValueError, OverflowError):
        return None


def began(result: Mapping[str, Any]) -> int | None:
    """When its submission was published by our own clocks, in ms: a producer's clock may be ahead."""
    timing, received = mapping(result.get("timing_ms")), mapping(result.get("received"))
    completed, moments = milliseconds(result.get("completed_at")), list[int]()
    if completed is not None:
        parts = sum(number(timing.get(name)) for name in ("queued", "routed", "waiting", "calling"))
        moments.append(completed - max(number(timing.get("total")), parts))
    if isinstance(received.get("timestamp_ms"), int):
        moments.append(received["timestamp_ms"])
    moments += [at for one in dicts(result.get("attempts")) if (at := milliseconds(one.get("started_at"))) is not None]
    return min(moments, default=None)


def ways_of(found: Evidence) -> list[Window]:
    """When each of the newest submissions was on its way; None: it still is."""
    ways: list[Window] = []
    for submission in found.submissions[-MOST_WAYS:]:
        decision, result = found.decision(submission), found.result(submission)
        starts = [] if decision is None else [milliseconds(decision.get("decided_at"))]
        ended: int | None = None
        if result is not None:
            starts.append(began(result))
            ended = milliseconds(result.get("completed_at"))
        known = [at for at in starts if at is not None]
        if not known:
            continue
        start = min(known)
        if ended is not None and ended - start > LONG_MS:
            ways += [(start, start + EITHER_END_MS), (ended - EITHER_END_MS, ended)]
        else:
            ways.append((start, ended))
    if not ways and found.arrival is not None:
        ways.append((found.arrival.timestamp_ms, None))
    return ways


def until_of(ways: list[Window]) -> int | None:
    """When the last of them ended; None: not yet, or nobody knows."""
    ends = [end for _, end in ways]
    return max((end for end in ends if end is not None), default=None) if None not in ends else None


def providers_of(found: Evidence) -> list[str]:
    """`provider/model` of everybody that was called, or might have been."""
    return list(
        dict.fromkeys(
            f"{one.get('provider')}/{one.get('model')}"
            for told in (*found.results, *found.decisions)
            for one in (*dicts(told.get("attempts")), *dicts(told.get("candidates")), *dicts(told.get("exclusions")))
            if told.get("attempts") or one.get("reason") in (None, "breaker_open")
        )
    )


def is_about(alert: Mapping[str, Any], tenant: str, providers: list[str]) -> bool:
    """Whether an alert speaks of that tenant, or of one of these providers."""
    return alert.get("tenant") == tenant or alert.get("subject") in providers


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Any) -> int:
    """A whole number; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def whole(value: Any) -> int | None:
    """A whole number from 0 on; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}
