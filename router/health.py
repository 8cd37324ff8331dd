"""Which breakers are open: the fold of `novix.breakers.v1`, as a decision looks at it."""

from datetime import datetime

from pydantic import ValidationError

from runtime.ports import Record
from schemas.breakers import BreakerState

MOST_KEYS = 10_000
"""Open breakers that are remembered; further ones are not, and exclude nobody."""


class Health:
    """The newest word about each (provider, model). Advisory, and of no version: decisions hold what they used."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], datetime | None] = {}
        """When each open breaker lets a trial call through; None: nobody said."""
        self._shut: frozenset[tuple[str, str]] = frozenset()
        self._until: datetime | None = None
        """When the first of `_shut` lets a trial call through."""
        self._changed = False

    def fold(self, record: Record) -> None:
        """Take in one record. One that cannot be read is passed over."""
        try:
            news = BreakerState.model_validate_json(record.value or b"")
        except ValidationError:
            return
        key = news.provider, news.model
        if news.state != "open":
            self._changed |= key in self._open
            self._open.pop(key, None)
        elif key in self._open or len(self._open) < MOST_KEYS:
            self._open[key] = news.retry_at
            self._changed = True

    def shut(self, now: datetime) -> frozenset[tuple[str, str]]:
        """(provider, model) whose breaker is open and lets no trial call through yet. One object while it holds."""
        if self._changed or (self._until is not None and self._until <= now):
            for key in [key for key, at in self._open.items() if at is not None and at <= now]:
                del self._open[key]
            self._shut = frozenset(self._open)
            self._until = min((at for at in self._open.values() if at is not None), default=None)
            self._changed = False
        return self._shut
