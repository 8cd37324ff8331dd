"""Whose money a charge is: who asked (payer), where it was spent (place), and which of both a budget picks (scope)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from router.purse import is_at
from schemas import codec
from schemas.accounts import Budget

Place = tuple[str, str]
"""(model, provider) of a call."""


MOST_ASKERS = 1_000
"""Teams and keys whose budgets are known at a time: those of others are looked up anew."""


class Payer(NamedTuple):
    """The part of a tenant that asked, as far as sums are kept by it."""

    team: str | None = None
    key_id: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    """Labels that budgets name, in order."""


NOBODY = Payer()


class Scope(NamedTuple):
    """What a budget holds for; None: any."""

    team: str | None
    key_id: str | None
    tag: tuple[str, str] | None
    model: str | None
    provider: str | None

    def of_payer(self, payer: Payer) -> bool:
        """Whether jobs of `payer` count."""
        return (
            (self.team is None or self.team == payer.team)
            and (self.key_id is None or self.key_id == payer.key_id)
            and (self.tag is None or self.tag in payer.tags)
        )

    def of_place(self, place: Place) -> bool:
        """Whether calls there count."""
        return self.model in (None, place[0]) and is_at(self.provider, place[1])

    def may_be_at(self, places: Iterable[Place]) -> bool:
        """Whether a job that may be done at any of these may count."""
        return (self.model is None and self.provider is None) or any(map(self.of_place, places))


Cell = tuple[Payer, str, str]
"""Payer, model and provider: the smallest part that sums are kept of."""


def scope_of(budget: Budget) -> Scope:
    """What the budget holds for."""
    return Scope(budget.team, budget.key_id, budget.tag, budget.model, budget.provider)


def tag_text(value: Any) -> str:
    """A label's value as budgets name it: a text as it is, `true`, `5`, `0.5`."""
    return value if isinstance(value, str) else codec.encode(value).decode()


class Plan:
    """Which of a tenant's budgets hold for a job, wherever it is done. Made anew when one of them changes."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self.budgets = budgets
        self.all = [(one, scope_of(one)) for one in budgets]
        self._of: dict[tuple[str | None, str | None], list[tuple[Budget, Scope]]] = {}
        """By team and key: a tenant may have a budget for each of hundreds."""
        self._tagged = any(one.tag for one in budgets)

    def of(self, team: str | None, key_id: str | None, metadata: Mapping[str, Any]) -> list[tuple[Budget, Scope]]:
        """Those that hold for a job of that team and key with these labels, in the order of all."""
        found = self._of.get((team, key_id))
        if found is None:
            if len(self._of) >= MOST_ASKERS:
                self._of.clear()
            found = self._of[team, key_id] = [
                (one, scope) for one, scope in self.all if one.team in (None, team) and one.key_id in (None, key_id)
            ]
        if not self._tagged:
            return found
        return [(one, scope) for one, scope in found if scope.tag is None or _has(metadata, scope.tag)]


def _has(metadata: Mapping[str, Any], tag: tuple[str, str]) -> bool:
    return tag[0] in metadata and tag_text(metadata[tag[0]]) == tag[1]
