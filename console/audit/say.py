"""What the audit's commands say. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.audit.problems import told
from console.audit.proof import Proof
from console.audit.verify import Report
from console.words import count
from schemas import codec

MOST_TOLD = 10


def report_lines(report: Report) -> list[str]:
    """The verifier's findings, the first bad record in the first line."""
    lines = []
    if report.problems:
        lines.append(f"FIRST PROBLEM: {report.problems[0].line()}")
        lines += [f"  then: {one.line()}" for one in report.problems[1:MOST_TOLD]]
        if len(report.problems) > MOST_TOLD:
            lines.append(f"  and {count(len(report.problems) - MOST_TOLD, 'more problem')}")
    lines.append(
        f"looked at {count(report.records, 'record')}, {count(report.entries, 'entry', 'entries')}, "
        f"{count(report.lanes, 'lane')}, {count(report.checkpoints, 'checkpoint')}"
    )
    newest = report.newest
    if newest is not None:
        lines.append(
            f"newest checkpoint: {newest.number} of {newest.at:%Y-%m-%d %H:%M:%S} UTC, key {newest.key}, "
            f"sha256 {report.newest_digest}"
        )
    lines.append(
        f"{count(report.proved, 'entry is', 'entries are')} proved by a signed checkpoint, "
        f"{report.uncovered:,} newer than the newest one"
    )
    lines.append(
        f"jobs: {report.accepted:,} accepted, {report.ended:,} ended, {len(report.open):,} open"
        + (f", the oldest {told(report.open[0].job)} at {report.open[0].place}" if report.open else "")
    )
    if report.results:
        lines.append(f"{count(report.results, 'result')} of the topic held against the ends")
    if report.older is not None and not report.problems:
        lines.append(f"everything goes on from your checkpoint {report.older.number}: nothing since was taken back")
    lines += [f"note: {told(note)}" for note in report.notes]
    begins = f" from checkpoint {report.anchor.number} on" if report.anchor is not None else ""
    whole = f"OK{begins}: nothing was changed, removed, reordered or cut off"
    lines.append("NOT PROVED" if report.problems else whole)
    return lines


def proof_lines(proof: Proof, entry: Mapping[str, Any]) -> list[str]:
    """A proof that holds, in words."""
    document = proof.document()
    return [
        f"{told(str(entry.get('action')))} of {told(str(entry.get('tenant')))}/{told(str(entry.get('job_id')))} at "
        f"{told(str(entry.get('at')))}",
        f"  entry {proof.index:,} of {proof.size:,} of lane {told(proof.lane)}, signed "
        f"{document['checkpoint_at']:%Y-%m-%d %H:%M:%S} UTC",
        f"  {told_entry(proof.entry)}",
    ]


def told_entry(entry: bytes) -> str:
    """An entry's JSON on one line, fit for a terminal."""
    return told(codec.encode(codec.decode(entry)).decode())


def proofs_document(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """Proofs as JSON."""
    return [one.document() for one in proofs]
