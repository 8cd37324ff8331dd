"""Items of several sizes in groups that each fit a record."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def by_size(items: Sequence[T], sizes: Sequence[int], limit: int) -> list[list[T]]:
    """`items` in their order, so many together as have `limit` in all; one that is larger stands alone."""
    groups: list[list[T]] = []
    room = 0
    for item, size in zip(items, sizes, strict=True):
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(item)
        room -= size
    return groups
