"""Fields of a row, found by the names that people give them. Pure. No message tells a value."""

from collections.abc import Mapping, Sequence
from typing import Any

from hub.evals.labelled import NoExample

INPUTS = ("input", "text", "sentence", "inputs", "content", "review", "question", "audio")
LABELS = ("label", "labels", "target", "class", "answer", "transcription", "expected")


def field_of(row: Mapping[str, Any], named: str, usual: Sequence[str]) -> Any:
    """A row's field: the one that is named, else the first usual name that it has. Raises `NoExample`."""
    if named:
        if row.get(named) is None:
            raise NoExample(f"no column {named[:64]!r}")
        return row[named]
    for name in usual:
        if row.get(name) is not None:
            return row[name]
    raise NoExample(f"none of the columns {', '.join(usual)}")


def text_of(value: Any, what: str) -> str:
    """A text that is not empty. Raises `NoExample`."""
    if not isinstance(value, str) or not value.strip():
        kind = "empty" if isinstance(value, str) else f"a {type(value).__name__}"
        raise NoExample(f"its {what} is {kind}")
    return value


def label_text(value: Any, what: str = "label") -> str:
    """A label as text: numbers and booleans are labels too. Raises `NoExample`."""
    if isinstance(value, bool | int):
        return str(value)
    return text_of(value, what)


def folded(label: str) -> str:
    """A label as labels are compared: without capitals and outer space."""
    return label.strip().casefold()
