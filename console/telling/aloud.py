"""One job's story in whole sentences, for somebody who has not seen the code. Pure: evidence in, sentences out."""

from collections.abc import Iterator, Mapping
from typing import Any

from console.telling.evidence import Evidence, shortened, submission_of
from console.words import instant, money, shown, span
from router import words
from schemas.failure import FAILURES, FailureKind

_SOURCES = {
    "provider": "as the provider says",
    "computed": "reckoned from the usage that the provider reports and the price",
    "estimated": "an estimate, for no usage was reported",
}


def aloud(found: Evidence) -> list[str]:
    """Each submission: what was decided and why, then how it ended and what it cost. Never prompts, never outputs."""
    return [shown(sentence.replace("\n", " ").replace("\t", " ")) for sentence in _sentences(shortened(found))]


def _sentences(found: Evidence) -> Iterator[str]:
    results = {submission_of(result): result for result in found.results}
    decisions = {submission_of(decision): decision for decision in found.decisions}
    yield from _asking(found)
    for submission in sorted({*results, *decisions}):
        decision = decisions.get(submission)
        if decision is not None:
            yield from words.told(decision)
        if submission in results:
            yield from _ending(results[submission], explained=decision is not None and bool(decision.get("kind")))
        else:
            yield "It has not ended yet: it waits for a worker, or is being worked on."
    for letter in found.dead_letters:
        beside = "beside its result" if letter.has_result else "instead of a result"
        yield f"A copy was set aside among the dead letters, {beside}: {words.spoken(letter.message)}."
    if not results and not decisions and found.arrival is not None:
        yield "The router has not decided about it yet."


def _asking(found: Evidence) -> Iterator[str]:
    """What its producer asked for."""
    whose = f"job {found.job_id} of tenant {found.tenant}"
    if found.arrival is None:
        yield f"The record of {whose} is not on the log any more."
        return
    job = found.arrival.job
    model, provider = (None if job.get(name) in (None, "auto") else str(job[name]) for name in ("model", "provider"))
    named = f"names model {model}" if model else "leaves the choice of the model to the router"
    where = f", at provider {provider}" if provider else ""
    last = " last" if len(found.decisions) > 1 or len(found.results) > 1 else ""
    yield f"The producer of {whose} published it{last} at {instant(found.arrival.timestamp_ms)} and {named}{where}."


def _ending(result: Mapping[str, Any], *, explained: bool) -> Iterator[str]:
    """How it ended; `explained`: the decision has said why already."""
    attempts = [one for one in result.get("attempts") or () if isinstance(one, Mapping)]
    served, timing = result.get("served"), result.get("timing_ms") or {}
    for one in attempts:
        if one.get("kind") is not None or len(attempts) > 1:
            yield _attempt(one)
    took = f", {span(timing['total'])} after it was published" if isinstance(timing.get("total"), int) else ""
    if isinstance(served, Mapping):
        yield f"{served.get('model')} at {served.get('provider')} answered{took}."
    else:
        yield f"It ended as {result.get('status')}{took}, and nobody answered."
    error = result.get("error")
    if isinstance(error, Mapping) and not explained:
        yield f"The reason: {words.spoken(error.get('message'))}."
        if str(error.get("kind")) in set(FailureKind):
            failure = FAILURES[FailureKind(str(error["kind"]))]
            yield failure.meaning
            yield f"What to do: {failure.advice}"
    yield from _cost(result)


def _attempt(one: Mapping[str, Any]) -> str:
    who = f"Attempt {one.get('attempt')}, {one.get('model')} at {one.get('provider')}"
    after = f" after {span(_int(one.get('duration_ms')))}"
    kind = one.get("kind")
    if kind is None:
        return f"{who}, was answered{after}."
    cost = _int(one.get("cost_nanousd"))
    paid = f"; it may have been charged, and counts with {money(cost)}" if one.get("ambiguous") else ""
    return f"{who}, failed{after} ({str(kind).replace('_', ' ')}){paid}."


def _cost(result: Mapping[str, Any]) -> Iterator[str]:
    source = _SOURCES.get(str(result.get("cost_source")))
    how = f", {source}" if source else ""
    told = result.get("money")
    if not isinstance(told, Mapping):
        yield f"It cost {money(_int(result.get('cost_nanousd')))}{how}."
        return
    paid, reserved = _int(told.get("paid_nanousd")), _int(told.get("reserved_nanousd"))
    back = f"{money(reserved - paid)} came back" if paid <= reserved else f"that is {money(paid - reserved)} more"
    yield f"It cost {money(paid)}{how}, of the {money(reserved)} that was reserved; {back}."
    if unsure := _int(told.get("ambiguous_nanousd")):
        yield f"Of that, {money(unsure)} counts for calls that may have been paid although no answer came."


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
