"""What a payload by reference adds from publication to result, beside one inside the job.

`python -m bench payload_latency`. Single jobs of image-classification through Kafka, router and an image worker, to a
provider that answers at once; in turns, so that all kinds meet the same machine. The blob store is a folder. What it
costs to put a blob there before is a figure of its own: who refers to it more than once pays that once.
"""

import asyncio
import base64
import json
import os
import random
import struct
import time
import zlib
from collections.abc import Callable

from bench.figure import Figure, quantile
from bench.timing import Timer, timer
from bench.world import World, process, router, topics
from runtime.blobs import BlobStore
from runtime.blobs.stores import open_store
from runtime.ports import Outgoing
from schemas.media import BLOB_SCHEME, REF
from schemas.topics import JOBS

NAME = "payload_latency"
MODEL = "google/vit-base-patch16-224"
SMALL, LARGE = 150_000, 5_000_000
"""Bytes: what just fits into a job, and an image as cameras make them."""
REST_S = (0.3, 0.7)
"""Between two jobs, so that each finds idle lanes."""
WARM = 24


def measure(world: World, *, quick: bool) -> list[Figure]:
    """One job after the other, each kind in its turn."""
    count = 12 if quick else 60
    world.behave(answer=[{"label": "bee", "score": 0.9}])
    figures = asyncio.run(_run(world, count))
    calls, wanted = world.counts()["calls"], (count + WARM) * 3
    if calls != wanted:
        raise RuntimeError(f"the provider was called {calls} times for {wanted} jobs: some were refused, and quickly")
    return figures


async def _run(world: World, count: int) -> list[Figure]:
    settings, environment = world.settings("payload-latency.", NOVIX_CATALOGUE="", NOVIX_HF_HUB_URL=world.stub_url)
    small, large = _png(SMALL), _png(LARGE)
    inline = base64.b64encode(small).decode()
    async with open_store(settings) as store, topics(settings) as bus, timer(bus) as here:
        kinds: dict[str, Callable[[], object]] = {
            "150 kB inside the job": lambda: inline,
            "150 kB by reference": _always(await _put(store, small)),
            "5 MB by reference": _always(await _put(store, large)),
        }
        with router(environment), process(environment, "-m", "console", "worker", "image"):
            seconds = await _in_turns(here, kinds, count)
        puts = [await _timed(store, _another(large, at)) for at in range(count)]
    figures = [
        Figure(NAME, f"{kind}, p{p}", quantile(taken, p / 100) * 1_000, "ms")
        for kind, taken in seconds.items()
        for p in (50, 95)
    ]
    first, second = list(seconds.values())[:2]
    added = (quantile(second, 0.5) - quantile(first, 0.5)) * 1_000
    how = f"{count} single jobs of each kind, in turns, {REST_S[0]} to {REST_S[1]} s apart"
    return [
        Figure(NAME, "added by a reference, 150 kB, p50", added, "ms", note=how),
        *figures,
        Figure(NAME, "to put 5 MB into the folder before, p50", quantile(puts, 0.5) * 1_000, "ms"),
    ]


async def _in_turns(here: Timer, kinds: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    dice = random.Random(7)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(-WARM, count):  # connections stand, lanes are open
        for at, (kind, payload) in enumerate(kinds.items()):
            if number >= 0:
                await asyncio.sleep(dice.uniform(*REST_S))
            taken = await here.seconds(_job(f"job-{number}-{at}", f"tenant-{number % 24}", payload()))
            if number >= 0:
                seconds[kind].append(taken)
    return seconds


def _job(job_id: str, tenant: str, payload: object) -> Outgoing:
    job = {"id": job_id, "tenant": tenant, "task": "image-classification", "model": MODEL, "input": {"inputs": payload}}
    return Outgoing(JOBS.name, tenant.encode(), json.dumps(job).encode())


def _always(value: object) -> Callable[[], object]:
    return lambda: value


async def _put(store: BlobStore, data: bytes) -> dict[str, object]:
    sha256 = await store.put(data, "image/png")
    ref = {"sha256": sha256, "uri": BLOB_SCHEME + sha256, "media_type": "image/png", "bytes": len(data)}
    return {REF: ref}


async def _timed(store: BlobStore, data: bytes) -> float:
    began = time.perf_counter()
    await store.put(data, "image/png")
    return time.perf_counter() - began


def _png(size: int) -> bytes:
    """A PNG of about `size` bytes that cannot be made smaller."""
    side = int((size / 3) ** 0.5)
    rows = b"".join(b"\0" + os.urandom(side * 3) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 0)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _another(png: bytes, at: int) -> bytes:
    """The image with a text in it, so that it is another blob."""
    return png[:33] + _chunk(b"tEXt", b"n\0%d" % at) + png[33:]
