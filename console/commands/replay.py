"""`novix replay`: every decision of a span made again from the log, and compared byte for byte."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.decisions_read import Span
    from router.replay import Replayed
    from runtime.settings import Loaded

TIME_HELP = "an instant like 2026-11-22T12:00:00Z, or 15m, 2h, 7d ago."
Since = Annotated[str, typer.Option("--since", metavar="TIME", help=f"Decided at or after: {TIME_HELP}")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Decided before: {TIME_HELP}")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")]


@command
def replay(since: Since = "24h", until: Until = None, tenant: Tenant = None, as_json: AsJson = False) -> Exit:
    """Decide the jobs of the log again and print the differences; there should be none.

    Works on any machine that reaches Kafka: it needs the topics alone. Decisions that cannot be made again (their job's
    record is gone, another version of a policy made them) are counted by the reason. Exit code 1 if something differs.
    """
    loaded, screen = settings(), Screen(as_json=as_json)
    return asyncio.run(_replay(loaded, screen, span_of(since, until, tenant)))


def span_of(since: str | None, until: str | None, tenant: str | None) -> "Span":
    """The options as a span of time. Raises `CommandError` for what is no time, or no span."""
    from console.decisions_read import Span

    begin, end = _instant("--since", since), _instant("--until", until)
    if begin is not None and end is not None and end <= begin:
        raise CommandError(f"--until {until!r} is not after --since {since!r}", Exit.USAGE)
    return Span(begin, end, tenant)


def _instant(option: str, text: str | None) -> datetime | None:
    from console.words import moment_ms

    if text is None:
        return None
    found = moment_ms(text, datetime.now(UTC))
    if found is None:
        raise CommandError(f"{option} {text!r}: write {TIME_HELP}", Exit.USAGE)
    return datetime.fromtimestamp(found / 1000, UTC)


async def _replay(loaded: "Loaded", screen: Screen, span: "Span") -> Exit:
    from console.decisions_read import replayed
    from console.kafka import connected

    began = time.monotonic()
    async with connected(loaded) as log:
        with screen.progress("deciding again", None) as bar:
            told, passes = await replayed(log, span, loaded.settings.topic_prefix, bar.advance)
    document = _document(told, time.monotonic() - began, passes)
    screen.answer(document, _lines(told, document))
    return Exit.FAILED if told.different else Exit.OK


def _document(told: "Replayed", spent_s: float, passes: int) -> dict[str, Any]:
    made = told.same + told.different
    return {
        "decisions": told.decisions,
        "same": told.same,
        "different": told.different,
        "not_decided_again": dict(sorted(told.skipped.items())),
        "differences": [
            {
                "tenant": one.tenant, "job_id": one.job_id, "submission": one.submission,
                "decision_id": one.decision_id, "fields": list(one.fields),
            }
            for one in told.differences
        ],
        "seconds": round(spent_s, 3),
        "us_per_decision": round(spent_s * 1e6 / made, 1) if made else None,
        "passes_over_a_history": passes,
    }  # fmt: skip


def _lines(told: "Replayed", document: dict[str, Any]) -> list[str]:
    from console.words import count, shown

    speed = document["us_per_decision"]
    lines = [
        f"{count(told.decisions, 'decision')}: {told.same:,} the same byte for byte, "
        + (f"{told.different:,} DIFFERENT" if told.different else "no difference")
        + (f"; {document['seconds']} s, {speed} us each with all reading" if speed is not None else "")
    ]
    lines += [f"  not decided again: {number:,}, {reason}" for reason, number in sorted(told.skipped.items())]
    lines += [
        shown(f"  differs: {one.tenant}/{one.job_id} (submission {one.submission}): {', '.join(one.fields)}")
        for one in told.differences
    ]
    if told.different > len(told.differences):
        lines.append(f"  and {told.different - len(told.differences):,} more")
    return lines
