"""The sandbox's own routes under `/admin`, for loopback only: the bill, the call log, the faults."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.hf import faults, wire
from sandbox.hf.bill import Bill, Entry, summary
from sandbox.hf.calls import CallLog
from sandbox.hf.hub import answer
from schemas import codec

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Admin:
    """Bill and log, read only; faults, read and write."""

    bill: Bill
    log: CallLog
    armed: faults.Faults

    def routes(self) -> list[Route]:
        """All of them, each refusing a client that is not on this machine."""
        return [
            Route("/admin/bill", local(self.total), methods=["GET"]),
            Route("/admin/bill/entries", local(self.entries), methods=["GET"]),
            Route("/admin/log", local(self.calls), methods=["GET"]),
            Route("/admin/faults", local(self.list_faults), methods=["GET"]),
            Route("/admin/faults", local(self.add_faults), methods=["POST"]),
            Route("/admin/faults", local(self.clear_faults), methods=["DELETE"]),
        ]

    async def total(self, request: Request) -> Response:
        """`GET /admin/bill?since&session&trace`: `{count, total_nanousd, by_model}`."""
        return answer(summary(self._charged(request)))

    async def entries(self, request: Request) -> Response:
        """`GET /admin/bill/entries?since&session&trace`: `{entries: [...]}`, oldest first."""
        return answer({"entries": [asdict(entry) for entry in self._charged(request)]})

    async def calls(self, request: Request) -> Response:
        """`GET /admin/log?since&session&trace&limit`: `{calls: [...]}`, the newest `limit` (10,000), oldest first."""
        query = request.query_params
        limit = query.get("limit", "10000")
        if not limit.isdecimal() or not 1 <= int(limit) <= 1_000_000:
            raise wire.Refusal(422, {"error": "`limit` must be a whole number from 1 to 1000000"})
        found = self.log.listing(
            since=_since(request),
            session=query.get("session"),
            trace=query.get("trace"),
            limit=int(limit),
        )
        return answer({"calls": found})

    async def list_faults(self, _: Request) -> Response:
        """`GET /admin/faults`: `{profiles: [...]}` with `seen` and `fired`."""
        return answer({"profiles": self.armed.listing()})

    async def add_faults(self, request: Request) -> Response:
        """`POST /admin/faults`: one profile, or `{"profiles": [...]}`; all of them or, if one is wrong, none."""
        try:
            value = codec.decode(await request.body())
        except codec.Undecodable as error:
            raise wire.not_json(str(error)) from None
        rows = value["profiles"] if isinstance(value, dict) and set(value) == {"profiles"} else [value]
        if not isinstance(rows, list):
            raise wire.Refusal(422, {"error": "`profiles` must be a list"})
        try:
            profiles = [faults.Profile.model_validate(row) for row in rows]
        except ValidationError as error:
            raise wire.Refusal(422, {"error": _said(error)}) from None
        for profile in profiles:
            self.armed.add(profile)
        return answer({"profiles": self.armed.listing()}, status=201)

    async def clear_faults(self, _: Request) -> Response:
        """`DELETE /admin/faults`: no call is spoilt any more."""
        self.armed.clear()
        return answer({"profiles": []})

    def _charged(self, request: Request) -> list[Entry]:
        query = request.query_params
        return self.bill.entries(since=_since(request), session=query.get("session"), trace=query.get("trace"))


def local(handler: Handler) -> Handler:
    """`handler` for clients on this machine; 403 for all others."""

    async def guarded(request: Request) -> Response:
        host = request.client.host if request.client else ""
        if not _is_loopback(host):
            raise wire.Refusal(403, {"error": "the admin routes answer to loopback only"})
        return await handler(request)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _since(request: Request) -> datetime | None:
    """`since` as an aware instant; without an offset it is UTC."""
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        # A plus sign in a query string is a space once decoded.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise wire.Refusal(422, {"error": "`since` must be an instant in ISO 8601"}) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _said(error: ValidationError) -> str:
    """The first fault: where and what, never the value."""
    first: Any = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"`{where}`: {first['msg']}"
