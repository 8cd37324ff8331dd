"""What `novix status` says beyond processes and lag: lanes that do not get on, how long ids are remembered, which
breakers are open. Pure and total: it is told by processes of whatever version."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from schemas import codec

ILL = ("stopped", "stuck")


def lanes_in(told: Any) -> Iterator[dict[str, Any]]:
    """Every lane that a process's `/healthz` speaks of, however deep its services are nested."""
    if isinstance(told, Mapping):
        lanes = told.get("lanes")
        if isinstance(lanes, list):
            yield from (lane for lane in lanes if isinstance(lane, dict))
        for name, part in told.items():
            if name != "lanes":
                yield from lanes_in(part)


def ill_lanes(told: Any) -> list[dict[str, Any]]:
    """Lanes that have stopped or are stuck: name, state and reason."""
    return [
        {"lane": lane.get("lane"), "state": lane.get("state"), "reason": lane.get("reason")}
        for lane in lanes_in(told)
        if lane.get("state") in ILL
    ]


def remembered(told: Any) -> list[dict[str, Any]]:
    """How far back each router lane knows the ids that it has decided: partition, identities, since, bound."""
    if not isinstance(told, Mapping):
        return []
    own = told.get("dedup")
    found = [entry for entry in own if isinstance(entry, dict)] if isinstance(own, list) else []
    return found + [entry for name, part in told.items() if name != "dedup" for entry in remembered(part)]


def open_breakers(values: Iterable[bytes | None], now: datetime) -> list[dict[str, Any]]:
    """The breakers that are not closed, by what processes have told of them, the newest of each (provider, model).

    One whose process ended while it was open is left out once its time is over: whoever calls next finds out.
    """
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for value in values:
        try:
            state = codec.decode(value or b"")
        except codec.Undecodable:
            continue
        if isinstance(state, dict) and all(isinstance(state.get(name), str) for name in ("provider", "model", "state")):
            newest[state["provider"], state["model"]] = state
    return [
        {name: state.get(name) for name in ("provider", "model", "state", "because", "retry_at", "held_until", "by")}
        for state in newest.values()
        if (state.get("state") != "closed" and not _over(state.get("retry_at"), now))
        or (state.get("held_until") is not None and not _over(state.get("held_until"), now))
    ]


def _over(instant: Any, now: datetime) -> bool:
    try:
        return instant is not None and datetime.fromisoformat(instant) <= now
    except (TypeError, ValueError):
        return False


def lines(ill: list[dict[str, Any]], ids: list[dict[str, Any]], breakers: list[dict[str, Any]]) -> list[str]:
    """All of it in words."""
    said = [f"lane {one['lane']} is {one['state']}: {one['reason']}" for one in ill]
    for entry in ids:
        if entry.get("blocked"):
            said.append(f"partition {entry.get('partition')} takes no jobs in: {entry['blocked']}")
        since = f"since {entry['since']}" if entry.get("since") else "none yet"
        said.append(
            f"ids remembered in partition {entry.get('partition')}: {entry.get('identities')}, {since}"
            f" (bound: {entry.get('bound')})"
        )
    for one in breakers:
        what = f"{one['provider']}/{one['model']}"
        if one["state"] != "closed":
            until = f", next trial call at {one['retry_at']}" if one["retry_at"] else ""
            said.append(f"breaker of {what} is {one['state']}: {one['because'] or 'no reason told'}{until}")
        if one["held_until"]:
            said.append(f"no call to {what} before {one['held_until']}: the provider said so")
    return said
