"""The router as a process: `novix router`, or `faststream run router.app:app`."""

from router.catalogue import load as load_catalogue
from router.lane import RouterApplication
from runtime.clock import SystemClock
from runtime.service import LaneService
from runtime.settings import Settings
from runtime.shell import Role, application
from runtime.shell import run as run_role
from schemas.topics import AUDIT, DECISIONS, DLQ, JOBS, RESULTS, ROUTER_GROUP, SPANS, TEXT

ROLE = Role(
    name="router",
    title="Novix router",
    group=ROUTER_GROUP,
    receives=JOBS,
    sends=(TEXT, RESULTS, DECISIONS, DLQ, AUDIT, SPANS, JOBS),
)
WINDOW = 2_000
"""Decisions that wait for their transaction: a router's work takes no time, so this is all that it holds."""


def build(settings: Settings) -> LaneService:
    """The router on these settings. Raises `BadSettings` or `BadCatalogue` for what cannot work."""
    app = RouterApplication(settings, load_catalogue(settings), SystemClock())
    return LaneService(settings, app, window=WINDOW)


app = application(ROLE, build)


def run(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code."""
    return run_role(ROLE, build, settings)
