"""Connections between simulated processes and servers: they delay, break, and deliver what nobody waits for any more.

TCP keeps the order of one connection. A client that waits no longer closes it and opens another, so a request that was
under way on the old one may arrive after younger ones on the new: the delayed EndTxn of Apache Kafka.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaConnectionError, RequestTimedOutError

from simulation.kernel import Kernel, SimProcess, current

QUICK_S = (0.0002, 0.004)
"""A request's way, one direction, on a healthy network: from, to."""


@dataclass
class NetworkFaults:
    """How often what goes wrong with a request, in [0, 1)."""

    slow: float = 0.0
    """It takes up to `slow_s` on its way there."""
    slow_s: float = 3.0
    late_answer: float = 0.0
    """Its answer takes up to `slow_s`."""
    lost: float = 0.0
    """The connection breaks before it arrives."""
    unanswered: float = 0.0
    """It arrives, and the connection breaks before the answer does."""
    silent: float = 0.0
    """It arrives, and no answer comes; the connection stays."""
    orphaned: float = 0.0
    """The connection breaks while it is on its way, and it arrives all the same, up to `slow_s` later."""
    only: str = ""
    """The requests to which it happens, by a part of their names; empty: to all."""
    who: str = ""
    """The processes to which it happens, likewise."""

    def concerns(self, request: str, process: str) -> bool:
        """Whether such a request may meet with them."""
        return self.only in request and self.who in process


WELL = NetworkFaults()


class _TooLate(RequestTimedOutError):  # type: ignore[misc]  # aiokafka has no types
    """No answer came in time: the client has done with the connection."""


class Answer:
    """What a server answers later: to a request that waits, such as a fetch, or a join of a group."""

    def __init__(self) -> None:
        self.done = False
        self._then: Callable[[Any, BaseException | None], None] | None = None
        self._held: tuple[Any, BaseException | None] | None = None

    def set(self, value: Any) -> None:
        """The first answer counts."""
        self._end(value, None)

    def fail(self, error: BaseException) -> None:
        """The first answer counts."""
        self._end(None, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        if self.done:
            return
        self.done = True
        if self._then is not None:
            self._then(value, error)
        else:
            self._held = value, error

    def then(self, do: Callable[[Any, BaseException | None], None]) -> None:
        """Call this with the answer, when it is there."""
        if self._held is not None:
            do(*self._held)
        self._then = do


class Network:
    """The way to one server. `down`: it takes no connection and those that are open break."""

    def __init__(self, kernel: Kernel, faults: NetworkFaults | None = None) -> None:
        self.kernel = kernel
        self.faults = faults or NetworkFaults()
        self._down = False
        self.lives = 0
        """How often the server has died: what was sent to it before arrives nowhere."""
        self.frozen_until = 0.0
        """Until then the server handles nothing: requests wait at its door, connections stay."""
        self.cut: set[str] = set()
        """Names of processes that cannot reach the server, nor it them: what they send vanishes."""
        self.deaf: set[str] = set()
        """Names of processes that the server cannot reach: what they send arrives."""
        self.at_request: Callable[[str, SimProcess, bool], None] | None = None
        """Is told of each request that arrives: its name, who asks, and whether it has been handled already."""
        self._connections: dict[Connection, None] = {}  # in the order of their making, which a set has not

    @property
    def down(self) -> bool:
        return self._down

    def go_down(self) -> None:
        """Every connection breaks."""
        self._down = True
        self.lives += 1
        for connection in list(self._connections):
            connection.break_off()

    def come_back(self) -> None:
        """Connections are taken again."""
        self._down = False

    def connect(self) -> "Connection":
        """A new connection of the process that runs. Raises `KafkaConnectionError` while the server is away."""
        process = current()
        if self._down:
            raise KafkaConnectionError("the server is away")
        connection = Connection(self, process)
        self._connections[connection] = None
        return connection


class Connection:
    """One connection of one process. After it broke, every request raises `KafkaConnectionError`."""

    def __init__(self, network: Network, process: SimProcess) -> None:
        self.broken = False
        self.process = process
        self._network = network
        self._life = network.lives
        self._last_arrival = 0.0
        self._last_answer = 0.0
        self._waiting: dict[asyncio.Future[Any], None] = {}

    async def ask(self, handle: Callable[..., Any], *args: Any, timeout_s: float = 10.0) -> Any:
        """Have the server do `handle(*args)`, and wait for what it returns, raises, or promises (`Answer`).

        Raises `KafkaConnectionError` if the connection breaks, and `RequestTimedOutError` after `timeout_s`, which
        breaks it; in both cases the request may have been handled, or may yet be. Cancelled: likewise.
        """
        if self.broken:
            raise KafkaConnectionError("the connection is broken")
        network, kernel = self._network, self._network.kernel
        name = type(args[1]).__name__ if len(args) > 1 else ""
        dice, faults = kernel.dice, network.faults
        if not faults.concerns(name, self.process.name):
            faults = WELL
        loop = self.process.loop
        future = loop.create_future()
        self._waiting[future] = None
        way = dice.uniform(*QUICK_S)
        if faults.slow and dice.random() < faults.slow:
            way += dice.uniform(0, faults.slow_s)
        if faults.lost and dice.random() < faults.lost:
            kernel.call_later(way, self.break_off)
        elif faults.orphaned and dice.random() < faults.orphaned:
            kernel.call_later(way, self.break_off)
            way += dice.uniform(0, faults.slow_s)
            kernel.call_later(way, lambda: self._arrive(handle, args, future))
        elif self.process.name not in network.cut:
            arrival = max(kernel.monotonic + way, self._last_arrival)
            self._last_arrival = arrival
            kernel.call_later(arrival - kernel.monotonic, lambda: self._arrive(handle, args, future))
        last = loop.call_later(timeout_s, _fail, future, _TooLate(f"no answer within {timeout_s:g} s"))
        try:
            return await future
        except _TooLate:
            self.break_off()
            raise
        finally:
            last.cancel()
            self._waiting.pop(future, None)

    def close(self) -> None:
        """The client has done with it."""
        self.broken = True
        self._network._connections.pop(self, None)

    def break_off(self) -> None:
        """Reset: whoever waits for an answer is told, when it runs."""
        if self.broken:
            return
        self.close()
        for future in list(self._waiting):
            self.process.deliver(_fail, future, KafkaConnectionError("the connection broke"))

    def _arrive(self, handle: Callable[..., Any], args: tuple[Any, ...], future: "asyncio.Future[Any]") -> None:
        network, kernel = self._network, self._network.kernel
        name = type(args[1]).__name__ if len(args) > 1 else ""
        if network.down or network.lives != self._life:
            return  # the server died before it read it
        if kernel.monotonic < network.frozen_until:
            kernel.call_later(network.frozen_until - kernel.monotonic, lambda: self._arrive(handle, args, future))
            return
        try:
            if network.at_request is not None:
                network.at_request(name, self.process, False)
                if network.down or network.lives != self._life:
                    return
            answer = handle(*args)
            if network.at_request is not None:
                network.at_request(name, self.process, True)
        except Exception as error:
            self._answer(name, future, None, error)
            return
        if isinstance(answer, Answer):
            answer.then(lambda value, error: self._answer(name, future, value, error))
        else:
            self._answer(name, future, answer, None)

    def _answer(self, name: str, future: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
        network, kernel = self._network, self._network.kernel
        dice, faults = kernel.dice, network.faults
        if not faults.concerns(name, self.process.name):
            faults = WELL
        if self.broken or self.process.name in network.cut or self.process.name in network.deaf:
            return
        if faults.unanswered and dice.random() < faults.unanswered:
            self.break_off()
            return
        if faults.silent and dice.random() < faults.silent:
            return
        way = dice.uniform(*QUICK_S)
        if faults.late_answer and dice.random() < faults.late_answer:
            way += dice.uniform(0, faults.slow_s)
        self._last_answer = max(kernel.monotonic + way, self._last_answer)

        def arrived() -> None:
            if not self.broken:
                self.process.deliver(_fail, future, error) if error else self.process.deliver(_give, future, value)

        kernel.call_later(self._last_answer - kernel.monotonic, arrived)


def _give(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
