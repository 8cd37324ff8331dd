"""The offline checker: what was asked, what the topics hold, what the provider saw, and whether we kept our promise.

Pure, and written from the wire contract alone: it shares no code with the rooms that it judges. Each check answers with
complaints in words; none at all is the verdict that a test waits for.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stranger import Found
from watched import (
    Identity,
    Place,
    Sight,
    in_order,
    never_backwards,
    never_past,
    trials_only,
    unexplained,
    within_bounds,
)

__all__ = ["Billed", "Evidence", "Identity", "Place", "Sight", "Verdict", "called_as", "called_for", "judge"]

JOBS, TEXT, RESULTS = "inference.jobs.v1", "inference.text.v1", "inference.results.v1"
LETTERS, DECISIONS, AUDIT = "inference.dlq.v1", "inference.decisions.v1", "inference.audit.v1"
BREAKERS = "novix.breakers.v1"
RETRIES = "inference.retry."
GENESIS = "0" * 64
TERMINAL = {"succeeded", "failed", "rejected", "expired", "cancelled"}


def called_as(tenant: str, job_id: str) -> str:
    """What a provider is told in `x-amzn-trace-id`: `tenant/id` in visible ASCII, 256 characters of it at most."""
    return "".join(char if "!" <= char <= "~" else "_" for char in f"{tenant}/{job_id}"[:256])


def called_for(row: Mapping[str, Any]) -> str:
    """The same for the job of a result, or of another document of ours."""
    return called_as(row["tenant"], row["job_id"])


@dataclass(frozen=True, slots=True)
class Billed:
    """One answer that the provider charges for."""

    trace: str
    """As `called_as` has it."""
    model: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind, once it is quiet."""

    wanted: Collection[Identity]
    """Every submission that was published and acknowledged, once each."""
    records: Sequence[Found]
    """Everything on our topics that a read_committed consumer sees."""
    calls: Sequence[str] = ()
    """`called_as` of each call that reached the provider."""
    bill: Sequence[Billed] = ()
    samples: Sequence[Mapping[Place, int]] = ()
    """Committed offsets, looked at again and again while it ran, oldest first."""
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Sequence and hash that each lane committed beside its offset."""
    may_repeat: int | None = None
    """Calls that may have been made for nothing. None: as many as it likes (the provider refuses, or the broker is
    away), or as many as `breaks` explain."""
    called_at: Sequence[float] = ()
    """When each of `calls` reached the provider, in seconds of the wall clock."""
    breaks: Sequence[float] | None = None
    """When a worker died, was frozen or began again: a call for nothing has to have been out, or finished and not
    committed, at such an instant. As many may be, and `zombies` more. None: nobody asks why."""
    zombies: int | None = 0
    """Calls that no attempt tells of: a process that was frozen, or has a twin, may make them until it learns that it
    was put out, when the result has been written already. None: as many as it likes."""
    secrets: Collection[bytes] = ()
    sights: Sequence[Sight] = ()
    """Committed offsets again, and how far the outcomes had come by then."""
    peaks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """`MiB of worker` -> the most that was ever seen, and what may be."""
    alone: bool = False
    """One worker process made all calls, and lived through it: its breakers can be judged."""
    stepped: bool = False
    """The wall clock was set meanwhile."""
    routed: bool = True
    """Whether a router ran; if not, the jobs were written to the workers' topic, and nobody decided."""
    forged: Collection[Identity] | None = None
    """Submissions of `wanted` that somebody wrote past the router, among records that nobody can read; None: nobody
    wrote to topics of ours."""
    deleted: Sequence[Found] = ()
    """Assigned jobs whose records somebody deleted from their topic."""

    def of(self, topic: str) -> list[Found]:
        """The records of one topic."""
        return [found for found in self.records if found.topic == topic]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and what it cost."""

    complaints: list[str]
    repeated: Counter[str]
    """Calls for nothing, by `tenant/id`."""
    ambiguous: Counter[str]
    """Attempts that a result lists as interrupted: the process died while the call may have been out."""
    lost: int = 0
    """Submissions that were published and have no result."""
    doubled: int = 0
    """Results too many of one submission, summed."""

    def __str__(self) -> str:
        told = "; ".join(self.complaints[:12]) or "nothing to complain of"
        return f"{len(self.complaints)} complaints, {self.repeated.total()} calls for nothing: {told}"


def judge(evidence: Evidence) -> Verdict:
    """All checks together."""
    results = [found.json for found in evidence.of(RESULTS)]
    repeated, ambiguous, unlisted = spent(results, evidence.calls)
    retries = [found for found in evidence.records if found.topic.startswith(RETRIES)]
    assigned, forged = evidence.of(TEXT), evidence.forged or ()
    if evidence.forged is not None:
        ours = set(evidence.wanted) - set(forged)
        assigned, retries = ([f for f in found if _read(f) in ours] for found in (assigned, retries))
    complaints = [
        *each_once(evidence.wanted, results),
        *letters_once(evidence.of(LETTERS)),
        *(decided_once(set(evidence.wanted) - set(forged), evidence.of(DECISIONS)) if evidence.routed else ()),
        *assigned_once([*evidence.deleted, *assigned], retries),
        *chains_whole(evidence.of(AUDIT), evidence.heads),
        *deeds_told(results, evidence.of(AUDIT)),
        *never_backwards(evidence.samples),
        *never_past(evidence.sights, _by_job(assigned), _by_job([*evidence.of(RESULTS), *retries])),
        *within_bounds(evidence.peaks),
        *in_order(assigned, evidence.of(AUDIT), TERMINAL),
        *trials_only(
            results,
            [found.json for found in evidence.of(BREAKERS) if found.value and evidence.alone],
            stepped=evidence.stepped,
        ),
        *well_billed(results, assigned, evidence.bill, unlisted),
        *kept_secret(evidence.records, evidence.secrets),
    ]
    if evidence.may_repeat is not None and repeated.total() > evidence.may_repeat:
        complaints.append(f"{repeated.total()} calls for nothing; {evidence.may_repeat} may be: {_few(repeated)}")
    if evidence.breaks is not None and evidence.zombies is not None:
        why = unexplained(repeated, evidence.calls, evidence.called_at, evidence.breaks)
        if why.total() > evidence.zombies:
            complaints.append(f"{why.total()} calls for nothing although nobody broke meanwhile: {_few(why)}")
    if evidence.zombies is not None and unlisted.total() > evidence.zombies:
        complaints.append(
            f"{unlisted.total()} calls that no attempt tells of; {evidence.zombies} may be: {_few(unlisted)}"
        )
    return Verdict(complaints, repeated, ambiguous, *lost_and_doubled(evidence.wanted, results))


def lost_and_doubled(wanted: Collection[Identity], results: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Submissions without a result, and results beyond the first of each submission."""
    seen = Counter(map(_identity, results))
    return len(set(wanted) - set(seen)), sum(count - 1 for count in seen.values())


def each_once(wanted: Collection[Identity], results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every submission has one terminal result, and nobody else has any."""
    seen = Counter(map(_identity, results))
    if lost := sorted(set(wanted) - set(seen)):
        yield f"{len(lost)} lost: {lost[:5]}"
    if doubled := {identity: count for identity, count in seen.items() if count > 1}:
        yield f"{len(doubled)} doubled: {_few(doubled)}"
    if strange := sorted(set(seen) - set(wanted)):
        yield f"{len(strange)} results that nobody asked for: {strange[:5]}"
    if odd := Counter(result["status"] for result in results if result["status"] not in TERMINAL):
        yield f"results that do not say how they ended: {_few(odd)}"


def letters_once(letters: Sequence[Found]) -> Iterator[str]:
    """A record is set aside once."""
    names = ("topic", "partition", "offset", "group")
    places = Counter(tuple(found.header(f"__dlq.errors.{name}") for name in names) for found in letters)
    if doubled := {place: count for place, count in places.items() if count > 1}:
        yield f"{len(doubled)} records set aside twice: {_few(doubled)}"
    if nameless := sum(None in place for place in places):
        yield f"{nameless} dead letters do not say where they come from"


def decided_once(wanted: Collection[Identity], decisions: Sequence[Found]) -> Iterator[str]:
    """Every submission has one decision."""
    seen = Counter(
        (one["tenant"], one["job_id"], one["submission"]) for found in decisions for one in found.json["decisions"]
    )
    if missing := set(wanted) - set(seen):
        yield f"{len(missing)} never decided: {sorted(missing)[:5]}"
    if doubled := {identity: count for identity, count in seen.items() if count > 1}:
        yield f"{len(doubled)} decided twice: {_few(doubled)}"


def assigned_once(assigned: Sequence[Found], retries: Sequence[Found]) -> Iterator[str]:
    """A job comes to its workers once, and once more for each time that it left for a retry topic."""
    came, left = Counter(map(_assigned_to, assigned)), Counter(map(_assigned_to, retries))
    for identity in came.keys() | left.keys():
        if came[identity] != 1 + left[identity]:
            yield f"{identity} came to the workers {came[identity]} times and left for a retry {left[identity]} times"


def chains_whole(batches: Sequence[Found], heads: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """Each lane's audit batches count from 1 without a gap, each with the hash of the one before, up to its head."""
    lanes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for found in sorted(batches, key=lambda found: (found.partition, found.offset)):
        lanes[found.json["lane"]].append(found.json)
    for lane, chain in sorted(lanes.items()):
        numbers = [batch["sequence"] for batch in chain]
        if numbers != list(range(1, len(chain) + 1)):
            strays = [number for place, number in enumerate(numbers, 1) if number != place]
            yield f"chain of {lane} has {len(chain)} batches that are not 1 to {len(chain)}: {strays[:5]}"
            continue
        before = GENESIS
        for batch in chain:
            if batch["previous"] != before or batch["hash"] != _hash(batch):
                yield f"chain of {lane} is broken at {batch['sequence']}"
                break
            before = batch["hash"]
        else:
            if heads.get(lane, (len(chain), before)) != (len(chain), before):
                yield f"chain of {lane} ends at {len(chain)}; {heads[lane][0]} is committed"
    for lane, (sequence, _) in heads.items():
        if sequence and lane not in lanes:
            yield f"chain of {lane} is gone; {sequence} is committed"


def deeds_told(results: Sequence[Mapping[str, Any]], batches: Sequence[Found]) -> Iterator[str]:
    """The audit tells of each end once, and of the same as the result."""
    told = Counter(
        (entry.get("tenant"), entry.get("job_id"), entry.get("submission"), entry["action"].removeprefix("job."))
        for found in batches
        for entry in found.json["entries"]
        if entry["action"].removeprefix("job.") in TERMINAL
    )
    ended = Counter((one["tenant"], one["job_id"], one["submission"], one["status"]) for one in results)
    if silent := ended - told:
        yield f"{len(silent)} ends that the audit does not tell of: {_few(silent)}"
    if invented := told - ended:
        yield f"{len(invented)} ends that only the audit tells of: {_few(invented)}"


def spent(
    results: Sequence[Mapping[str, Any]], calls: Iterable[str]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Calls for nothing, attempts listed as interrupted, and calls that no attempt tells of; by `tenant/id`.

    An attempt that found no connection (`connect_failed`) was no call for the provider: none of `calls` is known by it.
    """
    known: Counter[str] = Counter()
    ambiguous: Counter[str] = Counter()
    for result in results:
        trace = called_for(result)
        for attempt in result["attempts"]:
            if attempt.get("kind") != "connect_failed":
                (ambiguous if attempt.get("kind") == "interrupted" else known)[trace] += 1
    made = Counter(calls)
    return made - known, ambiguous, made - known - ambiguous


def well_billed(
    results: Sequence[Mapping[str, Any]],
    assigned: Sequence[Found],
    bill: Sequence[Billed],
    unlisted: Collection[str] = (),
) -> Iterator[str]:
    """A job of one answered call costs what the provider charges; one of several never less, unless `unlisted`.

    `ceil((input_tokens * price_in + output_tokens * price_out) / 1_000_000)` for each answer.
    """
    prices = {
        (_assigned_to(found), candidate["model"]): candidate["price"]
        for found in assigned
        for candidate in found.json["assignment"]["candidates"]
    }
    rows: dict[str, list[Billed]] = defaultdict(list)
    for row in bill:
        rows[row.trace].append(row)
    for result in results:
        identity, served = (result["tenant"], result["job_id"], result["submission"]), result.get("served")
        trace = called_for(result)
        mine = rows[trace]
        price = prices.get((identity, served["model"])) if served else None
        if price is None or not mine or result["submission"] != 1:
            continue
        due = sum(_charge(row, prices.get((identity, row.model), price)) for row in mine)
        doubtful = any(attempt.get("ambiguous") for attempt in result["attempts"])
        exact = len(mine) == 1 and not doubtful
        if (exact and result["cost_nanousd"] != due) or (trace not in unlisted and result["cost_nanousd"] < due):
            yield f"{identity} says {result['cost_nanousd']} nanodollars; the provider charges {due}"


def kept_secret(records: Sequence[Found], secrets: Collection[bytes]) -> Iterator[str]:
    """No secret stands in any key, value or header."""
    for found in records:
        content = b"\0".join([found.key or b"", found.value or b"", *(value or b"" for _, value in found.headers)])
        for secret in secrets:
            if secret in content:
                yield f"a secret of {len(secret)} bytes at {found.topic}/{found.partition}/{found.offset}"


def _by_job(records: Iterable[Found]) -> dict[Identity, list[Found]]:
    """Results, and assigned or waiting jobs, by the submission that they belong to."""
    found_of: dict[Identity, list[Found]] = defaultdict(list)
    for found in records:
        found_of[_identity(found.json) if found.topic == RESULTS else _assigned_to(found)].append(found)
    return found_of


def _identity(result: Mapping[str, Any]) -> Identity:
    return result["tenant"], result["job_id"], result["submission"]


def _read(found: Found) -> Identity | None:
    """Whose assigned or waiting job it is, if that can be read."""
    try:
        return _assigned_to(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _assigned_to(found: Found) -> Identity:
    job = found.json["job"]
    return job.get("tenant", "default"), job["id"], found.json["submission"]


def _charge(row: Billed, price: Mapping[str, Any]) -> int:
    tokens_in = row.input_tokens * int(price.get("input_nanousd_per_million_tokens", 0))
    tokens_out = row.output_tokens * int(price.get("output_nanousd_per_million_tokens", 0))
    return -(-(tokens_in + tokens_out) // 1_000_000)


def _hash(batch: Mapping[str, Any]) -> str:
    told = {name: batch[name] for name in ("lane", "sequence", "entries")}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return hashlib.sha256(bytes.fromhex(batch["previous"]) + canonical).hexdigest()


def _few(counted: Mapping[Any, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in list(counted.items())[:5])
