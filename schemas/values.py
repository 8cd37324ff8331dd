"""Values that are made for every job: frozen to the type checker, and to it alone."""

import dataclasses
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def frozen(cls: type[T]) -> type[T]:
    """A dataclass with slots, equal and hashed by its fields, that nobody may change once it is made.

    mypy refuses the change. Python itself does not: what makes `dataclass(frozen=True)` refuse costs three times the
    making (docs/performance.md), and of some values a job makes thirty.
    """
    return dataclasses.dataclass(slots=True, unsafe_hash=True)(cls)
