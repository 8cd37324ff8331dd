"""What a job's page says of one submission, out of what the index has. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.pages.queues import dicts
from console.pages.waterfall import Waterfall
from console.telling import tell
from console.telling.advice import command_of, next_steps
from console.telling.indexed import evidence_from_index

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """One submission as its page shows it."""

    job: Row
    waterfall: Waterfall
    words: list[str]
    """The story, as `novix why` tells it."""
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
    def attempts(self) -> list[Row]:
        """The calls that were made."""
        return dicts(self.result.get("attempts"))

    @property
    def candidates(self) -> list[Row]:
        """Who might have done it, in the order of preference."""
        return dicts(self.decision.get("candidates"))

    @property
    def exclusions(self) -> list[Row]:
        """Who might not, and why."""
        return dicts(self.decision.get("exclusions"))

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

    def own(name: str) -> list[Row]:
        return [row for row in found[name] if row.get("submission") in (None, job["submission"])]

    records, money, audit = own("records"), own("money"), own("audit")
    spans = [bar.span for bar in waterfall.bars if bar.span is not None]
    evidence = evidence_from_index([job], money, audit, records, spans)
    linked = {link["trace_id"] for span in spans for link in span.get("links") or ()} - {job["trace_id"]}
    return Shown(
        job,
        waterfall,
        tell(evidence, everything=True),
        next_steps(evidence) if newest else [],
        command_of(evidence, "audit prove"),
        records,
        money,
        [{**entry, "detail": _said(entry["detail"])} for entry in audit],
        sorted(linked),
        frozenset(span["span_id"] for span in spans),
    )


def _said(detail: Any) -> Any:
    """Without what an entry leaves open."""
    return {name: value for name, value in detail.items() if value is not None} if isinstance(detail, dict) else detail


def _object(value: Any) -> Row:
    return value if isinstance(value, dict) else {}
