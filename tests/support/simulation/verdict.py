"""The verdict on one schedule: what the logs hold, what the groups committed, what the provider saw.

I1 to I10 of the fault matrix, but for the memory of I4, by the offline checker of the other fault tests
(`tests/support/verdict.py`) and what only a simulation can know besides: every commit in its order, every call with the
process that made it. Pure.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stranger import Found
from verdict import (
    AUDIT,
    DECISIONS,
    JOBS,
    LETTERS,
    RESULTS,
    TEXT,
    Billed,
    Evidence,
    Identity,
    called_as,
    called_for,
    judge,
)

from simulation.installation import LANES, settings_for
from simulation.kafka import SimBroker, SimRecord
from simulation.provider import Call, SimProvider
from simulation.schedule import Plan, Publication
from simulation.verdict_breakers import Turns, as_let_through
from simulation.verdict_cancels import as_wished, wishes
from simulation.verdict_jobs import as_promised
from simulation.verdict_left import left_behind
from simulation.verdict_money import as_booked, money_kept
from simulation.verdict_registry import as_registered

CALM_FAULTS = ("storm", "publish_again", "refused", "redrive")
"""In which no router and no broker is disturbed."""
REFUSED_IN_A_ROW, KNOWN_S, TRIAL_EVERY_S = 3, 4.0, 29.0
"""So often, until those that were out meanwhile have been answered, and no trial call before so long."""
PER_PROCESS = 4
"""Times its limit of calls: so many may a process make for nothing for each time that it was killed, frozen or cut off:
what came of them waits for a transaction, in which it is lost."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a schedule left behind, once it is quiet."""

    plan: Plan
    published: Sequence[Publication]
    """Acknowledged, in the order of the log."""
    broker: SimBroker
    provider: SimProvider
    excuses: Mapping[int, Sequence[tuple[float, float]]]
    """Processes, by pid, of whose calls no result need tell, and from when until when they were made."""
    harmless: bool
    """Nothing happened after which a call may be made for nothing."""
    secrets: Collection[bytes] = ()
    booked: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What each router lane counted as spent, by tenant."""
    journals: Mapping[str, str] = field(default_factory=dict)
    """The machine of each journal of calls, by the journal's id."""
    readings: Mapping[int, Sequence[tuple[float, int]]] = field(default_factory=dict)
    """By pid: when a worker had read which version of the registry."""
    heard: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """By pid and job: when a worker had read that it is cancelled."""
    turns: Turns = field(default_factory=dict)
    """When a worker's breaker came into which state."""


def judged(told: Testimony) -> list[str]:
    """Everything that is wrong, in words."""
    written = [(found(one), when(one)) for part in sorted(told.broker.logs) for one in told.broker.raw(part)]
    records = [one for one, _ in written]
    results = [one.json for one in records if one.topic == RESULTS]
    wanted, complaints = wanted_of(told.published, results)
    complaints += driven_once(told.published, records)
    driven = {called_as(one.tenant, one.id) for one in told.published if one.letter}
    commits = [commit for commit in told.broker.commits if (commit.group, commit.part[0]) in LANES]
    left = left_behind(told.plan, written, commits, told.provider.calls, told.journals)
    lenient = None if not told.harmless else len(left.calls)
    verdict = judge(
        Evidence(
            wanted=wanted,
            records=records,
            calls=[call.trace for call in told.provider.calls],
            bill=[
                Billed(call.trace, call.model, *call.tokens)
                for call in told.provider.calls
                if call.charged and call.trace not in driven
            ],
            samples=[{(commit.group, commit.part[1]): commit.offset} for commit in commits],
            heads={
                f"{group}.{topic}.{part[1]}": _head(metadata)
                for group, topic in LANES
                for part, (_, metadata) in told.broker.committed(group).items()
                if metadata
            },
            may_repeat=lenient,
            zombies=lenient,
            secrets=told.secrets,
        )
    )
    complaints += verdict.complaints
    if told.harmless and (guessed := left.beyond(verdict.ambiguous)):
        complaints.append(f"I5: calls were interrupted although nobody died: {guessed}")
    complaints += answered_for(results, told, left.calls)
    complaints += refused_quietly(told)
    complaints += refused_for_a_reason(results, told.plan)
    complaints += told_once(records)
    complaints += in_order(told.published, records)
    complaints += set_aside(told.published, records)
    calm = all(one.kind in CALM_FAULTS or one.victim.startswith("worker") for one in told.plan.faults)
    complaints += as_registered(records, told.provider.calls, told.readings)
    quiet = all(one.kind in CALM_FAULTS for one in told.plan.faults)
    complaints += as_wished(results, told.provider.calls, told.heard, wishes(told.broker), undisturbed=quiet)
    retries = settings_for(told.plan.size, Path()).max_retries
    complaints += as_promised(records, told.provider.calls, told.plan, told.excuses, retries)
    kinds = frozenset(fault.kind for fault in told.plan.faults)
    complaints += as_let_through(told.turns, told.provider.calls, kinds)
    complaints += as_booked(told.booked, results)
    complaints += money_kept(written, results, told.provider.calls, told.plan.limits, undisturbed=calm)
    return complaints


def found(one: SimRecord) -> Found:
    """A record as the checker reads it."""
    return Found(one.topic, one.partition, one.offset, one.key, one.value, list(one.headers))


def when(one: SimRecord) -> float:
    """When readers could first see it; 0 for one that was written outside of transactions."""
    return one.transaction.ended_s if one.transaction is not None else 0.0


def _head(metadata: str) -> tuple[int, str]:
    _, sequence, head, *_ = metadata.split(",")
    return int(sequence), head


def wanted_of(published: Sequence[Publication], results: Sequence[dict[str, Any]]) -> tuple[list[Identity], list[str]]:
    """The submissions that there should be, each with one result. An id that was refused may be sent again: then there
    is one more for each time that it was, at most as many as it was published; and one more for each dead letter that
    was driven again, however often that was done."""
    copies = Counter((one.tenant, one.id) for one in published if one.id and not one.letter)
    letters = Counter(who[:2] for who in {(one.tenant, one.id, one.letter) for one in published if one.letter})
    seen: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for result in results:
        seen[result["tenant"], result["job_id"]][result["submission"]] = result["status"]
    wanted, complaints = [], []
    for who, count in copies.items():
        ends = seen.get(who, {})
        last = max(ends, default=1)
        wanted += [(*who, submission) for submission in range(1, last + 1)]
        refused = [number for number, status in ends.items() if number < last and status != "rejected"]
        again = letters[who]
        if last > count + again or len(refused) > again:
            complaints.append(f"I1: {who} was published {count} times and has the ends {dict(sorted(ends.items()))}")
    return wanted, complaints


def driven_once(published: Sequence[Publication], records: Sequence[Found]) -> Iterator[str]:
    """I1: a dead letter that was driven again makes one decision, and one only. Of those of the jobs topic (a conflict)
    it may be none: while the job that it conflicts with waits, it does still."""
    decided = Counter(
        one["redriven_from"] for found in records if found.topic == DECISIONS for one in found.json["decisions"]
        if one.get("redriven_from")
    )  # fmt: skip
    if doubled := {place: count for place, count in decided.items() if count > 1}:
        yield f"I1: dead letters were driven again more than once: {doubled}"
    letters = {
        f"{one.partition}/{one.offset}": (
            one.header("__dlq.errors.topic"),
            one.json["job"]["tenant"],
            one.json["job"]["id"],
        )
        for one in records
        if one.topic == LETTERS and one.header("__dlq.errors.topic") != JOBS
    }
    conflicts = Counter((one.tenant, one.id) for one in published if one.letter and one.letter not in letters)
    for place in {one.letter for one in published if one.letter} - decided.keys():
        if place in letters and not conflicts[letters[place][1:]]:
            yield f"I1: the dead letter {place} was driven again, and nothing was decided: {letters[place]}"


def refused_quietly(told: Testimony) -> Iterator[str]:
    """I6: who was told three times in a row that nobody takes its credential does not show it again for a while."""
    made: dict[tuple[int, str], list[Call]] = defaultdict(list)
    for call in told.provider.calls:
        if call.pid not in told.excuses:
            made[call.pid, call.provider].append(call)
    for (pid, provider), calls in made.items():
        in_a_row, since = 0, 0.0
        for call in sorted(calls, key=lambda one: one.answered_at):  # one that began before may be taken after it
            if in_a_row >= REFUSED_IN_A_ROW and since + KNOWN_S < call.at < since + TRIAL_EVERY_S:
                yield f"I6: #{pid} called {provider} {call.at - since:.1f} s after it was refused {in_a_row} times"
                return
            in_a_row = in_a_row + 1 if call.status == 401 else 0
            if in_a_row == REFUSED_IN_A_ROW:
                since = call.answered_at


def refused_for_a_reason(results: Sequence[dict[str, Any]], plan: Plan) -> Iterator[str]:
    """I6: a job ends for a refused credential where a provider has refused one."""
    if any(fault.kind == "refused" for fault in plan.faults):
        return
    if ended := [one["job_id"] for one in results if (one["error"] or {}).get("kind") == "unauthorized"]:
        yield f"I6: {len(ended)} jobs ended as unauthorized, and nobody was refused: {ended[:3]}"


def told_once(records: Sequence[Found]) -> Iterator[str]:
    """I4: the audit tells once of a call that was cut short."""
    seen = Counter(
        (entry.get("tenant"), entry.get("job_id"), entry.get("submission"), entry["detail"]["attempt"])
        for one in records if one.topic == AUDIT for entry in one.json["entries"]
        if entry["action"] in ("call.ambiguous", "call.repeated")
    )  # fmt: skip
    if doubled := {call: count for call, count in seen.items() if count > 1}:
        yield f"I4: the audit tells of {len(doubled)} calls more than once: {list(doubled)[:3]}"


def answered_for(results: Sequence[dict[str, Any]], told: Testimony, left: Collection[int] = ()) -> Iterator[str]:
    """I5: every call that no attempt tells of was made by a process that may make such, or is among those that were
    `left`; and not too many of them."""
    calls = told.provider.calls
    named: set[str] = set()
    nameless: Counter[str] = Counter()
    for result in results:
        for attempt in result["attempts"]:
            if attempt["request_id"]:
                named.add(attempt["request_id"])
            else:
                nameless[called_for(result)] += 1
    unnamed: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if f"call-{call.number}" not in named:
            unnamed[call.trace].append(call)
    by_process: Counter[int] = Counter()
    for trace, made in sorted(unnamed.items()):
        beyond = len(made) - nameless[trace]
        if beyond <= 0:
            continue
        excused = [
            call.pid
            for call in made
            if call.number in left or any(begun <= call.at <= over for begun, over in told.excuses.get(call.pid, ()))
        ]
        by_process.update(excused[:beyond])
        if len(excused) < beyond:
            who = [f"{call.process}#{call.pid}" for call in made]
            yield f"I5: {trace}: {beyond} calls that no attempt tells of, of {who}"
    for pid, count in by_process.items():
        most = PER_PROCESS * told.plan.size.max_in_flight * max(1, len(told.excuses.get(pid, ())))
        if count > most:
            yield f"I5: #{pid} made {count} calls that no attempt tells of; {most} may be"


def in_order(published: Sequence[Publication], records: Sequence[Found]) -> Iterator[str]:
    """I9: jobs of one ordering key come to the workers in the order of the jobs topic, and end in that order."""
    numbers = _numbered(published)
    keyed: dict[tuple[str, str], list[tuple[tuple[int, int], int, str]]] = defaultdict(list)
    places: dict[Identity, tuple[tuple[str, str], tuple[int, int]]] = {}
    for one in records:
        if one.topic != TEXT or one.json["job"].get("ordering_key") is None:
            continue
        job, submission = one.json["job"], one.json["submission"]
        who, key = (job["tenant"], job["id"], submission), (job["tenant"], job["ordering_key"])
        number = numbers.get((json.dumps(job, sort_keys=True), submission == 1))
        if number is None:
            yield f"I9: {who} came to the workers, and is not what its id's records ask for"
            continue
        place = (one.partition, one.offset)
        keyed[key].append((place, number, job["id"]))
        places[who] = key, place
    for key, came in keyed.items():
        order = [number for _, number, _ in sorted(came)]
        if len({place[0] for place, _, _ in came}) > 1:
            yield f"I9: jobs of {key} lie in several partitions"
        if order != sorted(order):
            yield f"I9: jobs of {key} came to the workers in the order {[id for _, _, id in sorted(came)]}"
    yield from _ended_in_order(places, records)


def _numbered(published: Sequence[Publication]) -> dict[tuple[str, bool], int]:
    """Where each job stands in the jobs topic, by its content and whether that is its id's first record.

    An id that was rejected may be sent again: its first submission has the place of its first record, a later one that
    of the record which brought it. The content tells which: no id with an ordering key is published twice with one.
    """
    numbers: dict[tuple[str, bool], int] = {}
    known: set[tuple[str, str]] = set()
    for number, one in enumerate(published):
        if one.id:
            who = (one.tenant, one.id)
            numbers.setdefault((json.dumps(json.loads(one.value), sort_keys=True), who not in known), number)
            known.add(who)
    return numbers


def _ended_in_order(
    places: Mapping[Identity, tuple[tuple[str, str], tuple[int, int]]], records: Sequence[Found]
) -> Iterator[str]:
    """`places`: of each job at the workers that has an ordering key, that key, and where it stands there."""
    ended: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for one in sorted((one for one in records if one.topic == AUDIT), key=lambda one: (one.partition, one.offset)):
        batch = one.json
        if not batch["lane"].startswith("novix-worker"):
            continue
        for entry in batch["entries"]:
            key_place = places.get((entry.get("tenant"), entry.get("job_id"), entry.get("submission")))
            if key_place is not None:
                ended[key_place[0]].append(key_place[1])
    for key, order_of_ends in ended.items():
        first = list(dict.fromkeys(order_of_ends))
        if first != sorted(first):
            yield f"I9: jobs of {key} ended in another order than they came: {first}"


def set_aside(published: Sequence[Publication], records: Sequence[Found]) -> Iterator[str]:
    """What nobody can read is a dead letter, one for each record, and nothing else is from the jobs topic but what
    conflicts with an earlier job of its id."""
    unreadable = Counter(one.value for one in published if not one.id)
    letters = Counter(
        one.value
        for one in records
        if one.topic == LETTERS and one.header("__dlq.errors.topic") == JOBS and one.value in unreadable
    )
    if unreadable != letters:
        yield f"I1: {unreadable.total()} records that nobody can read and {letters.total()} dead letters of them"
