"""A Kafka client's picture of its cluster is kept up to date whatever happens to one update.

aiokafka (0.14) has one task for that, which an error that it does not expect ends in silence. From then on whoever asks
for an update waits for ever: after a `kill -9` of the broker on a machine at its limit, a router's group coordination
did, for as long as the process lived (`runtime/belonging.py`, which names the task).
"""

import asyncio
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient

log = structlog.get_logger("novix.kafka")

AGAIN_S = 0.5

_once = AIOKafkaClient._md_synchronizer


async def _for_ever(client: Any) -> None:
    """aiokafka's loop, begun again where it fails; whoever waits for the update is told that there was none."""
    while True:
        try:
            await _once(client)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            error = "CancelledError"  # of something that it waited for
        except Exception as unexpected:
            error = type(unexpected).__name__
        log.warning("client.update_failed", error=error)
        waiting, client._md_update_fut = client._md_update_fut, None
        client._md_update_waiter = asyncio.get_running_loop().create_future()
        if waiting is not None and not waiting.done():
            waiting.set_result(False)
        await asyncio.sleep(AGAIN_S)


def keep_up_to_date() -> None:
    """From now on all clients of this process do. Harmless if called again."""
    AIOKafkaClient._md_synchronizer = _for_ever
