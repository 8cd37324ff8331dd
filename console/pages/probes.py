"""What other programs ask the console: is it well, is it ready, and what does it count."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from console.pages.context import Context
from runtime import reasons
from runtime.health import metrics_route, observe
from runtime.metrics import Metrics


def routes(context: Context) -> list[BaseRoute]:
    """`/healthz`, `/readyz` and `/metrics`."""

    def well() -> bool:
        return bool(context.describe()["healthy"])

    def ready() -> bool:
        return well() and not context.ending()

    async def healthz(_: Request) -> Response:
        told = context.describe()
        return JSONResponse(told, status_code=200 if told["healthy"] else 503)

    async def readyz(_: Request) -> Response:
        told, is_ready = context.describe(), ready()
        why = [] if is_ready else [*reasons.of(told), *(["it is about to end"] if context.ending() else [])]
        return JSONResponse({**told, "ready": is_ready, "reasons": why}, status_code=200 if is_ready else 503)

    metrics = Metrics()
    observe(metrics, "console", context.describe, well, ready)
    return [Route("/healthz", healthz), Route("/readyz", readyz), metrics_route(metrics)]
