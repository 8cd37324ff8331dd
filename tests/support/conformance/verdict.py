"""What a record came to, and the table of all."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conformance_reasons import REASONS

STATES = ("equal", "explained", "understood", "classified", "different")


@dataclass
class Verdict:
    """What one record came to, part by part; `*_why` says why a part was skipped, or in what it differs."""

    id: str
    provider: str
    task: str
    request: str = "skipped"
    """equal, explained, different, skipped."""
    request_why: str = ""
    reasons: tuple[str, ...] = ()
    answer: str = "skipped"
    """understood, different, skipped."""
    answer_why: str = ""
    refusal: str = "skipped"
    """classified, different, skipped."""
    refusal_why: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def states(self) -> tuple[str, str, str]:
        return self.request, self.answer, self.refusal

    @property
    def unexplained(self) -> list[str]:
        """What makes the exit code 1."""
        parts = (("request", self.request, self.request_why), ("answer", self.answer, self.answer_why),
                 ("refusal", self.refusal, self.refusal_why))  # fmt: skip
        return [f"{name}: {why}" for name, state, why in parts if state == "different"]


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """A line for each provider and task: how many calls, what they came to."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        row = rows[verdict.provider, verdict.task]
        row["calls"] += 1
        row.update(state for state in verdict.states if state != "skipped")
        row["skipped"] += set(verdict.states) == {"skipped"}
    columns = ("calls", *STATES, "skipped")
    lines = [f"{'provider':20}{'task':32}" + "".join(f"{name:>12}" for name in columns)]
    whole: Counter[str] = Counter()
    for (provider, task), row in sorted(rows.items()):
        lines.append(f"{provider:20}{task:32}" + "".join(f"{row[name] or '':>12}" for name in columns))
        whole.update(row)
    return [*lines, f"{'all':52}" + "".join(f"{whole[name]:>12}" for name in columns)]


def reasons(verdicts: Sequence[Verdict]) -> list[str]:
    """Why parts were skipped, why requests differ, what was put in the place of what is lost."""
    skipped: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.request == "skipped" and verdict.request_why:
            skipped[f"request: {verdict.request_why.partition(':')[0]}"] += 1
        if verdict.answer == verdict.refusal == "skipped" and verdict.answer_why:
            skipped[f"answer: {verdict.answer_why.partition(':')[0]}"] += 1
    used = Counter(name for verdict in verdicts for name in verdict.reasons)
    notes = Counter(note for verdict in verdicts for note in verdict.notes)
    return [
        *(f"skipped   {count:5}  {why}" for why, count in sorted(skipped.items())),
        *(f"explained {used[one.name]:5}  {one.name}: {one.why}" for one in REASONS if used[one.name]),
        *(f"noted     {count:5}  {note}" for note, count in sorted(notes.items())),
    ]


def unexplained(verdicts: Sequence[Verdict]) -> list[str]:
    """A line for each difference that nobody has a reason for."""
    return [f"{one.id} {one.provider} {one.task}: {line}" for one in verdicts for line in one.unexplained]
