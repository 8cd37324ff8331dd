"""I6 of the registry: what a decision says follows from the registry that it names, and nobody calls what he knows to
be withdrawn. Pure, but for `watched`, which notes who has read how much of it when.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from stranger import Found
from verdict import DECISIONS

import workers.app
from runtime.ports import Record
from runtime.registry import Registry, Standing
from schemas.topics import REGISTRY
from simulation.kernel import Kernel, current
from simulation.provider import WAY_S, Call

ON_ITS_WAY_S = WAY_S[1]
"""At most, between a worker's last look, behind which nothing is waited for, and the call's arrival."""

Readings = dict[int, list[tuple[float, int]]]
"""By pid: (when, version) of the registry as that process has read it."""


@contextmanager
def watched(kernel: Kernel) -> Iterator[Readings]:
    """While it lasts, workers that are built note how much of the registry they have read."""
    readings: Readings = defaultdict(list)

    class Watched(Registry):
        def fold(self, record: Record) -> None:
            super().fold(record)
            readings[current().pid].append((kernel.monotonic, int(self.version)))

    with patch.object(workers.app, "Registry", Watched):
        yield readings


def as_registered(records: Sequence[Found], calls: Sequence[Call], readings: Mapping[int, Any]) -> Iterator[str]:
    """Everything that contradicts the registry."""
    told = [one for one in records if one.topic == REGISTRY.name]
    if not told:
        return
    standing = _standings(told)
    for found in records:
        if found.topic == DECISIONS:
            for one in found.json["decisions"]:
                yield from _followed(one, standing)
    for call in calls:
        tenant = call.trace.partition("/")[0]
        known = readings.get(call.pid, ())
        seen = range(_version_at(known, call.at - ON_ITS_WAY_S), _version_at(known, call.at) + 1)
        if all(gone := standing[one].withdrawn(call.model, tenant) for one in seen):
            yield f"I6: #{call.pid} called {call.model} for {call.trace} at {call.at:.3f}, and knew that it was {gone}"


def _standings(told: Sequence[Found]) -> list[Standing]:
    """The registry at each version."""
    registry, found = Registry(), [Registry().now()]
    for one in sorted(told, key=lambda one: one.offset):
        registry.fold(Record(one.topic, one.partition, one.offset, one.key, one.value, (), 0))
        found.append(registry.now())
    return found


def _version_at(readings: Sequence[tuple[float, int]], at: float) -> int:
    place = bisect_right(readings, at, key=lambda one: one[0])
    return readings[place - 1][1] if place else 0


def _followed(one: dict[str, Any], standing: Sequence[Standing]) -> Iterator[str]:
    version = int(one["versions"].get("registry", "0"))
    who = f"{one['tenant']}/{one['job_id']}"
    if version >= len(standing):
        yield f"I6: {who} was decided from version {version} of a registry that has {len(standing) - 1}"
        return
    now = standing[version]
    for candidate in one["candidates"]:
        verdict = now.allowed(candidate["model"], one["tenant"])
        if not verdict.ok:
            yield f"I6: {who} was given {candidate['model']} at version {version}: {verdict.says}"
    for left_out in one["exclusions"]:
        if left_out["reason"] == "not_approved" and now.allowed(left_out["model"], one["tenant"]).ok:
            yield f"I6: {who} was refused {left_out['model']} at version {version}, which has nothing against it"
    resolved = one.get("resolved")
    if resolved:
        alias = now.aliases.get(resolved["alias"])
        stood = () if alias is None else alias.targets
        if (resolved["model"], resolved["revision"]) not in stood or (alias and alias.version != resolved["version"]):
            yield f"I6: {who} was told {resolved} at version {version}, where it stands for {stood}"
