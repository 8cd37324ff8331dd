"""`novix registry`: which models may be used, by whom, since when, and who said so."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.money.moments import TIME_HELP, moment
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from datetime import datetime

    from runtime.ports import Record
    from runtime.registry import Registry, Standing
    from runtime.settings import Loaded

Model = Annotated[str, typer.Argument(help="The model, as the Hub names it.")]
Tenant = Annotated[str, typer.Option(help="For one tenant; * for everybody.")]
Approver = Annotated[
    list[str] | None, typer.Option("--approver", help="Who approved; again for each. Nobody checks the names.")
]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]
Revision = Annotated[str | None, typer.Option(help="The commit that was looked at.")]


@command
def admit(
    model: Model,
    tenant: Tenant = "*",
    revision: Revision = None,
    approver: Approver = None,
    reason: Reason = "",
    accept: Annotated[
        str, typer.Option(metavar="gated,custom_code,security,license", help="Findings that are known and taken on.")
    ] = "",
    as_json: AsJson = False,
) -> Exit:
    """Admit a model. Refused while something is found against it that nobody takes on (--accept)."""
    from console.governing import names

    asked = {
        "kind": "admission", "model": model, "tenant": tenant, "state": "admitted", "revision": revision,
        "approvers": tuple(approver or ()), "reason": reason, "accepts": names(accept),
    }  # fmt: skip
    return asyncio.run(_word(settings(), Screen(as_json=as_json), asked))


@command
def withdraw(
    model: Model,
    tenant: Tenant = "*",
    revision: Revision = None,
    approver: Approver = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> Exit:
    """Withdraw a model: from two seconds later no job is routed to it. Wins over every admission."""
    asked = {
        "kind": "admission", "model": model, "tenant": tenant, "state": "withdrawn", "revision": revision,
        "approvers": tuple(approver or ()), "reason": reason,
    }  # fmt: skip
    return asyncio.run(_word(settings(), Screen(as_json=as_json), asked))


async def _word(loaded: "Loaded", screen: Screen, asked: dict[str, Any]) -> Exit:
    from console.governing import NOT_CHECKED, checked, registry, tell
    from console.kafka import connected
    from console.who import who

    if not asked["model"].strip():
        raise CommandError(f"model {asked['model'][:64]!r}: write its name on the Hub, like org/name", Exit.USAGE)
    event = checked(**asked, by=who(f"registry {'admit' if asked['state'] == 'admitted' else 'withdraw'}"))
    async with connected(loaded) as log:
        known, _ = await registry(log)
        if event.state == "admitted":
            _gate(known, event, loaded)
        version = await tell(log, f"admission/{event.model}/{event.tenant}", event)
        after, _ = await registry(log)
    verdict = after.allowed(event.model, event.tenant)
    document = {
        "done": event.state, "registry_version": version, "model": event.model, "tenant": event.tenant,
        "allowed": verdict.ok, "says": verdict.says, "approvers": list(event.approvers), "approvers_checked": False,
    }  # fmt: skip
    whom = "everybody" if event.tenant == "*" else event.tenant
    lines = [f"{event.state} {event.model} for {whom}; the registry is at version {version}"]
    if event.approvers:
        lines.append(f"  approved by {', '.join(event.approvers)} ({NOT_CHECKED})")
    if event.state == "admitted" and not verdict.ok:
        lines.append(f"  it stays refused: {verdict.says}")
    if told := _unknown(event.model, loaded):
        screen.note(f"novix: {told}")
    screen.answer(document, lines)
    return Exit.OK


def _gate(known: "Registry", event: Any, loaded: "Loaded") -> None:
    """Raises `CommandError` where something is found against the model that the admission does not take on."""
    from dataclasses import replace

    from runtime.registry import model_key

    now = known.now()
    licence = _licence_of(event.model, loaded)
    name = model_key(event.model)
    admissions = {key: one for key, one in now.admissions.items() if key[0] != name}
    as_if = replace(now, admissions={**admissions, (name, event.tenant): event})
    verdict = as_if.allowed(event.model, event.tenant, license=licence)
    if not verdict.ok:
        raise CommandError(
            f"{event.model} is not admitted: {verdict.says}; whoever takes that on says so with "
            f"--accept {verdict.reason}, or changes the rules (novix registry rules)",
            Exit.NOT_MET,
        )


def _unknown(model: str, loaded: "Loaded") -> str:
    """What is to be said of a name that the installation's catalogue does not have: a misspelt one stops nothing."""
    from console.commands.prices import catalogue_of
    from router.governance import near
    from runtime.registry import model_key, on_the_wire

    catalogue = catalogue_of(loaded)
    wire = (on_the_wire(one.model, one.provider_model) for one in catalogue.offers)
    if model_key(model) in {model_key(one) for one in (*catalogue.by_model, *wire)}:
        return ""
    meant = near(model, sorted(catalogue.by_model))
    return f"the catalogue has no model {model[:200]!r}" + (f"; near it: {', '.join(meant)}" if meant else "")


def _licence_of(model: str, loaded: "Loaded") -> str | None:
    """As the installation's own catalogue names it."""
    from console.commands.prices import catalogue_of
    from console.governing import offers_of

    offers = offers_of(catalogue_of(loaded), model)
    return next((one.licence for one in offers if one.licence), None)


@command
def rules(
    tenant: Tenant = "*",
    admitted_only: Annotated[bool | None, typer.Option("--admitted-only/--any-model", help="Demand admission.")] = None,
    licences: Annotated[str | None, typer.Option(help="Allowed SPDX ids, comma-separated; '' for any.")] = None,
    deny: Annotated[str | None, typer.Option(help="Denied SPDX ids, comma-separated; '' for none.")] = None,
    gated: Annotated[str | None, typer.Option(metavar="allow|refuse", help="Gated models.")] = None,
    custom_code: Annotated[
        str | None, typer.Option(metavar="allow|refuse", help="Models that want trust_remote_code.")
    ] = None,
    worst: Annotated[
        str | None, typer.Option(metavar="safe|caution|suspicious|any", help="The worst scan that is let in.")
    ] = None,
    moved: Annotated[
        str | None, typer.Option(metavar="tell|refuse", help="Models that left the commit they were admitted at.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the rules away.")] = False,
    as_json: AsJson = False,
) -> Exit:
    """Show the rules of a tenant, or change them: what is not named stays as it was."""
    from console.governing import names

    asked = {
        "admitted_only": admitted_only, "licenses": _licences(names(licences)),
        "denied_licenses": _licences(names(deny)), "gated": gated, "custom_code": custom_code, "worst_level": worst,
        "moved": moved,
    }  # fmt: skip
    told = {key: value for key, value in asked.items() if value is not None}
    return asyncio.run(_rules(settings(), Screen(as_json=as_json), tenant, told, remove=remove))


def _licences(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Each as a rule names it. Raises `CommandError` for what is no licence's name."""
    from hub.licenses import named

    if given is None:
        return None
    for one in given:
        if named(one) is None:
            raise CommandError(f"licence {one[:64]!r}: write one SPDX id, like Apache-2.0, or a Hub name", Exit.USAGE)
    return tuple(str(named(one)) for one in given)


async def _rules(loaded: "Loaded", screen: Screen, tenant: str, told: dict[str, Any], *, remove: bool) -> Exit:
    from console.governing import checked, registry, tell
    from console.kafka import connected
    from console.who import who
    from runtime.registry import BUILT_IN

    async with connected(loaded) as log:
        known, _ = await registry(log)
        own = known.now().rules.get(tenant)
        if remove and own is None:
            raise CommandError(f"{tenant!r} has no rules of its own", Exit.NOT_MET)
        version = int(known.version)
        if told or remove:
            fields = (own or BUILT_IN).model_dump(exclude={"at", "by"})
            event = checked(**{**fields, **told, "tenant": tenant, "by": who("registry rules"), "removed": remove})
            version = await tell(log, f"rules/{tenant}", event)
            known, _ = await registry(log)
    document = {"registry_version": version, **_described(known.now(), tenant)}
    screen.answer(document, [f"the registry is at version {version}", *_rule_lines(document)])
    return Exit.OK


def _described(standing: "Standing", tenant: str) -> dict[str, Any]:
    held = standing.rules_of(tenant)
    own = tenant in standing.rules
    return {
        "tenant": tenant,
        "own": own,
        "admitted_only": held.admitted_only,
        "licenses": list(held.licenses),
        "denied_licenses": list(held.denied_licenses),
        "gated": held.gated,
        "custom_code": held.custom_code,
        "worst_level": held.worst_level,
        "moved": held.moved,
        "by": held.by,
        "since": held.at.isoformat() if held.by or own else None,
    }


def _rule_lines(document: dict[str, Any]) -> list[str]:
    whose = "its own" if document["own"] else "everybody's" if document["by"] else "those that are built in"
    return [
        f"rules of {document['tenant']} ({whose})",
        f"  models      {'admitted ones alone' if document['admitted_only'] else 'all that are not withdrawn'}",
        f"  licences    {', '.join(document['licenses']) or 'any'}; denied: "
        f"{', '.join(document['denied_licenses']) or '-'}",
        f"  gated       {document['gated']}; custom code: {document['custom_code']}",
        f"  scans       the worst that is let in: {document['worst_level']}; a commit that moved: {document['moved']}",
    ]


@command
def show(
    model: Annotated[str | None, typer.Argument(help="One model; none: all of the registry.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help=f"As it was at {TIME_HELP}")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Show who admitted or withdrew what, what is known of models, and the rules."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), model, moment("--at", at)))


async def _show(loaded: "Loaded", screen: Screen, model: str | None, at: "datetime | None") -> Exit:
    from console.governing import MOST_LISTED, NOT_CHECKED, registry
    from console.kafka import connected
    from runtime.registry import model_key

    async with connected(loaded) as log:
        known, records = await registry(log, at)
    standing = known.now()
    key = None if model is None else model_key(model)
    words = [one for one in map(_told, records) if one is not None and key in (None, model_key(one["model"]))]
    document = {
        "registry_version": int(known.version),
        "approvers_checked": False,
        "rules": [_described(standing, tenant) for tenant in sorted({*standing.rules, "*"})],
        "events": words[-MOST_LISTED:],
        "events_left_out": max(0, len(words) - MOST_LISTED),
        "aliases": len([one for one in standing.aliases.values() if one.targets]),
        "passed_over": [{"offset": one.offset, "reason": one.reason} for one in known.faults],
    }
    lines = [f"the registry at version {known.version}; {NOT_CHECKED}"]
    lines += [line for one in document["rules"] if model is None for line in _rule_lines(one)]  # type: ignore[attr-defined]
    lines += [_line(one) for one in words[-MOST_LISTED:]]
    if model is not None:
        verdict = standing.allowed(model, "*", license=_licence_of(model, loaded))
        document |= {"allowed": verdict.ok, "says": verdict.says}
        lines.append(
            f"{model}: {'may be used' if verdict.ok else 'may not be used'}: {verdict.says or 'no rule minds'}"
        )
    screen.answer(document, lines)
    return Exit.OK


def _told(record: "Record") -> dict[str, Any] | None:
    from console.governing import event_of
    from schemas.registry import Admission, Facts

    event = event_of(record)
    if not isinstance(event, Admission | Facts):
        return None
    return {"offset": record.offset, **event.model_dump(mode="json")}


def _line(event: dict[str, Any]) -> str:
    if event["kind"] == "facts":
        scan = event["security"] or {}
        told = f"licence {event['license'] or '?'}, gated {event['gated'] or '?'}, scan {scan.get('level', '?')}"
        return f"  {event['at'][:19]}  {event['model']}: {told}, by {event['by'] or '?'}"
    whom = "everybody" if event["tenant"] == "*" else event["tenant"]
    approved = f", approved by {', '.join(event['approvers'])}" if event["approvers"] else ""
    accepts = f", taking on {', '.join(event['accepts'])}" if event["accepts"] else ""
    commit = f" at {event['revision']}" if event["revision"] else ""
    why = f": {event['reason']}" if event["reason"] else ""
    return f"  {event['at'][:19]}  {event['model']}{commit} {event['state']} for {whom}{approved}{accepts}{why}"


@command
def allowed(
    model: Annotated[str | None, typer.Argument(help="One model; none: all that anybody names.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose jobs.")] = "default",
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help=f"As it was at {TIME_HELP}")] = None,
    as_json: AsJson = False,
) -> Exit:
    """Tell which models a tenant may use, or might on a day in the past (00:00 UTC of a day without an hour)."""
    return asyncio.run(_allowed(settings(), Screen(as_json=as_json), model, tenant, moment("--at", at)))


async def _allowed(
    loaded: "Loaded", screen: Screen, model: str | None, tenant: str, at: "datetime | None"
) -> Exit:  # fmt: skip
    from console.commands.prices import catalogue_of
    from console.governing import accounts, both, registry
    from console.kafka import connected
    from runtime.registry import model_key

    catalogue = catalogue_of(loaded)
    async with connected(loaded) as log:
        (known, _), people = await registry(log, at), await accounts(log, at)
    standing = known.now()
    said = [one.model for one in standing.admissions.values()] + [one.model for one in standing.known.values()]
    there = {model_key(one) for one in catalogue.by_model}
    named = {*catalogue.by_model, *(one for one in said if model_key(one) not in there)}
    rows = []
    for name in [model] if model is not None else sorted(named):
        verdict, source = both(standing, people, catalogue, name, tenant)
        rows.append(
            {"model": name, "allowed": verdict.ok, "reason": verdict.reason, "says": verdict.says, "decided_by": source,
             "offered": name in catalogue.by_model}
        )  # fmt: skip
    document = {
        "tenant": tenant, "at": None if at is None else at.isoformat(), "registry_version": int(known.version),
        "accounts_version": int(people.version), "models": rows,
    }  # fmt: skip
    when = "now" if at is None else f"at {at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{tenant}, {when}, registry version {known.version} (offers are those of the catalogue as it is now)"]
    lines += [f"  {'yes' if one['allowed'] else 'no '}  {one['model']}  {one['says']}".rstrip() for one in rows]
    screen.answer(document, lines)
    return Exit.OK if model is None or rows[0]["allowed"] else Exit.NOT_MET
