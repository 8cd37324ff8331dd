"""Why a process is not healthy or not ready, in words, from what it says of itself. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def of(state: Mapping[str, Any]) -> list[str]:
    """A line for each thing that keeps it, of the process or of a service in it. Total."""
    found = [*_of_one("", state)]
    for name, service in state.items():
        if isinstance(service, Mapping) and _is_service(service):
            found += _of_one(f"{name}: ", service)
    return list(dict.fromkeys(found))


def _is_service(told: Mapping[str, Any]) -> bool:
    return not {"lanes", "state", "open", "fault"}.isdisjoint(told)


def _of_one(name: str, state: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(state.get("state"), str):
        yield f"{name}{state['state']}"
    if state.get("open") is False:
        yield f"{name}does not look at its topics yet, or Kafka is away"
    if state.get("fault"):
        yield f"{name}{state['fault']}"
    if state.get("assigned") is False:
        yield f"{name}the group {state.get('group')} has not assigned anything yet"
    if state.get("draining"):
        yield f"{name}draining: it ends what it has begun"
    if state.get("unassigned_s"):
        yield f"{name}the group {state.get('group')} divides its work anew, for {state['unassigned_s']:.0f} s"
    for lane in _listed(state, "lanes"):
        if lane.get("state") != "open":
            yield f"{name}lane {lane.get('lane')} is {lane.get('state')}" + _because(lane.get("reason"))
    for lane in _listed(state, "dedup"):
        if lane.get("blocked"):
            yield f"{name}partition {lane.get('partition')} takes nothing in: {lane['blocked']}"
    yield from _of_calls(state)


def _of_calls(state: Mapping[str, Any]) -> Iterator[str]:
    """What a process's workers share, and each of them tells: not under a name."""
    providers = state.get("providers")
    for origin, word in providers.items() if isinstance(providers, Mapping) else ():
        if word != "reachable":
            yield f"{origin} is {word}"
    intents = state.get("intents")
    if isinstance(intents, Mapping) and intents.get("trouble"):
        yield f"calls cannot be noted: {intents['trouble']}"


def _listed(state: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    told = state.get(name)
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []


def _because(reason: object) -> str:
    return f": {reason}" if reason else ""
