"""A decision told aloud, in sentences for somebody who has not seen the code. Pure, and total over any record."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.failure import FAILURES, FailureKind

MOST_EXCLUDED = 12
"""Offers that were left out, told one by one."""
_BOUND = {
    "job": "as the job itself asks",
    "cap": "which is the most that this installation allows",
    "context": "which is what the model's context has left beside the input",
    "money": "which is what the job's price ceiling pays for",
    "budget": "which is what is left of the budget",
}


def dollars(nanousd: Any) -> str:
    """An amount as people read it: `$0.00012`, with no digit that says nothing."""
    if not isinstance(nanousd, int):
        return "an amount that is not told"
    sign, whole, rest = "-" if nanousd < 0 else "", *divmod(abs(nanousd), 10**9)
    cents = f"{rest:09d}".rstrip("0")
    return f"{sign}${whole}.{cents:0<2}"


def told(decision: Mapping[str, Any]) -> list[str]:
    """The sentences of one decision (`schemas.decision.Decision`, as JSON), in the order in which it was made."""
    return [sentence for sentence in _told(decision) if sentence]


def _told(decision: Mapping[str, Any]) -> Iterator[str]:
    yield _who(decision)
    yield _hard(decision)
    verdict = decision.get("verdict")
    if verdict == "assigned":
        yield from _assigned(decision)
    elif verdict == "cancelled":
        yield "It was cancelled before anybody was asked to do it."
    else:
        yield from _refused(decision)
    yield from _budgets(decision)
    yield from _excluded(_rows(decision.get("exclusions")))
    yield from _made_from(decision)


def _who(decision: Mapping[str, Any]) -> str:
    name = f"Job {decision.get('job_id')} of tenant {decision.get('tenant')}"
    part = [f"{what} {decision[field]}" for field, what in (("team", "team"), ("key_id", "key")) if decision.get(field)]
    of = f" ({', '.join(part)})" if part else ""
    again = decision.get("submission")
    nth = f", submitted for the {again}. time" if isinstance(again, int) and again > 1 else ""
    task = f" asks for {decision['task']}" if decision.get("task") else " names no task that could be read"
    return f"{name}{of}{task}{nth}."


def _hard(decision: Mapping[str, Any]) -> str:
    score = decision.get("complexity")
    if not isinstance(score, int | float):
        return ""
    versions = decision.get("versions")
    scorer = versions.get("scorer") if isinstance(versions, Mapping) else None
    return f"Its complexity is {score:g} on a scale from 0 to 1" + (f", as {scorer} counts it." if scorer else ".")


def _assigned(decision: Mapping[str, Any]) -> Iterator[str]:
    candidates = _rows(decision.get("candidates"))
    for at, one in enumerate(candidates):
        who = f"{one.get('model')} at {_provider(one.get('provider'))}"
        price = one.get("price")
        source = f", at a price from {price['source']}" if isinstance(price, Mapping) and price.get("source") else ""
        cost = f"about {dollars(one.get('estimate_nanousd', 0))}, and {dollars(one.get('ceiling_nanousd', 0))} at most"
        if at == 0:
            yield f"Policy {decision.get('policy')} chose {who}: one attempt costs {cost}{source}."
        else:
            before = "If that fails" if at == 1 else "After that"
            yield f"{before}, {who} is asked: {cost}{source}."
    if len(candidates) == 1:
        yield "Nobody else may be asked instead."
    parameters = decision.get("parameters")
    tokens = parameters.get("max_tokens") if isinstance(parameters, Mapping) else None
    if tokens is not None and isinstance(parameters, Mapping):
        why = _BOUND.get(str(decision.get("bound_by")), "as this installation gives where nobody asks")
        warm = [
            f"{name} {parameters[name]:g}"
            for name in ("temperature", "top_p")
            if isinstance(parameters.get(name), int | float)
        ]
        yield f"The answer may have {tokens} tokens, {why}" + (f"; {' and '.join(warm)}." if warm else ".")
    reserve = decision.get("reserve")
    most = decision.get("max_cost_nanousd", 0)
    if isinstance(reserve, Mapping):
        quoted = reserve.get("quoted_nanousd")
        said = f"; its producer had been told {dollars(quoted)}" if quoted is not None else ""
        yield f"{dollars(reserve.get('nanousd', 0))} are reserved for it, all attempts together{said}."
    else:
        yield f"All attempts together may cost {dollars(most)}."


def _refused(decision: Mapping[str, Any]) -> Iterator[str]:
    verb = {"rejected": "refused", "expired": "given up because its time was over"}.get(
        str(decision.get("verdict")), str(decision.get("verdict"))
    )
    message = decision.get("message")
    yield f"It was {verb}, and nobody was called" + (f": {message}." if message else ".")
    kind = decision.get("kind")
    if isinstance(kind, str) and kind in FAILURES:
        failure = FAILURES[FailureKind(kind)]
        yield failure.meaning
        yield f"What to do: {failure.advice}"


def _budgets(decision: Mapping[str, Any]) -> Iterator[str]:
    reserve = decision.get("reserve")
    for one in _rows(reserve.get("budgets")) if isinstance(reserve, Mapping) else ():
        kind = "Budget" if one.get("hard", True) else "Soft budget"
        yield (
            f"{kind} {one.get('id')} of {one.get('window')} has {dollars(one.get('limit_nanousd', 0))}: "
            f"{dollars(one.get('spent_nanousd', 0))} were spent and {dollars(one.get('reserved_nanousd', 0))} reserved "
            "by other jobs when this one came."
        )


def _excluded(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in rows[:MOST_EXCLUDED]:
        model, detail = str(one.get("model")), one.get("detail")
        if model.startswith("("):
            yield f"{model.strip('()').capitalize()} were left out: {detail}."
        else:
            reason = str(one.get("reason")).replace("_", " ")
            yield f"{model} at {_provider(one.get('provider'))} was left out ({reason}): {detail}."
    if len(rows) > MOST_EXCLUDED:
        yield f"{len(rows) - MOST_EXCLUDED} more reasons stand in the record."


def _made_from(decision: Mapping[str, Any]) -> Iterator[str]:
    held = decision.get("held")
    if isinstance(held, Mapping) and held.get("shut"):
        names = ", ".join(f"{model} at {_provider(provider)}" for provider, model in _pairs(held["shut"]))
        yield f"When it was decided, the breaker of {names} was open."
    if isinstance(held, Mapping) and held.get("lessons"):
        yield "What had been observed of the offers was heeded."
    versions = decision.get("versions")
    if isinstance(versions, Mapping):
        states = ("prices", "policies", "accounts", "catalogue")
        named = [f"{name} {versions[name]}" for name in states if versions.get(name) is not None]
        if named:
            yield f"It was made from {', '.join(named)}: from the same, anybody decides the same."


def _provider(name: Any) -> str:
    return "whoever Hugging Face chooses" if name == "auto" else str(name)


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _pairs(value: Any) -> list[tuple[str, str]]:
    return [(str(one[0]), str(one[1])) for one in value if isinstance(one, list | tuple) and len(one) == 2]
