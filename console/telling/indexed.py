"""The same story from what the explorer's index knows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from console.telling.evidence import (
    SKEW_MS,
    TOLD_LATE_MS,
    Arrival,
    DeadLetter,
    Deed,
    Entry,
    Evidence,
    Parked,
    Spell,
    is_about,
    milliseconds,
    number,
    providers_of,
    submission_of,
    until_of,
    ways_of,
)
from console.telling.story import tell
from schemas import headers

Rows = Sequence[Mapping[str, Any]]


def tell_from_index(jobs: Rows, *, everything: bool = False, **rows: Rows) -> list[str]:
    """The lines of `tell` for a job of the explorer, of the same rows as `evidence_from_index`. No lines without a row
    of it."""
    return tell(evidence_from_index(jobs, **rows), everything=everything) if jobs else []


def evidence_from_index(
    jobs: Rows,
    money: Rows = (),
    audit: Rows = (),
    records: Rows = (),
    spans: Rows = (),
    breakers: Rows = (),
    alerts: Rows = (),
) -> Evidence:
    """The evidence that these rows are: what `Index.job`, `.money`, `.audit`, `.records`, `.spans`, `.breakers` and
    `.alerts_within` return; of the last two what is about the job, and of its time. `jobs` must not be empty; its rows
    are one job's submissions."""
    first = jobs[0]
    found = Evidence(str(first["tenant"]), str(first["job_id"]))
    rows = sorted(jobs, key=submission_of)
    found.decisions = [_document(row["decision"], row) for row in rows if isinstance(row.get("decision"), Mapping)]
    found.results = [_document(row["result"], row) for row in rows if isinstance(row.get("result"), Mapping)]
    found.arrival = _arrival(records, rows[-1])
    found.dead_letters = [_letter(row) for row in records if row.get("what") == "dead letter"]
    found.parked = [_parked(row) for row in records if row.get("what") == "retry"]
    for row in records:
        if row.get("what") == "result":
            found.written_ms[number(row.get("submission")) or 1] = number(row.get("timestamp_ms"))
    found.deeds = sorted((_deed(row) for row in audit), key=lambda deed: (deed.at_ms, deed.sequence))
    found.ledger = _entries(money)
    found.spells = [
        Spell(
            str(row.get("name")),
            number(row.get("start_ns")) / 1e6,
            number(row.get("end_ns")) / 1e6,
            row.get("error") or None,
            dict(row.get("attributes") or {}),
        )
        for row in spans
    ]
    _told_around(found, breakers, alerts)
    return found


def time_of(jobs: Rows) -> tuple[int, int]:
    """From when until when something may have been told that concerns a job: what `Index.alerts_within` wants."""
    ways = ways_of(evidence_from_index(jobs)) if jobs else []
    until = until_of(ways)
    return min((since for since, _ in ways), default=0) - SKEW_MS, 2**62 if until is None else until + SKEW_MS


def _told_around(found: Evidence, breakers: Rows, alerts: Rows) -> None:
    """Of these the ones that `gather` would find: its providers' newest states up to its end (the index has no older
    ones), and alerts of its tenant or providers while it was on its way."""
    ways, providers = ways_of(found), providers_of(found)
    until = until_of(ways)
    for key in providers:
        for row in breakers:
            at = milliseconds(row.get("at")) or 0
            if f"{row.get('provider')}/{row.get('model')}" == key and (until is None or at < until + TOLD_LATE_MS):
                found.breakers.append(dict(row))
    for row in alerts:
        at = number(row.get("at_ms")) or milliseconds(row.get("at")) or 0
        during = any(since - SKEW_MS <= at and (end is None or at < end + SKEW_MS) for since, end in ways)
        if during and is_about(row, found.tenant, providers):
            found.alerts.append(dict(row))


def _document(told: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {"submission": number(row.get("submission")) or 1, **told}


def _arrival(records: Rows, row: Mapping[str, Any]) -> Arrival | None:
    """The record that the router answered, as far as the index keeps it: no content."""
    partition, offset = row.get("partition"), row.get("offset")
    if not isinstance(partition, int) or not isinstance(offset, int):
        return None
    own = next(
        (
            one
            for one in records
            if one.get("what") == "job" and (one.get("partition"), one.get("offset")) == (partition, offset)
        ),
        {},
    )
    size, more = number(own.get("size_bytes")), own.get("asked") or {}
    columns = (("task", "task"), ("model", "asked_model"), ("team", "team"))
    asked = {name: row[column] for name, column in columns if row.get(column)}
    return Arrival(partition, offset, number(row.get("published_ms")), size, {**more, **asked})


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    told = _headers(row)
    return DeadLetter(
        number(row.get("partition")),
        number(row.get("offset")),
        number(row.get("timestamp_ms")),
        told.get(headers.DLQ_MESSAGE, "no reason given"),
        told.get(headers.DLQ_TOPIC, "unknown"),
        headers.HAS_RESULT in told,
    )


def _parked(row: Mapping[str, Any]) -> Parked:
    told = _headers(row)
    since, until = (
        int(told[name]) if told.get(name, "").isdecimal() and len(told[name]) <= 14 else None
        for name in (headers.WAITS_SINCE, headers.NOT_BEFORE)
    )
    return Parked(
        str(row.get("topic")),
        number(row.get("partition")),
        number(row.get("offset")),
        since,
        until,
        told.get(headers.CAUSE, "unknown"),
        number(row.get("submission")) or 1,
    )


def _headers(row: Mapping[str, Any]) -> dict[str, str]:
    told: dict[str, str] = {}
    for pair in row.get("headers") or ():
        if len(pair) == 2:
            told.setdefault(str(pair[0]), str(pair[1]))
    return told


def _deed(row: Mapping[str, Any]) -> Deed:
    told, submission = row.get("detail"), row.get("submission")
    return Deed(
        number(row.get("at_ms")),
        str(row.get("action")),
        dict(told) if isinstance(told, Mapping) else {},
        str(row.get("lane")),
        number(row.get("sequence")),
        number(row.get("partition")),
        number(row.get("offset")),
        submission if isinstance(submission, int) else None,
    )


def _entries(money: Rows) -> list[Entry]:
    """The index tells each charge of an end, and what came back, in a row of its own: one end for each place."""
    ends: dict[tuple[int, int, int], Entry] = {}
    for row in money:
        if row.get("kind") not in ("settle", "ambiguous", "release") or row.get("counted") is False:
            continue
        place = number(row.get("submission")) or 1, number(row.get("partition")), number(row.get("offset"))
        submission, partition, offset = place
        before = ends.get(place, Entry(partition, offset, "release", 0, 0, submission, str(row.get("by") or "")))
        if row["kind"] != "release":
            spent = number(row.get("nanousd"))
            unsure = before.ambiguous_nanousd + (spent if row["kind"] == "ambiguous" else 0)
            before = replace(before, kind="settle", nanousd=before.nanousd + spent, ambiguous_nanousd=unsure)
        ends[place] = before
    return [ends[place] for place in sorted(ends)]
