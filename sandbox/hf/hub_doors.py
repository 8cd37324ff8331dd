"""The Hub's routes beside inference: lists with pages, one repository, its files and scans, trends, quick search."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sandbox.hf import hub, hub_known, hub_sets, wire
from sandbox.hf.catalogue import Catalogue
from sandbox.hf.hub_files import listed_files, readme, scan
from sandbox.hf.hub_pickles import files
from sandbox.hf.hub_query import KINDS, Kind, check_expand, cursor, read_query, shown
from sandbox.hf.hub_rows import FIRST_S, stamp
from sandbox.hf.hub_shelf import Row, Shelf
from schemas import codec

WINDOW_S = 300
USUAL_QUOTA = 1_000_000
"""Calls in a window. The Hub gives 500 without a token; here a limit is set by who wants to see it reached."""
FORMER = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-base-cased": "google-bert/bert-base-cased",
    "roberta-base": "FacebookAI/roberta-base",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "albert-base-v2": "albert/albert-base-v2",
    "gpt2": "openai-community/gpt2",
    "t5-small": "google-t5/t5-small",
}
"""Ids of before repositories had namespaces; the Hub redirects from them."""
_HIDDEN = ("inferenceProviderMapping", "inference")


@dataclass
class Quota:
    """Calls that are left in the present window."""

    calls: int
    clock: Callable[[], datetime]
    _window: int = 0
    _used: int = 0

    def spend(self) -> dict[str, str]:
        """Count a call; the headers that tell of it. Raises a refusal with status 429 when none is left."""
        now = int(self.clock().timestamp())
        if now // WINDOW_S != self._window:
            self._window, self._used = now // WINDOW_S, 0
        self._used += 1
        left, reset = max(0, self.calls - self._used), WINDOW_S - now % WINDOW_S
        headers = {
            "ratelimit": f'"api";r={left};t={reset}',
            "ratelimit-policy": f'"fixed window";"api";q={self.calls};w={WINDOW_S}',
        }
        if self._used > self.calls:
            raise wire.Refusal(429, {"error": "We had to rate limit your IP. Please retry later."}, headers)
        return headers


@dataclass
class HubDoors:
    """The routes and what they tell of."""

    models: Catalogue
    shelves: dict[Kind, Shelf]
    quota: Quota
    redirects: dict[str, str] = field(default_factory=lambda: dict(FORMER))

    def routes(self) -> list[Route]:
        """All of them; the last ones catch what is left under an id."""
        return [
            *(Route(f"/api/{kind}s", self.lists(kind)) for kind in KINDS),
            Route("/api/trending", self.trending),
            Route("/api/quicksearch", self.quicksearch),
            Route("/api/models/{path:path}", self.one_of("model")),
            Route("/api/datasets/{path:path}", self.one_of("dataset")),
            Route("/api/spaces/{path:path}", self.one_of("space")),
            Route("/datasets/{who}/{name}/{way}/{revision}/{file:path}", self.file_of("dataset")),
            Route("/spaces/{who}/{name}/{way}/{revision}/{file:path}", self.file_of("space")),
            Route("/{who}/{name}/{way}/{revision}/{file:path}", self.file_of("model")),
            Route("/{name}/{way}/{revision}/README.md", self.file_of("model")),
        ]

    def lists(self, kind: Kind) -> Callable[[Request], Any]:
        """`GET /api/models` and its like."""

        async def answer(request: Request) -> Response:
            headers = self.quota.spend()
            query = read_query(kind, request.query_params.multi_items())
            rows, after = await asyncio.to_thread(self.shelves[kind].page, query)
            told = [shown(row, query.names, kind) if isinstance(row.get("id"), str) else dict(row) for row in rows]
            if after is not None:
                pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
                address = request.url.replace(query=urlencode([*pairs, ("cursor", cursor(*after))]))
                headers["link"] = f'<{address}>; rel="next"'
            body = await asyncio.to_thread(codec.encode, told)
            return Response(body, media_type=wire.JSON, headers=headers)

        return answer

    def one_of(self, kind: Kind) -> Callable[[Request], Any]:
        """`GET /api/models/{id}`, and below it `/revision/{rev}`, `/tree/{rev}`, `/scan`."""

        async def answer(request: Request) -> Response:
            headers = self.quota.spend()
            path = request.path_params["path"]
            name, rest = self._split(kind, path)
            if kind == "model" and name in self.redirects:
                there = request.url.path.replace(f"/api/models/{name}", f"/api/models/{self.redirects[name]}", 1)
                return RedirectResponse(str(request.url.replace(path=there)), 307, headers)
            number = self.shelves[kind].find(name)
            row = None if number is None else self.shelves[kind].row(number)
            if row is None:
                raise wire.no_repository(authenticated="authorization" in request.headers)
            told = self._told(kind, row, rest, request)
            return Response(codec.encode(told), media_type=wire.JSON, headers=headers)

        return answer

    def _told(self, kind: Kind, row: Row, rest: list[str], request: Request) -> Any:
        query = request.query_params
        if rest[:1] == ["scan"]:
            return scan(row)
        if rest[:1] == ["tree"]:
            return listed_files(row)
        if rest and not (rest[0] == "revision" and len(rest) == 2):
            raise wire.Refusal(404, {"error": "Sorry, we can't find the page you are looking for."})
        names = [
            one for value in (*query.getlist("expand"), *query.getlist("expand[]")) for one in value.split(",") if one
        ]
        check_expand(kind, names)
        if names:
            return shown(row, tuple(names), kind) if "_id" in row else {name: row.get(name) for name in ("id", *names)}
        whole = {name: value for name, value in row.items() if name not in _HIDDEN}
        sizes = query.get("blobs") in ("true", "True", "1")
        whole.setdefault("siblings", [
            {"rfilename": one["path"], **({"size": one["size"]} if sizes else {})} for one in listed_files(row)
        ])  # fmt: skip
        if query.get("securityStatus") in ("true", "True", "1"):
            whole["securityRepoStatus"] = scan(row)
        if kind == "model" and isinstance(row.get("id"), str):
            whole["modelId"] = row["id"]
        return whole

    def _split(self, kind: Kind, path: str) -> tuple[str, list[str]]:
        """The id that a path begins with, and what comes behind it."""
        parts = path.split("/")
        for count in (2, 1):
            name = "/".join(parts[:count])
            if self.shelves[kind].find(name) is not None or (kind == "model" and name in self.redirects):
                return name, parts[count:]
        return "/".join(parts[:2]), parts[2:]

    def file_of(self, kind: Kind) -> Callable[[Request], Any]:
        """`GET /{id}/raw/{revision}/README.md`, and the same with `resolve`; of two models a pickle as well."""

        async def answer(request: Request) -> Response:
            told = request.path_params
            name = f"{told['who']}/{told['name']}" if "who" in told else told["name"]
            name = self.redirects.get(name, name) if kind == "model" else name
            number = self.shelves[kind].find(name)
            row = None if number is None else self.shelves[kind].row(number)
            path = told.get("file", "README.md")
            kept = files().get(str(row.get("id")), {}) if kind == "model" and row is not None else {}
            if told["way"] in ("raw", "resolve") and path in kept:
                return Response(kept[path], media_type="application/octet-stream", headers=self.quota.spend())
            if told["way"] not in ("raw", "resolve") or row is None or path != "README.md":
                raise wire.Refusal(404, "Entry not found", {"x-error-code": "EntryNotFound"})
            return Response(
                readme(row, self.models), media_type="text/plain; charset=utf-8", headers=self.quota.spend()
            )

        return answer

    async def trending(self, request: Request) -> Response:
        """`GET /api/trending?type&limit`: what has changed of late and is liked."""
        headers, found = self.quota.spend(), []
        wanted = request.query_params.get("type", "all")
        for kind in KINDS:
            if wanted in ("all", kind):
                query = read_query(kind, [("sort", "trendingScore"), ("limit", "20")])
                rows, _ = await asyncio.to_thread(self.shelves[kind].page, query)
                found += [{"repoData": shown(row, query.names, kind), "repoType": kind} for row in rows]
        told = {"recentlyTrending": found[: min(20, _whole(request, "limit", 20)) if wanted != "all" else 20]}
        return Response(codec.encode(told), media_type=wire.JSON, headers=headers)

    async def quicksearch(self, request: Request) -> Response:
        """`GET /api/quicksearch?q&type&limit`: ids that have the words, the most downloaded first; at most 20."""
        headers, told = self.quota.spend(), {}
        query, wanted = request.query_params, request.query_params.get("type")
        limit = str(min(20, max(1, _whole(request, "limit", 5))))
        for kind in KINDS:
            if wanted in (None, kind):
                asked = read_query(kind, [("search", query.get("q", "")), ("sort", "downloads"), ("limit", limit)])
                rows, _ = await asyncio.to_thread(self.shelves[kind].page, asked)
                told[f"{kind}s"] = [{"_id": row.get("_id"), "id": row.get("id")} for row in rows]
        return Response(codec.encode(told | {"q": query.get("q", "")}), media_type=wire.JSON, headers=headers)

    # For tests, and for whoever wants to see the catalogue follow: loopback only

    async def touch(self, request: Request) -> Response:
        """`POST /sandbox/hub/touch?n=1000&kind=model&seed=0`: so many generated repositories got a commit just now."""
        shelf = self._shelf(request)
        count = _whole(request, "n", 1)
        chosen = random.Random(_whole(request, "seed", 0))  # noqa: S311 - repeatable on purpose
        numbers = chosen.sample(range(shelf.generated), min(count, shelf.generated))
        names = shelf.touch(numbers, self.quota.clock())
        return hub.answer({"touched": len(names), "ids": names[:1_000]})

    async def rename(self, request: Request) -> Response:
        """`POST /sandbox/hub/rename?id&to`."""
        shelf, number, row = self._named(request)
        fresh = request.query_params.get("to", "")
        if not fresh or shelf.find(fresh) is not None:
            raise wire.Refusal(422, {"error": "`to` must be an id that nobody has"})
        old = str(row["id"])
        shelf.put(number, {**row, "id": fresh, "author": fresh.partition("/")[0], "lastModified": self._stamp()})
        self.redirects[old] = fresh
        return hub.answer({"renamed": old, "to": fresh})

    async def remove(self, request: Request) -> Response:
        """`POST /sandbox/hub/delete?id`."""
        shelf, number, row = self._named(request)
        shelf.remove(number)
        return hub.answer({"deleted": row["id"]})

    async def change(self, request: Request) -> Response:
        """`POST /sandbox/hub/change?id`: lay the JSON object of the body over a row, whatever nonsense it holds; an id
        that nobody has makes a new one."""
        shelf = self._shelf(request)
        try:
            told = codec.decode(await request.body())
        except codec.Undecodable as error:
            raise wire.not_json(str(error)) from None
        if not isinstance(told, dict):
            raise wire.Refusal(422, {"error": "the body must be an object"})
        name = request.query_params.get("id", "")
        number = shelf.find(name)
        row = None if number is None else shelf.row(number)
        if number is None or row is None:
            made = {"_id": f"{int(self.quota.clock().timestamp()):08x}{random.getrandbits(64):016x}", "id": name}
            shelf.add({**made, "createdAt": self._stamp(), "lastModified": self._stamp(), **told})
            return hub.answer({"added": name})
        shelf.put(number, {**row, "lastModified": self._stamp(), **told})
        return hub.answer({"changed": name})

    def _shelf(self, request: Request) -> Shelf:
        kind = request.query_params.get("kind", "model")
        if kind not in self.shelves:
            raise wire.Refusal(422, {"error": f"`kind` must be one of {', '.join(KINDS)}"})
        return self.shelves[kind]

    def _named(self, request: Request) -> tuple[Shelf, int, Row]:
        shelf = self._shelf(request)
        number = shelf.find(request.query_params.get("id", ""))
        row = None if number is None else shelf.row(number)
        if number is None or row is None:
            raise wire.Refusal(404, {"error": "no repository has this `id`"})
        return shelf, number, row

    def _stamp(self) -> str:
        return self.quota.clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")


def doors(
    models: Catalogue, *, rows: int, seed: int = 0, quota: int = USUAL_QUOTA, clock: Callable[[], datetime]
) -> HubDoors:
    """A Hub with `rows` generated models, a tenth as many data sets, a twentieth as many Spaces, and all known ones."""
    made = hub_known.datasets(min(rows // 10, 5_000))
    for one in hub_sets.sets().values():
        made.append(hub_sets.hub_row(one, hub_known.made_id(one.name), stamp(FIRST_S)))
    shelves: dict[Kind, Shelf] = {
        "model": Shelf(seed, rows, hub_known.known_models(models)),
        "dataset": Shelf(seed, 0, made),
        "space": Shelf(seed, 0, hub_known.spaces(min(rows // 20, 2_500))),
    }
    return HubDoors(models, shelves, Quota(quota, clock))


def _whole(request: Request, name: str, default: int) -> int:
    told = request.query_params.get(name, str(default))
    if not told.isdecimal() or len(told) > 9:
        raise wire.Refusal(422, {"error": f"`{name}` must be a whole number"})
    return int(told)
