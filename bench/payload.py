"""Payloads by reference: the memory of a process that passes many large ones on, and what a reference costs in time."""

import asyncio
import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from bench.figure import Figure, median, quantile
from runtime.blobs.folder import FolderStore
from runtime.http import Egress, Fetcher, HttpTransport, Request
from runtime.settings import Settings
from schemas.media import BLOB_SCHEME, REF
from workers.media import media_limits, probed
from workers.payloads import Payloads, payload_room

NAME = "payload"
TASK = "image-classification"
LARGE_BYTES = 5_000_000
INLINE_BYTES = 190_000
"""In base64 this is what a job may have inline."""
DISTINCT = 20
"""Large images in the store; they are passed on in turns."""
AT_ONCE = 64
"""Jobs at a time: the default of `NOVIX_MAX_IN_FLIGHT`."""
WAIT_S = 600.0


def measure(*, quick: bool) -> list[Figure]:
    """Memory in a process of its own, time in this one."""
    count = 200 if quick else 1_000
    with TemporaryDirectory(prefix="novix-bench-") as folder:
        told = subprocess.run(
            [sys.executable, "-m", "bench.payload", folder, str(count)], capture_output=True, text=True, check=True
        )
        memory = json.loads(told.stdout)
        inline, reference, large, kept = asyncio.run(_latency(Path(folder), 100 if quick else 400))
    how = f"{count} images of 5 MB, {AT_ONCE} jobs at once, loaded from a folder and posted to a local server"
    added = (median(reference) - median(inline)) * 1_000
    return [
        Figure(NAME, "memory at its highest", memory["end_mb"], "MB", "under 300 MB", how),
        Figure(NAME, "memory after a tenth of them", memory["tenth_mb"], "MB", "the same: flat"),
        Figure(NAME, "memory before the first", memory["start_mb"], "MB"),
        Figure(NAME, "images passed on", memory["rate"], "a second"),
        Figure(NAME, "inline, 190 kB, p50", median(inline) * 1_000, "ms", note="from the input to bytes looked at"),
        Figure(NAME, "by reference, 190 kB, p50", median(reference) * 1_000, "ms"),
        Figure(NAME, "added by the reference, p50", added, "ms"),
        Figure(NAME, "by reference, 190 kB, p95", quantile(reference, 0.95) * 1_000, "ms"),
        Figure(NAME, "put into the folder before, 190 kB, p50", median(kept) * 1_000, "ms", note="on the disk: fsync"),
        Figure(NAME, "by reference, 5 MB, p50", median(large) * 1_000, "ms"),
    ]


def noise(size: int, seed: int) -> bytes:
    """A PNG of about `size` bytes, which no compression makes smaller."""
    side = int((size / 3) ** 0.5)
    held = io.BytesIO()
    pixels = (bytes([seed]) + bytes(range(251))) * (side * side * 3 // 252 + 1)
    Image.frombytes("RGB", (side, side), pixels[: side * side * 3]).save(held, "PNG", compress_level=0)
    return held.getvalue()


@asynccontextmanager
async def payloads_on(folder: Path) -> AsyncIterator[tuple[Payloads, FolderStore]]:
    """The worker's own payloads on a local folder, with its default limits."""
    settings = Settings()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(FolderStore(folder))
        fetcher = await stack.enter_async_context(Fetcher.of(settings))
        yield Payloads(store, fetcher, media_limits(settings), payload_room(settings)), store


async def put(store: FolderStore, data: bytes) -> dict[str, Any]:
    """Keep an image; a job's input that refers to it."""
    sha256 = await store.put(data, "image/png")
    ref = {"sha256": sha256, "uri": BLOB_SCHEME + sha256, "media_type": "image/png", "bytes": len(data)}
    return {"inputs": {REF: ref}}


async def _latency(folder: Path, count: int) -> tuple[list[float], ...]:
    """Seconds of each loading: inline, by reference, of a large one by reference; and of each keeping."""
    async with payloads_on(folder) as (payloads, store):

        async def keep(task_input: dict[str, Any]) -> None:
            await store.put(small + str(time.perf_counter()).encode(), "image/png")

        async def load(task_input: dict[str, Any]) -> None:
            async with payloads.loaded(TASK, task_input, total_s=WAIT_S):
                pass

        small = noise(INLINE_BYTES, 1)
        probed(small, "image")
        inline = {"inputs": base64.b64encode(small).decode()}
        reference, large = await put(store, small), await put(store, noise(LARGE_BYTES, 1))
        times: tuple[list[float], ...] = [], [], [], []
        for number in range(count):
            for which, task_input in enumerate((inline, reference, large)):
                if which < 2 or number % 4 == 0:
                    times[which].append(await _timed(load, task_input))
            times[3].append(await _timed(keep, inline))
    return times


async def _timed(load: Callable[[dict[str, Any]], Awaitable[None]], task_input: dict[str, Any]) -> float:
    began = time.perf_counter()
    await load(task_input)
    return time.perf_counter() - began


async def _pass_on(folder: Path, count: int) -> dict[str, float]:
    """Load `count` images, each in a job of its own, and post it; this process's highest memory as it goes."""
    server = await asyncio.start_server(_sink, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, HttpTransport(Egress([url])) as http, payloads_on(folder) as (payloads, store):
        inputs = [await put(store, noise(LARGE_BYTES, number)) for number in range(DISTINCT)]
        start, began, numbers = _peak_mb(), time.perf_counter(), iter(range(count))
        tenth = 0.0

        async def job(task_input: dict[str, Any]) -> None:
            async with payloads.loaded(TASK, task_input, total_s=WAIT_S) as full:
                response = await http.handle_async_request(Request("POST", url, content=full["inputs"].data))
                await response.aread()

        async def worker() -> None:
            nonlocal tenth
            for number in numbers:
                await job(inputs[number % DISTINCT])
                if number == count // 10:
                    tenth = _peak_mb()

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        rate = count / (time.perf_counter() - began)
    return {"start_mb": start, "tenth_mb": tenth, "end_mb": _peak_mb(), "rate": rate}


async def _sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads one request after another and says yes."""
    while (head := await _head(reader)) is not None:
        left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while left:
            left -= len(await reader.read(min(left, 65_536)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


def _peak_mb() -> float:
    """The highest resident memory of this process. (`getrusage` would count what its parent had before it began.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_pass_on(Path(sys.argv[1]), int(sys.argv[2])))))
