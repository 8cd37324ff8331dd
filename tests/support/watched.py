"""What the offline checker makes of a run as it went on: offsets, bounds, order, breakers. Pure, by the wire alone."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stranger import Found

Identity = tuple[str, str, int]
"""Tenant, id, submission."""
Place = tuple[str, int]
"""Group and partition."""
End = tuple[str, int]
"""Topic and partition."""
WORKERS = "novix-worker-text"
GRACE = timedelta(seconds=1)
"""After a breaker has opened: until who was let through before has begun its call."""
SOCKET_S = 1.0
"""So long a dead process's request may wait in a socket before the provider sees it. Nobody takes over so soon."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a running system. What is committed was asked first, so that the ends may only be further on."""

    committed: Mapping[Place, int]
    ends: Mapping[End, int]
    """High watermark of each partition that outcomes go to. Not the last stable offset: a transaction's markers are
    written one partition after another, so what is committed together is not seen at once."""


def never_backwards(samples: Sequence[Mapping[Place, int]]) -> Iterator[str]:
    """No group's committed offset ever was lower than before."""
    highest: dict[Place, int] = {}
    for sample in samples:
        for place, offset in sample.items():
            if offset < highest.get(place, 0):
                yield f"{place[0]} went back from {highest[place]} to {offset} in partition {place[1]}"
            highest[place] = max(offset, highest.get(place, 0))


def never_past(
    sights: Sequence[Sight], assigned: Mapping[Identity, Sequence[Found]], outcomes: Mapping[Identity, Sequence[Found]]
) -> Iterator[str]:
    """The workers' committed offset passes a record only when its outcome, result or stay in a retry topic, is there.

    An outcome that was aborted and written again lies further on than the log reached then. Of a partition that nobody
    looked at, having been added meanwhile, nothing is said.
    """
    waiting: dict[int, list[tuple[int, Identity, int]]] = defaultdict(list)
    for identity, records in assigned.items():
        for nth, found in enumerate(sorted(records, key=lambda found: found.offset), 1):
            waiting[found.partition].append((found.offset, identity, nth))
    for queue in waiting.values():
        queue.sort(reverse=True)
    for sight in sights:
        for (group, partition), committed in sight.committed.items():
            queue = waiting[partition] if group == WORKERS else []
            while queue and queue[-1][0] < committed:
                offset, identity, nth = queue.pop()
                seen = [
                    one
                    for one in outcomes.get(identity, ())
                    if one.offset < sight.ends.get((one.topic, one.partition), math.inf)
                ]
                if len(seen) < nth:
                    places = [(one.topic, one.partition, one.offset) for one in outcomes.get(identity, ())]
                    told = [
                        f"{topic}/{number}/{at} behind {sight.ends.get((topic, number))}"
                        for topic, number, at in places
                    ]
                    yield (
                        f"{identity} at {partition}/{offset} was passed at {committed}, before its outcome was there: "
                        f"assignment {nth}, outcomes {told}"
                    )


def within_bounds(peaks: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """What was seen at most, and what may be."""
    for what, (seen, allowed) in peaks.items():
        if seen > allowed:
            yield f"{seen:g} {what}; {allowed:g} may be"


def in_order(assigned: Iterable[Found], batches: Sequence[Found], terminal: set[str]) -> Iterator[str]:
    """Jobs with one ordering key end in the order in which they were assigned, as the lanes' audit tells it."""
    wanted: dict[tuple[str, str], list[Identity]] = defaultdict(list)
    keys: dict[Identity, tuple[str, str]] = {}
    for found in sorted(assigned, key=lambda found: (found.partition, found.offset)):
        job = found.json["job"]
        identity = job.get("tenant", "default"), job["id"], found.json["submission"]
        if (name := job.get("ordering_key")) is not None and identity not in keys:
            keys[identity] = identity[0], name
            wanted[keys[identity]].append(identity)
    ended: dict[tuple[str, str], list[Identity]] = defaultdict(list)
    for batch in sorted((found.json for found in batches), key=lambda batch: (batch["lane"], batch["sequence"])):
        for entry in batch["entries"]:
            identity = entry.get("tenant"), entry.get("job_id"), entry.get("submission")
            if identity in keys and entry["action"].removeprefix("job.") in terminal:
                ended[keys[identity]].append(identity)
    for key, identities in wanted.items():
        if ended[key] != identities[: len(ended[key])]:
            at = next(n for n, (one, other) in enumerate(zip(ended[key], identities, strict=False)) if one != other)
            yield f"jobs of {key} ended in another order: {ended[key][at][1]} before {identities[at][1]}"


def trials_only(
    results: Sequence[Mapping[str, Any]], states: Sequence[Mapping[str, Any]], *, stepped: bool = False
) -> Iterator[str]:
    """While a breaker is open nobody calls, and then one trial call is made, until it closes or opens again.

    Of one worker process that lived through it all: what several know of each other's breakers is advisory. Where its
    clock `stepped`, what seems to lie between two changes may have been before both: trials are counted from when the
    breaker says that it let one through.
    """
    attempts: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for attempt in (attempt for result in results if states for attempt in result["attempts"]):
        attempts[attempt["provider"], attempt["model"]].append(datetime.fromisoformat(attempt["started_at"]))
    of: dict[tuple[str, str], dict[datetime, Mapping[str, Any]]] = defaultdict(dict)
    for state in states:
        since = datetime.fromisoformat(state.get("since") or state["at"])
        of[state["provider"], state["model"]].setdefault(since, state)
    for key, told in of.items():
        changes = sorted(told)
        for at, since in enumerate(changes):
            state = told[since]
            if state["state"] != "open" or not state.get("retry_at"):
                continue
            retry_at = datetime.fromisoformat(state["retry_at"])
            after = next((one for one in changes[at + 1 :] if told[one]["state"] != "half-open"), None)
            early = sum(since + GRACE < one < min(retry_at, after or retry_at) for one in attempts[key])
            if early:
                yield f"{early} calls of {key[0]}/{key[1]} while its breaker was open"
            begin = retry_at
            if stepped:
                begin = next((one for one in changes[at + 1 :] if told[one]["state"] == "half-open"), retry_at)
            trials = sum(begin <= one < after for one in attempts[key]) if after is not None else 0
            if trials > 1:
                yield f"{trials} trial calls of {key[0]}/{key[1]} at once; 1 may be"


def unexplained(
    repeated: Mapping[str, int], calls: Sequence[str], called_at: Sequence[float], breaks: Collection[float]
) -> Counter[str]:
    """Calls for nothing that no break explains, by `tenant/id`.

    A call is for nothing because whoever made it broke before its outcome was committed: so a break lies between it and
    the next call of its job. It may have reached the provider a little after that, from a socket of the dead.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for trace, at in zip(calls, called_at, strict=True):
        times[trace].append(at)
    left: Counter[str] = Counter()
    for trace, count in repeated.items():
        made = sorted(times[trace])
        following = [*made[1:], float("inf")] if count >= len(made) else made[1:]
        met = [
            any(at <= broke + SOCKET_S and broke <= after for broke in breaks)
            for at, after in zip(made, following, strict=False)
        ]
        left[trace] = max(0, count - sum(met))
    return +left
