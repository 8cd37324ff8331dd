"""Instants as options. Pure but for the present, which `moment` takes from the clock."""

from datetime import UTC, datetime

from console.exits import CommandError, Exit
from console.words import moment_ms

TIME_HELP = "an instant like 2026-11-22T12:00:00Z, or 15m, 2h, 7d ago."


def moment(option: str, text: str | None) -> datetime | None:
    """An option's instant; None where it was not given. Raises `CommandError` naming option and value."""
    if text is None:
        return None
    found = moment_ms(text, datetime.now(UTC))
    try:
        if found is None or found < 0:
            raise OverflowError
        return datetime.fromtimestamp(found / 1_000, UTC)
    except (OverflowError, ValueError, OSError):
        raise CommandError(f"{option} {text[:40]!r}: write {TIME_HELP}", Exit.USAGE) from None
