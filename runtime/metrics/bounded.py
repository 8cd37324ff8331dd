"""Label values that come from outside: the first of them as they are, the rest as `other`."""

OTHER = "other"
LONGEST = 200
"""Characters of a label's value."""


class Bounded:
    """At most `most` different values; with `only`, those and no others. Never forgets one: a counter that vanished
    and came back would count from nought."""

    def __init__(self, most: int, only: frozenset[str] | None = None) -> None:
        self._most = most
        self._only = only
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """The value as a label may have it."""
        known = self._known.get(value)
        return known if known is not None else self._new(value)

    def _new(self, value: str) -> str:
        if self._only is not None:
            return value if value in self._only else OTHER
        if len(self._known) >= self._most:
            return OTHER
        self._known[value] = shown = value[:LONGEST].encode(errors="replace").decode()
        return shown
