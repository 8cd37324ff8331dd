"""The pages as one application: each module brings its routes, the guard stands before all of them."""

from importlib import resources
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from console.pages import (
    alerts,
    costs,
    export,
    guard,
    hub,
    hub_api,
    hub_compare,
    hub_model,
    hub_tell,
    hub_try,
    job,
    jobs,
    letters,
    live,
    login,
    logs,
    probes,
    streams,
    traces,
)
from console.pages.context import Context
from console.pages.render import page

MODULES = (
    jobs, job, traces, export, streams, live, costs, letters, alerts, logs, login, probes,
    hub, hub_api, hub_tell, hub_compare, hub_model, hub_try,
)  # fmt: skip
"""Each has `routes(context) -> list[Route]`."""


def create_app(context: Context) -> Starlette:
    """The pages over what `context` knows."""
    static = StaticFiles(directory=Path(str(resources.files("console").joinpath("static"))))
    routes: list[BaseRoute] = [route for module in MODULES for route in module.routes(context)]
    return Starlette(
        routes=[*routes, Mount("/static", static)],
        middleware=guard.middleware(context),
        exception_handlers={404: _missing},
    )


async def _missing(_: Request, error: Exception) -> HTMLResponse:
    detail = error.detail if isinstance(error, HTTPException) else ""
    return page("missing.html", status=404, detail=detail if detail != "Not Found" else "There is no such page.")
