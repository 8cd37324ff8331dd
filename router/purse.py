"""The budgets that hold for one job, as they stand when it is decided. Pure values."""

from collections.abc import Iterator
from datetime import datetime

from router.catalogue import ANY_PROVIDER
from schemas.decision import BudgetHeld
from schemas.values import frozen


def is_at(budgeted: str | None, provider: str) -> bool:
    """Whether a call at `provider` counts against a budget of the provider `budgeted` (None: of any). What Hugging
    Face's router sends where it likes (`auto`) may be a call there."""
    return budgeted in (None, provider) or provider == ANY_PROVIDER


@frozen
class Line:
    """One budget in its present window."""

    id: str
    window: str
    limit_nanousd: int
    spent_nanousd: int
    reserved_nanousd: int
    """By jobs that have not ended."""
    hard: bool = True
    model: str | None = None
    """It holds only for calls of this model."""
    provider: str | None = None
    resets_at: datetime | None = None
    """When its next window begins; None: never (`total`)."""

    @property
    def available_nanousd(self) -> int:
        """What may still be reserved; never negative."""
        return max(0, self.limit_nanousd - self.spent_nanousd - self.reserved_nanousd)

    def holds_for(self, model: str, provider: str) -> bool:
        """Whether calls there count against it."""
        return self.model in (None, model) and is_at(self.provider, provider)

    def told(self) -> BudgetHeld:
        """For the decision's record."""
        return BudgetHeld.made(
            id=self.id, window=self.window, limit_nanousd=self.limit_nanousd, spent_nanousd=self.spent_nanousd,
            reserved_nanousd=self.reserved_nanousd, hard=self.hard,
        )  # fmt: skip


@frozen
class Purse:
    """All budgets that may hold for one job: those of its tenant, team, key and tags, and of models and providers."""

    lines: tuple[Line, ...] = ()

    def of_the_job(self) -> Iterator[Line]:
        """Hard budgets that hold whoever does the job."""
        return (line for line in self.lines if line.hard and line.model is None and line.provider is None)

    def of_calls(self, model: str, provider: str) -> Iterator[Line]:
        """Hard budgets that hold for calls there."""
        return (line for line in self.lines if line.hard and line.holds_for(model, provider))

    @property
    def room_nanousd(self) -> int | None:
        """The most that the job may reserve, whoever does it; None: no hard budget holds."""
        return min((line.available_nanousd for line in self.of_the_job()), default=None)


NO_PURSE = Purse()
