"""Ends a task for certain."""

import asyncio
from typing import Any

ASK_AGAIN_S = 1.0


async def end(task: "asyncio.Task[Any]", again_s: float = ASK_AGAIN_S) -> None:
    """Cancel a task and wait for its end. Its own error is its own affair.

    Asked again every `again_s` seconds, for a cancellation may be lost: `wait_for` (CPython 3.11) loses one that comes
    together with what it waits for, and `Fetcher.close` (aiokafka 0.14) suppresses one together with that of its own
    tasks.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)
