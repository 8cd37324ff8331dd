"""What a job's page says of one submission, out of what the index has. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.pages.queues import dicts
from console.pages.waterfall import Waterfall
from console.telling import tell
from console.telling.advice import command_of, next_steps
from console.telling.decided import who_is_out
from console.telling.ended import SOURCES as PAID_BY
from console.telling.evidence import number
from console.telling.indexed import evidence_from_index
from console.telling.story import slowest
from router.words import BOUND

Row = dict[str, Any]
MOST_LISTED = 300
"""Attempts, candidates, exclusions, money and audit entries, of each so many: a stranger may write thousands."""
MOST_RECORDS = 100
"""Each with its headers."""
MOST_SUBMISSIONS = 20
"""On one page, the newest."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One submission as its page shows it."""

    job: Row
    waterfall: Waterfall
    words: list[str]
    """The story, as `novix why` tells it."""
    slow: str | None
    """What took the most of its time; None where nothing did, or it was short."""
    next: list[str]
    """What to do next; of the newest submission alone."""
    prove: str
    """The command that proves its audit entries."""
    records: list[Row]
    money: list[Row]
    audit: list[Row]
    traces: list[str]
    """Other traces that its spans are linked with."""
    span_ids: frozenset[str]
    """Of its waterfall: what a link may lead to on this page."""

    @property
    def result(self) -> Row:
        """The terminal result; empty while there is none."""
        return _object(self.job.get("result"))

    @property
    def decision(self) -> Row:
        """The router's decision; empty before it."""
        return _object(self.job.get("decision"))

    @property
    def error(self) -> Row:
        """Why there is no output; empty where there is one, or no end."""
        return _object(self.result.get("error"))

    @property
    def how_paid(self) -> str:
        """What stands under its cost: where the amount comes from, and whether it is certain."""
        if not self.result:
            return "paid so far"
        if number(_object(self.result.get("money")).get("ambiguous_nanousd")):
            return "at most: a call may have been charged"
        source = self.result.get("cost_source")
        return f"paid: {PAID_BY[source]}" if isinstance(source, str) and source in PAID_BY else "paid"

    @property
    def bound(self) -> str:
        """What held its output down to its `max_tokens`, in words."""
        return BOUND.get(str(self.decision.get("bound_by")), "")

    @property
    def attempts(self) -> list[Row]:
        """The calls that were made."""
        return dicts(self.result.get("attempts"))

    @property
    def candidates(self) -> list[Row]:
        """Who might have done it, in the order of preference."""
        return dicts(self.decision.get("candidates"))

    @property
    def exclusions(self) -> list[Row]:
        """Who might not, and why; `who` in words."""
        return [{**one, "who": who_is_out(one)} for one in dicts(self.decision.get("exclusions"))]

    @property
    def budgets(self) -> list[Row]:
        """Whose money it was, as it stood before."""
        return dicts(self.reserve.get("budgets"))

    @property
    def reserve(self) -> Row:
        """What it might spend; empty where nothing was reserved."""
        return _object(self.decision.get("reserve"))


def shown(job: Row, waterfall: Waterfall, found: Mapping[str, Sequence[Row]], *, newest: bool) -> Shown:
    """One submission of `found`; rows that name no submission belong to all of them."""

    left_out = dict(job.get("left_out") or {})

    def own(name: str) -> list[Row]:
        rows = [row for row in found[name] if row.get("submission") in (None, job["submission"])]
        most = MOST_RECORDS if name == "records" else MOST_LISTED
        if len(rows) > most:
            left_out[name] = len(rows) - most
        return rows[:most]

    records, money, audit = own("records"), own("money"), own("audit")
    spans = [bar.span for bar in waterfall.bars if bar.span is not None]
    evidence = evidence_from_index([job], money, audit, records, spans, found["breakers"], found["alerts"])
    linked = {link["trace_id"] for span in spans for link in span.get("links") or ()} - {job["trace_id"]}
    return Shown(
        {**job, "left_out": left_out},
        waterfall,
        tell(evidence, everything=True),
        slowest(evidence, job["submission"]),
        next_steps(evidence) if newest else [],
        command_of(evidence, "audit prove"),
        records,
        money,
        [{**entry, "detail": _said(entry["detail"])} for entry in audit],
        sorted(linked),
        frozenset(span["span_id"] for span in spans),
    )


def cut(job: Row) -> Row:
    """A row of the index, of each list in its decision and result `MOST_LISTED` at most; `left_out` says of which there
    are more, and how many."""
    left_out: dict[str, int] = {}
    told = {name: _shortened(job.get(name), left_out) for name in ("decision", "result")}
    return {**job, **told, "left_out": left_out}


def _shortened(value: Any, left_out: dict[str, int], name: str = "") -> Any:
    if isinstance(value, dict):
        return {name: one if name == "output" else _shortened(one, left_out, str(name)) for name, one in value.items()}
    if isinstance(value, list) and len(value) > MOST_LISTED:
        left_out[name] = left_out.get(name, 0) + len(value) - MOST_LISTED
        return value[:MOST_LISTED]
    return value


def _said(detail: Any) -> Any:
    """Without what an entry leaves open."""
    return {name: value for name, value in detail.items() if value is not None} if isinstance(detail, dict) else detail


def _object(value: Any) -> Row:
    return value if isinstance(value, dict) else {}
