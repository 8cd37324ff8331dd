"""The breakers' topic as people read it. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from runtime.ports import Record
from schemas.breakers import BreakerState

COLUMNS = ["provider/model", "state", "since", "retry at", "held until", "by", "why"]


def newest(records: Iterable[Record]) -> list[BreakerState]:
    """The last state of each key, by key. What cannot be read is passed over."""
    states: dict[tuple[str, str], BreakerState] = {}
    for record in records:
        try:
            state = BreakerState.model_validate_json(record.value or b"")
        except ValidationError:
            continue
        states[state.provider, state.model] = state
    return [states[key] for key in sorted(states)]


def as_document(state: BreakerState, now: datetime) -> dict[str, Any]:
    """The record, with the state as it stands now: an open breaker whose time has come is half-open; a hold that is
    over is none."""
    due = state.state == "open" and state.retry_at is not None and state.retry_at <= now
    held = state.held_until if state.held_until is not None and state.held_until > now else None
    told = state.model_copy(
        update={"state": "half-open" if due else state.state, "held_until": held, "since": state.since or state.at}
    )
    return told.model_dump(mode="json")


def as_row(state: BreakerState, now: datetime) -> list[str]:
    """One line of the table, in the order of `COLUMNS`."""
    told = as_document(state, now)
    return [
        f"{state.provider}/{state.model}",
        told["state"],
        *(_instant(told[name]) for name in ("since", "retry_at", "held_until")),
        state.by,
        state.because or "-",
    ]


def _instant(text: str | None) -> str:
    return "-" if text is None else datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
