"""A proxy between Kafka's clients and a broker: holds one kind of request back, swallows answers, breaks connections.

It knows no more of the protocol than the frame (https://kafka.apache.org/protocol): a size of 4 bytes, then a request's
api key (2 bytes), version (2) and correlation id (4), or an answer's correlation id. What it holds back it delivers
later, also when the client has gone meanwhile: that is what a slow network does.
"""

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 0, 24, 25, 26, 28


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

    def inject(self, fault: Fault) -> None:
        """Let it happen from now on."""
        self._faults.append(fault)

    def heal(self) -> None:
        """Nothing happens to what comes from now on."""
        self._faults.clear()

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
        ends = {writer, upstream_writer}
        self._writers |= ends
        asked: dict[int, int] = {}
        try:
            await asyncio.gather(
                self._pump(reader, upstream_writer, asked, answers=False),
                self._pump(upstream_reader, writer, asked, answers=True),
            )
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: dict[int, int], *, answers: bool
    ) -> None:
        """Frames from one side to the other, in their order, until the source ends; then the sink is closed."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await source.readexactly(4)
                frame = await source.readexactly(struct.unpack(">i", size)[0])
                if answers:
                    key = asked.pop(struct.unpack(">i", frame[:4])[0], -1)
                else:
                    key, _, correlation = struct.unpack(">hhi", frame[:8])
                    asked[correlation] = key
                fault = self._meets(key, answers=answers)
                if fault is not None and fault.swallow:
                    continue
                if fault is not None:
                    await asyncio.sleep(fault.delay_s)
                sink.write(size + frame)
                await sink.drain()
        sink.close()

    def _meets(self, key: int, *, answers: bool) -> Fault | None:
        for fault in self._faults:
            if fault.api_key == key and fault.answers is answers and fault.times > 0:
                fault.times -= 1
                self.met[key] += 1
                return fault
        return None


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
