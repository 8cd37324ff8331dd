"""What to do next: one or two commands that fit how a job ended, or where it stands. Pure.

A command names the job, the budget, the dead letter it is about. A name that no shell could be given safely is told in
capitals instead.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from console.telling.evidence import Evidence, dicts, milliseconds, number
from console.words import instant
from schemas.failure import FAILURES, FailureKind

K = FailureKind
AGAIN = "publish it again under a new id"
LONGEST_WORD = 200


def word(told: object, else_: str) -> str:
    """A name as a shell takes it; `else_` for what is too long or holds what no terminal shows."""
    text = str(told)
    return shlex.quote(text) if text.isprintable() and 0 < len(text) <= LONGEST_WORD else else_


def command_of(found: Evidence, name: str = "why") -> str:
    """`novix why JOB --tenant TENANT`, without the tenant where it is the default."""
    tenant = "" if found.tenant == "default" else f" --tenant {word(found.tenant, 'TENANT')}"
    return f"novix {name} {word(found.job_id, 'JOB')}{tenant}"


def next_steps(found: Evidence) -> list[str]:
    """At most three lines; the first is what to do first."""
    submission = max(found.submissions, default=1)
    result, decision = found.result(submission), found.decision(submission)
    if result is None:
        return list(_on_its_way(found, decision))[:3]
    error = result.get("error") if isinstance(result.get("error"), dict) else None
    steps = list(_after_failure(found, result, decision or {}, error) if error else _after_success(found, result))
    unsure = any(one.get("ambiguous") for one in dicts(result.get("attempts")))
    if unsure:
        tenant = word(found.tenant, "TENANT")
        steps.insert(min(1, len(steps)), f"novix ledger ambiguous {tenant}  # was it charged? the provider's bill says")
    return steps[:3]


def _on_its_way(found: Evidence, decision: dict[str, Any] | None) -> Iterator[str]:
    if decision is None and found.arrival is None and found.dead_letters:
        letter = found.dead_letters[-1]
        yield f"novix dlq show {letter.partition}/{letter.offset}  # then mend the producer and publish it again"
        return
    if decision is None:
        yield "novix status  # does the router run, and how much waits before it?"
    elif parked := [one for one in found.parked if one.until_ms is not None]:
        yield f"wait: it goes back to its workers at {instant(parked[-1].until_ms)}"
    else:
        yield "novix status  # does its worker run, and how much waits before it?"
    if any(state.get("state") == "open" for state in found.breakers):
        yield "novix breakers  # until when is its provider left alone?"
    yield f"{command_of(found, 'cancel')}  # if it is not wanted any more"


def _after_success(found: Evidence, result: dict[str, Any]) -> Iterator[str]:
    tenant = "" if found.tenant == "default" else f" --tenant {word(found.tenant, 'TENANT')}"
    yield f"nothing. The answer: novix results --job {word(found.job_id, 'JOB')}{tenant}"
    served = result.get("served") if isinstance(result.get("served"), dict) else {}
    others = [one for one in dicts(result.get("attempts")) if one.get("provider") != (served or {}).get("provider")]
    if others:
        yield "novix breakers  # how is the provider that was asked first?"


def _after_failure(
    found: Evidence, result: dict[str, Any], decision: dict[str, Any], error: dict[str, Any]
) -> Iterator[str]:
    kind, tenant = str(error.get("kind")), word(found.tenant, "TENANT")
    attempts = dicts(result.get("attempts"))
    last: dict[str, Any] = attempts[-1] if attempts else {}
    yield from _first_step(kind, _Case(found, decision, _model(found, decision, last), tenant))
    message = str(error.get("message"))
    if kind in (K.OVER_RATE, K.OVER_BUDGET) and (at := _moment_in(message)):
        yield f"or wait until {at}, then {AGAIN}"
    if found.dead_letters and kind not in (K.CONFLICT,):
        letter = found.dead_letters[-1]
        when = {K.CRASHED: "only after an update", K.REQUEST_REFUSED: "once the cause is gone"}.get(
            FailureKind(kind) if kind in set(FailureKind) else K.INTERNAL,
            "does the same job again, as its next submission",
        )
        yield f"novix dlq redrive {letter.partition}/{letter.offset}  # {when}"


@dataclass(frozen=True, slots=True)
class _Case:
    """What the first step may have to name."""

    found: Evidence
    decision: dict[str, Any]
    model: str
    tenant: str

    @property
    def asked(self) -> dict[str, Any]:
        """The job, as far as it is known."""
        return self.found.arrival.job if self.found.arrival is not None else {}


def _first_step(kind: str, case: _Case) -> list[str]:
    """By the kind of failure; for most kinds the table of failures says what to do."""
    if kind not in set(FailureKind):
        return ["bring Novix up to date: this version does not know how that job ended"]
    told = _STEPS.get(FailureKind(kind))
    return [FAILURES[FailureKind(kind)].advice] if told is None else told(case)


def _raise_budget(case: _Case) -> list[str]:
    name = word(tightest(case.decision) or "ID", "ID")
    return [
        f"novix budget explain {case.tenant} {name}  # what has used it up?",
        f"novix budget set {case.tenant} {name} --limit DOLLARS  # then {AGAIN}",
    ]


def _say_price(case: _Case) -> list[str]:
    offer = _unpriced(case.decision) or f"PROVIDER/{case.model}"
    return [f"novix prices set {word(offer, 'PROVIDER/MODEL')} --input DOLLARS --output DOLLARS  # then {AGAIN}"]


def _raise_ceiling(case: _Case) -> list[str]:
    least = min((number(one.get("ceiling_nanousd")) for one in dicts(case.decision.get("candidates"))), default=0)
    least = least or _least_in(str(case.decision.get("message")))
    enough = f"of at least {least}" if least else "as high as the message names"
    return [f"{AGAIN}, with a max_cost_nanousd {enough}"]


def _more_time(case: _Case) -> list[str]:
    given = case.asked.get("timeout_s")
    now = f"now {given:g}" if isinstance(given, int | float) else "600 if none is given"
    return [f"{AGAIN}, with more time: timeout_s ({now}), or a later deadline"]


def _another_provider(kind: FailureKind) -> Callable[[_Case], list[str]]:
    def step(case: _Case) -> list[str]:
        if case.asked.get("provider", "auto") != "auto":
            return ["leave provider out of the job: then others are asked when this one fails"]
        return [FAILURES[kind].advice]

    return step


_STEPS: dict[FailureKind, Callable[[_Case], list[str]]] = {
    K.OVER_BUDGET: _raise_budget,
    K.OVER_RATE: lambda case: [f"novix tenant set {case.tenant} --over-limit wait  # its jobs then wait their turn"],
    K.UNKNOWN_PRICE: _say_price,
    K.PRICE_CEILING: _raise_ceiling,
    K.DEADLINE_PASSED: _more_time,
    K.TOO_SLOW: _more_time,
    K.FORBIDDEN: lambda case: [
        f"accept its licence with the token's account: https://huggingface.co/{word(case.model, 'MODEL')}"
    ],
    K.LICENCE_REFUSED: lambda case: [f"novix tenant set {case.tenant} --licences LICENCE,...  # or name another model"],
    K.NOT_APPROVED: lambda case: [
        f"novix tenant show {case.tenant}  # which models may it use?",
        f"novix tenant set {case.tenant} --models {word(case.model, 'MODEL')},...  # with those that it has",
    ],
    K.TENANT_UNKNOWN: lambda case: [f"novix tenant set {case.tenant}  # then {AGAIN}"],
    K.CONFLICT: lambda _: [f"{AGAIN}: this one stands for other content"],
    K.CANCELLED: lambda _: [f"nothing, if that was meant; else {AGAIN}"],
    K.BREAKER_OPEN: lambda _: ["novix breakers  # is it closed again?"],
    K.UNAUTHORIZED: lambda _: ["novix doctor  # is the token there, and good?"],
    K.CONNECT_FAILED: lambda _: ["novix doctor  # does this machine reach the provider?"],
    K.PAYMENT_REQUIRED: lambda _: ["add credits: https://huggingface.co/settings/billing"],
    **{kind: _another_provider(kind) for kind in (K.INVALID_OUTPUT, K.PROVIDER_ERROR, K.OVERLOADED, K.MODEL_LOADING)},
}
"""Where a command, or a name of the job's own, says more than the table of failures."""


def tightest(decision: dict[str, Any]) -> str | None:
    """The hard budget with the least left, of those that the decision saw."""
    held = decision.get("held") if isinstance(decision.get("held"), dict) else {}
    lines = []
    for row in (held or {}).get("purse") or ():
        if isinstance(row, list) and len(row) >= 6 and row[5] is not False:
            lines.append((number(row[2]) - number(row[3]) - number(row[4]), str(row[0])))
    if not lines:
        found = re.search(r"\bbudget (\S+)", str(decision.get("message")))
        return found[1] if found else None
    return min(lines)[1]


def _unpriced(decision: dict[str, Any]) -> str | None:
    for one in dicts(decision.get("exclusions")):
        if one.get("reason") == K.UNKNOWN_PRICE:
            return f"{one.get('provider')}/{one.get('model')}"
    return None


def _model(found: Evidence, decision: dict[str, Any], last: dict[str, Any]) -> str:
    named = last.get("model")
    if named is None and found.arrival is not None and found.arrival.job.get("model", "auto") != "auto":
        named = found.arrival.job["model"]
    rows = [*dicts(decision.get("candidates")), *dicts(decision.get("exclusions"))]
    return str(named or next((one.get("model") for one in rows), "MODEL"))


_NEEDS = re.compile(r"\bneeds (?:a ceiling of )?([0-9]{1,18}) nano-dollars")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|\+00:00| UTC)")


def _least_in(message: str) -> int:
    """What the cheapest offer needs, in nano-dollars, as the decision's message has it; 0 where that does not say."""
    found = _NEEDS.search(message)
    return int(found[1]) if found else 0


def _moment_in(message: str) -> str | None:
    found = _MOMENT.search(message)
    at = milliseconds(found[0].replace(" UTC", "+00:00")) if found else None
    return instant(at) if at is not None else None
