"""The Hub's sync: a first reading of so many rows, and from a change at the Hub to its record and to the index.

`python -m bench.hub_sync [--rows N] [--changes N] [--no-index]`. The sandbox's Hub runs as a process of its own; the
broker is Apache Kafka, one node. Figures are printed with the machine; nothing is asserted.
"""

import argparse
import asyncio
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.figure import Figure, table
from bench.world import machine
from hub.app import syncing
from hub.sync.sync import Sync, Wish
from runtime.bus import Bus
from runtime.clock import SystemClock
from runtime.settings import Settings, resolve
from sandbox.kafka.broker import LocalBroker
from schemas.catalog import CatalogEntry
from schemas.topics import CATALOG, TOPICS

NAME = "hub-sync"
PARTITIONS = 6
MODELS = Wish(kinds=("model",))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub_sync")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--no-index", action="store_true", help="leave the index out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="novix-hub-sync-") as name:
        figures = asyncio.run(_measured(Path(name), given.rows, given.changes, with_index=not given.no_index))
    print("\n".join([machine(), *table(figures)]))
    return 0


async def _measured(folder: Path, rows: int, changes: int, *, with_index: bool) -> list[Figure]:
    broker = LocalBroker(folder / "kafka", flags=("-Xmx512m",), say=lambda line: print(line, file=sys.stderr))
    broker.start()
    try:
        with hub_of(folder, rows) as base:
            told = {
                "NOVIX_HOME": str(folder / "home"), "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap,
                "NOVIX_HF_ROUTER_URL": base, "NOVIX_HF_HUB_URL": base, "NOVIX_SANDBOX_URL": base,
            }  # fmt: skip
            settings = resolve(told, {}, {}).settings
            async with Bus(settings) as bus:
                await bus.create_topics(TOPICS, partitions=PARTITIONS)
                return await _rounds(settings, bus, base, changes, with_index=with_index)
    finally:
        broker.stop()


async def _rounds(settings: Settings, bus: Bus, base: str, changes: int, *, with_index: bool) -> list[Figure]:
    async with syncing(settings, bus, SystemClock()) as sync:
        before = _peak_mb()
        first = await sync.round(MODELS)
        file = sum(one.stat().st_size for one in sync.store.path.parent.glob("sync.sqlite3*")) / 1e6
        figures = [
            Figure(NAME, "entries of the first reading", first.written, "entries"),
            Figure(NAME, "first reading", first.took_s, "s"),
            Figure(NAME, "entries a second", first.written / first.took_s, "1/s"),
            Figure(
                NAME, "memory that it took", _peak_mb() - before, "MB", note="peak of the process, beyond its start"
            ),
            Figure(NAME, "file beside it", file, "MB"),
        ]
        again = await sync.round(MODELS)
        figures.append(Figure(NAME, "a look at an unchanged Hub", again.took_s, "s", note=f"{again.calls} calls"))
        index = await _indexed(settings, bus) if with_index else None
        took, visible = await _changed(sync, bus, base, changes, index)
        figures.append(Figure(NAME, f"{changes:,} changes: at the Hub to all their records", took, "s", wanted="< 5"))
        if visible is not None:
            figures.append(Figure(NAME, f"{changes:,} changes: at the Hub to the index", visible, "s", wanted="< 5"))
        full = await sync.round(Wish(kinds=("model",), full=True))
        figures.append(
            Figure(NAME, "a full reading of an unchanged Hub", full.took_s, "s", note=f"{full.written} written")
        )
        return figures


async def _changed(sync: Sync, bus: Bus, base: str, changes: int, index: Any) -> tuple[float, float | None]:
    """Seconds from the change to its records, and to the index."""
    await asyncio.to_thread(_touch, base, 1)  # the Hub makes its tables for the first change
    await sync.round(MODELS)
    ends = await _ends(bus)
    began = time.monotonic()
    await asyncio.to_thread(_touch, base, changes)
    report = await sync.round(MODELS)
    took = time.monotonic() - began
    if report.written < changes:
        raise RuntimeError(f"{report.written} of {changes} changes were written")
    if index is None:
        return took, None
    await _applied(bus, index, ends)
    return took, time.monotonic() - began


async def _indexed(settings: Settings, bus: Bus) -> Any:
    from hub.index.store import Index

    index = Index(settings.home / "index")
    await _applied(bus, index, dict.fromkeys(range(PARTITIONS), 0))
    return index


async def _applied(bus: Bus, index: Any, starts: dict[int, int]) -> None:
    reader = bus.reader()
    for partition, start in starts.items():
        _, end = await reader.bounds(CATALOG.name, partition)
        batch: list[tuple[str, CatalogEntry | None]] = []
        async for record in reader.read(CATALOG.name, partition, start, end):
            value = None if record.value is None else CatalogEntry.model_validate_json(record.value)
            batch.append(((record.key or b"").decode(), value))
            if len(batch) == 5_000:
                await asyncio.to_thread(index.apply, batch, position={partition: record.offset + 1})
                batch = []
        await asyncio.to_thread(index.apply, batch, position={partition: end})


async def _ends(bus: Bus) -> dict[int, int]:
    reader = bus.reader()
    return {partition: (await reader.bounds(CATALOG.name, partition))[1] for partition in range(PARTITIONS)}


@contextmanager
def hub_of(folder: Path, rows: int) -> Iterator[str]:
    """The sandbox's Hub as a process, with so many generated rows; its address."""
    command = [sys.executable, "-m", "sandbox.hf", "--state", str(folder / "hf"), "--hub-rows", str(rows)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().split()[-1]
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)


def _touch(base: str, count: int) -> None:
    request = Request(f"{base}/sandbox/hub/touch?n={count}&seed={count}", method="POST")  # noqa: S310 - our own process
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - our own process
        answer.read()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


if __name__ == "__main__":
    raise SystemExit(main())
