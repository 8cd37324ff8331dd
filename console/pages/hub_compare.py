"""Models beside each other, and a recommendation for a sentence."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.hub.port import BadQuestion, Broken, Hub, NotThere
from console.pages import hub_words
from console.pages.context import Context
from console.pages.hub_asked import LONGEST_MODEL, MOST_COMPARED, models_of
from console.pages.hub_view import NO_HUB
from console.pages.render import page
from schemas import codec
from schemas.comparison import DIMENSIONS, ComparisonCriteria, ModelComparison
from schemas.discovery import Criteria
from schemas.job import DEFAULT_TENANT, describe
from schemas.recommendation import MAX_SENTENCE_CHARS

TOP = 5
EXCLUDED_SHOWN = 50
RIVALS = 3
RIVAL_FACTS = ("parameters", "p50", "cost", "quality")
"""Rows of a comparison that are shown in a panel; the others stand on the page of the comparison."""


def routes(context: Context) -> list[BaseRoute]:
    """Of both pages, and of a model beside its rivals."""
    pages = _Choosing(context)
    return [
        Route("/hub/compare", pages.compare),
        Route("/hub/recommend", pages.recommend),
        Route("/fragments/hub/rivals", pages.rivals),
    ]


class _Choosing:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def compare(self, request: Request) -> Response:
        given = request.query_params
        models = models_of(given)
        task, tenant = given.get("task", "").strip()[:64], given.get("tenant", "").strip()[:128]
        weights: dict[str, str] = {name: given.get(name, "").strip()[:12] or "1" for name in DIMENSIONS}
        told: dict[str, Any] = {
            "models": models, "task": task, "tenant": tenant, "weights": weights, "error": "", "missing": "",
            "compared": None, "points": "", "w": hub_words, "most_compared": MOST_COMPARED,
        }  # fmt: skip
        try:
            compared = await self._compared(models, told, weights)
        except ValidationError as error:
            return page("hub_compare.html", status=400, **{**told, "error": describe(error)})
        except BadQuestion as error:
            return page("hub_compare.html", status=400, **{**told, "error": str(error)})
        except NotThere as error:
            return page("hub_compare.html", **{**told, "missing": str(error)})
        if compared is None:
            return page("hub_compare.html", **told)
        return page("hub_compare.html", **{**told, "compared": compared, "points": points(compared)})

    async def _compared(
        self, models: tuple[str, ...], told: Mapping[str, Any], weights: Mapping[str, str]
    ) -> ModelComparison | None:
        hub = self._context.hub
        if hub is None:
            raise NotThere(NO_HUB)
        if len(models) > MOST_COMPARED:
            raise BadQuestion(f"{models[-1]} is one too many: {MOST_COMPARED} stand beside each other at most")
        if not models:
            return None
        criteria = ComparisonCriteria.model_validate(
            {"models": models, "task": told["task"] or None, "tenant": told["tenant"] or None, "weights": weights}
        )
        return await asyncio.to_thread(hub.compare, criteria)

    async def rivals(self, request: Request) -> Response:
        """A model beside the most downloaded others of its task."""
        given, hub = request.query_params, self._context.hub
        name, tenant = given.get("model", "")[:LONGEST_MODEL], given.get("tenant", "").strip()[:128]
        if hub is None:
            return page("_hub_refused.html", status=404, why=NO_HUB)
        told: dict[str, Any] = {
            "compared": None, "missing": "", "name": name, "facts": RIVAL_FACTS, "tenant": tenant, "w": hub_words,
        }  # fmt: skip
        try:
            compared = await asyncio.to_thread(_beside, hub, name, tenant)
        except (ValidationError, BadQuestion) as error:
            why = describe(error) if isinstance(error, ValidationError) else str(error)
            return page("_hub_rivals.html", status=400, **{**told, "missing": why})
        except NotThere as error:
            return page("_hub_rivals.html", **{**told, "missing": str(error)})
        return page("_hub_rivals.html", **{**told, "compared": compared})

    async def recommend(self, request: Request) -> Response:
        given = request.query_params
        sentence = given.get("q", "").strip()
        tenant = given.get("tenant", "").strip()[:128]
        told: dict[str, Any] = {
            "sentence": sentence[:MAX_SENTENCE_CHARS], "tenant": tenant, "error": "", "missing": "", "answer": None,
            "w": hub_words, "most_chars": MAX_SENTENCE_CHARS, "excluded_shown": EXCLUDED_SHOWN,
        }  # fmt: skip
        hub = self._context.hub
        if hub is None:
            return page("hub_recommend.html", **{**told, "missing": NO_HUB})
        if not sentence:
            return page("hub_recommend.html", **told)
        if len(sentence) > MAX_SENTENCE_CHARS:
            why = f"the sentence has {len(sentence):,} characters; it may have {MAX_SENTENCE_CHARS:,}"
            return page("hub_recommend.html", status=400, **{**told, "error": why})
        try:
            answer = await asyncio.to_thread(hub.recommend, sentence, tenant or DEFAULT_TENANT, TOP)
        except BadQuestion as error:
            return page("hub_recommend.html", status=400, **{**told, "error": str(error)})
        except NotThere as error:
            status = 503 if isinstance(error, Broken) else 200
            return page("hub_recommend.html", status=status, **{**told, "missing": str(error)})
        return page("hub_recommend.html", **{**told, "answer": answer})


def _beside(hub: Hub, name: str, tenant: str) -> ModelComparison | None:
    """The comparison with its rivals; None where the model is unknown, or has none."""
    entry = hub.model(name)
    if entry is None or not entry.task:
        return None
    wanted = Criteria(tasks=(entry.task,), order="downloads", limit=RIVALS + 1, facets=False)
    others = [hit.entry.id for hit in hub.search(wanted).models if hit.entry.id != name][:RIVALS]
    if not others:
        return None
    asked = {"models": (name, *others), "task": entry.task, "tenant": tenant or None}
    return hub.compare(ComparisonCriteria.model_validate(asked))


def points(compared: ModelComparison) -> str:
    """The models of which a job's cost and one more thing are known, as JSON for the picture: name, dollars, quality or
    else milliseconds, whether it stands on the front. Empty: fewer than two."""
    analysis = compared.analysis
    costs = {one.model: one.nanousd.value for one in analysis.costs if one.nanousd is not None}
    quality = {one.model: one.value for one in analysis.quality if one.value is not None}
    speed = {one.model: one.p50_ms for one in analysis.performance if one.p50_ms is not None}
    for axis, values in (("quality", quality), ("p50, ms", speed)):
        rows = [
            [name, costs[name] / 1e9, value, name in analysis.front] for name, value in values.items() if name in costs
        ]
        if len(rows) > 1:
            return codec.encode({"axis": axis, "points": rows}).decode()
    return ""
