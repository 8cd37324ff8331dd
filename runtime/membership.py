"""What the lane engine needs of a consumer group."""

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from runtime.ports import Position, Record

OnChange = Callable[[list[int]], Awaitable[None]]


class PositionLost(Exception):
    """The broker has no record at the offset that was asked for: it was deleted unread, or the log was cut."""

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"offset {offset} of partition {partition} is out of the log's range")
        self.partition = partition
        self.offset = offset


class InstanceTaken(Exception):
    """Another process is in the group under this process's static member id."""


class LeftBehind(Exception):
    """The group has divided its work without this process, which was not told and does not come back by itself."""


class Member(Protocol):
    """What a lane needs of its group membership."""

    def held(self) -> set[int]: ...
    @property
    def generation(self) -> int: ...
    async def heartbeat(self) -> bool: ...
    def silent(self) -> bool:
        """Whether the coordinator has confirmed nothing that was asked within the last session: it may have given the
        partitions away."""
        ...

    async def poll(self, wait_ms: int, most: int, only: Collection[int] | None = None) -> list[Record]:
        """At most `most` records, of partitions that are not paused, and of `only` if given. Raises `PositionLost`.

        Takes the records in the same step of the loop in which it returns: whoever asks then for a partition's lane or
        position gets those that the records belong to.
        """
        ...

    def position(self, partition: int) -> int | None:
        """The offset behind the last record handed out and the markers that follow it; None before the first seek."""
        ...

    def pause(self, partition: int) -> None: ...
    def resume(self, partition: int) -> None: ...
    def seek(self, partition: int, offset: int) -> None: ...
    async def committed(self, partition: int) -> Position | None:
        """What the group has committed; None only if the coordinator says that there is nothing."""
        ...


class Membership(Member, Protocol):
    """A group membership with a beginning and an end."""

    async def start(self, assigned: OnChange, revoked: OnChange) -> None: ...
    async def stop(self) -> None: ...
