"""What a verifier finds: the kinds of tampering that it tells apart, and where. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from console.audit.batches import Place
from console.words import shown

Kind = Literal["changed", "removed", "reordered", "inserted", "cut off", "forged checkpoint", "incomplete"]
MOST_SHOWN_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: Kind
    message: str
    lane: str = ""
    sequence: int = 0
    """Of the batch; 0: it is not about one."""
    place: Place | None = None

    def line(self) -> str:
        """In words, fit for a terminal."""
        parts = [self.kind.upper()]
        if self.lane:
            parts.append(f"lane {told(self.lane)}" + (f" sequence {self.sequence}" if self.sequence else ""))
        if self.place is not None:
            parts.append(f"at {told(str(self.place))}")
        return f"{' '.join(parts)}: {told(self.message)}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"place": None if self.place is None else str(self.place)}


def told(text: str) -> str:
    """Somebody's text on one line of a terminal: a name in a tampered record may hold anything."""
    line = shown(text[:MOST_SHOWN_CHARS]).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return line.replace("\t", " ")
