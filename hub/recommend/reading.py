"""One sentence while it is read: what has been understood, and which of its characters are used up."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hub.recommend import refusing
from schemas.recommendation import Condition, Preference

LISTS = (
    "licenses",
    "denied_licenses",
    "regions",
    "denied_regions",
    "providers",
    "denied_providers",
    "authors",
    "denied_authors",
    "denied_names",
    "denied_languages",
    "denied_tasks",
    "libraries",
    "denied_libraries",
    "tags",
    "denied_tags",
)


MOST_NAMED = 32
"""Values of one list of `Constraints`."""


@dataclass
class Reading:
    """One sentence while it is read. `flat` is its plain text, `places` where its characters stood."""

    sentence: str
    flat: str
    places: list[int]
    used: bytearray
    """Characters that are evidence of something."""
    blocked: bytearray
    """Characters that no task, language or field is to be read from."""
    values: dict[str, Any] = field(default_factory=dict)
    understood: list[Condition] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    _refusing: list[re.Match[str]] | None = None

    def words(self, start: int, end: int) -> str:
        """As they stand in the sentence."""
        last = self.places[end - 1] + 1 if end > start else self.places[start]
        return self.sentence[self.places[start] : last].strip()

    def mark(self, start: int, end: int, *, blocked: bool = True) -> None:
        """These characters are read."""
        self.used[start:end] = b"\1" * (end - start)
        if blocked:
            self.blocked[start:end] = b"\1" * (end - start)

    def understand(self, name: str, value: Any, start: int, end: int) -> None:
        """Note a condition with its words."""
        self.understood.append(Condition(name=name, value=str(value), words=self.words(start, end)))

    def add(self, name: str, values: Iterable[str], start: int, end: int) -> None:
        """Add to a list of `Constraints`."""
        kept = self.values.setdefault(name, [])
        for value in values:
            if value not in kept and len(kept) >= MOST_NAMED:
                self.odd.append(f"{self.words(start, end)} (more than {MOST_NAMED} of a kind)")
            elif value not in kept:
                kept.append(value)
                self.understand(name, value, start, end)

    def free(self, start: int, end: int) -> bool:
        """Whether nothing has been read from these characters."""
        return not any(self.used[start:end])

    def negated(self, start: int) -> re.Match[str] | None:
        """The words before `start` that turn what stands there into its opposite."""
        begins = max(0, start - 60)
        found = refusing.NEGATED.search(self.flat[begins:start])
        if found is None or any(one.start() <= begins + found.start() < one.end() for one in self._refusals()):
            return None
        return found

    def _refusals(self) -> list[re.Match[str]]:
        if self._refusing is None:
            self._refusing = list(refusing.REFUSAL.finditer(self.flat))
        return self._refusing

    def refused(self, end: int) -> re.Match[str] | None:
        """The words behind `end` that say that what stands there is not wanted."""
        return refusing.REFUSED.match(self.flat, end)

    def needless(self, end: int) -> re.Match[str] | None:
        """The words behind `end` that say that what stands there is not needed."""
        return refusing.NEEDLESS.match(self.flat, end)
