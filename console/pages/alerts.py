"""Alerts: what fires, what fired, and the jobs concerned."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.alerting.crossings import Told
from console.alerting.defaults import built_in
from console.pages.context import Context
from console.pages.render import json_answer, page, search_url
from schemas.alerts import Alert
from schemas.policies import AlertRule

PER_PAGE = 100
MOST_OPEN = 1_000
"""The newest alerts that are looked through for those that still fire."""
MOST_CHARS = 256


def routes(context: Context) -> list[BaseRoute]:
    """Of the page and its alerts as JSON."""
    pages = _Alerts(context)
    return [Route("/alerts", pages.whole), Route("/fragments/alerts", pages.part), Route("/api/alerts", pages.api)]


@dataclass(frozen=True, slots=True)
class Shown:
    """One alert, with what leads on from it."""

    alert: Alert
    window_s: int | None
    """Of its rule as it holds now; None: it is not known."""
    address: str | None
    """The jobs, letters or topic concerned."""


class _Alerts:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        return page("alerts.html", **await self._shown(request))

    async def part(self, request: Request) -> Response:
        return page("_alerts.html", **await self._shown(request))

    async def api(self, request: Request) -> Response:
        shown = await self._shown(request)
        told = {name: [one.alert.model_dump(mode="json") for one in shown[name]] for name in ("firing", "past")}
        return json_answer({**told, "next": shown["listed"].next})

    async def _shown(self, request: Request) -> dict[str, Any]:
        after = request.query_params.get("after", "")[:MOST_CHARS]
        index = self._context.index
        listed, newest = await asyncio.to_thread(
            lambda: (index.alerts(limit=PER_PAGE, after=after or None), index.alerts(limit=MOST_OPEN))
        )
        rules = await self._rules()
        told = Told()
        for alert in reversed(_read(newest.rows)):
            told.note(alert)
        firing = sorted(told.firing(), key=lambda alert: alert.at, reverse=True)
        return {
            "firing": [_with(alert, rules) for alert in firing],
            "past": [_with(alert, rules) for alert in _read(listed.rows)],
            "listed": listed,
            "older": f"/alerts?{urlencode({'after': listed.next})}" if listed.next else "",
            "now_ms": self._context.now_ms(),
            "kept_days": self._context.settings.console_keep_days,
            "most_open": MOST_OPEN if not newest.next else None,
        }

    async def _rules(self) -> dict[str, AlertRule]:
        live = self._context.live
        told = await live.rules() if live is not None else None
        if told is not None and told.value is not None:
            return dict(told.value)
        return {rule.id: rule for rule in built_in(self._context.settings.price_drift)}


def _with(alert: Alert, rules: dict[str, AlertRule]) -> Shown:
    rule = rules.get(alert.rule)
    return Shown(alert, rule.window_s if rule is not None else None, concerned(alert, rule))


def concerned(alert: Alert, rule: AlertRule | None) -> str | None:
    """Where the jobs are that an alert speaks of: those of its tenant, or of its provider and model, published within
    the rule's window before it. None where no search says it."""
    if alert.on == "dead_letters":
        return "/letters"
    if alert.on == "lag":
        return f"/live/topics/{alert.subject.rpartition(' on ')[2]}"
    told = {"tenant": alert.tenant} if alert.tenant else {}
    if alert.on == "breaker_open":
        provider, _, model = alert.subject.partition("/")
        told |= {"provider": provider, "model": model}
    if not told:
        return None
    window = timedelta(seconds=rule.window_s if rule is not None else 3_600)
    try:
        at = alert.at.astimezone(UTC)
        begin, end = at - window, at + timedelta(seconds=1)
    except OverflowError:  # no calendar has it: whoever may write the topic may write any instant
        return search_url(**told)
    return search_url(**told, since=_iso(begin), until=_iso(end))


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(rows: list[dict[str, Any]]) -> list[Alert]:
    """The rows that are alerts."""
    found = []
    for row in rows:
        try:
            found.append(Alert.model_validate(row))
        except ValidationError:
            continue
    return found
