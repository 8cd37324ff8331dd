"""The application: routes, refusals, lifetimes."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.fetch import Say, default_cache, quiet
from sandbox.hf import catalogue, wire
from sandbox.hf.admin import Admin, local
from sandbox.hf.bill import Bill, open_book
from sandbox.hf.calls import CallLog
from sandbox.hf.doors import Doors
from sandbox.hf.endpoints.doors import Endpoints
from sandbox.hf.endpoints.fleet import Fleet
from sandbox.hf.endpoints.machine import Times
from sandbox.hf.engines import Engines, llama
from sandbox.hf.faults import Faults
from sandbox.hf.gate import Gate
from sandbox.hf.hub import Hub, answer
from sandbox.hf.hub_doors import USUAL_QUOTA
from sandbox.hf.hub_doors import doors as hub_doors
from sandbox.hf.hub_viewer import Viewer
from sandbox.hf.weights import Weights

CLOSING_S = 2.0
"""How long the end of cancelled calls is waited for; a book left open loses nothing."""


@dataclass(frozen=True)
class Options:
    """How to run the local Hugging Face."""

    state: Path
    """Folder of bill and call log, made if it is not there."""
    cache: Path | None = None
    """Folder of fetched weights; None is the sandbox's own cache."""
    token: str | None = None
    """The only token that is accepted; None accepts any that begins with `hf_`."""
    preload: bool = False
    """Load every model before the first call, rather than each at its first."""
    say: Say = quiet
    """Told what is being downloaded."""
    weights: Path | None = None
    """The chat model's GGUF file, where it is not to be fetched."""
    hub_rows: int = 2_000
    """Generated models that its Hub lists, beside those that are known."""
    hub_seed: int = 0
    hub_quota: int = USUAL_QUOTA
    """Calls to the Hub's API in five minutes; then it answers 429."""
    endpoint_starts: float = 1.0
    """Dedicated endpoints take so many times the real time to start; what they are billed for is real time."""


def create_app(
    options: Options,
    *,
    engines: Engines | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    chance: Callable[[], str] = lambda: secrets.token_hex(16),
) -> Starlette:
    """The local Hugging Face as an ASGI application. `engines` of another application are shared, not closed."""
    models = catalogue.load()
    book = open_book(options.state / "hf.sqlite3")
    bill, log, armed = Bill(book), CallLog(book), Faults()
    weights = Weights.of(models, options.cache or default_cache(), options.say)
    given = options.weights
    own = engines or Engines(llama((lambda: given) if given else weights.llama), weights)
    doors = Doors(models=models, engines=own, bill=bill, token=options.token, clock=clock)
    hub = Hub(models)
    listing = hub_doors(models, rows=options.hub_rows, seed=options.hub_seed, quota=options.hub_quota, clock=clock)
    viewer = Viewer(own.espeak)
    dedicated = Endpoints(Fleet(clock, Times(slow=options.endpoint_starts)), doors, options.token)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if options.preload:
            await own.preload(models)
        yield
        if engines is None:
            own.close()
        with suppress(TimeoutError):  # calls that the server has just cancelled still write their end
            await asyncio.wait_for(log.idle(), CLOSING_S)
            book.close()

    async def healthz(_: Request) -> Response:
        told = {
            "status": "ok",
            "models": [model.id for model in models],
            "not_available_offline": catalogue.unavailable(models),
            "text_to_speech_by": own.espeak.by,
        }
        return answer(told)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/chat/completions", doors.router_chat, methods=["POST"]),
            Route("/v1/models", hub.router_models),
            Route("/v1/models/{model:path}", hub.router_model),
            Route("/hf-inference/models/{model:path}/v1/chat/completions", doors.hf_chat, methods=["POST"]),
            Route("/hf-inference/models/{model:path}/pipeline/{task}", doors.hf_task, methods=["POST"]),
            Route("/hf-inference/models/{model:path}", doors.hf_task, methods=["POST"]),
            Route("/api/tasks", hub.tasks),
            *Admin(bill, log, armed).routes(),
            *dedicated.routes(),  # before the Hub's, whose files have any path
            *viewer.routes(),
            Route("/sandbox/hub/touch", local(listing.touch), methods=["POST"]),
            Route("/sandbox/hub/rename", local(listing.rename), methods=["POST"]),
            Route("/sandbox/hub/delete", local(listing.remove), methods=["POST"]),
            Route("/sandbox/hub/change", local(listing.change), methods=["POST"]),
            *listing.routes(),
        ],
        middleware=[Middleware(Gate, log=log, armed=armed, clock=clock, chance=chance)],
        exception_handlers={wire.Refusal: _refused},
        lifespan=lifespan,
    )


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, wire.Refusal):
        raise error
    headers = {"content-type": error.content_type()} | error.headers
    return Response(error.content(), status_code=error.status, headers=headers)
