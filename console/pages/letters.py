"""Dead letters: why each was set aside, and the order to have its job done again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console import letters
from console.exits import CommandError
from console.kafka import Log
from console.pages.context import Context
from console.pages.guard import address_of
from console.pages.render import json_answer, page
from console.who import LONGEST, who

log = structlog.get_logger("novix.console")

PER_PAGE = 100
MOST_AT_ONCE = 200
WITHIN_S = 20.0
MOST_CHARS = 256
NO_WAY = "these pages run without a way to Kafka: novix dlq redrive does it"


def routes(context: Context) -> list[BaseRoute]:
    """Of the list, one letter, the order, and the list as JSON."""
    pages = _Letters(context)
    return [
        Route("/letters", pages.whole),
        Route("/fragments/letters", pages.part),
        Route("/letters/redrive", pages.redrive, methods=["POST"]),
        Route("/letters/{partition:int}/{offset:int}", pages.letter),
        Route("/api/letters", pages.api),
    ]


@dataclass(frozen=True, slots=True)
class Driven:
    """What became of one letter of an order."""

    place: str
    tenant: str
    job_id: str
    problem: str
    """Why nothing was written; empty: it was published."""
    record: str
    """`partition/offset` on the jobs topic, where it was."""


class _Letters:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        return page("letters.html", **await self._shown(request))

    async def part(self, request: Request) -> Response:
        return page("_letters.html", **await self._shown(request))

    async def api(self, request: Request) -> Response:
        shown = await self._shown(request)
        listed = shown["listed"]
        return json_answer({"letters": listed.rows, "next": listed.next, "total": listed.total})

    async def letter(self, request: Request) -> Response:
        where = request.path_params
        found = await asyncio.to_thread(self._context.index.letter, where["partition"], where["offset"])
        if found is None:
            raise HTTPException(404, "no dead letter is known at this place, or it is older than what these pages keep")
        place = f"{where['partition']}/{where['offset']}"
        value, problem = None, ""
        if self._context.capture:
            value, problem = await self._value(place)
        return page(
            "letter.html", letter=found, place=place, capture=self._context.capture, value=value, problem=problem,
            why_not=why_not(found), now_ms=self._context.now_ms(), may=self._context.log is not None,
        )  # fmt: skip

    async def redrive(self, request: Request) -> Response:
        """The order of a form, first shown to be confirmed. The guard has made sure that it is one of our own."""
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=1_000)
        places = list(dict.fromkeys(fields.get("place", [])))
        try:
            named = [letters.place_of(place[:64]) for place in places]
        except CommandError as error:
            return page("refused.html", status=400, why=str(error))
        if not named or len(named) > MOST_AT_ONCE:
            return page(
                "refused.html", status=400, why=f"{len(named)} letters; from 1 to {MOST_AT_ONCE} at once may be named"
            )
        if fields.get("sure") != ["yes"]:
            return page("letters_confirm.html", places=places)
        return await self._driven(named, f"{who('console')} for {address_of(request)}"[:LONGEST])

    async def _driven(self, named: Sequence[letters.Place], by: str) -> Response:
        if self._context.log is None:
            return page("refused.html", status=503, why=NO_WAY)
        try:
            async with asyncio.timeout(WITHIN_S), self._context.log() as bus:
                driven = await drive(bus, named, by)
        except CommandError as error:
            return page("refused.html", status=502, why=str(error))
        except Exception as error:  # whatever a client library raises, or the time limit
            log.error("redrive.failed", error=type(error).__name__, letters=len(named))
            why = (
                f"Kafka did not answer ({type(error).__name__}); whether the letters were driven again, the audit tells"
            )
            return page("refused.html", status=502, why=why)
        done = sum(not one.problem for one in driven)
        log.info("letters.redriven", letters=done, refused=len(driven) - done, by=by)
        return page("letters_driven.html", driven=driven, done=done, by=by)

    async def _value(self, place: str) -> tuple[str | None, str]:
        """The letter's bytes as text, where inputs are shown; else why not."""
        if self._context.log is None:
            return None, NO_WAY
        try:
            async with asyncio.timeout(WITHIN_S), self._context.log() as bus:
                record = (await letters.one(bus, letters.place_of(place))).record
        except CommandError as error:
            return None, str(error)
        except Exception as error:  # whatever a client library raises, or the time limit
            return None, f"Kafka did not answer: {type(error).__name__}"
        return (record.value or b"").decode("utf-8", "replace"), ""

    async def _shown(self, request: Request) -> dict[str, Any]:
        asked = {name: request.query_params.get(name, "").strip()[:MOST_CHARS] for name in ("reason", "topic", "after")}
        listed = await asyncio.to_thread(
            lambda: self._context.index.letters(
                limit=PER_PAGE, after=asked["after"] or None, reason=asked["reason"], topic=asked["topic"]
            )
        )

        def address(path: str, **other: str) -> str:
            told = {**asked, **other}
            return f"{path}?{urlencode({name: value for name, value in told.items() if value})}"

        return {
            "asked": asked, "listed": listed, "address": address, "why_not": why_not,
            "now_ms": self._context.now_ms(), "may": self._context.log is not None,
            "kept_days": self._context.settings.console_keep_days,
        }  # fmt: skip


def why_not(letter: dict[str, Any]) -> str:
    """Why a letter cannot be driven again, by what is known of it here; empty: it can."""
    if letter.get("kept"):
        return f"it is cut, {letter['kept']} are left"
    if not letter.get("job_id"):
        return "it names no job"
    return ""


async def drive(bus: Log, places: Sequence[letters.Place], by: str) -> list[Driven]:
    """Publish the jobs of these letters again, each as its job's next submission, as `novix dlq redrive` does; the
    router audits who did it. Raises `CommandError`, and Kafka's errors."""
    told: list[Driven] = []
    orders = []
    for place in places:
        name = f"{place[0]}/{place[1]}"
        try:
            letter = await letters.one(bus, place)
        except CommandError as error:
            told.append(Driven(name, "", "", str(error), ""))
            continue
        found = letters.redrive(letter, by)
        if isinstance(found, str):
            tenant, job_id = letters.identity_of(letter) or ("", "")
            told.append(Driven(name, tenant, job_id, found, ""))
        else:
            orders.append((name, found))
    written = await bus.publish([found.outgoing for _, found in orders])
    for (name, found), (partition, offset) in zip(orders, written, strict=True):
        told.append(Driven(name, found.tenant, found.job_id, "", f"{partition}/{offset}"))
    return told
