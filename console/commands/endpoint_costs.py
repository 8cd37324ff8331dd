"""`novix endpoints costs`: whose the bill of a dedicated endpoint is."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.endpoints import Which, of
from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded


@command
def costs(
    which: Which,
    jobs: Annotated[bool, typer.Option("--jobs", help="Each job's part, not each tenant's alone.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Cut up what an endpoint has cost so far, its idle time with it, by the time that each job's calls took."""
    return asyncio.run(_costs(settings(), Screen(as_json=as_json), which, jobs=jobs))


async def _costs(loaded: "Loaded", screen: Screen, which: str, *, jobs: bool) -> Exit:
    from console import endpoints
    from console.endpoint_shares import calls_of, shares_of
    from console.kafka import connected
    from console.words import count, money, shown

    async with connected(loaded) as log:
        state = of(await endpoints.read(log), which)
        shares = shares_of(state, await calls_of(log, state))
    if shares is None:
        raise CommandError(f"what {which} has cost is not known: the price of its machine was not told", Exit.FAILED)
    tenants = shares.tenants
    told = {
        "endpoint": which, "cost_nanousd": shares.bill, "unallocated_nanousd": shares.cut.unallocated,
        "whole_ledger": shares.whole,
        "tenants": [{"tenant": name, "nanousd": part, "jobs": number} for name, (part, number) in tenants.items()],
    }  # fmt: skip
    if jobs:
        told["jobs"] = [{"job": job, "nanousd": part} for job, part in shares.cut.jobs.items()]
    if not shares.whole:
        screen.note("novix: the ledger has lost its oldest entries: what their jobs cost is with the others' parts")
    lines = [f"{shown(which)} has cost {money(shares.bill)}"]
    lines += [f"  {shown(name)}: {money(part)} for {count(number, 'job')}" for name, (part, number) in tenants.items()]
    if jobs:
        lines += [f"  {shown(job)}: {money(part)}" for job, part in shares.cut.jobs.items()]
    if shares.cut.unallocated:
        lines.append(f"  nobody's: {money(shares.cut.unallocated)}: no job was done meanwhile")
    screen.answer(told, lines)
    return Exit.OK
