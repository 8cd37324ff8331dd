"""I5, across machines: what the owner of a lane leaves at rest, its next owner on another machine cannot know.

A job with an ordering key does not go to a retry topic when its lane is closed (docs/lanes.md, "A short wait passes in
memory, a longer one elsewhere"): it rests where it is, and the calls that failed before stand in the journal of its
machine alone. An owner on the same machine reads them there, and has to tell of each. One on another machine finds the
journal named in the commit metadata, and counts one call for as many records as a process may have had in hand. So that
is lawful, and only where such a job was left. Pure, but for `journals_of`.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stranger import Found
from verdict import RESULTS, TEXT, called_as

from simulation.installation import machine_of, window_of_workers
from simulation.kafka import Commit
from simulation.provider import Call
from simulation.schedule import Plan

ORDERED = "novix-ordered"
"""The header of a job that keeps its place."""
ANSWERED = 200


@dataclass(frozen=True, slots=True)
class Left:
    """What was left on the ways of lanes from one machine to another."""

    calls: frozenset[int] = frozenset()
    """Numbers of calls that no attempt need tell of."""
    guesses: Sequence[frozenset[str]] = field(default=())
    """For each way the jobs, by `tenant/id`, of which a call may be listed that nobody knows of."""
    window: int = 0
    """So many of them each time, at most."""

    def beyond(self, ambiguous: Mapping[str, int]) -> dict[str, int]:
        """Of the interrupted calls that are listed, by `tenant/id`, those for which nothing was left."""
        may = Counter(trace for jobs in self.guesses for trace in jobs)
        over = Counter(ambiguous) - may
        if not over and sum(ambiguous.values()) > self.window * len(self.guesses):
            return dict(ambiguous)
        return dict(over)


def left_behind(
    plan: Plan, written: Sequence[tuple[Found, float]], commits: Sequence[Commit], calls: Sequence[Call],
    journals: Mapping[str, str],
) -> Left:  # fmt: skip
    """Everything that was left. `written`: records, and when they became visible; `journals`: their machines, by id."""
    numbers, guesses = set[int](), list[frozenset[str]]()
    ended = {
        (one.json["tenant"], one.json["job_id"], one.json["submission"]): at
        for one, at in written
        if one.topic == RESULTS
    }
    for commit, ours, others in _ways(commits, journals):
        open_ = [
            one
            for one, at in written
            if one.topic == TEXT and one.partition == commit.part[1] and one.offset >= commit.offset
            and at <= commit.at_s and ended.get(_identity(one), commit.at_s) >= commit.at_s
        ]  # fmt: skip
        ordered = {_trace(one) for one in open_ if one.header(ORDERED) is not None}
        before: dict[str, list[Call]] = {}
        for call in calls:
            machine = machine_of(call.process, plan.size)
            if call.trace in ordered and call.at < commit.at_s and machine != ours and machine in others:
                before.setdefault(call.trace, []).append(call)
        # A job that was answered is not at rest: its outcome should have been committed.
        owed = [call for made in before.values() if all(one.status != ANSWERED for one in made) for call in made]
        if owed:
            numbers.update(call.number for call in owed)
            guesses.append(frozenset(map(_trace, open_)))
    return Left(frozenset(numbers), guesses, window_of_workers(plan.size))


def _ways(commits: Sequence[Commit], journals: Mapping[str, str]) -> Iterator[tuple[Commit, str, set[str]]]:
    """First commits of owners that took a lane of the workers over from another machine with calls that are not
    accounted for: the commit, the owner's machine, the machines where calls were left."""
    last: dict[tuple[str, int], str] = {}
    for commit in commits:
        if commit.part[0] != TEXT or not commit.metadata:
            continue
        ours, *others = commit.metadata.split(",")[3].split("+")
        before, last[commit.part] = last.get(commit.part, ""), ours
        if before and before != ours and before in others:
            yield commit, journals.get(ours, ""), {journals[one] for one in others if one in journals}


def journals_of(folder: Path) -> dict[str, str]:
    """The machine of each journal, by the journal's id; `folder` holds the homes of all machines."""
    found = {}
    for file in sorted(folder.rglob("*.sqlite")):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if {"journal", "calls"} <= tables:
                for (id,) in db.execute("SELECT id FROM journal"):
                    found[str(id)] = file.relative_to(folder).parts[0]
    return found


def _identity(assigned: Found) -> tuple[str, str, int]:
    document = assigned.json
    return document["job"]["tenant"], document["job"]["id"], document["submission"]


def _trace(assigned: Found) -> str:
    job = assigned.json["job"]
    return called_as(job["tenant"], job["id"])
