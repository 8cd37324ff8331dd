"""One job's story in whole sentences, for somebody who has not seen the code. Pure: evidence in, sentences out."""

from collections.abc import Iterator, Mapping
from typing import Any

from console.evidence import Evidence, submission_of
from console.words import count, money, shown, span
from router import words


def aloud(found: Evidence) -> list[str]:
    """Each submission: what was decided and why, then how it ended and what it cost. Never prompts, never outputs."""
    return [shown(sentence).replace("\n", " ") for sentence in _sentences(found)]


def _sentences(found: Evidence) -> Iterator[str]:
    results = {submission_of(result): result for result in found.results}
    decisions = {submission_of(decision): decision for decision in found.decisions}
    for submission in sorted({*results, *decisions}):
        if submission in decisions:
            yield from words.told(decisions[submission])
        if submission in results:
            yield from _ending(results[submission])
        else:
            yield "It has not ended yet."
    if not results and not decisions:
        where = "waits for the router" if found.arrival is not None else "was set aside before anybody decided about it"
        yield f"Job {found.job_id} of tenant {found.tenant} {where}."


def _ending(result: Mapping[str, Any]) -> Iterator[str]:
    attempts = [one for one in result.get("attempts") or () if isinstance(one, Mapping)]
    served, timing = result.get("served"), result.get("timing_ms") or {}
    took = f", {span(timing['total'])} after it was published" if isinstance(timing.get("total"), int) else ""
    if isinstance(served, Mapping):
        yield f"{served.get('model')} at {served.get('provider')} answered{took}."
    else:
        yield f"It ended as {result.get('status')}{took}, and nobody answered."
    failed = [str(one.get("kind")).replace("_", " ") for one in attempts if one.get("kind") is not None]
    if failed:
        yield f"Of {count(len(attempts), 'attempt')} {len(failed)} failed: {', '.join(failed)}."
    told = result.get("money")
    if not isinstance(told, Mapping):
        yield f"It cost {money(_int(result.get('cost_nanousd')))}."
        return
    paid, reserved = _int(told.get("paid_nanousd")), _int(told.get("reserved_nanousd"))
    back = f"{money(reserved - paid)} came back" if paid <= reserved else f"that is {money(paid - reserved)} more"
    yield f"It cost {money(paid)} of the {money(reserved)} that were reserved; {back}."
    if unsure := _int(told.get("ambiguous_nanousd")):
        yield f"{money(unsure)} of it count for calls that may have been paid although no answer came."


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
