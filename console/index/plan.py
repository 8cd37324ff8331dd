"""A query as SQL: its conditions, and which table is asked first. Pure."""

from dataclasses import dataclass, field
from typing import Any

from console.index.postings import LINK, number_of
from console.index.query import Query
from console.index.record import TOPIC_NUMBERS

SELECTIVE = 3_000
"""Jobs that a condition may find at most for its own index to be asked first; otherwise the newest jobs are looked at
one after the other, which is as fast where every tenth fits."""
NEWEST_FIRST = "j.at_ms DESC, j.tenant, j.job_id, j.submission"
SEARCHED = ("j.job_id", "j.model", "j.asked_model", "j.task", "j.tenant", "j.provider", "j.error_kind")
"""Where a free word may stand."""
_EXACT = ("tenant", "team", "provider", "task", "status", "error_kind", "job_id")
_BOUNDS = (
    ("min_ms", "j.total_ms >= ?"),
    ("max_ms", "j.total_ms <= ?"),
    ("min_nanousd", "j.cost_nanousd >= ?"),
    ("max_nanousd", "j.cost_nanousd <= ?"),
    ("since_ms", "j.at_ms >= ?"),
    ("until_ms", "j.at_ms < ?"),
)


@dataclass(slots=True)
class Plan:
    """`SELECT ... {source} WHERE {where}` with its values."""

    source: str = "FROM job j"
    conditions: list[str] = field(default_factory=lambda: ["j.level > 0"])
    source_values: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def also(self, condition: str, *values: Any) -> None:
        """One condition more."""
        self.conditions.append(condition)
        self.values += values

    @property
    def sql(self) -> str:
        """From `FROM` on."""
        return f"{self.source} WHERE {' AND '.join(self.conditions)}"

    @property
    def all_values(self) -> list[Any]:
        """In the order of their marks."""
        return [*self.source_values, *self.values]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that is asked for: how many jobs have it, as far as that was counted; traces that are no job's."""

    number: int
    jobs: int
    traces: tuple[str, ...] = ()


def plan_of(query: Query, attributes: list[Attribute], *, long_ones: int | None = None) -> Plan:
    """The plan for a query.

    `long_ones`: how many jobs are as long as it wants, counted up to `SELECTIVE`; None: it does not say how long.
    """
    plan = Plan()
    first = _source(plan, query, attributes, long_ones)
    for one in attributes:
        if one is not first:
            _attribute(plan, one)
    if query.trace_id:
        # Jobs of a batch, or driven again, have traces of their own, which link to the one that their producer told.
        linking = "j.id IN (SELECT job FROM posting WHERE attribute = ?)"
        plan.also(f"(j.trace_id = ? OR {linking})", query.trace_id, number_of(LINK, query.trace_id))
    for name in _EXACT:
        if value := getattr(query, name):
            plan.also(f"j.{name} = ?", value)
    if query.model:
        plan.also("(j.model = ? OR j.asked_model = ?)", query.model, query.model)
    for name, condition in _BOUNDS:
        if (value := getattr(query, name)) is not None:
            # `+`: that index is asked where `_source` says so, and nowhere else.
            by_duration = "BY job_by_duration" in plan.source
            plan.also(condition if by_duration else condition.replace("j.total_ms", "+j.total_ms"), value)
    for word in query.text.split():
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        anywhere = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in SEARCHED)
        plan.also(f"({anywhere})", *[f"%{escaped}%"] * len(SEARCHED))
    return plan


def _source(plan: Plan, query: Query, attributes: list[Attribute], long_ones: int | None) -> Attribute | None:
    """Choose which table is asked first; the attribute that is, if one is."""
    if query.record is not None:
        topic, partition, offset = query.record
        plan.source = (
            "FROM (SELECT DISTINCT job >> 20 AS identity FROM record WHERE topic = ? AND partition = ? AND offset = ?) "
            "r CROSS JOIN job j ON j.id >= r.identity << 20 AND j.id < (r.identity + 1) << 20"
        )
        plan.source_values += [TOPIC_NUMBERS.get(topic, -1), partition, offset]
        return None
    if query.job_id or query.trace_id:
        return None  # each has an index, and leaves little
    first = min((one for one in attributes if not one.traces and one.jobs <= SELECTIVE), key=_jobs, default=None)
    if first is not None:
        plan.source = "FROM posting p CROSS JOIN job j ON j.id = p.job"
        plan.also("p.attribute = ?", first.number)
    elif long_ones is not None and long_ones < SELECTIVE:
        plan.source = "FROM job j INDEXED BY job_by_duration"
    return first


def _jobs(one: Attribute) -> int:
    return one.jobs


def _attribute(plan: Plan, one: Attribute) -> None:
    told = "EXISTS (SELECT 1 FROM posting q WHERE q.attribute = ? AND q.job = j.id)"
    if not one.traces:
        plan.also(told, one.number)
    else:
        plan.also(f"({told} OR j.trace_id IN ({', '.join('?' * len(one.traces))}))", one.number, *one.traces)
