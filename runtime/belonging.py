"""Whether a group goes on without a member that believes to be in it.

aiokafka (0.14) coordinates in one task. Where that waits for something that never comes, as once after a broker was
killed on a machine at its limit, the member neither joins again nor is told: its group divides the work without it, its
lanes wait for a heartbeat for ever, and its polls go on bringing nothing.
"""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from runtime.membership import LeftBehind

log = structlog.get_logger("novix.group")

SILENT_SESSIONS = 2
"""So many sessions without an answered heartbeat, and the coordinator is asked who is in the group."""
LOOK_EVERY_S = 5.0
ASK_S = 2.0
LEFT_AFTER_S = 60.0
"""So long a group that is dividing nothing names every member but this one: it has been left behind. A member that was
put out for a freeze is back within seconds."""


class Belonging:
    """Looks whether one member is still in its group, while no heartbeat is answered."""

    def __init__(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, group: str, instance: str, session_s: float
    ) -> None:
        self.left_after_s = LEFT_AFTER_S
        self._consumer = consumer
        self._admin = admin
        self._group = group
        self._instance = instance
        self._silence_s = SILENT_SESSIONS * session_s
        self._heard_at: float | None = None
        self._missed_since: float | None = None
        self._next_look = 0.0

    def heard(self, at: float) -> None:
        """The coordinator has answered as to a member of the group."""
        self._heard_at, self._missed_since = at, None

    async def look(self) -> None:
        """Cheap while heartbeats are answered. Raises `LeftBehind`."""
        now = asyncio.get_running_loop().time()
        if self._heard_at is None or now - self._heard_at < self._silence_s or now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_S
        try:
            async with asyncio.timeout(ASK_S):  # who polls waits for this
                present = _is_in(await self._admin.describe_consumer_groups([self._group]), self._instance)
        except Exception as error:
            # Without a coordinator nobody is left behind, and without the right to ask it nobody can know.
            log.debug("group.not_described", group=self._group, error=type(error).__name__)
            present = None
        if present is not False:
            self._missed_since = None
            return
        if self._missed_since is None:
            self._missed_since = now
            log.warning("group.missed", group=self._group, waits_in=self._waits_in())
            self._consumer._coordinator.request_rejoin()
        if now - self._missed_since >= self.left_after_s:
            raise LeftBehind(
                f"group {self._group} has gone on without this process for {now - self._missed_since:.0f} s; it ends, "
                "to be started again"
            )

    def _waits_in(self) -> dict[str, str]:
        """Where aiokafka's tasks of this member wait, by function and line: for whoever looks for the cause."""
        coordinator, client = self._consumer._coordinator, self._consumer._client
        tasks = {
            "coordination": getattr(coordinator, "_coordination_task", None),
            "heartbeat": getattr(coordinator, "_heartbeat_task", None),
            "metadata": getattr(client, "_sync_task", None),
        }
        return {name: waits_in(task) for name, task in tasks.items()}


def waits_in(task: "asyncio.Task[Any] | None") -> str:
    """The functions that a task is in, outermost first, each with its line. `ended`, with the class of its error;
    `none` for no task."""
    if task is None:
        return "none"
    if task.done():
        error = None if task.cancelled() else task.exception()
        return "ended" if error is None else f"ended: {type(error).__name__}"
    told: list[str] = []
    inner: Any = task.get_coro()
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        told.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        inner = inner.cr_await
    return " ".join([*told, type(inner).__name__])


def _is_in(answers: list[Any], instance: str) -> bool | None:
    """Whether a described group has this static member; None while it is dividing its work, or nobody can say. Brokers
    make a static member's id of its instance's and one of their own; `a-1` may pass for `a`, which misses nobody."""
    [(error_code, _, state, _, _, members, *_)] = answers[0].groups
    if error_code or state not in ("Stable", "Empty"):
        return None
    return any(str(member).startswith(f"{instance}-") for member, *_ in members)
