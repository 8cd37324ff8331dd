"""Whose money a charge is: who asked (payer), where it was spent (place), and which of both a budget picks (scope)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas import codec
from schemas.accounts import Budget

Place = tuple[str, str]
"""(model, provider) of a call."""


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

    @property
    def picky(self) -> bool:
        """Whether it depends on who of the tenant asks."""
        return self.team is not None or self.key_id is not None or self.tag is not None

    def of_payer(self, payer: Payer) -> bool:
        """Whether jobs of `payer` count."""
        return (
            (self.team is None or self.team == payer.team)
            and (self.key_id is None or self.key_id == payer.key_id)
            and (self.tag is None or self.tag in payer.tags)
        )

    def of_place(self, place: Place) -> bool:
        """Whether calls there count."""
        return self.model in (None, place[0]) and self.provider in (None, place[1])

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


def asks(budget: Budget, team: str | None, key_id: str | None, metadata: Mapping[str, Any]) -> bool:
    """Whether the budget holds for a job of that team and key with these labels, wherever it is done."""
    return (
        budget.team in (None, team)
        and budget.key_id in (None, key_id)
        and (budget.tag is None or (budget.tag[0] in metadata and tag_text(metadata[budget.tag[0]]) == budget.tag[1]))
    )
