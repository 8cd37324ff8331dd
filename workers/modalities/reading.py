"""What the tasks share in reading a reply, and in making their input ready."""

import math
from collections.abc import Mapping
from typing import Any

from schemas.failure import FailureKind
from workers.errors import ProviderError


def bad(message: str) -> ProviderError:
    """The provider's answer is no answer. `message` names places, types and counts; never values."""
    return ProviderError(FailureKind.INVALID_OUTPUT, message)


def given(value: Any) -> dict[str, Any]:
    """The members of an object that are not null; nothing for what is no object."""
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, Mapping) else {}


def kind_of(value: Any) -> str:
    """A JSON value's type in words, for messages."""
    if isinstance(value, list):
        return f"list of {len(value)}"
    names = {dict: "object", str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), "something else")


def number(value: Any, place: str) -> float | int:
    """`value` if it is a finite number; raises `invalid_output` else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad(f"{place}: is {kind_of(value)}; a finite number is needed")
    return value


def single(value: Any) -> Any:
    """The one element of a list of one; anything else as it is. Some models answer one input as a batch of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def labelled(value: Any, place: str) -> list[dict[str, Any]]:
    """`[{label, score}]` with finite scores, further members kept; raises `invalid_output` else."""
    if not isinstance(value, list) or not value:
        raise bad(f"{place}: is {kind_of(value)}; a list of labels with scores is needed")
    for at, item in enumerate(value):
        if not isinstance(item, dict) or not isinstance(item.get("label"), str):
            raise bad(f"{place}.{at}: has no label")
        number(item.get("score"), f"{place}.{at}.score")
    return value
