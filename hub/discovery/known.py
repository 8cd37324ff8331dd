"""What Novix itself has measured of models, as discovery asks for it; and the answer of who knows nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.discovery import Interval


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's offer of a model, with what Novix knows of it. Unknown is None, no region: nobody has said."""

    provider: str
    regions: tuple[str, ...] = ()
    nanousd_per_mtok: int | None = None
    """Input and output at three to one, as `hub.index.offers.blended` mixes them."""
    latency: Interval | None = None
    """Observed through Novix, of this provider's answers for this model."""
    live: bool = True
    """It can be asked now."""


class Known(Protocol):
    """What passes through Novix's own topics. Answers from memory: it is asked for every hit of a page."""

    def measured(self) -> Collection[str]:
        """The models that it knows anything of: of every other the answers are None, and it is not asked."""

    def latency(self, model: str) -> Interval | None:
        """Observed time of one job, in milliseconds."""

    def cost(self, model: str) -> Interval | None:
        """What one job costs, in nano-dollars."""

    def quality(self, model: str, task: str | None) -> float | None:
        """0 to 1, of the newest evaluation on that task; with None, on any."""

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        """Whether the registry lets a tenant use a model, and why not. None: nobody has said."""

    def offers(self, model: str) -> Sequence[Offer]:
        """Its offers as Novix sees them now: the catalogue's own stand in the entry."""


class Unknown:
    """Knows nothing: nothing was measured, nobody has ruled."""

    def measured(self) -> Collection[str]:
        """None."""
        return ()

    def latency(self, model: str) -> Interval | None:
        """Unknown."""
        return None

    def cost(self, model: str) -> Interval | None:
        """Unknown."""
        return None

    def quality(self, model: str, task: str | None) -> float | None:
        """Unknown."""
        return None

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        """Nobody has said."""
        return None, ""

    def offers(self, model: str) -> Sequence[Offer]:
        """None."""
        return ()
