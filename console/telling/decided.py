"""What was decided about a submission, and why, as rows. Pure."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from console.telling.evidence import Evidence, dicts, milliseconds, number
from console.telling.screenful import Row, listed, named
from console.words import count, instant, money
from router.words import BOUND, spoken

CANDIDATES = 3
EXCLUSIONS = 2
BUDGETS = 3
_SEVERAL = re.compile(r"\(([0-9]{1,9}) offers\)")
VERSIONS = ("catalogue", "prices", "policies", "accounts", "registry")


def decided(found: Evidence, submission: int, command: str, everything: bool) -> Iterator[Row]:
    """Verdict, candidates, who was left out, limits, reserve and budgets."""
    decision = found.decision(submission)
    if decision is None:
        yield Row("decision", "not on the log any more")
        return
    yield from _verdict(decision)
    yield from listed("candidate", _candidates(decision), command, first=CANDIDATES, everything=everything)
    yield from _left_out(decision, command, everything)
    if decision.get("verdict") == "assigned":
        yield from _limits(decision)
    if isinstance(decision.get("reserve"), dict):
        yield from _reserve(decision["reserve"], command, everything)
    else:
        yield from listed("budget", _purse(decision), command, first=BUDGETS, everything=everything)


def _verdict(decision: dict[str, Any]) -> Iterator[Row]:
    complexity, versions = decision.get("complexity"), decision.get("versions")
    parts = [named(decision.get("verdict"))]
    if decision.get("policy"):
        parts.append(f"policy {named(decision['policy'])}")
    if isinstance(complexity, int | float):
        parts.append(f"complexity {complexity:.2f} of 1")
    yield Row("decision", f"{', '.join(parts)}; {instant(milliseconds(decision.get('decided_at')))}")
    if isinstance(versions, dict):
        told = [f"{name} {named(str(versions[name])[:12])}" for name in VERSIONS if versions.get(name)]
        yield from [Row("", f"by the versions: {', '.join(told)}")] if told else []
    stood = decision.get("resolved")
    if isinstance(stood, dict):
        commit = f"@{named(stood['revision'])}" if stood.get("revision") else ""
        alias = f"{named(stood.get('alias'))} version {named(stood.get('version'))}"
        yield Row("", f"by the alias {alias}: {named(stood.get('model'))}{commit}")
    if decision.get("redriven_from"):
        yield Row("", f"driven again from dead letter {named(decision['redriven_from'])}")
    if decision.get("kind"):
        yield Row("", f"{named(decision['kind'])}: {named(spoken(decision.get('message')), 300)}")
    held = decision.get("held") if isinstance(decision.get("held"), dict) else {}
    shut = [one for one in (held or {}).get("shut") or () if isinstance(one, list) and len(one) == 2]
    if shut:
        names = ", ".join(f"{named(model)} at {named(provider)}" for provider, model in shut[:3])
        more = f" and {len(shut) - 3} more" if len(shut) > 3 else ""
        yield Row("", f"breakers were open then: {names}{more}")
    turn = (held or {}).get("turn")
    if isinstance(turn, dict) and turn.get("limit"):
        yield Row("", f"limit that held it: {named(turn['limit'])}, until {named(turn.get('at'))}")


def _candidates(decision: dict[str, Any]) -> list[str]:
    return [
        f"{place}. {named(one.get('model'))} at {named(one.get('provider'))}: expected "
        f"{money(number(one.get('estimate_nanousd')))}, at most {money(number(one.get('ceiling_nanousd')))}"
        f"{_source(one)}"
        for place, one in enumerate(dicts(decision.get("candidates")), 1)
    ]


def _source(candidate: dict[str, Any]) -> str:
    price = candidate.get("price")
    source = candidate.get("price_source") or (price.get("source") if isinstance(price, dict) else None)
    return f" (price: {named(source)})" if source else ""


def _left_out(decision: dict[str, Any], command: str, everything: bool) -> Iterator[Row]:
    """Each reason with how many it left out; the details of the first few."""
    exclusions = dicts(decision.get("exclusions"))
    reasons: Counter[str] = Counter()
    for one in exclusions:
        reasons[named(one.get("reason"))] += _offers(one)
    if len(exclusions) > EXCLUSIONS and not everything:
        told = ", ".join(f"{reason} {times}" for reason, times in reasons.most_common(6))
        yield Row("not taken", f"{count(sum(map(_offers, exclusions)), 'offer')}: {told}")
    lines = [
        f"{named(who_is_out(one))}: {named(one.get('reason'))}: {named(spoken(one.get('detail')), 160)}"
        for one in exclusions
    ]
    label = "" if len(exclusions) > EXCLUSIONS and not everything else "not taken"
    yield from listed(label, lines, command, first=EXCLUSIONS, everything=everything)


def _offers(exclusion: dict[str, Any]) -> int:
    """How many offers a row is about: `(73 offers)` where the router told several of them as one."""
    several = _SEVERAL.fullmatch(str(exclusion.get("model")))
    return int(several[1]) if several else 1


def who_is_out(exclusion: dict[str, Any]) -> str:
    """`MODEL at PROVIDER`, or `73 offers`."""
    if _SEVERAL.fullmatch(str(exclusion.get("model"))):
        return count(_offers(exclusion), "offer")
    return f"{exclusion.get('model')} at {exclusion.get('provider')}"


def _limits(decision: dict[str, Any]) -> Iterator[Row]:
    given = decision.get("parameters") if isinstance(decision.get("parameters"), dict) else {}
    why = {"max_tokens": f" ({BOUND[bound]})"} if (bound := str(decision.get("bound_by"))) in BOUND else {}
    told = "".join(
        f", {named(name)} {named(value, 24)}{why.get(name, '')}" for name, value in list((given or {}).items())[:8]
    )
    most, deadline = money(number(decision.get("max_cost_nanousd"))), milliseconds(decision.get("deadline"))
    yield Row("limits", f"{most} over all attempts, deadline {instant(deadline)}{told}")


def _reserve(reserve: dict[str, Any], command: str, everything: bool) -> Iterator[Row]:
    """What the decision took out of its tenant's budgets, and how these stood before it."""
    quoted = reserve.get("quoted_nanousd")
    yield Row(
        "reserved",
        f"{money(number(reserve.get('nanousd')))}, expected {money(number(reserve.get('expected_nanousd')))}, "
        + (f"quoted {money(quoted)}" if isinstance(quoted, int) else "not quoted")
        + ("" if dicts(reserve.get("budgets")) else "; no budget binds it"),
    )
    lines = []
    for one in dicts(reserve.get("budgets")):
        amounts = [number(one.get(f"{name}_nanousd")) for name in ("limit", "spent", "reserved")]
        lines.append(_budget(one.get("id"), one.get("window"), amounts, hard=bool(one.get("hard", True))))
    yield from listed("budget", lines, command, first=BUDGETS, everything=everything)


def _purse(decision: dict[str, Any]) -> list[str]:
    """The budgets that a refusal looked at."""
    held = decision.get("held")
    rows = held.get("purse") if isinstance(held, dict) else None
    return [
        _budget(row[0], row[1], [number(one) for one in row[2:5]], hard=row[5] is not False)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, list) and len(row) >= 6
    ]


def _budget(name: object, window: object, amounts: list[int], *, hard: bool) -> str:
    limit, spent, held = amounts
    return (
        f"{named(name)} ({'hard' if hard else 'soft'}) in {named(window)}: of {money(limit)}, {money(spent)} spent and "
        f"{money(held)} reserved by others: {money(limit - spent - held)} left before this job"
    )
