"""`novix alerts`: the process that tells of crossings, what it told, the rules, and a try of the webhook."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.kafka import Log
    from runtime.settings import Loaded
    from schemas.alerts import Alert

MOST_SHOWN = 1_000


@command
def run() -> Exit:
    """Run the alerts: each crossing of a rule is told once on `novix.alerts.v1` and sent to the webhook."""
    from console.alerting.service import run as serve

    return Exit(serve(settings().settings))


@command
def show(
    firing: Annotated[bool, typer.Option("--firing", help="Only what has not ended.")] = False,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=MOST_SHOWN)] = 50,
    as_json: AsJson = False,
) -> Exit:
    """List what was told, the newest last."""
    return asyncio.run(_show(settings(), Screen(as_json=as_json), firing=firing, limit=limit))


@command
def rules(as_json: AsJson = False) -> Exit:
    """List the rules as they hold: the built-in ones, and what was said in their place or beside them."""
    return asyncio.run(_rules(settings(), Screen(as_json=as_json)))


@command
def set_rule(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="A built-in rule's id replaces it.")],
    on: Annotated[str | None, typer.Option(help="What it measures: see docs/alerts.md.")] = None,
    threshold: Annotated[float | None, typer.Option(help="At or over it the rule fires.")] = None,
    window: Annotated[int | None, typer.Option(help="Seconds that it looks back.", min=1)] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose; default: everybody's.")] = None,
    severity: Annotated[str | None, typer.Option(help="info, warning or critical.")] = None,
    webhook: Annotated[bool | None, typer.Option(help="Whether it is sent to the webhook.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="It holds no longer; a built-in one is back.")] = False,
) -> Exit:
    """Write a rule to `novix.policies.v1`; it holds at the next look. What is not named stays as it is."""
    given: dict[str, Any] = {
        "on": on, "threshold": threshold, "window_s": window, "tenant": tenant, "severity": severity,
        "webhook": webhook,
    }  # fmt: skip
    named = {name: value for name, value in given.items() if value is not None}
    return asyncio.run(_set_rule(settings(), rule_id, named, removed=remove))


@command
def test() -> Exit:
    """Send a signed alert of a test to the webhook, once, and tell what became of it. Writes nothing to Kafka."""
    loaded = settings()
    if not loaded.settings.webhook_url:
        raise CommandError("NOVIX_WEBHOOK_URL is not set: there is nowhere to send an alert to", Exit.USAGE)
    return asyncio.run(_test(loaded, Screen()))


async def _show(loaded: "Loaded", screen: Screen, *, firing: bool, limit: int) -> Exit:
    from console.alerting.crossings import Told
    from console.kafka import connected

    told, alerts = Told(), list["Alert"]()
    async with connected(loaded) as log:
        async for alert in _told(log):
            told.note(alert)
            alerts.append(alert)
    wanted = told.firing() if firing else alerts
    wanted = sorted(wanted, key=lambda alert: (alert.at, alert.state))[-limit:]
    if screen.as_json:
        screen.answer([alert.model_dump(mode="json") for alert in wanted])
    elif wanted:
        screen.table("Alerts", ["at", "state", "severity", "rule", "what"], [_row(alert) for alert in wanted])
    else:
        screen.note("novix: nothing fires" if firing else "novix: no alert was ever told")
    return Exit.OK


async def _rules(loaded: "Loaded", screen: Screen) -> Exit:
    from console.alerting.defaults import built_in, in_force
    from console.kafka import connected
    from console.money import histories

    async with connected(loaded) as log:
        told = await histories.rules(log, loaded.settings)
    built = built_in(loaded.settings.price_drift)
    own = {rule.id for rule in told.alert_rules()}
    held = in_force(built, told.alert_rules())
    if screen.as_json:
        screen.answer([rule.model_dump(mode="json") for rule in held.values()])
    else:
        rows = [
            [
                rule.id, rule.on, rule.tenant, f"{rule.threshold:g}", f"{rule.window_s} s", rule.severity,
                "yes" if rule.webhook else "no", "told" if rule.id in own else "built in",
            ]
            for rule in held.values()
        ]  # fmt: skip
        screen.table("Rules", ["id", "on", "tenant", "threshold", "window", "severity", "webhook", "from"], rows)
    return Exit.OK


async def _set_rule(loaded: "Loaded", rule_id: str, named: dict[str, Any], *, removed: bool) -> Exit:
    from console.alerting.defaults import LONGEST_WINDOW_S, built_in, in_force
    from console.kafka import connected
    from console.money import events, histories
    from console.who import who
    from schemas.policies import AlertRule

    async with connected(loaded) as log:
        told = (await histories.rules(log, loaded.settings)).alert_rules()
        known = in_force(built_in(loaded.settings.price_drift), told).get(rule_id)
        if known is None and (removed or "on" not in named):
            raise CommandError(f"no rule {rule_id!r}; a new one says what it measures: --on", Exit.NOT_MET)
        before = {} if known is None else known.model_dump(exclude={"at", "by"})
        rule = events.made(AlertRule, **{**before, **named, "id": rule_id, "by": who("alerts set"), "removed": removed})
        longest = LONGEST_WINDOW_S.get(rule.on)
        if longest is not None and rule.window_s > longest and not removed:
            raise CommandError(f"--window {rule.window_s}: of {rule.on}, {longest} s are remembered", Exit.USAGE)
        version = await events.rule(log, f"alert/{rule_id}", rule)
    done = "removed" if removed else "made" if known is None else "changed"
    Screen().line(f"{done} alert rule {rule_id}; policies are at version {version}")
    return Exit.OK


async def _test(loaded: "Loaded", screen: Screen) -> Exit:
    from console.alerting.service import webhook_of
    from schemas.alerts import Alert

    now = datetime.now(UTC)
    alert = Alert(
        alert_id=f"test-{now:%Y%m%dT%H%M%S%f}", rule="test", on="test", severity="info", subject="novix alerts test",
        value=1, threshold=1, unit="tests", message="a test of the webhook: nothing is wrong", at=now,
    )  # fmt: skip
    hook, transport = webhook_of(loaded.settings)
    async with transport:
        why = await hook.send(alert, now)
    if why is not None:
        raise CommandError(f"the webhook did not take it: {why[1]}")
    signed = (
        "signed" if loaded.settings.webhook_secret.get_secret_value() else "unsigned: NOVIX_WEBHOOK_SECRET is empty"
    )
    screen.line(f"the webhook took {alert.alert_id} ({signed})")
    return Exit.OK


async def _told(log: "Log") -> "AsyncIterator[Alert]":
    from pydantic import ValidationError

    from console.kafka import all_records, ends
    from schemas.alerts import Alert
    from schemas.topics import ALERTS

    async for record in all_records(log, ALERTS.name, await ends(log, ALERTS.name)):
        try:
            yield Alert.model_validate_json(record.value or b"")
        except ValidationError:
            continue


def _row(alert: "Alert") -> list[str]:
    return [f"{alert.at:%Y-%m-%d %H:%M:%S} UTC", alert.state, alert.severity, alert.rule, alert.message]
