"""Stands below `AIOKafkaClient` in the place of `aiokafka.conn`: connections to a `SimBroker`."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError

from simulation.clients.answers import serve
from simulation.kernel import current
from simulation.network import QUICK_S, Connection

REFUSED_S = (0.05, 0.3)
"""How long it takes to learn that a server is away. A refusal would be there at once; but then every schedule with a
broker that is down would be spent on the twenty milliseconds between two of aiokafka's tries."""


class SimConnection:
    """What `AIOKafkaClient` holds of one connection."""

    def __init__(
        self, broker: Any, connection: Connection, timeout_s: float, on_close: Callable[[Any, Any], None] | None
    ) -> None:
        self._broker = broker
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_close = on_close

    def connected(self) -> bool:
        """Whether a request can be sent."""
        return not self._connection.broken

    async def send(self, request: Any, expect_response: bool = True) -> Any:
        """The broker's answer. Raises `TimeoutError`, or `KafkaConnectionError` if the connection breaks: in both cases
        the request may have been handled, or may yet be."""
        try:
            return await self._connection.ask(serve, self._broker, request, timeout_s=self._timeout_s)
        except RequestTimedOutError:
            raise TimeoutError from None
        except KafkaConnectionError:
            self.close(CloseReason.CONNECTION_BROKEN)
            raise

    def close(self, reason: Any = None, exc: BaseException | None = None) -> "asyncio.Future[None]":
        """Whoever waits for an answer is told."""
        self._connection.break_off()
        told, self._on_close = self._on_close, None
        if told is not None:
            told(self, reason)
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        closed.set_result(None)
        return closed


async def create_conn(
    host: str, port: int, *, request_timeout_ms: int, on_close: Callable[[Any, Any], None] | None = None, **_: Any
) -> SimConnection:
    """Connect to the broker that the kernel knows under this address.

    Raises `KafkaConnectionError` while it is away, `TimeoutError` for a process that is cut off.
    """
    process = current()
    kernel, timeout_s = process.kernel, request_timeout_ms / 1000
    broker = kernel.servers[f"{host}:{port}"]
    if process.name in broker.network.cut:
        await asyncio.sleep(timeout_s)
        raise TimeoutError
    await asyncio.sleep(kernel.dice.uniform(*QUICK_S))
    try:
        connection = broker.network.connect()
    except KafkaConnectionError:
        await asyncio.sleep(kernel.dice.uniform(*REFUSED_S))
        raise
    return SimConnection(broker, connection, timeout_s, on_close)
