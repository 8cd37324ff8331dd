"""Topics, partitions and groups as one table: how fast, how far behind, what is in flight. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from console.live.rates import Place, Rates
from console.report import lanes_in
from runtime.survey import Group, Survey
from schemas.topics import (
    JOBS,
    MODALITY_TOPICS,
    RETRY_TIERS,
    ROUTER_GROUP,
    TOPICS,
    retry_group,
    worker_group,
)

LANE_GROUPS: dict[str, str] = {
    JOBS.name: ROUTER_GROUP,
    **{topic.name: worker_group(name) for name, topic in MODALITY_TOPICS.items()},
    **{tier.name: retry_group(tier) for _, tier in RETRY_TIERS},
}
"""Which group works on a topic's records; the others are read by whoever wants, or by no group."""
COUNTED_OFFSETS = 100
"""A lag up to this is counted record by record; beyond it, some marks of transactions do not matter."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition now."""

    number: int
    end: int
    per_s: float | None
    lag: int | None
    """What its group has still to commit; None: no group works on it, or it never committed."""
    lag_is_exact: bool
    """It counts records; otherwise offsets, among which are marks of transactions."""
    in_flight: int | None
    """Records that its lane has admitted and not settled; None: no process tells."""
    oldest_s: float | None
    """Age of the oldest of them."""
    state: str
    """Of its lane, as its process tells; empty: no process does."""
    reason: str


@dataclass(frozen=True, slots=True)
class TopicNow:
    """One topic now; sums over its partitions."""

    name: str
    group: str | None
    partitions: tuple[Partition, ...]
    course: tuple[float, ...]
    """Its rate over the window, for a sparkline."""

    @property
    def per_s(self) -> float | None:
        """Records a second."""
        known = [one.per_s for one in self.partitions if one.per_s is not None]
        return sum(known) if known else None

    @property
    def lag(self) -> int | None:
        """Of its group."""
        return _sum(one.lag for one in self.partitions)

    @property
    def lag_is_exact(self) -> bool:
        """Each part of it is."""
        return all(one.lag_is_exact for one in self.partitions)

    @property
    def in_flight(self) -> int | None:
        """Of all lanes that are told of."""
        return _sum(one.in_flight for one in self.partitions)

    @property
    def oldest_s(self) -> float | None:
        """The greatest age in flight."""
        return max((one.oldest_s for one in self.partitions if one.oldest_s is not None), default=None)


def topics(survey: Survey, rates: Rates, counted: Mapping[Place, int], told: Iterable[Any]) -> list[TopicNow]:
    """Every topic of the contract that the brokers know. `counted` are records behind a group's offset, where they were
    counted; `told` is what the processes' `/healthz` answered."""
    lanes = {str(lane.get("lane")): lane for one in told for lane in lanes_in(one)}
    groups = {group.name: group for group in survey.groups}
    numbers: dict[str, list[int]] = {}
    for name, number in sorted(survey.ends):
        numbers.setdefault(name, []).append(number)
    return [
        TopicNow(
            topic.name,
            LANE_GROUPS.get(topic.name),
            tuple(
                _partition((topic.name, number), survey, rates, counted, groups, lanes)
                for number in numbers[topic.name]
            ),
            tuple(rates.course(topic.name)),
        )
        for topic in TOPICS
        if topic.name in numbers
    ]


def to_count(survey: Survey) -> dict[Place, tuple[int, int]]:
    """Where a lag in offsets may be marks alone: committed offset and end of each such partition."""
    spans: dict[Place, tuple[int, int]] = {}
    for group in survey.groups:
        for place, offset in group.committed.items():
            end = survey.ends.get(place)
            if LANE_GROUPS.get(place[0]) == group.name and end is not None and 0 < end - offset <= COUNTED_OFFSETS:
                spans[place] = (offset, end)
    return spans


def _partition(
    place: Place,
    survey: Survey,
    rates: Rates,
    counted: Mapping[Place, int],
    groups: Mapping[str, Group],
    lanes: Mapping[str, Mapping[str, Any]],
) -> Partition:
    name, number = place
    group = LANE_GROUPS.get(name)
    end = survey.ends[place]
    lane = lanes.get(f"{group}.{name}.{number}", {})
    committed = groups[group].committed.get(place) if group is not None and group in groups else None
    behind = None if committed is None else max(0, end - committed)
    return Partition(
        number,
        end,
        rates.per_s(place),
        counted.get(place, behind) if behind is not None else None,
        not behind or place in counted,
        _number(lane.get("open")),
        _number(lane.get("oldest_s")),
        str(lane.get("state") or ""),
        str(lane.get("reason") or ""),
    )


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
