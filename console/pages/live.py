"""Live: how fast records travel, what waits, who works, which providers are well, what budgets have left."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.live.processes import ProcessNow
from console.live.providers import providers
from console.live.rates import sparkline
from console.live.reader import Brokers, Told
from console.pages.context import Context
from console.pages.render import json_answer, page
from router.catalogue import BadCatalogue
from router.catalogue import load as load_catalogue
from schemas.assignment import Price

PARTS = ("processes", "topics", "groups", "providers", "budgets")
NO_WAY = "these pages run without a way to Kafka"


def routes(context: Context) -> list[BaseRoute]:
    """Of the page, its parts, one topic, and the same as JSON."""
    pages = _Live(context)
    return [
        Route("/live", pages.whole),
        Route("/live/topics/{topic}", pages.topic),
        Route("/fragments/live/topic/{topic}", pages.topic_part),
        Route("/fragments/live/{part}", pages.part),
        Route("/api/live", pages.api),
    ]


class _Live:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._listed: dict[tuple[str, str], Price | None] | None = None
        self._parts: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            "processes": self._processes,
            "topics": self._brokers,
            "groups": self._brokers,
            "providers": self._providers,
            "budgets": self._budgets,
        }

    async def whole(self, _: Request) -> Response:
        # Not the budgets: the ledger may be long. Their part comes when it is read.
        told = await asyncio.gather(self._processes(), self._brokers(), self._providers())
        return page("live.html", **{name: value for part in told for name, value in part.items()})

    async def part(self, request: Request) -> Response:
        name = request.path_params["part"]
        if name not in self._parts:
            raise HTTPException(404, "there is no such part")
        return page(f"_live_{name}.html", **await self._parts[name]())

    async def topic(self, request: Request) -> Response:
        return page("live_topic.html", **await self._topic(request))

    async def topic_part(self, request: Request) -> Response:
        return page("_live_topic.html", **await self._topic(request))

    async def api(self, _: Request) -> Response:
        brokers, processes = await asyncio.gather(self._told_brokers(), self._told_processes())
        rows = (await self._providers())["providers"]
        return json_answer(
            {
                "topics": [] if brokers.value is None else [asdict(topic) for topic in brokers.value.topics],
                "window_s": 0.0 if brokers.value is None else brokers.value.window_s,
                "groups": []
                if brokers.value is None
                else [
                    {"name": group.name, "state": group.state, "members": [asdict(one) for one in group.members]}
                    for group in brokers.value.groups
                ],
                "fault": brokers.fault,
                "processes": [
                    {name: value for name, value in asdict(one).items() if name != "told"}
                    for one in processes.value or ()
                ],
                "providers": [asdict(row) for row in rows],
            }
        )

    async def _topic(self, request: Request) -> dict[str, Any]:
        name = request.path_params["topic"]
        told = await self._told_brokers()
        found = next((one for one in told.value.topics if one.name == name), None) if told.value is not None else None
        if told.value is not None and found is None:
            raise HTTPException(404, "the brokers know no such topic of Novix")
        return {"brokers": told, "topic": found, "name": name, "spark": sparkline}

    async def _brokers(self) -> dict[str, Any]:
        return {"brokers": await self._told_brokers(), "spark": sparkline}

    async def _processes(self) -> dict[str, Any]:
        return {"processes": await self._told_processes()}

    async def _budgets(self) -> dict[str, Any]:
        live = self._context.live
        return {"budgets": await live.budgets() if live is not None else Told(None, NO_WAY, 0)}

    async def _providers(self) -> dict[str, Any]:
        index = self._context.index
        told = await self._told_processes()
        breakers, prices = await asyncio.to_thread(lambda: (index.breakers(), index.prices()))
        if self._listed is None:
            self._listed = await asyncio.to_thread(self._prices_of_catalogue)
        healths = [one.told for one in told.value or ()]
        return {"providers": providers(breakers, healths, prices, self._listed, datetime.now(UTC))}

    def _prices_of_catalogue(self) -> dict[tuple[str, str], Price | None]:
        try:
            offers = load_catalogue(self._context.settings).offers
        except BadCatalogue:
            return {}
        return {(offer.provider, offer.model): offer.price for offer in offers}

    async def _told_brokers(self) -> Told[Brokers]:
        live = self._context.live
        return await live.brokers() if live is not None else Told(None, NO_WAY, 0)

    async def _told_processes(self) -> Told[list[ProcessNow]]:
        live = self._context.live
        return await live.processes() if live is not None else Told(None, NO_WAY, 0)
