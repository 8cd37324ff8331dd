"""A decision told aloud, in sentences for somebody who has not seen the code. Pure, and total over any record."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.failure import FAILURES, FailureKind

MOST_EXCLUDED = 12
"""Offers that were left out, told one by one."""
BOUND = {
    "job": "as the job itself asks",
    "cap": "which is the most that this installation allows",
    "context": "which is what the model's context has left beside the input",
    "money": "which is what the job's price ceiling pays for",
    "budget": "which is what is left of the budget",
}


_POLICIES = {
    "brief": "which gives simple jobs to small models and hard ones to large models, the least expected cost first",
    "cheapest": "which takes whoever is expected to cost least",
    "fastest": "which takes whoever probably answers soonest",
    "balanced": "which weighs cost, time and quality against each other",
    "pinned": "which takes what the tenant's operator named, in that order",
}
_AMOUNTS = (
    (re.compile(r"\bmax_cost_nanousd is ([0-9]+)"), "the job's price ceiling is {}"),
    (
        re.compile(r"\bceiling of ([0-9]+) nano-dollars([^;]*); it is ([0-9]+)"),
        "price ceiling of {}{}; the job's is {}",
    ),
    (re.compile(r"\b([0-9]+) of ([0-9]+) nano-dollars"), "{} of {}"),
    (re.compile(r"\(([0-9]+) spent, ([0-9]+) reserved\); ([0-9]+) are"), "({} spent, {} reserved); {} are"),
    (re.compile(r"\b([0-9]+) nano-dollars"), "{}"),
)
"""Where a message names nano-dollars."""


def spoken(message: object) -> str:
    """A message of a decision or a result with its nano-dollars as dollars."""
    text = str(message)
    for pattern, words in _AMOUNTS:
        text = pattern.sub(partial(_in_dollars, words), text)
    return text.rstrip(".")


def _in_dollars(words: str, found: re.Match[str]) -> str:
    return words.format(*(dollars(int(part)) if part.isdecimal() else part for part in found.groups()))


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
    yield _stood(decision)
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
    nth = f"; this is its submission {again}" if isinstance(again, int) and again > 1 else ""
    task = f" asks for {decision['task']}" if decision.get("task") else " names no task that could be read"
    until = f", to be done by {decision['deadline']}" if decision.get("deadline") else ""
    return f"{name}{of}{task}{until}{nth}."


def _stood(decision: Mapping[str, Any]) -> str:
    stood = decision.get("resolved")
    if not isinstance(stood, Mapping):
        return ""
    pinned = ""
    if stood.get("revision"):
        pinned = (
            f", pinned to commit {stood['revision']}: a dedicated endpoint serves the commit that it was made with, a "
            "provider behind Hugging Face the one that it has"
        )
    if stood.get("moved_to"):
        pinned += f"; its main branch was at {stood['moved_to']} by then"
    return (
        f"The name that it asks for, {stood.get('alias')}, is an alias of the registry: its version "
        f"{stood.get('version')} stood for {stood.get('model')}{pinned}."
    )


def _hard(decision: Mapping[str, Any]) -> str:
    score = decision.get("complexity")
    if not isinstance(score, int | float):
        return ""
    versions = decision.get("versions")
    scorer = versions.get("scorer") if isinstance(versions, Mapping) else None
    by = f", as scorer {scorer} reckons from its text" if scorer else ""
    return f"Its complexity is {score:g} on a scale from 0, simple, to 1, hard{by}."


def _assigned(decision: Mapping[str, Any]) -> Iterator[str]:
    candidates = _rows(decision.get("candidates"))
    for at, one in enumerate(candidates):
        who = f"{one.get('model')} at {_provider(one.get('provider'))}"
        price = one.get("price")
        source = f", at a price from {price['source']}" if isinstance(price, Mapping) and price.get("source") else ""
        cost = f"about {dollars(one.get('estimate_nanousd', 0))}, and {dollars(one.get('ceiling_nanousd', 0))} at most"
        if at == 0:
            policy = str(decision.get("policy"))
            rule = f", {_POLICIES[name]}," if (name := policy.partition("/")[0]) in _POLICIES else ""
            yield f"Policy {policy}{rule} chose {who}: one attempt costs {cost}{source}."
        else:
            before = "If that fails" if at == 1 else "After that"
            yield f"{before}, {who} is asked: one attempt costs {cost}{source}."
    if len(candidates) == 1:
        yield "If that fails, nobody else is asked."
    parameters = decision.get("parameters")
    tokens = parameters.get("max_tokens") if isinstance(parameters, Mapping) else None
    if tokens is not None and isinstance(parameters, Mapping):
        why = BOUND.get(str(decision.get("bound_by")), "as this installation gives where nobody asks")
        warm = [
            f"its {name} is {parameters[name]:g}"
            for name in ("temperature", "top_p")
            if isinstance(parameters.get(name), int | float)
        ]
        yield f"The answer may have at most {tokens} tokens (some three quarters of a word each), {why}" + (
            f"; {' and '.join(warm)}." if warm else "."
        )
    reserve = decision.get("reserve")
    most = decision.get("max_cost_nanousd", 0)
    if isinstance(reserve, Mapping):
        quoted = reserve.get("quoted_nanousd")
        said = f"; its producer had been told {dollars(quoted)}" if quoted is not None else ""
        amount = dollars(reserve.get("nanousd", 0))
        yield f"For all attempts together {amount} is reserved{said}; what is not spent comes back when it ends."
    else:
        yield f"All attempts together may cost {dollars(most)}."


def _refused(decision: Mapping[str, Any]) -> Iterator[str]:
    verb = {"rejected": "refused", "expired": "given up because its time was over"}.get(
        str(decision.get("verdict")), str(decision.get("verdict"))
    )
    message = decision.get("message")
    yield f"It was {verb}, and nobody was called" + (f": {spoken(message)}." if message else ".")
    kind = decision.get("kind")
    if isinstance(kind, str) and kind in FAILURES:
        failure = FAILURES[FailureKind(kind)]
        yield failure.meaning
        yield f"What to do: {failure.advice}"


def _budgets(decision: Mapping[str, Any]) -> Iterator[str]:
    reserve = decision.get("reserve")
    for one in _rows(reserve.get("budgets")) if isinstance(reserve, Mapping) else ():
        limit, spent, reserved = (one.get(f"{name}_nanousd") for name in ("limit", "spent", "reserved"))
        left = ""
        if isinstance(limit, int) and isinstance(spent, int) and isinstance(reserved, int):
            left = f", so {dollars(limit - spent - reserved)} was left"
        soft = "" if one.get("hard", True) else "; it is soft: it gives alerts, and limits nothing"
        yield (
            f"It counts against budget {one.get('id')}, which has {dollars(limit)} for {_window(one.get('window'))}: "
            f"when this job came, {dollars(spent)} was spent and {dollars(reserved)} reserved by others{left}{soft}."
        )


def _window(label: Any) -> str:
    """A window's label in words: `the month 2026-11`."""
    text = str(label)
    if text == "total":
        return "all time"
    return f"{ {7: 'the month ', 10: 'the day ', 13: 'the hour '}.get(len(text), '') }{text}"


def _excluded(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in rows[:MOST_EXCLUDED]:
        model, detail = str(one.get("model")), one.get("detail")
        if model.startswith("("):
            several = model.strip("()").capitalize()
            left = "1 offer was" if several == "1 offers" else f"{several} were"
            yield f"{left} left out: {spoken(detail)}."
        else:
            reason = str(one.get("reason")).replace("_", " ")
            yield f"{model} at {_provider(one.get('provider'))} was left out ({reason}): {spoken(detail)}."
    if len(rows) > MOST_EXCLUDED:
        yield f"{len(rows) - MOST_EXCLUDED} more reasons stand in the record."


def _made_from(decision: Mapping[str, Any]) -> Iterator[str]:
    held = decision.get("held")
    shut = _pairs(held.get("shut")) if isinstance(held, Mapping) else []
    if shut:
        names = ", ".join(f"{model} at {_provider(provider)}" for provider, model in shut)
        yield f"Nobody was sent to {names} then: the breaker was open, for too many calls had failed."
    if isinstance(held, Mapping) and held.get("lessons"):
        yield "How fast, how dear and how reliable the offers had been of late was taken into account."
    at = f" at {decision['decided_at']}" if decision.get("decided_at") else ""
    versions = decision.get("versions")
    states = ("prices", "policies", "accounts", "registry", "catalogue")
    named = [f"{name} {versions[name]}" for name in states if name in versions] if isinstance(versions, Mapping) else []
    if named:
        yield f"It was decided{at} from {', '.join(named)}: whoever decides it again from these comes to the same."
    elif at:
        yield f"It was decided{at}."


def _provider(name: Any) -> str:
    return "whoever Hugging Face chooses" if name == "auto" else str(name)


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _pairs(value: Any) -> list[tuple[str, str]]:
    listed = value if isinstance(value, list | tuple) else ()
    return [(str(one[0]), str(one[1])) for one in listed if isinstance(one, list | tuple) and len(one) == 2]
