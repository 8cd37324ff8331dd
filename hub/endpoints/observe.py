"""The state of an endpoint after a look at it. Pure: what was known, what is shown, what waits, and when."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from hub.endpoints.costs import metered
from hub.endpoints.machine import SERVING, STARTING
from hub.endpoints.waiting import Lag
from hub.endpoints.wire import Seen
from schemas.endpoints import EndpointSpec, EndpointState, EndpointStatus, LogCounts, Measured, is_secret
from schemas.values import frozen

COLD_START_S = {"cpu": 120.0, "gpu": 240.0, "neuron": 420.0}
"""Until one was seen: what such a machine takes to be found, to load an image and weights, and to answer."""
QUIET = frozenset({"at", "costs", "waiting", "measured", "last_used_at", "gauges", "logs"})
"""Fields whose change alone is told now and then, not at once."""


@frozen
class Look:
    """What was found out beside the management API's word."""

    now: datetime
    hour_nanousd: int | None = None
    healthy: bool | None = None
    """Whether its health route has answered; None: it was not asked."""
    newest_revision: str | None = None
    lag: Lag = Lag()
    measured: Measured = Measured()
    gauges: dict[str, float] | None = None
    logs: LogCounts | None = None


def begun(spec: EndpointSpec, now: datetime, status: EndpointStatus = "pending") -> EndpointState:
    """An endpoint of which nothing was seen yet."""
    return EndpointState(
        spec=spec, status=status, at=now, since=now, cold_start_s=COLD_START_S.get(spec.accelerator, 240.0)
    )


def again(before: EndpointState, fresh: EndpointState) -> EndpointState:
    """An endpoint that is made anew under its name: what the one before has cost, and which orders were answered, stay
    told."""
    kept = {"costs": before.costs, "answered": before.answered, "cold_start_s": before.cold_start_s}
    return fresh.model_copy(update=kept)


def observed(state: EndpointState, seen: Seen | None, look: Look) -> EndpointState:
    """`state` as it is now; `seen` None: the management API has no such endpoint."""
    now = look.now
    if seen is None:
        return gone(state, now)
    changed = seen.updated_at if seen.updated_at is not None and seen.updated_at <= now else now
    moved = seen.status != state.status
    serving = seen.status in SERVING
    same_run = serving and state.status in SERVING and not moved_to_new_replicas(state.status, seen.status)
    ready = serving and (look.healthy if look.healthy is not None else same_run and state.ready)
    starting = state.starting_since
    if seen.status in STARTING:
        starting = starting if state.status in STARTING and starting is not None else changed
    cold_start = state.cold_start_s
    if ready and starting is not None:
        cold_start, starting = max(0.0, (now - starting).total_seconds()), None
    if not serving and seen.status not in STARTING:
        starting = None
    renewed = moved_to_new_replicas(state.status, seen.status)
    costs = metered(
        state.costs, status=seen.status, replicas=seen.target_replicas, changed_at=changed, now=now,
        hour_nanousd=look.hour_nanousd, renewed=renewed,
    )  # fmt: skip
    return state.model_copy(
        update={
            "id": seen.id or state.id,
            "status": seen.status,
            "url": seen.url or state.url,
            "ready": ready,
            "ready_replicas": seen.ready_replicas,
            "target_replicas": seen.target_replicas,
            "message": seen.message,
            "at": now,
            "since": changed if moved else state.since,
            "running_revision": seen.revision or state.running_revision,
            "newest_revision": look.newest_revision or state.newest_revision,
            "costs": costs,
            "starting_since": starting,
            "last_used_at": seen.last_used_at or state.last_used_at,
            "cold_start_s": cold_start,
            "waiting": look.lag.jobs,
            "measured": look.measured,
            "gauges": state.gauges if look.gauges is None else look.gauges,
            "logs": look.logs or state.logs,
        }
    )


def moved_to_new_replicas(old: EndpointStatus, new: EndpointStatus) -> bool:
    """Whether those that run now are others than those that ran before: after an update, or after a sleep that nobody
    looked at."""
    return (old == "updating" and new == "running") or (old in SERVING and new in STARTING)


def gone(state: EndpointState, now: datetime) -> EndpointState:
    """It is not there any more. What it cost stays."""
    if state.status == "deleted":
        return state
    costs = metered(
        state.costs, status="deleted", replicas=0, changed_at=now, now=now, hour_nanousd=state.costs.nanousd_per_hour
    )
    return state.model_copy(
        update={
            "status": "deleted", "url": None, "ready": False, "ready_replicas": 0, "target_replicas": 0, "at": now,
            "since": now, "costs": costs, "starting_since": None, "message": "", "waiting": 0,
        }
    )  # fmt: skip


def is_news(old: EndpointState | None, new: EndpointState) -> bool:
    """Whether a change is told at once."""
    if old is None:
        return True
    return any(getattr(old, name) != getattr(new, name) for name in EndpointState.model_fields if name not in QUIET)


def drifted(state: EndpointState) -> bool:
    """Whether another revision runs than is the newest; False where either is not known."""
    known = state.running_revision is not None and state.newest_revision is not None
    return known and state.running_revision != state.newest_revision


def adopted(namespace: str, tenant: str, seen: Seen) -> EndpointSpec | str:
    """The spec of an endpoint that somebody made elsewhere, as far as it is shown; else why it is none."""
    document = seen.document
    compute, model, provider = (_part(document, name) for name in ("compute", "model", "provider"))
    scaling = _part(compute, "scaling")
    told = {
        "namespace": namespace, "name": seen.name, "tenant": tenant, "model": model.get("repository"),
        "revision": model.get("revision"), "task": model.get("task"), "accelerator": compute.get("accelerator"),
        "instance_type": compute.get("instanceType"), "instance_size": compute.get("instanceSize"),
        "scaling": {
            "min_replicas": scaling.get("minReplica", 0), "max_replicas": scaling.get("maxReplica", 1),
            "scale_to_zero_minutes": scaling.get("scaleToZeroTimeout"), "wake_on_lag": False, "sleep_after_s": None,
        },
        "custom": {
            "image": public(model.get("image")) or {"huggingface": {}}, "framework": model.get("framework", "pytorch"),
        },
        "security": {
            "access": {"protected": "authenticated"}.get(kind := str(document.get("type")), kind),
            "vendor": provider.get("vendor"), "region": provider.get("region"),
        },
    }  # fmt: skip
    try:
        return EndpointSpec.model_validate(told)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:3])
        return f"{seen.name[:64]}: {where}: none that we can manage"


def public(image: Any) -> Any:
    """A container as it is shown, without the credentials of its registry: specs stand in events."""
    if not isinstance(image, dict):
        return image
    return {name: public(value) for name, value in image.items() if not is_secret(name)}


def _part(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
