"""When an endpoint is woken, and when it is let sleep. Pure, total; answers with commands, in order.

The controller does nothing by itself: what is decided here is a command on the topic like anybody else's, with an id
made of what it was decided from, so that the same decision made twice is carried out once.
"""

from datetime import datetime, timedelta

from hub.endpoints.waiting import Lag
from schemas.endpoints import EndpointCommand, EndpointState

BY = "novix-endpoints"
MARGIN = 1.5
"""A start may take half as long again as the last one did."""
SERVE = timedelta(seconds=10)
"""For the work itself, of a job that waits until the last moment."""

WAKE_AGAIN = timedelta(minutes=5)
"""What still sleeps so long after its wake was due is woken anew: the order may have been refused, or have failed."""


def next_step(state: EndpointState, lag: Lag, now: datetime) -> list[EndpointCommand]:
    """What is to be done with an endpoint in this state while so much waits for it."""
    policy = state.spec.scaling
    if state.status == "scaledToZero" and policy.wake_on_lag and lag.jobs > lag.lost:
        due = wake_at(state, lag)
        if due is not None and due <= now:
            until = f", the first until {lag.deadline.isoformat()}" if lag.deadline is not None else ""
            tries = (now - due) // WAKE_AGAIN
            why = f"wake:{_ms(lag.oldest)}" + (f".{tries}" if tries else "")
            return [_command(state, "resume", why, now, f"{lag.jobs} jobs wait{until}")]
    if state.status == "running" and state.ready and not lag.jobs and not policy.min_replicas:
        rest = policy.sleep_after_s
        last = max(one for one in (state.since, lag.last_end, state.last_used_at) if one is not None)
        if rest is not None and now - last >= timedelta(seconds=rest):
            reason = f"nothing has waited for {rest} s"
            return [_command(state, "scale_to_zero", f"sleep:{_ms(last)}", now, reason)]
    return []


def wake_at(state: EndpointState, lag: Lag) -> datetime | None:
    """When a sleeping endpoint is to be woken: as long after the first job came as the batch may wait, and in time for
    the first deadline. None: nothing waits."""
    if lag.oldest is None:
        return None
    due = lag.oldest + timedelta(seconds=state.spec.scaling.batch_wait_s)
    if lag.deadline is not None:
        due = min(due, lag.deadline - timedelta(seconds=state.cold_start_s * MARGIN) - SERVE)
    return due


def _ms(at: datetime | None) -> int:
    return 0 if at is None else int(at.timestamp() * 1_000)


def _command(state: EndpointState, action: str, why: str, now: datetime, reason: str) -> EndpointCommand:
    spec = state.spec
    return EndpointCommand.model_validate(
        {
            "id": f"{why}:{spec.key}:{_ms(state.since)}",
            "action": action,
            "namespace": spec.namespace,
            "name": spec.name,
            "tenant": spec.tenant,
            "at": now,
            "by": BY,
            "reason": reason,
        }
    )
