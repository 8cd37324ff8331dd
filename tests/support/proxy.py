"""A proxy between Kafka's clients and a broker, that can be a bad network, and a broker that refuses.

It holds one kind of request back, swallows answers, gives others than the broker would, breaks connections, goes silent
as a peer that has vanished, or lets everything through slowly.

It knows no more of the protocol than the frame (https://kafka.apache.org/protocol): a size of 4 bytes, then a request's
api key (2 bytes), version (2) and correlation id (4), or an answer's correlation id. What it holds back it delivers
later, also when the client has gone meanwhile: that is what a slow network does.
"""

import asyncio
import contextlib
import random
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from refusal import refusal

HOST = "127.0.0.1"
PRODUCE, FETCH, FIND_COORDINATOR, HEARTBEAT, INIT_PRODUCER = 0, 1, 10, 12, 22
ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 24, 25, 26, 28


@dataclass
class Fault:
    """What happens to the next `times` messages of one kind."""

    api_key: int
    times: int
    delay_s: float = 0.0
    """Held back for so long, and all that follows on its connection with it."""
    swallow: bool = False
    """Never delivered."""
    answers: bool = False
    """It happens to the answers, not to the requests."""
    refuse: int = 0
    """The broker does not see it; its client is answered with this error code."""


@dataclass(frozen=True)
class Weather:
    """What everything on its way goes through."""

    delay_s: float
    """Each way."""
    jitter_s: float
    """Added to it, or taken off: anything up to so much. Nothing overtakes anything on its connection."""
    bytes_per_s: float
    """Of all connections together, each way."""
    dice: random.Random


@dataclass
class Proxy:
    """A running proxy. Its methods may be called from any thread."""

    port: int
    upstream: int
    met: Counter[int] = field(default_factory=Counter)
    """How many messages of each api key a fault has met."""
    _faults: list[Fault] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None
    _weather: Weather | None = None
    _free_at: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})
    """When the line is free again, by the loop's clock: for requests, and for answers."""
    _silent: bool = False
    _era: int = 0
    """Connections of an earlier one lead nowhere any more."""

    def inject(self, fault: Fault) -> None:
        """Let it happen from now on."""
        self._faults.append(fault)

    def slow(self, weather: Weather | None) -> None:
        """Let everything that comes from now on go through it; None: at once."""
        self._weather = weather

    def silence(self) -> None:
        """The broker vanishes: nothing arrives, either way, and nobody is told. New connections lead nowhere too."""
        self._silent = True
        self._era += 1

    def heal(self) -> None:
        """Nothing happens to what comes from now on. Connections that went silent stay so: their peer is gone."""
        self._faults.clear()
        self._weather = None
        if self._silent:
            self._silent = False
            self._era += 1

    def reset(self) -> None:
        """Break every connection that stands."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._break_all)

    def _break_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(HOST, self.upstream)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(self, self._era if not self._silent else -1, writer)
        ends = {writer, upstream_writer}
        self._writers |= ends
        try:
            await asyncio.gather(
                line.pump(reader, upstream_writer, answers=False), line.pump(upstream_reader, writer, answers=True)
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    def _meets(self, key: int, *, answers: bool) -> Fault | None:
        for fault in self._faults:
            if fault.api_key == key and fault.answers is answers and fault.times > 0:
                fault.times -= 1
                self.met[key] += 1
                return fault
        return None

    def _due(self, size: int, *, answers: bool) -> float:
        """When, by the loop's clock, a message of so many bytes arrives that is sent now."""
        now, weather = asyncio.get_running_loop().time(), self._weather
        if weather is None:
            return now
        self._free_at[answers] = max(now, self._free_at[answers]) + size / weather.bytes_per_s
        return self._free_at[answers] + weather.delay_s + weather.dice.uniform(-weather.jitter_s, weather.jitter_s)


@dataclass
class _Line:
    """One connection."""

    proxy: Proxy
    era: int
    client: asyncio.StreamWriter
    asked: dict[int, int] = field(default_factory=dict)
    """Api key of each request that waits for its answer, by correlation id."""

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        """Frames from one side to the other, in their order, until the source ends; then the sink is closed.

        One that has gone silent takes everything, and says nothing: not even that the other side has gone.
        """
        under_way: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(1_000)
        delivering = asyncio.create_task(self._deliver(under_way, sink))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while self.era == self.proxy._era:
                size = await source.readexactly(4)
                frame = await source.readexactly(struct.unpack(">i", size)[0])
                await self._take(size, frame, under_way, answers=answers)
        if self.era != self.proxy._era:
            with contextlib.suppress(OSError):
                while await source.read(65_536):
                    pass
        await under_way.put(None)
        await delivering
        if self.era == self.proxy._era:
            sink.close()

    async def _take(
        self, size: bytes, frame: bytes, under_way: "asyncio.Queue[tuple[float, bytes] | None]", *, answers: bool
    ) -> None:
        if answers:
            key = self.asked.pop(struct.unpack(">i", frame[:4])[0], -1)
        else:
            key, _, correlation = struct.unpack(">hhi", frame[:8])
            self.asked[correlation] = key
        fault = self.proxy._meets(key, answers=answers)
        if fault is not None and fault.refuse:
            told = refusal(frame, fault.refuse)
            self.client.write(struct.pack(">i", len(told)) + told)
        elif fault is None or not fault.swallow:
            await asyncio.sleep(fault.delay_s if fault is not None else 0)
            await under_way.put((self.proxy._due(len(frame), answers=answers), size + frame))

    async def _deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes] | None]", sink: asyncio.StreamWriter
    ) -> None:
        """Each message when it is due, none before the one ahead of it; nothing once the line is silent."""
        loop = asyncio.get_running_loop()
        while (message := await under_way.get()) is not None:
            due, frame = message
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if self.era == self.proxy._era:
                with contextlib.suppress(OSError):
                    sink.write(frame)
                    await sink.drain()


@contextmanager
def proxy(port: int, upstream: int) -> Iterator[Proxy]:
    """Listen on `port` and pass on to `upstream`, both on loopback, on a thread with a loop of its own."""
    made = Proxy(port, upstream)
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        made._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(made._serve, HOST, port):
            ready.set()
            await over.wait()
        made._break_all()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made
    finally:
        assert made._loop is not None
        made._loop.call_soon_threadsafe(over.set)
        thread.join(10)
