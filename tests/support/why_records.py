"""What was found of a job, written back to the topics it came from, among records of others that are much like it.

So that what `novix why` gathers can be held against what there is: whoever takes a stranger's record, or leaves one of
the job's own, finds something else.
"""

from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from console_world import MemoryLog

from console.telling.evidence import Evidence, Spell
from runtime import telemetry
from runtime.partitions import partition_of
from runtime.ports import Outgoing, Record
from runtime.telemetry import SpanDraft, TraceContext, encode_spans
from schemas import codec, headers
from schemas.topics import ALERTS, AUDIT, BREAKERS, CONTROL, DECISIONS, DLQ, JOBS, LEDGER, RESULTS, SPANS

PARTITIONS = 3
"""Of the installation that the golden ends come from."""
OTHER = "stranger"
Place = tuple[str, int, int]


class Written:
    """The records of one job, by their places; `log` has them in the end, the gaps filled with others'."""

    def __init__(self, found: Evidence) -> None:
        self.found = found
        self._at: dict[Place, tuple[bytes, bytes, headers.Headers, int]] = {}
        self._loose: list[Outgoing] = []
        self._job()
        self._told()
        self._waits()
        self._around()

    def log(self) -> MemoryLog:
        """A log with all of it."""
        log = MemoryLog(partitions=PARTITIONS)
        by_partition: dict[tuple[str, int], dict[int, Any]] = defaultdict(dict)
        for (topic, partition, offset), record in self._at.items():
            by_partition[topic, partition][offset] = record
        for (topic, partition), rows in by_partition.items():
            at = min(row[3] for row in rows.values())
            filler = (b"default/other", b'{"id": "other", "tenant": "default"}', (), at)
            for offset in range(max(rows) + 1):
                key, value, told, at = rows.get(offset, (*filler[:3], at))
                log.records.setdefault((topic, partition), []).append(
                    Record(topic, partition, offset, key, value, told, at)
                )
        for outgoing in self._loose:
            log.append(outgoing)
        return log

    def _put(
        self, topic: str, partition: int, offset: int, key: str, value: Any, at: int, told: headers.Headers = ()
    ) -> None:
        whole = value if isinstance(value, bytes) else codec.encode(value)
        self._at[topic, partition, offset] = key.encode(), whole, told, at

    def _job(self) -> None:
        found, job = self.found, self.found.arrival
        assert job is not None
        value = codec.encode(job.job)
        value += b" " * (job.size_bytes - len(value))
        self._put(JOBS.name, job.partition, job.offset, found.tenant, value, job.timestamp_ms)
        for one in found.decisions:
            topic, partition, offset = found.places[f"decision/{one['submission']}"].rsplit("/", 2)
            others = [{**one, "job_id": OTHER}, {**one, "tenant": OTHER}]
            batch = {"lane": "l", "decisions": [others[0], one, others[1]]}
            assert topic == DECISIONS.name
            self._put(topic, int(partition), int(offset), partition, batch, job.timestamp_ms + 30)
        for one in found.results:
            topic, partition, offset = found.places[f"result/{one['submission']}"].rsplit("/", 2)
            assert topic == RESULTS.name
            key = f"{found.tenant}/{found.job_id}"
            self._put(topic, int(partition), int(offset), key, one, found.written_ms[one["submission"]])

    def _told(self) -> None:
        """Audit, ledger and spans: each record tells of others as well."""
        found = self.found
        batches: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for deed in found.deeds:
            batches[deed.partition, deed.offset].append(deed)
        for (partition, offset), deeds in batches.items():
            entries = [
                {
                    "at": datetime.fromtimestamp(one.at_ms / 1_000, UTC).isoformat(), "action": one.action,
                    "tenant": found.tenant, "job_id": found.job_id, "submission": one.submission, "detail": one.detail,
                }
                for one in deeds
            ]  # fmt: skip
            others = [{**one, **who} for one in entries for who in ({"job_id": OTHER}, {"tenant": OTHER})]
            batch = {"lane": deeds[0].lane, "sequence": deeds[0].sequence, "entries": [*others, *entries]}
            self._put(AUDIT.name, partition, offset, deeds[0].lane, batch, deeds[-1].at_ms)
        decided = {one["submission"]: one["decision_id"] for one in found.decisions}
        for entry in found.ledger:
            certain = entry.nanousd - entry.ambiguous_nanousd
            charges = [{"nanousd": certain}] if certain else []
            charges += [{"nanousd": entry.ambiguous_nanousd, "ambiguous": True}] if entry.ambiguous_nanousd else []
            told = {"kind": entry.kind, "cost_nanousd": entry.nanousd, "charges": charges, "by": entry.by or None}
            entries = [
                {**told, "decision_id": OTHER, "cost_nanousd": 7, "job_id": found.job_id},
                {**told, "decision_id": decided[entry.submission]},
            ]
            home = partition_of(found.tenant.encode(), PARTITIONS)
            assert entry.partition == home
            self._put(LEDGER.name, home, entry.offset, str(home), {"entries": entries}, self._end())
        self._spans()

    def _spans(self) -> None:
        found = self.found
        trace = str((found.results or found.decisions)[-1]["trace_id"])
        drafts = [_draft(trace, number, one) for number, one in enumerate(found.spells)]
        other = [_draft("ab" * 16, 99, one) for one in found.spells[:1]]
        lane = found.deeds[-1].lane
        for some in ([*other, *drafts], other, drafts[:1]):  # the last tells a span again
            value = encode_spans("novix", some)
            assert value is not None
            self._loose.append(
                Outgoing(SPANS.name, lane.encode(), value, partition=partition_of(lane.encode(), PARTITIONS),
                         timestamp_ms=self._end())
            )  # fmt: skip

    def _waits(self) -> None:
        found = self.found
        for one in found.parked:
            at = one.since_ms or self._end()
            told = [(headers.IDENTITY, f"{found.tenant}/{found.job_id}/{one.submission}"), (headers.CAUSE, one.cause)]
            for name, moment in ((headers.WAITS_SINCE, one.since_ms), (headers.NOT_BEFORE, one.until_ms)):
                told += [(name, str(moment))] if moment is not None else []
            key = f"{found.tenant}/{found.job_id}"
            encoded = tuple((name, value.encode()) for name, value in told)
            self._put(one.topic, one.partition, one.offset, key, b"{}", at, encoded)
        for letter in found.dead_letters:
            more = [(headers.HAS_RESULT, "true")] if letter.has_result else []
            told = [
                (headers.IDENTITY, f"{found.tenant}/{found.job_id}/1"), (headers.DLQ_MESSAGE, letter.message),
                (headers.DLQ_TOPIC, letter.from_topic), *more,
            ]  # fmt: skip
            encoded = tuple((name, value.encode()) for name, value in told)
            self._put(DLQ.name, letter.partition, letter.offset, found.tenant, b"{}", letter.timestamp_ms, encoded)

    def _around(self) -> None:
        """Breakers, alerts and wishes; after the job's end the breakers change, and alerts tell of others."""
        found, end = self.found, self._end()
        for state in found.breakers:
            key = f"{state['provider']}/{state['model']}".encode()
            later = {**state, "state": "half-open", "failures": 99}
            self._loose += [
                Outgoing(BREAKERS.name, key, codec.encode(one), timestamp_ms=at)
                for one, at in ((state, end - 1), (later, end + 60_000))
            ]
        for wish in found.wishes:
            key = f"{found.tenant}/{found.job_id}".encode()
            self._loose.append(Outgoing(CONTROL.name, key, codec.encode(wish), timestamp_ms=end - 1))
        for alert, at in (
            *((one, end) for one in found.alerts),
            ({"tenant": OTHER, "subject": f"{OTHER}/month", "message": "another's"}, end),
            ({"tenant": None, "subject": "groq/lab/another", "message": "another provider's"}, end),
            ({"tenant": found.tenant, "subject": "much later", "message": "later"}, end + 3_600_000),
        ):
            self._loose.append(Outgoing(ALERTS.name, b"a", codec.encode(alert), timestamp_ms=at))

    def _end(self) -> int:
        return max(self.found.written_ms.values())


def comparable(found: Evidence) -> dict[str, Any]:
    """What two evidences are compared by."""
    return asdict(found)


def _draft(trace: str, number: int, spell: Spell) -> SpanDraft:
    start, end = spell.start_ms / 1_000, spell.end_ms / 1_000
    told = {name: tuple(one) if isinstance(one, list) else one for name, one in spell.attributes.items()}
    return SpanDraft(
        TraceContext(trace, None), f"{number + 1:016x}", spell.name, telemetry.INTERNAL,
        datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC), told, spell.error,
    )  # fmt: skip
