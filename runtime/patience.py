"""Kafka may be away when a process starts: it is waited for, just as when it goes away later."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

log = structlog.get_logger("novix.process")

PATIENCE_S = 60.0
"""After that the address is more likely wrong than the broker away; whoever started the process should hear of it."""
AGAIN_S = 1.0

Answer = TypeVar("Answer")


async def once_kafka_answers(
    ask: Callable[[], Awaitable[Answer]], stop: asyncio.Event, *, patience_s: float = PATIENCE_S
) -> Answer | None:
    """What `ask` returns, asked again each second while Kafka does not answer; None if `stop` comes first.

    Raises aiokafka's last error once `patience_s` have passed.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while True:
            asking = asyncio.ensure_future(ask())
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
                return None
            try:
                return asking.result()
            except KafkaError as error:
                if loop.time() >= until:
                    raise
                log.warning("kafka.away", error=type(error).__name__)
            await asyncio.wait({stopping}, timeout=AGAIN_S)
            if stopping.done():
                return None
    finally:
        stopping.cancel()
