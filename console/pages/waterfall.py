"""A job's time as bars: where it waited, who worked on it, what each call cost. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from console.pages import queues
from console.pages.queues import own_of
from console.words import span as in_words
from runtime import telemetry

Kind = Literal["queue", "retry", "route", "work", "wait", "call", "attempt", "commit"]
LEAST_LABELLED_MS = 0.5
LONGEST_MS = 1e12
"""Of a call that is told, 30 years; a longer one is nonsense."""
WAITED_FOR = {
    "slot": "a free slot",
    "breaker": "the open breaker",
    "retry": "the next attempt",
    "budget": "the retry budget",
    "suspect": "a suspect call",
    "intent": "the note of a call",
    "ready": "what the call needs",
}
"""In words, the waits of a worker's spans `wait NAME`."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time. Starts and lengths in milliseconds; the waterfall's start is 0."""

    label: str
    kind: Kind
    start_ms: float
    length_ms: float
    depth: int = 0
    note: str = ""
    failed: bool = False
    key: str = ""
    """A name for links: a span's id, `queue-1`, `attempt-2`."""
    parent: str = ""
    """The key of the bar that this one lies in; empty for a stage of the pipeline."""
    nanousd: int | None = None
    tokens: str = ""
    span: Mapping[str, Any] | None = None
    """The span that it shows."""


@dataclass(frozen=True, slots=True)
class Node:
    """A bar and what lies in it."""

    bar: Bar
    inside: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Bars in the order of their start, and how long everything took."""

    total_ms: float
    bars: list[Bar]
    left_out: int = 0
    """Bars beyond the most that are shown."""

    @property
    def ticks(self) -> list[float]:
        """Some round instants for a ruler: 1, 2 or 5 times a power of ten, at most eight of them."""
        steps = (factor * 10.0**power for power in range(-3, 20) for factor in (1, 2, 5))
        step = next(step for step in steps if self.total_ms / step <= 8)
        return [step * place for place in range(int(self.total_ms / step) + 1)]

    @property
    def tree(self) -> list[Node]:
        """The same bars, each inside its parent; one whose parent is missing, or is its own, stands outside."""
        nodes = {bar.key: Node(bar) for bar in self.bars}
        roots: list[Node] = []
        for bar in self.bars:
            above = nodes.get(bar.parent) if bar.depth else None
            (roots if above is None or above.bar.depth >= bar.depth else above.inside).append(nodes[bar.key])
        return roots

    @property
    def linked_from(self) -> dict[str, list[str]]:
        """For each span that others of these link to, their keys."""
        found: dict[str, list[str]] = {}
        for bar in self.bars:
            for link in bar.span.get("links") or () if bar.span else ():
                if bar.span and link["trace_id"] == bar.span["trace_id"]:
                    found.setdefault(link["span_id"], []).append(bar.key)
        return found

    @property
    def waited_ms(self) -> float:
        """Time in queues, retry topics and waits of the worker: as much of it as passed, where they overlap once."""
        kinds = ("queue", "retry", "wait")
        return _covered((bar.start_ms, bar.start_ms + bar.length_ms) for bar in self.bars if bar.kind in kinds)

    @property
    def called_ms(self) -> float:
        """Time in attempts."""
        return _covered((bar.start_ms, bar.start_ms + bar.length_ms) for bar in self.bars if bar.kind == "attempt")


def of_job(
    job: Mapping[str, Any],
    spans: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]] = (),
    most: int = 300,
) -> Waterfall:
    """The waterfall of one submission, a row of the index, from its own spans of a trace that others may share.

    `records` are the job's own, as `Index.records` gives them: they tell when it lay in which topic. Where spans were
    not sampled, the result's own times stand in for them.
    """
    ours = own_of(spans, job)
    bars = [_bar(row, ours) for row in ours.values()]
    if not any(bar.kind == "attempt" for bar in bars):
        attempts = queues.dicts(queues.fields(job.get("result")).get("attempts"))
        bars += [_attempt(place, attempt) for place, attempt in enumerate(attempts, 1)]
    begun = {
        "job": sorted(bar.start_ms for bar in bars),
        "assigned": sorted(bar.start_ms for bar in bars if bar.kind not in ("route", "retry", "commit")),
    }
    waits = queues.waits_of(job, ours, begun, records)
    bars += [
        Bar(one.label, one.kind, one.start_ms, max(0.0, one.end_ms - one.start_ms), key=f"{one.kind}-{place}")
        for place, one in enumerate(waits, 1)
    ]
    return _settled([_in_its_stay(bar, bars) for bar in bars], most)


def of_trace(spans: Sequence[Mapping[str, Any]], most: int = 300) -> Waterfall:
    """Every span of a trace, whatever it belongs to."""
    rows = {row["span_id"]: row for row in spans}
    return _settled([_bar(row, rows) for row in rows.values()], most)


def _in_its_stay(bar: Bar, bars: Sequence[Bar]) -> Bar:
    """The span of a retry lane lies within the stay in its topic, where that is known."""
    if bar.kind != "retry" or bar.span is None:
        return bar
    middle = bar.start_ms + bar.length_ms / 2
    around = (
        one for one in bars if one.kind == "retry" and one.span is None
        and one.start_ms <= middle <= one.start_ms + one.length_ms
    )  # fmt: skip
    stay = next(around, None)
    return bar if stay is None else replace(bar, depth=1, parent=stay.key, label="held by the retry lane")


def _bar(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Bar:
    told = row["attributes"]
    start, end = row["start_ns"] / 1e6, row["end_ns"] / 1e6
    kind, depth = _kind(row), _depth(row, rows)
    cost = told.get(telemetry.COST)
    return Bar(
        _label(row, kind),
        kind,
        start,
        max(0.0, end - start),
        depth,
        _note(row),
        bool(row["error"]),
        key=row["span_id"],
        parent=str(row["parent_id"] or "") if depth else "",
        nanousd=cost if isinstance(cost, int) and not isinstance(cost, bool) else None,
        tokens=_tokens(told),
        span=row,
    )


def _kind(row: Mapping[str, Any]) -> Kind:
    told = row["attributes"]
    topic = str(told.get(telemetry.DESTINATION, ""))
    if told.get(telemetry.OPERATION) == "process":
        return "route" if topic.startswith("inference.jobs.") else "retry" if ".retry." in topic else "work"
    if row["name"].startswith("wait "):
        return "wait"
    if telemetry.HTTP_METHOD in told:
        return "attempt"
    if row["name"].startswith(("commit ", "send ")):
        return "commit"
    return "call" if telemetry.GEN_AI_OPERATION in told else "work"


def _label(row: Mapping[str, Any], kind: Kind) -> str:
    told, name = row["attributes"], str(row["name"])
    if kind == "route":
        return "router"
    if kind == "attempt" and telemetry.ATTEMPT in told:
        return f"attempt {told[telemetry.ATTEMPT]}"
    if kind == "wait":
        waited_for = name.removeprefix("wait ")
        return f"waits for {WAITED_FOR.get(waited_for, waited_for)}"
    if kind == "work" and telemetry.JOB_ID in told:
        return f"worker, {str(told.get(telemetry.DESTINATION, '')).removeprefix('inference.').removesuffix('.v1')}"
    return name


def _note(row: Mapping[str, Any]) -> str:
    told = row["attributes"]
    status = told.get(telemetry.HTTP_STATUS)
    notes = [f"HTTP {status}"] if isinstance(status, int) else []
    return ", ".join([*notes, *([str(row["error"])] if row["error"] else [])])


def _tokens(told: Mapping[str, Any]) -> str:
    into, out = told.get(telemetry.GEN_AI_INPUT_TOKENS), told.get(telemetry.GEN_AI_OUTPUT_TOKENS)
    parts = [f"{into:,} in" if isinstance(into, int) else "", f"{out:,} out" if isinstance(out, int) else ""]
    return ", ".join(filter(None, parts))


def _depth(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> int:
    """Steps up to a consumer's span or to a parent that we do not have; each stage of the pipeline begins anew."""
    depth = 0
    while depth < 8 and row["parent_id"] in rows and row["attributes"].get(telemetry.OPERATION) != "process":
        row, depth = rows[row["parent_id"]], depth + 1
    return depth


def _attempt(place: int, attempt: Mapping[str, Any]) -> Bar:
    start, kind = queues.milliseconds(attempt.get("started_at")) or 0.0, attempt.get("kind")
    notes = [f"HTTP {attempt['upstream_status']}"] if attempt.get("upstream_status") else []
    cost, length = attempt.get("cost_nanousd"), attempt.get("duration_ms")
    return Bar(
        f"attempt {attempt.get('attempt')}",
        "attempt",
        start,
        float(length) if isinstance(length, int | float) and 0 <= length < LONGEST_MS else 0.0,
        note=", ".join([*notes, *([str(kind)] if kind else [])]),
        failed=kind is not None,
        key=f"attempt-{place}",
        nanousd=cost if isinstance(cost, int) else None,
    )


def took(length_ms: float) -> str:
    """A length with a tenth of a millisecond where that counts."""
    if 0 < length_ms < 0.1:
        return "< 0.1 ms"
    return f"{length_ms:.1f} ms" if length_ms < 10 and length_ms != int(length_ms) else in_words(length_ms)


def _settled(bars: list[Bar], most: int) -> Waterfall:
    """Sorted, from zero, without waits too short to see."""
    kept = [bar for bar in bars if bar.span is not None or bar.kind == "attempt" or bar.length_ms >= LEAST_LABELLED_MS]
    if not kept:
        return Waterfall(0.0, [])
    zero = min(bar.start_ms for bar in kept)
    total = max(bar.start_ms + bar.length_ms for bar in kept) - zero
    moved = [
        replace(bar, start_ms=bar.start_ms - zero, note=", ".join(filter(None, (took(bar.length_ms), bar.note))))
        for bar in kept
    ]
    ordered = sorted(moved, key=lambda bar: (bar.start_ms, bar.kind == "commit", bar.depth, -bar.length_ms))
    return Waterfall(max(total, 0.001), ordered[:most], max(0, len(ordered) - most))


def _covered(stretches: Iterator[tuple[float, float]]) -> float:
    """The length of what they cover together."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(stretches):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
