"""`novix slo`: what share of jobs ended well, against what their tier promises."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.alerting.availability import Availability
    from console.kafka import Log
    from runtime.settings import Loaded


@command
def slo(
    since: Annotated[str, typer.Option(help="From when on: an instant, or 90s, 15m, 2h, 7d ago.")] = "7d",
    by_tenant: Annotated[bool, typer.Option("--by-tenant", help="Each tenant instead of each tier.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's jobs.")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Availability from the results: good, bad, not counted; the objective; how much of the error budget is left.

    What counts stands in docs/slo.md. The exit code is 1 if an objective was missed.
    """
    return asyncio.run(_slo(settings(), Screen(as_json=as_json), since, tenant, by_tenant=by_tenant))


async def _slo(loaded: "Loaded", screen: Screen, since: str, tenant: str | None, *, by_tenant: bool) -> Exit:
    from console.alerting.availability import by_name
    from console.kafka import connected
    from console.money import histories
    from console.words import moment_ms

    begin = moment_ms(since, datetime.now(UTC))
    if begin is None:
        raise CommandError(f"--since {since[:40]!r}: write an instant, or 90s, 15m, 2h, 7d", Exit.USAGE)
    async with connected(loaded) as log:
        accounts, rules = await histories.accounts(log), await histories.rules(log, loaded.settings)
        counted = await _counted(log, max(0, begin), tenant)
    found = by_name(counted, accounts, rules, by_tenant=by_tenant)
    if screen.as_json:
        screen.answer([_document(one) for one in found])
    elif found:
        screen.table("Availability", COLUMNS, [_row(one) for one in found])
    else:
        screen.note("novix: no job ended in that time")
    return Exit.FAILED if any(one.missed for one in found) else Exit.OK


async def _counted(log: "Log", begin_ms: int, tenant: str | None) -> "Mapping[str, Mapping[str, int]]":
    """Ends by tenant and verdict."""
    from console.alerting.availability import ended_of
    from console.kafka import ends
    from schemas.topics import RESULTS

    reader = log.reader()
    counted: dict[str, dict[str, int]] = {}
    for partition, end in (await ends(log, RESULTS.name)).items():
        start = await log.find_since(RESULTS.name, partition, begin_ms)
        async for record in reader.read(RESULTS.name, partition, start, end):
            one = ended_of(record)
            if one is not None and tenant in (None, one.tenant):
                verdicts = counted.setdefault(one.tenant, {})
                verdicts[one.verdict] = verdicts.get(one.verdict, 0) + 1
    return counted


COLUMNS = ["of", "jobs", "good", "bad", "not counted", "availability", "objective", "error budget left"]


def _row(one: "Availability") -> list[str]:
    objective = "-" if one.objective_ppm is None else f"{one.objective_ppm / 10_000:g} %"
    left = "-" if one.budget_left is None else f"{100 * one.budget_left:.4g} %"
    share = "-" if one.share is None else f"{100 * one.share:.6g} %"
    return [one.name, str(one.counted), str(one.good), str(one.bad), str(one.uncounted), share, objective, left]


def _document(one: "Availability") -> dict[str, Any]:
    return {
        "name": one.name, "jobs": one.counted, "good": one.good, "bad": one.bad, "uncounted": one.uncounted,
        "availability": one.share, "objective_ppm": one.objective_ppm, "burn_rate": one.burn,
        "budget_left": one.budget_left, "missed": one.missed,
    }  # fmt: skip
