"""What if, tune, regret, savings and return, told as lines and as JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.words import count, money, shown, span
from router.whatif.regret import RegretStudy, RegretSum
from router.whatif.roi import Return, together
from router.whatif.savings import Advice
from router.whatif.study import Report, Tally
from router.whatif.tune import Proposal

MOST_ROWS = 20
NO_VALUES = "no value data: tell what work was worth with `novix value JOB 0.05`"
NO_ADVICE = "nothing to advise: no data in this span, or nothing would have saved anything"


def whatif(report: Report, skipped: Mapping[str, int]) -> tuple[dict[str, Any], list[str]]:
    """One alternative against what was."""
    whole = report.whole
    document = {
        **_tally(whole),
        "moves": [
            {"from": _pair(before), "to": _pair(after), "jobs": jobs}
            for (before, after), jobs in whole.moves.most_common(MOST_ROWS)
        ],
        "by": [
            {"tenant": tenant, "task": task, **_tally(part)} for (tenant, task), part in sorted(report.parts.items())
        ],
        "not_decided_again": dict(skipped),
    }
    lines = [_headline(whole), *_fates(whole)]
    lines += [
        shown(f"  {_pair(before) or 'nobody'} -> {_pair(after) or 'nobody'}: {count(jobs, 'job')}")
        for (before, after), jobs in whole.moves.most_common(MOST_ROWS)
    ]
    if len(report.parts) > 1:
        lines += [
            shown(f"  {tenant}, {task}: {count(part.jobs, 'job')}, {_change(part)}")
            for (tenant, task), part in sorted(report.parts.items(), key=lambda one: -abs(one[1].saved_nanousd))[
                :MOST_ROWS
            ]
        ]
    return document, [*lines, *skips(skipped)]


def _tally(one: Tally) -> dict[str, Any]:
    return {
        "jobs": one.jobs, "paid_nanousd": one.paid_nanousd, "would_nanousd": one.would_nanousd,
        "saved_nanousd": one.saved_nanousd, "fates": dict(one.fates), "refused_for": dict(one.reasons),
        "without_result": one.open, "slower": one.slower, "faster": one.faster, "time_unknown": one.unknown_ms,
        "moved_was_ms": one.was_ms, "moved_would_ms": one.would_ms,
    }  # fmt: skip


def _headline(whole: Tally) -> str:
    return f"{count(whole.jobs, 'job')}: paid {money(whole.paid_nanousd)}; {_change(whole)}"


def _change(one: Tally) -> str:
    would = f"would have cost {money(one.would_nanousd)}"
    if one.saved_nanousd == 0:
        return f"{would}, as much"
    share = f" ({abs(one.saved_nanousd) / one.paid_nanousd:.1%})" if one.paid_nanousd else ""
    return f"{would}, {money(abs(one.saved_nanousd))} {'less' if one.saved_nanousd > 0 else 'MORE'}{share}"


_FATES = {
    "same": "by the same model and provider", "moved": "by another one", "refused": "refused, which were taken",
    "waits": "made to wait, which were taken", "taken": "taken, which were refused (cost as expected)",
    "never": "refused either way",
}  # fmt: skip


def _fates(whole: Tally) -> list[str]:
    lines = [f"  {count(whole.fates[fate], 'job')} {words}" for fate, words in _FATES.items() if whole.fates[fate]]
    if whole.open:
        lines.append(f"  {count(whole.open, 'job')} of these without a result here: counted with no money")
    if whole.reasons:
        lines.append(
            "  refused for: " + ", ".join(f"{reason} {jobs:,}" for reason, jobs in whole.reasons.most_common())
        )
    known = whole.fates["moved"] - whole.unknown_ms
    if known:
        lines.append(
            f"  of those moved {whole.slower:,} slower, {whole.faster:,} faster; a call typically took "
            f"{span(whole.was_ms / known)} and would take {span(whole.would_ms / known)}"
        )
    if whole.unknown_ms:
        lines.append(f"  of {whole.unknown_ms:,} the time is not known: too few calls of that model were seen")
    return lines


def tune(parameter: str, policy: str, budget_nanousd: int, told: Proposal) -> tuple[dict[str, Any], list[str]]:
    """The proposed value, and every value that was tried."""
    chosen = told.chosen
    document = {
        "policy": policy, "parameter": parameter, "budget_nanousd": budget_nanousd,
        "value": None if chosen is None else chosen.value,
        "tried": [{"value": one.value, **_tally(one.tally)} for one in told.choices],
    }  # fmt: skip
    if chosen is None:
        lines = [
            f"no {parameter} of {policy} meets {money(budget_nanousd)}: the least is "
            f"{money(told.least.tally.would_nanousd)} at {told.least.value:g}"
        ]
    else:
        lines = [
            f"{parameter}: {chosen.value:g} ({policy}) costs {money(chosen.tally.would_nanousd)} of "
            f"{money(budget_nanousd)}",
            *_fates(chosen.tally),
        ]
    lines += ["", f"{parameter}\tcost\tmoved\trefused"]
    lines += [
        f"{one.value:g}\t{money(one.tally.would_nanousd)}\t{one.tally.fates['moved']:,}\t{one.tally.fates['refused']:,}"
        for one in told.choices
    ]
    return document, lines


def regret(study: RegretStudy) -> tuple[dict[str, Any], list[str]]:
    """You paid X, the cheapest feasible was Y."""
    document = {
        **_regret(study.whole),
        "by_tenant": [{"tenant": name, **_regret(one)} for name, one in sorted(study.by_tenant.items())],
        "by_model": [
            {"model": model, "provider": provider, **_regret(one)}
            for (model, provider), one in sorted(study.by_model.items())
        ],
        "not_looked_at": dict(study.skipped),
    }
    lines = [_regretted("in all", study.whole)]
    if len(study.by_tenant) > 1:
        lines += [_regretted(shown(f"  tenant {name}"), one) for name, one in _dearest(study.by_tenant)]
    lines += [_regretted(shown(f"  {_pair(pair)}"), one) for pair, one in _dearest(study.by_model)]
    return document, [*lines, *skips(study.skipped)]


def _dearest(parts: Mapping[Any, RegretSum]) -> list[tuple[Any, RegretSum]]:
    return sorted(parts.items(), key=lambda one: -one[1].regret_nanousd)[:MOST_ROWS]


def _regret(one: RegretSum) -> dict[str, Any]:
    return {
        "jobs": one.jobs, "paid_nanousd": one.paid_nanousd, "cheapest_nanousd": one.cheapest_nanousd,
        "regret_nanousd": one.regret_nanousd, "dearer_jobs": one.dearer, "lost_nanousd": one.lost_nanousd,
        "instead": [
            {"model": model, "provider": provider, "saved_nanousd": saved}
            for (model, provider), saved in one.instead.most_common(MOST_ROWS)
        ],
    }  # fmt: skip


def _regretted(who: str, one: RegretSum) -> str:
    told = (
        f"{who}: {count(one.jobs, 'job')}, paid {money(one.paid_nanousd)}, the cheapest feasible was "
        f"{money(one.cheapest_nanousd)}, regret {money(one.regret_nanousd)}"
    )
    best = one.instead.most_common(1)
    told += shown(f" (mostly {_pair(best[0][0])})") if best else ""
    return told + (f"; attempts without an answer cost {money(one.lost_nanousd)}" if one.lost_nanousd else "")


def savings(jobs: int, advice: Sequence[Advice], skipped: Mapping[str, int]) -> tuple[dict[str, Any], list[str]]:
    """Advice, each line with its replayed saving."""
    document = {
        "jobs": jobs,
        "not_looked_at": dict(skipped),
        "advice": [
            {
                "advice": one.advice, "jobs": one.jobs, "saved_nanousd": one.saved_nanousd,
                "freed_nanousd": one.freed_nanousd, "caution": one.caution,
            }
            for one in advice
        ],
    }  # fmt: skip
    if not advice:
        return document, [NO_ADVICE, *skips(skipped)]
    lines = [f"from {count(jobs, 'job')} that were paid for; each line by itself, they do not add up:"]
    for one in advice:
        gain = f"saves {money(one.saved_nanousd)}" if one.saved_nanousd else f"frees {money(one.freed_nanousd)}"
        lines.append(f"  {gain} ({count(one.jobs, 'job')}): {one.advice}" + (f"; {one.caution}" if one.caution else ""))
    return document, [*lines, *skips(skipped)]


def roi(lines: Sequence[Return], skipped: Mapping[str, int]) -> tuple[dict[str, Any], list[str]]:
    """What work was worth, against what it cost."""
    whole = together(lines)
    document = {
        "lines": [_return(one) for one in lines],
        "whole": None if whole is None else _return(whole),
        "value_data": bool(lines),
        "not_looked_at": dict(skipped),
    }
    if not lines:
        return document, [NO_VALUES]
    told = [_returned(one) for one in lines]
    return document, [*told, *([] if whole is None else [_returned(whole, "together")]), *skips(skipped)]


def _return(one: Return) -> dict[str, Any]:
    return {
        "tenant": one.tenant, "of": one.of, "jobs": one.jobs, "value_nanousd": one.value_nanousd,
        "cost_nanousd": one.cost_nanousd, "roi": one.roi,
    }  # fmt: skip


def _returned(one: Return, who: str = "") -> str:
    if not one.jobs:
        return shown(f"{one.tenant}, {one.of}: worth {money(one.value_nanousd)}, but no job of it lies in this span")
    gain = "cost nothing" if one.roi is None else f"return {one.roi:+.1%}"
    named = who or f"{one.tenant}, {one.of}"
    return shown(
        f"{named}: worth {money(one.value_nanousd)}, {count(one.jobs, 'job')} cost {money(one.cost_nanousd)}: {gain}"
    )


def skips(skipped: Mapping[str, int]) -> list[str]:
    """What was not looked at, by reason."""
    return [f"  not looked at: {number:,}, {reason}" for reason, number in sorted(skipped.items())]


def _pair(pair: tuple[str, str] | None) -> str | None:
    return None if pair is None else f"{pair[0]} at {pair[1]}"
