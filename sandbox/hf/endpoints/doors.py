"""The sandbox's Inference Endpoints on HTTP: the management API v2, and below `/endpoints/{id}` what each serves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.hf import wire
from sandbox.hf.admin import local
from sandbox.hf.bill import Bill, Entry
from sandbox.hf.doors import Doors, authorise
from sandbox.hf.endpoints.fleet import Endpoint, Fleet, stamp
from sandbox.hf.hub import answer
from schemas import codec

SCALE_UP = "x-scale-up-timeout"
PROVIDER = "x-inference-provider"
LONGEST_HOLD_S = 1_200.0
LOOK_S = 0.05
NAMESPACE = "/v2/endpoint/{namespace}"
ONE = "/v2/endpoint/{namespace}/{name}"
DOOR = "/endpoints/{id}"
CHATS = frozenset({"text-generation", "chat-completion"})
MOST_TAIL = 1_000

Handler = Callable[[Request], Awaitable[Response]]


class Unbilled(Bill):
    """A call to an endpoint is not charged for: its replicas are, by the minute."""

    def __init__(self) -> None:
        """There is no book."""

    def charge(self, entry: Entry) -> None:
        """Nothing."""


@dataclass
class Endpoints:
    """The routes. `doors` answer with the sandbox's models."""

    fleet: Fleet
    doors: Doors
    token: str | None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Between two looks at an endpoint that starts while a request is held."""
    _free: Doors = field(init=False)

    def __post_init__(self) -> None:
        self._free = replace(self.doors, bill=Unbilled(), token=None)  # whether one may call is asked here

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v2/provider", self.provider),
            Route("/v2/provider/quotas/{namespace}", self.quotas),
            Route("/v2/provider/{namespace}", self.provider),
            Route(NAMESPACE, self.listed, methods=["GET"]),
            Route(NAMESPACE, self.created, methods=["POST"]),
            Route(ONE, self.got, methods=["GET"]),
            Route(ONE, self.updated, methods=["PUT"]),
            Route(ONE, self.deleted, methods=["DELETE"]),
            Route(f"{ONE}/pause", self.changed("pause"), methods=["POST"]),
            Route(f"{ONE}/resume", self.changed("resume"), methods=["POST"]),
            Route(f"{ONE}/scale-to-zero", self.changed("scale_to_zero"), methods=["POST"]),
            Route(f"{ONE}/logs", self.logs, methods=["GET"]),
            Route(f"{ONE}/replica", self.replicas, methods=["GET"]),
            Route(f"{ONE}/open-metrics", self.metrics, methods=["GET"]),
            Route("/admin/endpoints", local(self.arm), methods=["POST"]),
            Route("/admin/endpoints/bill", local(self.bill), methods=["GET"]),
            Route(f"{DOOR}/health", self.health, methods=["GET"]),
            Route(f"{DOOR}/v1/chat/completions", self.chat, methods=["POST"]),
            Route(DOOR, self.task, methods=["POST"]),
            Route(f"{DOOR}/", self.task, methods=["POST"]),
        ]

    # The management API

    async def provider(self, _: Request) -> Response:
        """`GET /v2/provider`: what machines cost; no token is asked for."""
        return answer(self.fleet.provider())

    async def quotas(self, request: Request) -> Response:
        """`GET /v2/provider/quotas/{namespace}`: how many accelerators are in use, by machine."""
        self._authorised(request)
        told = self.fleet.provider()["vendors"]
        rows = [
            {"id": one["id"], **one["quota"]}
            for vendor in told
            for region in vendor["regions"]
            for one in region["computes"]
        ]
        return answer({"quotas": rows})

    async def listed(self, request: Request) -> Response:
        """`GET /v2/endpoint/{namespace}`: all of one namespace, by name; `cursor` and `limit` page."""
        self._authorised(request)
        items = self.fleet.listed(request.path_params["namespace"])
        limit, cursor = request.query_params.get("limit", "100"), request.query_params.get("cursor", "")
        if not limit.isdecimal() or not 1 <= int(limit) <= 1_000:
            raise wire.Refusal(400, {"error": "Bad Request: limit: must be 1 to 1000"})
        behind = [item for item in items if item["name"] > cursor]
        page = behind[: int(limit)]
        more = {"nextCursor": page[-1]["name"]} if len(behind) > len(page) else {}
        return answer({"items": page, **more})

    async def created(self, request: Request) -> Response:
        """`POST /v2/endpoint/{namespace}`."""
        self._authorised(request)
        return answer(self.fleet.create(request.path_params["namespace"], await _body(request)), status=202)

    async def got(self, request: Request) -> Response:
        """`GET /v2/endpoint/{namespace}/{name}`."""
        return answer(self.fleet.shown(self._of(request)))

    async def updated(self, request: Request) -> Response:
        """`PUT /v2/endpoint/{namespace}/{name}`: every field optional."""
        self._authorised(request)
        body = await _body(request)
        return answer(self.fleet.update(**request.path_params, body=body), status=202)

    async def deleted(self, request: Request) -> Response:
        """`DELETE /v2/endpoint/{namespace}/{name}`."""
        self._authorised(request)
        self.fleet.delete(**request.path_params)
        return Response(status_code=202)

    def changed(self, how: str) -> Handler:
        """`POST .../pause`, `.../resume`, `.../scale-to-zero`."""

        async def change(request: Request) -> Response:
            self._authorised(request)
            return answer(getattr(self.fleet, how)(**request.path_params), status=202)

        return change

    async def logs(self, request: Request) -> Response:
        """`GET .../logs?tail`: its lines, the oldest first."""
        endpoint, tail = self._of(request), request.query_params.get("tail", "100")
        if not tail.isdecimal() or not 1 <= int(tail) <= MOST_TAIL:
            raise wire.Refusal(400, {"error": f"Bad Request: tail: must be 1 to {MOST_TAIL}"})
        lines = [f"{stamp(at)} {line}" for at, line in endpoint.machine.lines[-int(tail) :]]
        return Response("\n".join(lines), media_type="text/plain")

    async def replicas(self, request: Request) -> Response:
        """`GET .../replica`."""
        endpoint = self._of(request)
        running = [span for span in endpoint.machine.spans if span.end is None]
        rows = [
            {"id": f"{endpoint.id}-{number}", "startedAt": stamp(span.start)} for number, span in enumerate(running)
        ]
        return answer({"items": rows})

    async def metrics(self, request: Request) -> Response:
        """`GET .../open-metrics`: OpenMetrics text."""
        endpoint = self._of(request)
        machine = endpoint.machine
        told = {
            "replicas_ready": ("gauge", machine.ready), "replicas_target": ("gauge", machine.target),
            "requests_in_flight": ("gauge", machine.in_flight), "requests_total": ("counter", endpoint.requests),
            "requests_failed_total": ("counter", endpoint.failed),
        }  # fmt: skip
        lines = []
        for name, (kind, value) in told.items():
            lines += [f"# TYPE endpoint_{name.removesuffix('_total')} {kind}", f"endpoint_{name} {value}"]
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return Response("\n".join([*lines, "# EOF", ""]), headers={"content-type": content_type})

    # The sandbox's own

    async def bill(self, _: Request) -> Response:
        """`GET /admin/endpoints/bill`: what was billed, by endpoint, until now."""
        return answer(self.fleet.bill())

    async def arm(self, request: Request) -> Response:
        """`POST /admin/endpoints {"no_capacity": [compute ids], "update_fails": bool, "fail": "namespace/name"}`."""
        body = await _body(request)
        if not isinstance(body, dict):
            raise wire.Refusal(400, {"error": "Bad Request: the body must be an object"})
        self.fleet.no_capacity = set(body.get("no_capacity", self.fleet.no_capacity))
        self.fleet.update_fails = bool(body.get("update_fails", self.fleet.update_fails))
        if "fail" in body:
            namespace, _, name = str(body["fail"]).partition("/")
            self.fleet.of(namespace, name).machine.fail(self.fleet.clock(), "Endpoint failed: the container ended")
        return answer({"no_capacity": sorted(self.fleet.no_capacity), "update_fails": self.fleet.update_fails})

    # What an endpoint serves

    async def health(self, request: Request) -> Response:
        """`GET {url}/health`: 200 once it answers. Wakes nobody."""
        endpoint = self._behind(request)
        if not endpoint.machine.answers(self.fleet.clock()):
            raise _starting()
        return Response("OK", media_type="text/plain")

    async def chat(self, request: Request) -> Response:
        """`POST {url}/v1/chat/completions`."""
        return await self._served(request, "chat-completion", self._free.hf_chat)

    async def task(self, request: Request) -> Response:
        """`POST {url}`: the endpoint's task in Hugging Face's own form."""
        return await self._served(request, None, self._free.hf_task)

    async def _served(self, request: Request, task: str | None, serve: Handler) -> Response:
        endpoint = self._behind(request)
        asked = endpoint.asked["model"]
        own = asked["task"]
        if task == "chat-completion" and own not in CHATS:
            raise wire.wrong_task()
        await self._awake(request, endpoint)
        machine = endpoint.machine
        endpoint.requests, machine.in_flight = endpoint.requests + 1, machine.in_flight + 1
        params = {"model": asked["repository"]} | ({"task": own} if task is None and own not in CHATS else {})
        request.scope["path_params"] = params
        call = request.scope["novix.call"]
        call.headers = {**call.headers, "authorization": "Bearer hf_let_in"}
        try:
            response = await serve(request)
            if PROVIDER in response.headers:
                del response.headers[PROVIDER]  # of Hugging Face's router; an endpoint has none
            return response
        except wire.Refusal:
            endpoint.failed += 1
            raise
        finally:
            machine.in_flight -= 1
            machine.last_used = self.fleet.clock()

    async def _awake(self, request: Request, endpoint: Endpoint) -> None:
        """Return once it answers: at once, or for a request that asks to be held, when it has started. A request wakes
        one that sleeps. Raises 400 for one that is paused, 503 for one that is not there yet."""
        machine, clock = endpoint.machine, self.fleet.clock
        if endpoint.asked["type"] != "public":
            authorise(request.headers.get("authorization"), self.token)
        now = clock()
        machine.advance(now)
        if machine.state == "paused":
            raise wire.Refusal(400, {"error": "Bad Request: Invalid state: endpoint is paused"})
        machine.used(now)
        held = request.headers.get(SCALE_UP, "0")
        until = now.timestamp() + (min(float(held), LONGEST_HOLD_S) if held.isdecimal() else 0.0)
        while not machine.answers(clock()):
            if machine.state in ("failed", "paused", "deleted") or clock().timestamp() >= until:
                raise _starting()
            await self.sleep(LOOK_S)
            machine.advance(clock())

    def _behind(self, request: Request) -> Endpoint:
        endpoint = self.fleet.by_id(request.path_params["id"])
        if endpoint is None:
            raise wire.Refusal(404, {"error": "Not found"})
        return endpoint

    def _of(self, request: Request) -> Endpoint:
        self._authorised(request)
        return self.fleet.of(request.path_params["namespace"], request.path_params["name"])

    def _authorised(self, request: Request) -> None:
        authorise(request.headers.get("authorization"), self.token)
        self.fleet.base = str(request.base_url).rstrip("/")


def _starting() -> wire.Refusal:
    return wire.Refusal(503, {"error": "Service Unavailable"})


async def _body(request: Request) -> Any:
    try:
        return codec.decode(await request.body())
    except codec.Undecodable as error:
        raise wire.not_json(str(error)) from None
