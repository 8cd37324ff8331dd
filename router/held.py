"""What a decision was made from and has no version, as it stands in its record; and back, to decide it again. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from router.feedback import NO_LESSONS, Lessons, Observed
from router.purse import NO_PURSE, Line, Purse
from router.table import Key
from router.terms import FREE, Turn
from router.view import View
from schemas.values import frozen

T = TypeVar("T")


@frozen
class Held:
    """The parts of a view that a record holds itself."""

    purse: Purse
    turn: Turn
    shut: frozenset[Key]
    lessons: Lessons


def to_held(view: View, considered: frozenset[Key]) -> dict[str, Any]:
    """Everything versionless that was looked at, compact and plain JSON: of breakers and observations those of the
    offers that were considered, (provider, model). What is not there was not there: an empty object is a plain day."""
    held: dict[str, Any] = {}
    if view.turn is not FREE and view.turn != FREE:
        held["turn"] = {"allowed": view.turn.allowed, "at": _told(view.turn.at), "limit": view.turn.limit}
    if view.purse.lines and considered:
        held["purse"] = [_row(line) for line in view.purse.lines]
    if view.shut and (shut := view.shut & considered):
        held["shut"] = sorted(shut)
    if seen := {key: one for key, one in view.lessons.seen.items() if key in considered}:
        held["lessons"] = {
            "draw": view.lessons.draw,
            "seen": [
                [*key, one.calls_milli, one.wait_ms, one.failures_ppm, one.paid_ppm]
                for key, one in sorted(seen.items(), key=lambda item: item[0])
            ],
        }
    return held


def from_held(held: Mapping[str, Any]) -> Held:
    """The parts as they were, for `View.at`. Raises ValueError for what `to_held` did not write."""
    try:
        turn, lessons = held.get("turn"), held.get("lessons")
        lines = tuple(_line(row) for row in held.get("purse", ()))
        return Held(
            Purse(lines) if lines else NO_PURSE,
            FREE if turn is None else Turn(_a(bool, turn["allowed"]), _instant(turn["at"]), _a(str, turn["limit"])),
            frozenset((_a(str, provider), _a(str, model)) for provider, model in held.get("shut", ())),
            NO_LESSONS if lessons is None else _lessons(lessons),
        )
    except (KeyError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise ValueError(f"held by no decision of ours: {type(error).__name__}") from None


def seen_again(view: View, held: Mapping[str, Any]) -> View:
    """`view`, which has all that has a version, at the moment whose record holds `held`."""
    parts = from_held(held)
    return view.at(parts.purse, parts.turn, parts.shut, parts.lessons)


def _row(line: Line) -> list[Any]:
    """A budget as a row; what most have not is left out at the end."""
    row = [line.id, line.window, line.limit_nanousd, line.spent_nanousd, line.reserved_nanousd, line.hard]
    row += [_told(line.resets_at), line.model, line.provider]
    while row[-1] is None:
        row.pop()
    return row


def _line(row: list[Any]) -> Line:
    name, window, limit, spent, reserved, hard, *more = row
    resets, model, provider = [*more, None, None, None][:3]
    for one in (limit, spent, reserved):
        _a(int, one)
    for one in (name, window, *(one for one in (model, provider) if one is not None)):
        _a(str, one)
    return Line(name, window, limit, spent, reserved, _a(bool, hard), model, provider, _instant(resets))


def _lessons(told: Mapping[str, Any]) -> Lessons:
    seen = {
        (_a(str, provider), _a(str, model)): Observed(*(_a(int, one) for one in numbers))
        for provider, model, *numbers in told["seen"]
    }
    return Lessons(seen, _a(float, told["draw"]))


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(told: str | None) -> datetime | None:
    if told is None:
        return None
    at = datetime.fromisoformat(told)
    if at.tzinfo is None:  # it would be taken for a time of this machine's own zone
        raise ValueError("an instant without a zone")
    return at.astimezone(UTC)


def _a(kind: type[T], told: Any) -> T:
    """`told`, which is of this kind exactly. Raises TypeError: what a lane wrote is never of another."""
    if type(told) is not kind:
        raise TypeError(kind.__name__)
    return told
