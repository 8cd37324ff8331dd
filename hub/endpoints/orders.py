"""What a command leads to, given what is there: a call, nothing, or a refusal with its reason. Pure and total.

The state is read before it is changed: a command whose call was made before a crash finds its work done, so that every
command makes one call at most however often it is delivered.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from hub.endpoints.machine import GONE, SERVING, STARTING
from hub.endpoints.quota import refusal
from hub.endpoints.waiting import Lag
from hub.endpoints.wire import Machine, Place, Seen, differs, place_of
from schemas.endpoints import EndpointCommand, EndpointQuota, EndpointSpec, EndpointState
from schemas.values import frozen

SPEND = frozenset({"create", "update", "resume"})
"""Orders after which more may be spent: they are judged one after the other."""
Action = Literal["create", "update", "pause", "resume", "scale_to_zero", "delete"]


@frozen
class Call:
    """Make this call of the management API; `spec` of a create and an update."""

    action: Action
    spec: EndpointSpec | None = None


@frozen
class Nothing:
    """It is so already."""

    reason: str


@frozen
class Refused:
    """It is not done."""

    reason: str


Answer = Call | Nothing | Refused


@frozen
class Around:
    """What a command is judged by, beside its endpoint."""

    states: Iterable[EndpointState]
    quota: EndpointQuota
    """Of the endpoint's tenant."""
    prices: Mapping[Place, Machine]
    lag: Lag


def answer(command: EndpointCommand, state: EndpointState | None, seen: Seen | None, around: Around) -> Answer:
    """What `command` leads to. `state`: as it was last told; `seen`: as the management API shows it now; None: it is
    not there."""
    if state is not None and state.status not in GONE and state.spec.tenant != command.tenant:
        return Refused(f"it is tenant {state.spec.tenant}'s, and tenant {command.tenant} asks")
    if command.action in ("create", "update"):
        return _made(command, seen, around)
    if seen is None:
        gone = command.action == "delete"
        return Nothing("there is no such endpoint") if gone else Refused("there is no such endpoint")
    if command.action == "resume":
        return _resumed(state, seen, around)
    if command.action == "scale_to_zero":
        return _asleep(command, state, seen, around)
    is_so = command.action == "pause" and seen.status == "paused"
    return Nothing("it is paused") if is_so else Call(command.action)


def _made(command: EndpointCommand, seen: Seen | None, around: Around) -> Answer:
    spec = command.spec
    if spec is None:
        return Refused(f"a command to {command.action} has no spec")
    if (spec.namespace, spec.name, spec.tenant) != (command.namespace, command.name, command.tenant):
        return Refused("its spec speaks of another endpoint, or of another tenant")
    if seen is None and command.action == "update":
        return Refused("there is no such endpoint: create it")
    if seen is not None and not differs(seen, spec):
        return Nothing("it is so already")
    if seen is not None and command.action == "create":
        return Refused("it exists and is another one: update it")
    why = (
        clash(spec, around.states)
        or _machine_fault(spec, around.prices)
        or refusal(spec, around.states, around.quota, around.prices)
    )
    return Refused(why) if why else Call("create" if command.action == "create" else "update", spec)


def clash(spec: EndpointSpec, states: Iterable[EndpointState]) -> str:
    """Which other endpoint has this name; empty: none. Offers, results and what waits know an endpoint as
    `endpoint.NAME`: of two with one name each would be woken for the other's jobs."""
    others = (one for one in states if one.spec.name == spec.name and one.spec.key != spec.key)
    twin = next((one for one in others if one.status not in GONE), None)
    return "" if twin is None else f"{twin.spec.key} has this name: jobs know an endpoint as endpoint.{spec.name}"


def _machine_fault(spec: EndpointSpec, prices: Mapping[Place, Machine]) -> str:
    """Why no replica can run on what it asks for. Without a price list nothing is said."""
    machine = prices.get(place_of(spec))
    if machine is None:
        if not prices:
            return ""
        near = sorted({place[2] + "/" + place[3] for place in prices if place[:2] == place_of(spec)[:2]})
        told = f"; there are {', '.join(near[:8])}" if near else "; no such region"
        return f"{'/'.join(place_of(spec))} is no machine{told}"
    if machine.status in ("not_available", "deprecated"):
        return f"{'/'.join(place_of(spec))} is {machine.status.replace('_', ' ')}"
    return ""


def _resumed(state: EndpointState | None, seen: Seen, around: Around) -> Answer:
    if seen.status in STARTING or seen.status in SERVING:
        return Nothing(f"it is {seen.status}")
    if state is not None and (why := refusal(state.spec, around.states, around.quota, around.prices)):
        return Refused(why)
    return Call("resume")


def _asleep(command: EndpointCommand, state: EndpointState | None, seen: Seen, around: Around) -> Answer:
    if seen.status == "scaledToZero":
        return Nothing("it sleeps")
    if seen.status not in ("running", "updateFailed"):
        return Refused(f"it is {seen.status}")
    if state is not None and state.spec.scaling.min_replicas:
        return Refused(f"min_replicas is {state.spec.scaling.min_replicas}; only with 0 it may sleep")
    if command.id.startswith("sleep:") and around.lag.jobs:
        return Refused(f"{around.lag.jobs} jobs have come meanwhile")
    return Call("scale_to_zero")
