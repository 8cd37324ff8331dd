"""One job's story in words, on one screen. Pure: evidence in, lines out."""

from collections.abc import Iterator
from typing import Any

from console.telling.advice import command_of, next_steps
from console.telling.decided import decided
from console.telling.ended import ended, paid, proved
from console.telling.evidence import Evidence, shortened
from console.telling.screenful import Row, listed, named, screenful
from console.telling.waits import SLOW_MS, mostly, times_of
from console.words import count, instant, span
from router.words import spoken

LETTERS = 2
ALERTS = 2
OLDER = 2


def tell(found: Evidence, *, everything: bool = False) -> list[str]:
    """The story, from arrival to what to do next: at most 40 lines of 100 columns, all of them if `everything`.

    Earlier submissions are told in a line each, or whole if `everything`. Never prompts, never outputs.
    """
    found = shortened(found)
    command = command_of(found)
    return screenful(
        _body(found, command, everything), _after(found, command, everything), command, everything=everything
    )


def _body(found: Evidence, command: str, everything: bool) -> Iterator[Row]:
    yield Row("job", f"{named(found.job_id)} of tenant {named(found.tenant)}: {summary(found)}")
    if found.submissions and (slow := slowest(found, found.submissions[-1])):
        yield Row("", named(slow, 200))
    yield from _arrival(found)
    submissions = found.submissions
    for submission in submissions if everything else submissions[-1:]:
        if everything and len(submissions) > 1:
            yield Row("submission", str(submission))
        yield from decided(found, submission, command, everything)
        yield from ended(found, submission, command, everything)
    if not everything and len(submissions) > 1:
        lines = [f"submission {number_}: {_end(found, number_)}" for number_ in reversed(submissions[:-1])]
        yield from listed("before", lines, command, first=OLDER)
    if not submissions and found.arrival is not None:
        yield Row("decision", "none yet: it waits for the router")
    letters = [
        f"{instant(one.timestamp_ms)}, a copy {'beside its' if one.has_result else 'instead of a'} result: dead letter "
        f"{one.partition}/{one.offset}, from {named(one.from_topic)}: {named(spoken(one.message), 300)}"
        for one in found.dead_letters
    ]
    yield from listed("set aside", letters, command, first=0, last=LETTERS, everything=everything)
    alerts = [
        f"{named(one.get('state'))} {named(one.get('at'))}: {named(one.get('message'), 200)}" for one in found.alerts
    ]
    yield from listed("alert", alerts, command, first=0, last=ALERTS, everything=everything)
    if found.cut:
        yield Row("note", "the topics go further back than was looked; older records of this id may be there")


def _after(found: Evidence, command: str, everything: bool) -> Iterator[Row]:
    """What no screen leaves out: the proof of the newest submission, or of each, and what to do."""
    for submission in found.submissions if everything else found.submissions[-1:]:
        yield from proved(found, submission, command, everything)
    for place, step in enumerate(next_steps(found)):
        yield Row("" if place else "next", step)


def slowest(found: Evidence, submission: int) -> str | None:
    """What took the most of a time that was long, or too long; None where nothing did."""
    expired = (found.result(submission) or {}).get("status") == "expired"
    return mostly(times_of(found, submission), least_ms=0 if expired else SLOW_MS)


def summary(found: Evidence) -> str:
    """How it stands, in half a line."""
    submissions = found.submissions
    if not submissions:
        return "published, not decided yet" if found.arrival is not None else "set aside"
    return _end(found, submissions[-1])


def _end(found: Evidence, submission: int) -> str:
    result, decision = found.result(submission), found.decision(submission) or {}
    if result is None:
        return f"{named(decision.get('verdict'))}, no result yet"
    timing, error = result.get("timing_ms") or {}, result.get("error")
    total = timing.get("total") if isinstance(timing, dict) else None
    kind = named(error.get("kind")) if isinstance(error, dict) else ""
    because = f" ({kind})" if kind not in ("", result.get("status")) else ""
    again = f" (submission {submission})" if submission > 1 else ""
    return (
        f"{named(result.get('status'))}{because}, {paid(result)}, "
        f"{span(total if isinstance(total, int) else None)} after publication{again}"
    )


def _arrival(found: Evidence) -> Iterator[Row]:
    asked: dict[str, Any] = dict(found.arrival.job) if found.arrival is not None else {}
    told: dict[str, Any] = next((one for one in (*reversed(found.results), *reversed(found.decisions))), {})
    who = told.get("asked") if isinstance(told.get("asked"), dict) else {}
    task = asked.get("task") or told.get("task")
    model, provider = (asked.get(name) or (who or {}).get(name) or "auto" for name in ("model", "provider"))
    by = "".join(
        f", {what} {named(asked[name])}" for name, what in (("team", "team"), ("key_id", "key")) if asked.get(name)
    )
    if asked or told:
        yield Row(
            "asked",
            f"{named(task)}, model {named(model)} at provider {named(provider)}, priority "
            f"{named(asked.get('priority', 'normal'))}{by}",
        )
    if found.arrival is not None:
        one = found.arrival
        size = f", {count(one.size_bytes, 'byte')}" if one.size_bytes else ""
        place = f"jobs partition {one.partition}, offset {one.offset}{size}"
        yield Row("" if asked or told else "asked", f"published {instant(one.timestamp_ms)}: {place}")
    elif told:
        yield Row("", "its own record is not on the log any more")
