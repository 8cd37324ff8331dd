"""What runs beside what the contract has: which topics and groups are there, which are missing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.topology.plan import Part
from runtime.census import Group
from schemas.topics import JOBS, TOPICS

OURS = "novix-"
"""How the names of our groups begin: a cluster without prefix has others'."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One group as it stands."""

    group: Group
    part: str | None
    """Who it is in the contract; None: nobody."""
    unread: dict[str, list[int]] = field(default_factory=dict)
    """Partitions that no member holds, by topic; empty while the group divides its work."""


@dataclass(frozen=True, slots=True)
class Topology:
    """The running installation, judged by the contract."""

    parts: Sequence[Part]
    topics: Mapping[str, int]
    """Partitions of the topics that are there, those of the contract first."""
    groups: Sequence[Reading]
    missing: Sequence[str]
    """What is expected and not there, in words; what may be left out is not named."""
    strange: Sequence[str]
    """What is there and not expected."""


def judged(parts: Sequence[Part], topics: Mapping[str, int], groups: Sequence[Group]) -> Topology:
    """Compare. Topics and groups by their logical names."""
    contract = {topic.name: topic for topic in TOPICS}
    there = {name: topics[name] for name in contract if topics.get(name)}
    ours = [_reading(group, parts, there) for group in groups if group.name.startswith(OURS)]
    missing = [f"topic {name}" for name in contract if name not in there]
    for name, partitions in there.items():
        if contract[name].home and partitions != there.get(JOBS.name, partitions):
            missing.append(f"topic {name}: {partitions} partitions, {JOBS.name} has {there[JOBS.name]}")
    reading = {one.part: one for one in ours if one.group.members}
    for part in parts:
        if part.group is not None and part.name not in reading and not part.optional and part.reads:
            missing.append(f"group {part.group}: nobody is in it, so {', '.join(part.reads)} waits")
    for one in ours:
        for topic, partitions_ in one.unread.items():
            missing.append(f"group {one.group.name}: nobody holds partitions {_listed(partitions_)} of {topic}")
    strange = [
        f"topic {name}" for name in sorted(set(topics) - set(contract)) if name.startswith(("inference.", OURS[:-1]))
    ]
    strange += [f"group {one.group.name}" for one in ours if one.part is None]
    return Topology(parts, there, ours, missing, strange)


def _reading(group: Group, parts: Sequence[Part], topics: Mapping[str, int]) -> Reading:
    part = next((one for one in parts if one.group is not None and is_of(group.name, one.group)), None)
    if part is None or not group.members or group.state != "Stable":
        return Reading(group, part.name if part is not None else None)
    unread: dict[str, list[int]] = {}
    for topic in part.reads:
        held = {partition for member in group.members for partition in member.holds.get(topic, ())}
        if left := sorted(set(range(topics.get(topic, 0))) - held):
            unread[topic] = left
    return Reading(group, part.name, unread)


def is_of(name: str, group: str) -> bool:
    """Whether a group of that name is the contract's `group`."""
    return name.startswith(group) if group.endswith("-") else name == group


def as_json(topology: Topology) -> dict[str, Any]:
    """The whole picture as one document."""
    return {
        "topics": [{"topic": name, "partitions": partitions} for name, partitions in topology.topics.items()],
        "groups": [
            {
                "group": one.group.name,
                "part": one.part,
                "state": one.group.state,
                "members": [{"client_id": member.client_id, "holds": member.holds} for member in one.group.members],
            }
            for one in topology.groups
        ],
        "parts": [
            {
                "part": part.name,
                "group": part.group,
                "reads": list(part.reads),
                "follows": list(part.follows),
                "writes": list(part.writes),
            }
            for part in topology.parts
        ],
        "missing": list(topology.missing),
        "not_expected": list(topology.strange),
    }


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown} and {len(numbers) - 8} more"
