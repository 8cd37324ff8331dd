"""How a submission went and ended: time, attempts, breakers, cost, proof, as rows. Pure."""

from collections.abc import Iterator
from typing import Any

from console.telling.advice import command_of
from console.telling.evidence import Deed, Entry, Evidence, dicts, milliseconds, number
from console.telling.screenful import Row, listed, named
from console.telling.waits import times_of
from console.words import count, instant, money, span
from router.words import spoken
from schemas.failure import FAILURES, FailureKind

ATTEMPTS = (2, 2)
WAITS = 4
PROOFS = (1, 1)
LEAST_WAIT_MS = 10
"""Of an attempt; shorter waits are told in sums alone."""
TOLD_ELSEWHERE = frozenset({
    "job.assigned", "job.rejected", "job.expired", "job.cancelled", "job.succeeded", "job.failed", "job.postponed",
    "job.returned", "call.ambiguous",
})  # fmt: skip
"""Deeds that other rows tell of already."""


def ended(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    """What it waited for, whom it called, how it ended, what it cost, and where that is proved."""
    result = found.result(submission)
    yield from _time(found, submission, command, everything)
    attempts = [_attempt(one) for one in dicts((result or {}).get("attempts"))]
    yield from listed("attempt", attempts, command, first=ATTEMPTS[0], last=ATTEMPTS[1], everything=everything)
    yield from listed("breaker", list(_breakers(found)), command, first=2, everything=everything)
    yield from _deeds(found, submission, command, everything)
    if result is None:
        yield from _no_result_yet(found, submission)
    else:
        yield from _end(result, said=(found.decision(submission) or {}).get("kind"))
        yield from _cost(result, [one for one in found.ledger if one.submission == submission])


def proved(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    """Where the audit tells of it, and its trace."""
    yield from _proof(found, submission, command, everything)
    result = found.result(submission)
    trace = (result or {}).get("trace_id") or (found.decision(submission) or {}).get("trace_id")
    if trace:
        spans = f", {count(len(found.spells), 'span')}" if found.spells else ", no span on the log (any more)"
        yield Row("trace", f"{named(trace)}{spans}")


def _time(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    times = times_of(found, submission)
    if times.parts:
        parts = ", ".join(f"{span(part.ms)} {part.words}" for part in times.parts)
        commit = "" if times.commit is None else f"; its commit began {span(times.commit)} later"
        yield Row("time", f"{span(times.total)}: {parts}{commit}")
    waits = [f"{span(wait.ms)} {named(wait.words, 100)}" for wait in times.waits]
    yield from listed("waited", waits, command, first=WAITS, everything=everything)
    for place, passage in enumerate(times.passages):
        yield Row("" if waits or place else "waited", f"{'of it ' if waits else ''}{named(passage, 200)}")


def _attempt(attempt: dict[str, Any]) -> str:
    kind, status, cost = attempt.get("kind"), attempt.get("upstream_status"), money(number(attempt.get("cost_nanousd")))
    outcome = "answered" if kind is None else named(kind)
    http = f" ({named(status)})" if status is not None else ""
    waited = number(attempt.get("waited_ms"))
    took = number(attempt.get("duration_ms"))
    # Nobody measured a call whose process died.
    after = " when its process died" if kind == FailureKind.INTERRUPTED and not took else f" after {span(took)}"
    parts = [
        f"{named(attempt.get('attempt'))}. {named(attempt.get('model'))} at {named(attempt.get('provider'))}: {outcome}"
        f"{http}{after}"
    ]
    parts += [f"having waited {span(waited)}"] if waited >= LEAST_WAIT_MS else []
    parts.append(f"perhaps charged {cost}" if attempt.get("ambiguous") else cost)
    parts += [f"request {named(attempt['request_id'])}"] if attempt.get("request_id") else []
    return ", ".join(parts)


def _breakers(found: Evidence) -> Iterator[str]:
    """The state then of each of its providers that was not plainly well."""
    for state in found.breakers:
        failures, since = number(state.get("failures")), milliseconds(state.get("since") or state.get("at"))
        if state.get("state") == "closed" and not failures and not state.get("held_until"):
            continue
        because = f": {named(state['because'], 100)}" if state.get("because") else ""
        again = milliseconds(state.get("retry_at"))
        retry = f", next trial call {instant(again)}" if again is not None and state.get("state") == "open" else ""
        held = milliseconds(state.get("held_until"))
        rest = f", asked for a pause until {instant(held)}" if held is not None else ""
        yield (
            f"of {named(state.get('model'))} at {named(state.get('provider'))}, then {named(state.get('state'))} since "
            f"{instant(since)}{because}{retry}{rest}"
        )


def _deeds(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    """What the audit tells that nothing else does: duplicates, redrives, repeated calls."""
    lines = [
        f"{deed.action} {instant(deed.at_ms)}{_detail(deed)}"
        for deed in found.deeds_of(submission)
        if deed.action not in TOLD_ELSEWHERE
    ]
    yield from listed("happened", lines, command, first=1, last=1, everything=everything)


def _detail(deed: Deed) -> str:
    shown_ = {
        name: value
        for name, value in deed.detail.items()
        if name in ("attempt", "kind", "model", "provider", "by", "dead_letter", "message", "cost_nanousd")
    }
    return ": " + ", ".join(f"{name} {named(value)}" for name, value in shown_.items()) if shown_ else ""


def _no_result_yet(found: Evidence, submission: int) -> Iterator[Row]:
    mine = [one for one in found.parked if one.submission == submission]
    left = [deed for deed in found.deeds_of(submission) if deed.action in ("job.postponed", "job.returned")]
    if mine and (not left or left[-1].action == "job.postponed"):
        last = mine[-1]
        where = f"{last.topic} partition {last.partition}, offset {last.offset}"
        yield Row("result", f"none yet: it waits in {where} until {instant(last.until_ms)} ({named(last.cause)})")
    else:
        yield Row("result", "none yet: it waits for a worker, or is being worked on")
    if found.wishes:
        yield Row("", f"somebody has asked to cancel it: {named(found.wishes[-1].get('by') or 'no name given')}")


def _end(result: dict[str, Any], said: object) -> Iterator[Row]:
    """`said`: the kind of failure that its decision has told already."""
    served = result.get("served") if isinstance(result.get("served"), dict) else {}
    who = f" by {named((served or {}).get('model'))} at {named((served or {}).get('provider'))}" if served else ""
    yield Row("result", f"{named(result.get('status'))}{who}, {instant(milliseconds(result.get('completed_at')))}")
    first = next(iter(dicts(result.get("attempts"))), {})
    if (
        served
        and first
        and (first.get("model"), first.get("provider")) != (served.get("model"), served.get("provider"))
    ):
        yield Row("", f"fell back: {named(first.get('model'))} at {named(first.get('provider'))} was asked first")
    error = result.get("error")
    if isinstance(error, dict):
        kind, message = named(error.get("kind")), named(spoken(error.get("message")), 300)
        words, wanted = kind if error.get("kind") == said else f"{kind}: {message}", kind == FailureKind.CANCELLED
        again = "sent again, it may succeed" if error.get("retryable") else "sent again unchanged, it would fail"
        yield Row("", words if wanted else f"{words} ({again})")
        if str(error.get("kind")) in set(FailureKind):
            failure = FAILURES[FailureKind(str(error["kind"]))]
            yield Row("", failure.meaning if wanted else f"{failure.meaning} Who can mend it: {WHOSE[failure.fault]}.")
    if isinstance(result.get("adapted"), dict):
        for name, change in list(result["adapted"].items())[:3]:
            told = ", ".join(f"{key} {value}" for key, value in change.items()) if isinstance(change, dict) else change
            yield Row("", f"changed {named(name)}: {named(told, 120)}")


WHOSE = {
    "producer": "who published the job",
    "account": "whose token, rights or money it is",
    "provider": "who runs the model",
    "network": "who runs the network on the way there",
    "novix": "who runs this installation",
}
SOURCES = {
    "provider": "as the provider says",
    "computed": "usage times price",
    "estimated": "an estimate: not all usage was told",
    "none": "no charge",
}
"""What `cost_source` means."""
ENDS = {"settle": "settled", "release": "released"}


def _cost(result: dict[str, Any], entries: list[Entry]) -> Iterator[Row]:
    usage = result.get("usage") if isinstance(result.get("usage"), dict) else {}
    used = "".join(f", {named(name, 24)} {number(value):,}" for name, value in list((usage or {}).items())[:8])
    source = SOURCES.get(str(result.get("cost_source")), named(result.get("cost_source")))
    yield Row("cost", f"{paid(result)} ({source}){used}")
    if isinstance(result.get("money"), dict):
        yield Row("", _money(result["money"]))
    for entry in entries:
        unsure = f", {money(entry.ambiguous_nanousd)} of it perhaps charged" if entry.ambiguous_nanousd else ""
        by = f", written by {named(entry.by)}" if entry.by else ""
        yield Row(
            "ledger",
            f"{ENDS.get(entry.kind, named(entry.kind))} {money(entry.nanousd)}{unsure}{by}: partition "
            f"{entry.partition}, offset {entry.offset}",
        )


def paid(result: dict[str, Any]) -> str:
    """What it cost, as far as that is certain: `$0.01`, `at most $0.01` with calls that may have been charged."""
    told = result.get("money") if isinstance(result.get("money"), dict) else {}
    unsure = number((told or {}).get("ambiguous_nanousd")) > 0 or any(
        one.get("ambiguous") and number(one.get("cost_nanousd")) for one in dicts(result.get("attempts"))
    )
    return f"{'at most ' if unsure else ''}{money(number(result.get('cost_nanousd')))}"


def _money(told: dict[str, Any]) -> str:
    quoted, unsure = told.get("quoted_nanousd"), number(told.get("ambiguous_nanousd"))
    reserved, spent = number(told.get("reserved_nanousd")), number(told.get("paid_nanousd"))
    certain = f"paid at most {money(spent)} ({money(spent - unsure)} for certain)"
    parts = [
        *([f"quoted {money(quoted)}"] if isinstance(quoted, int) else []),
        f"reserved {money(reserved)}",
        certain if unsure else f"paid {money(spent)}",
        f"{money(reserved - spent)} given back"
        if spent <= reserved
        else f"{money(spent - reserved)} above the reserve",
    ]
    return ", ".join(parts)


def _proof(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    deeds = found.deeds_of(submission)
    if not deeds:
        yield Row("audit", "no entry on the log (any more)")
        return
    lines = [
        f"{named(deed.action)}: sequence {deed.sequence} of {named(deed.lane, 100)} ({deed.partition}/{deed.offset})"
        for deed in deeds
    ]
    prove = command_of(found, "audit prove")
    yield from listed("audit", lines, command, first=PROOFS[0], last=PROOFS[1], everything=everything)
    yield Row("", f"to prove it: {prove}")
