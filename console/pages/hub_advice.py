"""What helps a search that finds nothing: words that are spelt like its own, and the condition without which there
would be hits. It comes by itself once nobody types any more, for it costs some searches."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console.hub.port import BadQuestion, Hub, NotThere
from console.pages.context import Context
from console.pages.hub_asked import Asked, asked, condition_names, criterion_of
from console.pages.hub_view import NO_HUB
from console.pages.render import page
from schemas.discovery import Criteria

MOST_WORDS, MOST_NEAR, MOST_CONDITIONS = 2, 3, 8
"""Of the query that are looked at, that are told, that are tried."""
BEGINNING, LONG_ENOUGH = 3, 4
"""Letters that a near word has in common with the query's, and that a word of it has at least."""
NAMES = 100
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Less:
    """The search without one condition."""

    words: str
    count: int
    exact: bool
    address: str


class Advice:
    """The part of the page."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def part(self, request: Request) -> Response:
        """For the search of the address; empty where nothing helps."""
        wanted, hub = asked(request.query_params), self._context.hub
        told: dict[str, Any] = {"asked": wanted, "near": (), "less": (), "missing": ""}
        if hub is None:
            return page("_hub_advice.html", **{**told, "missing": NO_HUB})
        try:
            near, less = await asyncio.to_thread(_advice, hub, wanted)
        except (BadQuestion, NotThere) as error:
            return page("_hub_advice.html", **{**told, "missing": str(error)})
        return page("_hub_advice.html", **{**told, "near": near, "less": less})


def _advice(hub: Hub, wanted: Asked) -> tuple[list[str], list[Less]]:
    plain = wanted.criteria.model_copy(update={"facets": False, "offset": 0, "limit": 1})
    less = []
    conditions = condition_names(wanted)
    if [name for name, _ in conditions] == ["q"]:
        conditions = []  # without its words it is no search at all
    for name, words in conditions[:MOST_CONDITIONS]:
        found = hub.search(without(plain, name))
        if found.filtered:
            less.append(Less(words, found.filtered, found.filtered_is_exact, _address(wanted, name)))
    near = [text for text in _spelt_like(hub, plain) if hub.search(plain.model_copy(update={"text": text})).filtered]
    return near[:MOST_NEAR], sorted(less, key=lambda one: -one.count)


def _address(wanted: Asked, name: str) -> str:
    changed: dict[str, Any] = {name: None}
    return wanted.address(**changed)


def without(criteria: Criteria, name: str) -> Criteria:
    """The criteria without the one that a parameter of the address fills."""
    field = criterion_of(name)
    return criteria.model_copy(update={field: Criteria.model_fields[field].default})


def _spelt_like(hub: Hub, criteria: Criteria) -> list[str]:
    """The query with one of its words spelt as names of the catalogue have it."""
    texts = []
    words = [word for word in _WORD.findall(criteria.text) if len(word) >= LONG_ENOUGH][:MOST_WORDS]
    for word in words:
        found = hub.search(Criteria(text=word[:BEGINNING], limit=NAMES, facets=False))
        names = (hit.entry.id for hit in found.models)
        texts += [criteria.text.replace(word, other, 1) for other in near_words(word, names)]
    return texts[: 2 * MOST_NEAR]


def near_words(word: str, names: Iterable[str]) -> list[str]:
    """Words of these names that are `word` but for a slip or two, the nearest first, then the most frequent."""
    from hub.discovery.phrases import near

    low, counts = word.casefold(), dict[str, int]()
    for name in names:
        for one in _WORD.findall(name.casefold()):
            counts[one] = counts.get(one, 0) + 1
    fitting = [
        (1 if near(low, other, 1) else 2, -count, other)
        for other, count in counts.items()
        if other != low and len(other) >= LONG_ENOUGH and near(low, other, 1 if len(low) < 6 else 2)
    ]
    return [other for _, _, other in sorted(fitting)][:MOST_NEAR]
