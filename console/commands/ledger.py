"""`novix ledger`: what was reserved, spent and given back; whether it balances; what a provider's bill says of it."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.money.moments import TIME_HELP, moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.money.joined import Ended
    from runtime.settings import Loaded

Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Decided at or after: {TIME_HELP}")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help=f"Decided before: {TIME_HELP}")]
TenantArgument = Annotated[str | None, typer.Argument(help="Whose; none: of all tenants.")]


@command
def balance(as_json: AsJson = False) -> Exit:
    """Post every event in double entry and say whether all sums to 0; what is open; what may have been paid.

    Exit code 1 if it does not balance.
    """
    return asyncio.run(_balance(settings(), Screen(as_json=as_json)))


async def _balance(loaded: "Loaded", screen: Screen) -> Exit:
    from console.kafka import connected
    from console.money import histories
    from console.money.balance import Balance
    from console.money.reading import read
    from console.words import count, money, shown

    found = Balance()
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        found.transferred(known)
        with screen.progress("reading the ledger", None):
            books = await read(log, known, found.ended)
        found.reserved(books.open)
    faults = found.faults()
    document = {
        "balanced": not faults, "faults": faults, "sum_nanousd": found.sum_nanousd, "accounts": dict(found.rows()),
        "reserves": found.reserves, "settles": found.settles, "releases": found.releases,
        "transfers": found.transfers, "cost_nanousd": found.cost_nanousd, "open": found.open,
        "open_nanousd": found.open_nanousd, "ambiguous": found.ambiguous,
        "ambiguous_nanousd": found.ambiguous_nanousd, "above_reserve": found.above_reserve,
        "above_reserve_nanousd": found.above_reserve_nanousd, **books.completeness(),
    }  # fmt: skip
    if screen.as_json:
        screen.answer(document)
        return Exit.FAILED if faults else Exit.OK
    screen.table("Accounts", ["account", "dollars"], [[shown(name), money(amount)] for name, amount in found.rows()])
    screen.line(
        f"sum {money(found.sum_nanousd)} over {count(found.reserves, 'reserve')}, {count(found.settles, 'settle')}, "
        f"{count(found.releases, 'release')}, {count(found.transfers, 'transfer')}: "
        f"{'it balances' if not faults else 'IT DOES NOT BALANCE'}"
    )
    screen.line(f"open {money(found.open_nanousd)} in {count(found.open, 'reservation')} (novix ledger open)")
    screen.line(
        f"ambiguous {money(found.ambiguous_nanousd)} at most in {count(found.ambiguous, 'call')} "
        f"(novix ledger ambiguous)"
    )
    if found.above_reserve:
        told = count(found.above_reserve, "job")
        screen.line(f"above their reserve: {told}, by {money(found.above_reserve_nanousd)} together")
    for line in [*faults, *books.notes()]:
        screen.note(f"novix: {line}")
    return Exit.FAILED if faults else Exit.OK


@command
def statement(
    tenant: TenantArgument = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[
        str, typer.Option(metavar="PART,...", help="tenant, team, key, job, task, model, provider, tier, tag:NAME, ...")
    ] = "model",
    as_json: AsJson = False,
) -> Exit:
    """Sum what was spent, by whatever is asked for; days and months as in the tenant's time zone.

    A job counts when it was decided, as it does for its budgets. The sums over all groups are the ledger's.
    """
    return asyncio.run(_statement(settings(), Screen(as_json=as_json), tenant, (since, until), by))


async def _statement(
    loaded: "Loaded", screen: Screen, tenant: str | None, between: tuple[str | None, str | None], by: str
) -> Exit:
    from console.kafka import connected
    from console.money import histories, lanes
    from console.money import statement as sums
    from console.money.reading import read
    from console.words import count, money, shown
    from router.money.windows import calendar

    since, until = moment("--since", between[0]), moment("--until", between[1])
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        here = calendar(known.customs(tenant).time_zone) if tenant is not None else calendar("UTC")
        try:
            found = sums.Statement(sums.dimensions(by), here)
        except sums.BadDimension as error:
            raise CommandError(f"--by {error}", Exit.USAGE) from None

        def take(ended: "Ended") -> None:
            if tenant in (None, ended.entry.tenant) and (until is None or ended.at < until):
                found.add(ended)

        homes = None if tenant is None else await lanes.homes(log, [tenant])
        try:
            with screen.progress("reading the ledger", None):
                books = await read(log, known, take, homes=homes, since=since)
        except sums.TooManyGroups as error:
            raise CommandError(f"{error}: ask for fewer with --since and --until, or by less", Exit.USAGE) from None
    open_now = [
        one
        for one in books.open
        if tenant in (None, one.held.tenant) and (until is None or one.held.decided_at < until)
    ]
    reserved = sum(one.held.nanousd for one in open_now)
    document = {
        "tenant": tenant, **sums.as_document(found), "open": len(open_now), "reserved_nanousd": reserved,
        "first": None if found.first is None else found.first.isoformat(),
        "last": None if found.last is None else found.last.isoformat(), **books.completeness(),
    }  # fmt: skip
    if screen.as_json:
        screen.answer(document)
        return Exit.OK
    rows = [
        [*map(shown, key), str(one.jobs), str(one.calls), money(one.nanousd), money(one.ambiguous_nanousd),
         money(one.estimated_nanousd)]
        for key, one in found.rows() if key
    ]  # fmt: skip
    screen.table(f"Spent by {by}", sums.columns(found.by), rows)
    total = found.total
    screen.line(
        f"total {money(total.nanousd)} by {count(total.jobs, 'job')} in {count(total.calls, 'call')}; "
        f"{money(total.ambiguous_nanousd)} of it may have been paid, {money(total.estimated_nanousd)} is estimated; "
        f"{money(reserved)} is reserved by {count(len(open_now), 'job')} that did not end"
    )
    for line in books.notes():
        screen.note(f"novix: {line}")
    return Exit.OK


@command
def show_open(tenant: TenantArgument = None, as_json: AsJson = False) -> Exit:
    """List every open reservation, the oldest first, and why it is open. Exit code 1 if nobody will end one."""
    return asyncio.run(_open(settings(), Screen(as_json=as_json), tenant))


async def _open(loaded: "Loaded", screen: Screen, tenant: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories, lanes, watch
    from console.money.reading import read
    from console.words import count, money, shown, span

    now = datetime.now(UTC)
    async with connected(loaded) as log:
        with screen.progress("reading the ledger", None):
            known = await histories.accounts(log)
            homes = None if tenant is None else await lanes.homes(log, [tenant])
            books = await read(log, known, lambda _: None, homes=homes)
            members = [one for one in books.open if tenant in (None, one.held.tenant)]
            found = await watch.look(log, members, now)
    if screen.as_json:
        screen.answer(watch.as_documents(found, now))
    else:
        rows = [
            [one.reservation.job, money(one.reservation.held.nanousd),
             span((now - one.reservation.held.decided_at).total_seconds() * 1_000), one.why]
            for one in found
        ]  # fmt: skip
        screen.table("Open reservations", ["job", "reserved", "age", "why"], [[*map(shown, row)] for row in rows])
    leaking = [one for one in found if one.leaked]
    if leaking:
        told = count(len(leaking), "reservation")
        screen.note(
            f"novix: {told} of {len(found)} leak; give the money back with: novix ledger release JOB --reason ..."
        )
    for line in books.notes():
        screen.note(f"novix: {line}")
    return Exit.FAILED if leaking else Exit.OK


@command
def ambiguous(tenant: TenantArgument = None, since: Since = None, as_json: AsJson = False) -> Exit:
    """List every call that may have been paid without an answer, by job, attempt and request id; --json: one a line."""
    return asyncio.run(_ambiguous(settings(), Screen(as_json=as_json), tenant, since))


async def _ambiguous(loaded: "Loaded", screen: Screen, tenant: str | None, since: str | None) -> Exit:
    from console.kafka import connected
    from console.money import histories, lanes
    from console.money.reading import read
    from console.words import money, shown

    begin = moment("--since", since)

    def tell(ended: "Ended") -> None:
        if tenant not in (None, ended.entry.tenant):
            return
        for charge in ended.entry.charges:
            if not charge.ambiguous:
                continue
            told = charge.model_dump(mode="json", exclude={"ambiguous", "usage"})
            document = {"job": ended.job, "at": ended.entry.at.isoformat(), "status": ended.entry.status, **told}
            cells = [
                ended.job, document["at"], f"attempt {charge.attempt}", f"{charge.model} at {charge.provider}",
                charge.request_id or "no request id", f"at most {money(charge.nanousd)}",
            ]  # fmt: skip
            screen.answer(document, [shown("\t".join(cells))])

    async with connected(loaded) as log:
        known = await histories.accounts(log)
        homes = None if tenant is None else await lanes.homes(log, [tenant])
        books = await read(log, known, tell, homes=homes, since=begin)
    for line in books.notes():
        screen.note(f"novix: {line}")
    return Exit.OK


@command
def release(
    identity: Annotated[
        str, typer.Argument(metavar="JOB", help="tenant/id/submission, as `novix ledger open` names it.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for the ledger; never content.")],
    force: Annotated[bool, typer.Option("--force", help="Although its worker may still end it.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """End a reservation that nobody else will: what its result says that it cost is settled, the rest comes back.

    Refused before its deadline and ten minutes have passed, unless its result is there. If its worker settles it
    after all, that counts.
    """
    return asyncio.run(_release(settings(), Screen(as_json=as_json), identity, reason, force=force))


async def _release(loaded: "Loaded", screen: Screen, identity: str, reason: str, *, force: bool) -> Exit:
    from console.kafka import connected
    from console.money import histories, lanes
    from console.money import release as releasing
    from console.money.reading import read
    from console.telling.gather import ending
    from console.who import who
    from console.words import money, shown
    from runtime.ports import Outgoing
    from schemas.ledger import LedgerBatch
    from schemas.topics import LEDGER

    if not reason.strip() or not reason.isprintable() or len(reason) > 200:
        raise CommandError(f"--reason has {len(reason)} characters; from 1 to 200 printable ones are kept", Exit.USAGE)
    now, tenant = datetime.now(UTC), identity.partition("/")[0]
    async with connected(loaded) as log:
        known = await histories.accounts(log)
        [home] = await lanes.homes(log, [tenant])
        books = await read(log, known, lambda _: None, homes=[home])
        one = releasing.chosen(books.open, identity)
        if isinstance(one, str):
            raise CommandError(one, Exit.NOT_MET)
        evidence = await ending(log, tenant, one.held.job_id)
        has_result = any(told.get("submission", 1) == one.held.submission for told in evidence.results)
        early = releasing.too_early(one, now)
        if early is not None and not has_result and not force:
            until = (
                "it has no deadline" if one.held.deadline is None else f"look again in {early.total_seconds():.0f} s"
            )
            raise CommandError(f"{one.job} may still be ended by its worker: {until}, or --force", Exit.NOT_MET)
        by = f"{who('ledger release')}: {reason}"
        entry = releasing.entry_of(one, evidence.results, by=by, now=now)
        batch = LedgerBatch(lane="operator", entries=[entry])
        await log.publish([Outgoing(LEDGER.name, str(home).encode(), batch.encode(), partition=home)])
    back = max(0, one.held.nanousd - entry.cost_nanousd)
    line = f"{entry.kind}d {one.job}: {money(entry.cost_nanousd)} spent, {money(back)} of the reserve given back"
    screen.answer(entry.model_dump(mode="json"), [shown(line)])
    return Exit.OK
