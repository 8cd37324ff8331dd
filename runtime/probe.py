"""Whether the providers' doors answer at all: a small question now and then, for /readyz. Costs nothing and opens no
breaker: breakers judge calls."""

import asyncio
import contextlib
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import structlog

from runtime.http import DEADLINE, URL, AsyncBaseTransport, HTTPError, PoolTimeout, Request

log = structlog.get_logger("novix.probe")

ANSWER_S = 2.0
"""For an answer to the question; together with the pause between two questions it is how late an outage shows."""


class Probes:
    """Asks each origin `HEAD /` without a credential; any answer, whatever its status, is a sign of life.

    `every_s` is the pause between two rounds; 0: nobody asks and all count as reachable. An origin that was not asked
    yet counts as reachable as well: a process need not wait for it to begin.
    """

    def __init__(self, http: AsyncBaseTransport, origins: Iterable[str], every_s: float) -> None:
        self._http = http
        self._reachable = dict.fromkeys(dict.fromkeys(origins), True)
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Probes":
        if self._every_s and self._reachable:
            self._task = asyncio.create_task(self._ask_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def all_reachable(self) -> bool:
        """Whether every origin answered when it was last asked."""
        return all(self._reachable.values())

    def view(self) -> dict[str, Any]:
        """Each origin, and whether it answers."""
        return {origin: "reachable" if answers else "unreachable" for origin, answers in self._reachable.items()}

    async def _ask_for_ever(self) -> None:
        while True:
            answers = await asyncio.gather(*(self._answers(origin) for origin in self._reachable))
            for origin, answer in zip(list(self._reachable), answers, strict=True):
                if answer is not None and answer != self._reachable[origin]:
                    log.warning("provider.reachable" if answer else "provider.unreachable", origin=origin)
                    self._reachable[origin] = answer
            await asyncio.sleep(self._every_s)

    async def _answers(self, origin: str) -> bool | None:
        """None: our own slots are all taken, which says nothing about the provider."""
        timeout = {"connect": ANSWER_S, "read": ANSWER_S, "write": ANSWER_S, "pool": ANSWER_S}
        question = Request("HEAD", URL(origin), extensions={"timeout": timeout, DEADLINE: ANSWER_S})
        try:
            response = await self._http.handle_async_request(question)
        except PoolTimeout:
            return None
        except HTTPError:
            return False
        await response.aclose()
        return True
