"""Quotes and totals, in words and as JSON. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from console.words import count, money, shown, span
from router.quote import Quote, Total


def line(number: int, one: Quote) -> str:
    """One job in one line: who, the interval and what it rests on, the most likely amount, the ceiling; or why not."""
    who = f"line {number}\t{one.tenant}/{one.job_id}\t{one.task}"
    if not one.taken:
        return shown(f"{who}\twould be {one.verdict}: {one.kind}: {one.message}".replace("\n", " "))
    waits = f"\twould wait: {one.message}" if one.verdict == "waiting" else ""
    return shown(
        f"{who}\t{money(one.low)} to {money(one.high)}\tprobably {money(one.predicted)}\tat most {money(one.ceiling)}"
        f"\t{one.model} at {one.provider}\t{one.basis}{waits}".replace("\n", " ")
    )


def whole(one: Quote, prices: str) -> list[str]:
    """One job, line by line."""
    if not one.taken:
        return [shown(f"{one.tenant}/{one.job_id} would be {one.verdict}: {one.kind}: {one.message}")]
    closed = one.band is not None and math.isfinite(one.band.high)
    lines = [
        f"{one.tenant}/{one.job_id}: {one.task} by {one.model} at {one.provider}",
        f"  {money(one.low)} to {money(one.high)}{' in nine of ten cases' if closed else ''}, {one.basis}",
        f"  {money(one.predicted)} on average",
        f"  {money(one.expected)} by the router's own estimate ({one.policy}, {prices})",
        f"  {money(one.ceiling)} would be reserved: the most that all calls together can cost",
    ]
    if one.band is not None and one.band.called_ms[1]:
        half, most = one.band.called_ms
        lines.append(f"  {span(half)} in calls for half of such jobs, {span(most)} for nine of ten")
    if one.verdict == "waiting":
        lines.append(f"  it would wait: {one.kind}: {one.message}")
    return [shown(text) for text in lines]


def summary(told: Total) -> list[str]:
    """Many jobs, together."""
    covered = "" if told.without_history else " in nine of ten cases"
    lines = [
        f"{count(told.jobs, 'job')}: {count(told.taken, 'job')} would be taken, {told.jobs - told.taken} refused",
        *(f"  {number} for {kind}" for kind, number in sorted(told.refused.items())),
        f"in all {money(told.low)} to {money(told.high)}{covered}, {money(told.predicted)} on average",
        f"{money(told.ceiling)} would be reserved if all were open at once",
    ]
    if told.without_history:
        lines.append(f"{count(told.without_history, 'job')} without enough history: counted from 0 to their ceilings")
    if told.time is not None:
        milliseconds = told.time.total_seconds() * 1_000
        lines.append(f"about {span(milliseconds)} of calls, by one worker process with all its room")
    return lines


def document(one: Quote) -> dict[str, Any]:
    """A quote as JSON; money in nano-dollars."""
    told: dict[str, Any] = {
        "tenant": one.tenant,
        "id": one.job_id,
        "task": one.task,
        "verdict": one.verdict,
        "kind": one.kind,
        "message": one.message,
    }
    if not one.taken:
        return told
    band = one.band
    return told | {
        "model": one.model,
        "provider": one.provider,
        "policy": one.policy,
        "expected_nanousd": one.expected,
        "predicted_nanousd": one.predicted,
        "interval_nanousd": [one.low, one.high],
        "interval_covers": 0.9 if band is not None and math.isfinite(band.high) else None,
        "ceiling_nanousd": one.ceiling,
        "history": {"of": band.basis, "jobs": band.number} if band is not None else None,
        "called_ms": {"p50": band.called_ms[0], "p90": band.called_ms[1]} if band is not None else None,
    }


def total_document(told: Total) -> dict[str, Any]:
    """A total as JSON."""
    return {
        "jobs": told.jobs,
        "taken": told.taken,
        "refused": dict(sorted(told.refused.items())),
        "expected_nanousd": told.expected,
        "predicted_nanousd": told.predicted,
        "interval_nanousd": [told.low, told.high],
        "ceiling_nanousd": told.ceiling,
        "without_history": told.without_history,
        "time_ms": None if told.time is None else round(told.time.total_seconds() * 1_000),
    }


def refused_line(number: int, message: str) -> Mapping[str, Any]:
    """A line that is no job at all, as JSON."""
    return {"line": number, "verdict": "unreadable", "message": message}
