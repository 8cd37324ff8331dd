"""One job's story in words. Pure: evidence in, lines out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from console.evidence import Evidence
from console.words import count, instant, money, shown, span
from schemas.failure import FAILURES, FailureKind

INDENT = " " * 11


def as_json(found: Evidence) -> dict[str, Any]:
    """The evidence as one document. The job's input and the results' outputs are in it, as they are on the topics."""
    return asdict(found)


def tell(found: Evidence) -> list[str]:
    """The story, from arrival to result, one submission after the other. Never prompts, never outputs."""
    return [shown(line).replace("\n", " ") for line in _lines(found)]


def _lines(found: Evidence) -> Iterator[str]:
    yield f"job        {found.job_id} of tenant {found.tenant}: {_summary(found)}"
    if found.arrival is not None:
        arrival, job = found.arrival, found.arrival.job
        yield (
            f"received   {instant(arrival.timestamp_ms)}, jobs partition {arrival.partition}, offset {arrival.offset}, "
            f"{count(arrival.size_bytes, 'byte')}"
        )
        yield (
            f"{INDENT}{job.get('task')}, asked for model {job.get('model', 'auto')} at provider "
            f"{job.get('provider', 'auto')}, priority {job.get('priority', 'normal')}"
        )
    results = {result.get("submission", 1): result for result in found.results}
    decisions = {decision.get("submission", 1): decision for decision in found.decisions}
    submissions = sorted({*results, *decisions})
    for submission in submissions:
        if len(submissions) > 1:
            yield f"submission {submission}"
        if submission in decisions:
            yield from _decision(decisions[submission])
        if submission in results:
            yield from _result(results[submission])
        else:
            yield "result     none yet: it waits for a worker, or is being worked on (see: novix status)"
    if not submissions and found.arrival is not None:
        yield "decision   none yet: it waits for the router (see: novix status)"
    for letter in found.dead_letters:
        beside = "beside its result" if letter.has_result else "instead of a result"
        yield (
            f"set aside  {instant(letter.timestamp_ms)}, {beside}: dead letters partition {letter.partition}, offset "
            f"{letter.offset}, from {letter.from_topic}: {letter.message}"
        )


def _summary(found: Evidence) -> str:
    if found.results:
        last = found.results[-1]
        total = (last.get("timing_ms") or {}).get("total")
        return f"{last.get('status')}, {money(_int(last.get('cost_nanousd')))}, {span(total)} after publication"
    if found.decisions:
        return f"{found.decisions[-1].get('verdict')}, no result yet"
    return "published, not decided yet" if found.arrival is not None else "set aside"


def _decision(decision: dict[str, Any]) -> Iterator[str]:
    verdict = str(decision.get("verdict"))
    complexity = decision.get("complexity")
    parts = [verdict]
    if decision.get("policy"):
        parts.append(f"policy {decision['policy']}")
    if isinstance(complexity, int | float):
        parts.append(f"complexity {complexity:.2f}")
    yield f"decision   {', '.join(parts)} ({decision.get('decision_id')})"
    if decision.get("kind"):
        yield f"{INDENT}{decision['kind']}: {decision.get('message')}"
    for place, candidate in enumerate(_dicts(decision.get("candidates")), 1):
        yield (
            f"candidate  {place}. {candidate.get('model')} at {candidate.get('provider')}, expected "
            f"{money(_int(candidate.get('estimate_nanousd')))}, at most {money(_int(candidate.get('ceiling_nanousd')))}"
            f"{_source(candidate)}"
        )
    for exclusion in _dicts(decision.get("exclusions")):
        yield (
            f"not taken  {exclusion.get('model')} at {exclusion.get('provider')}: {exclusion.get('reason')}: "
            f"{exclusion.get('detail')}"
        )
    if verdict == "assigned":
        given = ", ".join(f"{name} {value}" for name, value in (decision.get("parameters") or {}).items())
        bound = f"; max_tokens bound by {decision['bound_by']}" if decision.get("bound_by") else ""
        yield (
            f"limits     {money(_int(decision.get('max_cost_nanousd')))} over all attempts, deadline "
            f"{decision.get('deadline')}"
        )
        if given:
            yield f"{INDENT}{given}{bound}"
    if isinstance(decision.get("reserve"), dict):
        yield from _reserve(decision, decision["reserve"])


def _reserve(decision: dict[str, Any], reserve: dict[str, Any]) -> Iterator[str]:
    """What the decision took out of its tenant's budgets, from which prices, and how the budgets stood before it."""
    quoted = reserve.get("quoted_nanousd")
    versions = decision.get("versions") or {}
    yield (
        f"reserved   {money(_int(reserve.get('nanousd')))}, expected {money(_int(reserve.get('expected_nanousd')))}"
        + (f", quoted {money(quoted)}" if isinstance(quoted, int) else "")
        + f"; priced by {decision.get('policy')} and prices@{versions.get('prices', '-')}"
    )
    for one in _dicts(reserve.get("budgets")):
        spent, reserved, limit = (_int(one.get(f"{name}_nanousd")) for name in ("spent", "reserved", "limit"))
        kind = "hard" if one.get("hard", True) else "soft"
        yield (
            f"budget     {one.get('id')} ({kind}) in {one.get('window')}: {money(limit)}, {money(spent)} spent and "
            f"{money(reserved)} reserved by others, so {money(limit - spent - reserved)} left before this job"
        )


def _result(result: dict[str, Any]) -> Iterator[str]:
    timing = result.get("timing_ms") or {}
    waits = [
        (name, timing[name]) for name in ("queued", "routed", "waiting", "calling") if isinstance(timing.get(name), int)
    ]
    if waits:
        words = {"queued": "before the router", "routed": "before the worker", "waiting": "for slot, breaker or retry"}
        told = ", ".join(f"{span(value)} {words.get(name, 'in calls')}" for name, value in waits)
        yield f"time       {told}"
    for attempt in _dicts(result.get("attempts")):
        yield f"attempt    {_attempt(attempt)}"
    served, error = result.get("served") or {}, result.get("error") or {}
    who = f" by {served.get('model')} at {served.get('provider')}" if served else ""
    asked = result.get("asked") or {}
    if served and asked and served != asked:
        yield f"asked      {asked.get('model')} at {asked.get('provider')}"
    yield f"result     {result.get('status')}{who}, {result.get('completed_at')}"
    if error:
        again = (
            "publishing it again later may succeed" if error.get("retryable") else "publishing it again will not help"
        )
        yield f"{INDENT}{error.get('kind')}: {error.get('message')} ({again})"
        if error.get("kind") in set(FailureKind):
            failure = FAILURES[FailureKind(error["kind"])]
            yield f"{INDENT}{failure.meaning}"
            yield f"{INDENT}{failure.advice}"
    usage = ", ".join(f"{name} {value}" for name, value in (result.get("usage") or {}).items())
    yield (
        f"cost       {money(_int(result.get('cost_nanousd')))} ({result.get('cost_source')})"
        + (f"; {usage}" if usage else "")
    )
    if isinstance(result.get("money"), dict):
        yield f"money      {_money(result['money'])}"
    if isinstance(timing.get("first_token"), int):
        yield f"{INDENT}first token after {span(timing['first_token'])}"
    if result.get("adapted"):
        for name, change in result["adapted"].items():
            yield f"adapted    {name}: {change}"
    yield f"trace      {result.get('trace_id')}"


def _money(told: dict[str, Any]) -> str:
    quoted, unsure = told.get("quoted_nanousd"), _int(told.get("ambiguous_nanousd"))
    reserved, paid = _int(told.get("reserved_nanousd")), _int(told.get("paid_nanousd"))
    parts = [
        f"quoted {money(quoted)}" if isinstance(quoted, int) else "not quoted",
        f"reserved {money(reserved)}",
        f"paid {money(paid)}" + (f", {money(unsure)} of it for calls that may have been paid" if unsure else ""),
        f"{money(reserved - paid)} given back" if paid <= reserved else f"{money(paid - reserved)} above the reserve",
    ]
    return ", ".join(parts) + (f"; priced by {told['priced_by']}" if told.get("priced_by") else "")


def _attempt(attempt: dict[str, Any]) -> str:
    kind, status = attempt.get("kind"), attempt.get("upstream_status")
    outcome = "answered" if kind is None else str(kind)
    http = f" ({status})" if status is not None else ""
    waited = _int(attempt.get("waited_ms"))
    ambiguous = ", may have been charged: counted with its ceiling" if attempt.get("ambiguous") else ""
    request = f", request {attempt['request_id']}" if attempt.get("request_id") else ""
    return (
        f"{attempt.get('attempt')}. {attempt.get('model')} at {attempt.get('provider')}: {outcome}{http} after "
        f"{span(_int(attempt.get('duration_ms')))}"
        + (f", having waited {span(waited)}" if waited else "")
        + f", {money(_int(attempt.get('cost_nanousd')))}{ambiguous}{request}"
    )


def _source(candidate: dict[str, Any]) -> str:
    price = candidate.get("price")
    source = candidate.get("price_source") or (price.get("source") if isinstance(price, dict) else None)
    return f" (price: {source})" if source else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
