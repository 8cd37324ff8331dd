"""What the topics know of one job, with few records read: from the end backwards until the first trace of it, then by
the times, offsets and keys that this trace carries. Never a whole topic.

A job's decision lies in its tenant's home partition, its results in the partition of `tenant/id`, its record where
decision and result say. `around.py` finds what else was written while it was on its way.
"""

import sys
from collections.abc import Callable
from typing import Any

from console.answers import document, of_job, result_key
from console.kafka import Log
from console.telling.around import look_around
from console.telling.evidence import Arrival, DeadLetter, Evidence, began, milliseconds, submission_of
from console.telling.reach import LOOK_BACK, Backwards, Reach
from runtime.partitions import home_partition
from runtime.ports import Record
from schemas import cloudevents, codec, headers
from schemas.failure import FAILURES, FailureKind
from schemas.job import DEFAULT_TENANT
from schemas.topics import DECISIONS, DLQ, JOBS, RESULTS

Wanted = Callable[[Record], bool]
Take = Callable[[list[Record]], None]
EVERYTHING = sys.maxsize
MOST_LETTERS = 500
"""Of each partition of the dead letters, the newest so many are looked at beside those of the job's own time."""


async def find(log: Log, tenant: str, job_id: str, *, look_back: int = LOOK_BACK) -> Evidence | None:
    """Gather what there is; None if no topic knows the job within `look_back` records of each partition's end."""
    return await Gathering(Reach(log, look_back=look_back), tenant, job_id).all()


async def ending(log: Log, tenant: str, job_id: str) -> Evidence:
    """Its decisions and results alone: which submission is the newest, and whether it has ended. Maybe nothing. However
    far back they lie: money and cancels depend on it."""
    gathering = Gathering(Reach(log, look_back=EVERYTHING), tenant, job_id)
    await gathering.story()
    return gathering.found


class Gathering:
    """One search for one job; `found` grows. `reach` knows what it cost."""

    def __init__(self, reach: Reach, tenant: str, job_id: str) -> None:
        self.reach = reach
        self.found = Evidence(tenant, job_id)
        self._is_result = of_job(tenant, job_id)
        self._plain = job_id.isascii() and job_id.isalnum()

    async def all(self) -> Evidence | None:
        """Everything; None if nothing was found."""
        found = self.found
        await self.story()
        await self._arrival()
        if found.results or found.decisions or found.arrival:
            await self._letters()
            await look_around(self.reach, found)
        else:
            await self._letters_alone()
        found.cut = self.reach.cut
        return found if found.results or found.decisions or found.arrival or found.dead_letters else None

    async def story(self) -> None:
        """Decisions and results, by whatever trace of the job is the newest."""
        results = await self._first_trace()
        while results is not None and not results.ended and self._missing():
            self._take_results(await results.step(self._is_result))
        await self._decisions_of_results()
        await self._decided_again()
        await self._results_of_decisions()
        self.found.results.sort(key=submission_of)
        self.found.decisions.sort(key=submission_of)

    async def _first_trace(self) -> Backwards | None:
        """Results, decisions and jobs side by side, from the end backwards, until one of them knows the job."""
        results = await self._search(RESULTS.name, result_key(self.found.tenant, self.found.job_id).decode())
        decisions = await self._search(DECISIONS.name, self.found.tenant)
        jobs = await self._search(JOBS.name, self.found.tenant)
        searches: list[tuple[Backwards | None, Wanted, Take]] = [
            (results, self._is_result, self._take_results),
            (decisions, self._may_decide, self._take_decisions),
            (jobs, self._is_job, self._take_arrivals),
        ]
        on = [(search, wanted, take) for search, wanted, take in searches if search is not None]
        while not self._known() and any(not search.ended for search, _, _ in on):
            for search, wanted, take in on:
                take(await search.step(wanted))
        if decisions is not None and self.found.arrival is not None and not self.found.submissions:
            home = await self.reach.partition(DECISIONS.name, self.found.tenant)
            async for record in self.reach.window(DECISIONS.name, home, self.found.arrival.timestamp_ms, None):
                if self._may_decide(record):
                    self._take_decisions([record])
            if not self.found.decisions:  # its producer's clock may be ahead of ours
                self._take_decisions(await decisions.step(self._may_decide))
        return results

    async def _search(self, topic: str, key: str) -> Backwards | None:
        for partition in await self.reach.partition(topic, key):
            return await self.reach.backwards(topic, partition)
        return None

    def _known(self) -> bool:
        return bool(self.found.results or self.found.decisions or self.found.arrival)

    def _missing(self) -> set[int]:
        """Earlier submissions of which nothing is known yet."""
        known = self.found.submissions
        return set(range(1, max(known, default=1))) - {submission_of(one) for one in self.found.results}

    async def _decisions_of_results(self) -> None:
        """By the time of each result; failing that, from there backwards: its producer's clock may be ahead."""
        found = self.found
        for result in found.results:
            submission, ended = submission_of(result), milliseconds(result.get("completed_at"))
            since = began(result)
            if found.decision(submission) is not None or ended is None or since is None:
                continue
            home = await self.reach.partition(DECISIONS.name, found.tenant)
            async for record in self.reach.window(DECISIONS.name, home, since, ended):
                if self._may_decide(record):
                    self._take_decisions([record])
            for partition in home:
                search = await self.reach.backwards(DECISIONS.name, partition, ended)
                while found.decision(submission) is None and not search.ended:
                    self._take_decisions(await search.step(self._may_decide))

    async def _decided_again(self) -> None:
        """A next submission that has no result yet: it can only follow on a refusal or a dead letter."""
        found = self.found
        if not found.results or max(found.submissions) > max(submission_of(one) for one in found.results):
            return
        newest = max(found.results, key=submission_of)
        error, ended = newest.get("error"), milliseconds(newest.get("completed_at"))
        kind = error.get("kind") if isinstance(error, dict) else None
        replay = kind in set(FailureKind) and FAILURES[FailureKind(kind)].replay
        if ended is None or not (newest.get("status") == "rejected" or replay):
            return
        home = await self.reach.partition(DECISIONS.name, found.tenant)
        async for record in self.reach.window(DECISIONS.name, home, ended, None):
            if self._may_decide(record):
                self._take_decisions([record])

    async def _results_of_decisions(self) -> None:
        """From the decision on, in every partition: the topic may have grown since the key was written."""
        found = self.found
        without = [one for one in found.decisions if found.result(submission_of(one)) is None]
        moments = [at for one in without if (at := milliseconds(one.get("decided_at"))) is not None]
        if not moments:
            return
        everywhere = range(await self.reach.partitions(RESULTS.name))
        async for record in self.reach.window(RESULTS.name, everywhere, min(moments), None):
            if self._is_result(record):
                self._take_results([record])

    async def _arrival(self) -> None:
        """The record that the last result or decision names; without either, a search through the other partitions."""
        found = self.found
        for told in [*reversed(found.results), *reversed(found.decisions)]:
            match told.get("received"):
                case {"partition": int(partition), "offset": int(offset)}:
                    found.arrival = None  # another record of the same id may have been met on the way
                    record = await self.reach.one(JOBS.name, partition, offset)
                    self._take_arrivals([record] if record is not None else [])
                    return
        count = await self.reach.partitions(JOBS.name)
        for partition in range(count):
            if found.arrival is None and partition != home_partition(found.tenant, count):
                search = await self.reach.backwards(JOBS.name, partition)
                while found.arrival is None and not search.ended:
                    self._take_arrivals(await search.step(self._is_job))

    async def _letters(self) -> None:
        """Dead letters of the job's own time, and of late: a second record of its id may come at any time."""
        found, everywhere = self.found, range(await self.reach.partitions(DLQ.name))
        moments = [at for one in found.results if (at := began(one)) is not None]
        moments += [at for one in found.decisions if (at := milliseconds(one.get("decided_at"))) is not None]
        moments += [found.arrival.timestamp_ms] if found.arrival is not None else []
        ends = [at for one in found.results if (at := milliseconds(one.get("completed_at"))) is not None]
        places: dict[tuple[int, int], Record] = {}
        if moments:
            until = max(ends) if len(ends) == len(found.submissions) > 0 else None
            async for record in self.reach.window(DLQ.name, everywhere, min(moments), until):
                if self._is_letter(record):
                    places[record.partition, record.offset] = record
        for partition in everywhere:
            for record in await self.reach.newest(DLQ.name, partition, self._is_letter, MOST_LETTERS):
                places[record.partition, record.offset] = record
        found.dead_letters = [_letter(record) for _, record in sorted(places.items())]

    async def _letters_alone(self) -> None:
        for partition in range(await self.reach.partitions(DLQ.name)):
            search = await self.reach.backwards(DLQ.name, partition)
            while not self.found.dead_letters and not search.ended:
                self.found.dead_letters += [_letter(record) for record in await search.step(self._is_letter)]

    def _is_job(self, record: Record) -> bool:
        event = headers.first(record.headers, cloudevents.ID)
        if self._plain and event is None and self.found.job_id.encode() not in (record.value or b""):
            return False
        try:
            value = codec.decode(record.value or b"")
        except codec.Undecodable:
            return False
        mine = (self.found.tenant, self.found.job_id)
        return isinstance(value, dict) and (value.get("tenant", DEFAULT_TENANT), value.get("id", event)) == mine

    def _may_decide(self, record: Record) -> bool:
        """Cheaper than decoding a batch of hundreds; ids that JSON may escape are decoded."""
        return not self._plain or self.found.job_id.encode() in (record.value or b"")

    def _is_letter(self, record: Record) -> bool:
        named, identity = headers.first(record.headers, headers.IDENTITY) or "", f"{self.found.tenant}/"
        identity += f"{self.found.job_id}/"
        return (named.startswith(identity) and named[len(identity) :].isdigit()) or self._is_job(record)

    def _take_results(self, records: list[Record]) -> None:
        for record in records:
            result = document(record)
            if "undecodable" not in result and self.found.result(submission_of(result)) is None:
                self.found.results.append(result)
                self.found.written_ms[submission_of(result)] = record.timestamp_ms
                self.found.places[f"result/{submission_of(result)}"] = place_of(record)

    def _take_decisions(self, records: list[Record]) -> None:
        for record in records:
            batch: Any = document(record).get("decisions")
            for decision in batch if isinstance(batch, list) else []:
                if not isinstance(decision, dict):
                    continue
                mine = (decision.get("tenant"), decision.get("job_id")) == (self.found.tenant, self.found.job_id)
                if mine and self.found.decision(submission_of(decision)) is None:
                    self.found.decisions.append(decision)
                    self.found.places[f"decision/{submission_of(decision)}"] = place_of(record)

    def _take_arrivals(self, records: list[Record]) -> None:
        for record in records[-1:]:
            size = len(record.value or b"")
            self.found.arrival = Arrival(record.partition, record.offset, record.timestamp_ms, size, document(record))


def place_of(record: Record) -> str:
    """Where a record lies, as people name it."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def _letter(record: Record) -> DeadLetter:
    return DeadLetter(
        record.partition,
        record.offset,
        record.timestamp_ms,
        headers.first(record.headers, headers.DLQ_MESSAGE) or "no reason given",
        headers.first(record.headers, headers.DLQ_TOPIC) or "unknown",
        headers.first(record.headers, headers.HAS_RESULT) is not None,
    )
