"""`examples/own_handler.py` as a process on a real broker: somebody else's handler and topics, and two signals."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.bus import Bus
from runtime.ports import Outgoing, Record
from runtime.settings import Settings, resolve
from schemas import headers

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_handler.py"
WITHIN_S = 60
SLOW = """
import asyncio, os, sys
sys.path.insert(0, {folder!r})
import own_handler
async def weigh(parcel, attempt):
    await asyncio.sleep(parcel["seconds"])
    return 1
own_handler.weigh = weigh
raise SystemExit(own_handler.run(own_handler.ROLE, own_handler.build, own_handler.load().settings))
"""
"""The example with a scale that takes its time."""


@pytest.fixture
def environment(broker, prefix, tmp_path: Path) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap, "NOVIX_TOPIC_PREFIX": prefix, "NOVIX_HOME": str(tmp_path),
        "NOVIX_PARTITIONS": "2", "NOVIX_HEALTH_PORT": str(port), "PYTHONPATH": str(ROOT),
    }  # fmt: skip


@pytest.fixture
def settings(environment) -> Settings:
    return resolve({name: value for name, value in environment.items() if name.startswith("NOVIX_")}, {}, {}).settings


@pytest.fixture
def topics(environment) -> None:
    subprocess.run([sys.executable, EXAMPLE, "topics"], env=os.environ | environment, check=True, timeout=WITHIN_S)


@pytest.fixture
async def bus(settings: Settings, topics) -> AsyncIterator[Bus]:
    async with Bus(settings) as bus:
        yield bus


class Process:
    """One that is killed at the latest when its test ends."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._port = environment["NOVIX_HEALTH_PORT"]
        self.child = subprocess.Popen([sys.executable, *arguments], env=os.environ | environment)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()

    def ask(self, path: str) -> tuple[int, dict]:
        """What it answers on its health port; 0 while nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def works(self) -> int:
        """How many records it works on."""
        return sum(lane["works"] for lane in self.ask("/healthz")[1].get("lanes", []))


async def followed(bus: Bus, topic: str, count: int) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(WITHIN_S):
        async for record in bus.follow(topic, {0: 0, 1: 0}):
            found.append(record)
            if len(found) == count:
                return found
    raise AssertionError("a topic has no end")


async def test_somebody_elses_handler_runs_on_somebody_elses_topics_in_the_order_of_its_keys(environment, bus):
    sent: dict[bytes, list[int]] = {b"parcel-%d" % number: [] for number in range(8)}
    events = []
    for number in range(160):
        parcel = b"parcel-%d" % (number % 8)
        asleep = 2 if number % 20 == 3 else 0
        events.append(Outgoing("shop.parcels.v1", parcel, json.dumps({"litres": number, "asleep": asleep}).encode()))
        sent[parcel].append(number * 250)
    broken = Outgoing("shop.parcels.v1", b"torn", b"no parcel")
    await bus.publish([*events, broken])
    with Process(environment, str(EXAMPLE)) as process:
        labels = await followed(bus, "shop.labels.v1", 160)
        letters = await followed(bus, "inference.dlq.v1", 1)
        async with asyncio.timeout(WITHIN_S):
            while sum((await bus.lag("shop-labels", "shop.parcels.v1")).values()):
                await asyncio.sleep(0.05)
        ready, state = await asyncio.to_thread(process.ask, "/readyz")
        process.child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.child.wait, 30) == 0

    done: dict[bytes, list[int]] = {parcel: [] for parcel in sent}
    for record in labels:
        done[record.key or b""].append(json.loads(record.value or b"")["grams"])
    assert done == sent, "each parcel's labels in the order of its events, each once"
    assert headers.first(letters[0].headers, headers.DLQ_EXCEPTION) is None
    assert (ready, state["ready"], state["topic"]) == (200, True, "shop.parcels.v1")
    assert set(state["loop"]) == {"longest_ms", "late", "blocked"}


async def test_a_second_signal_ends_the_drain_and_what_was_settled_is_committed(environment, bus):
    """SIGTERM, then SIGINT. One parcel takes a second, the other ten minutes; the drain would wait for it."""
    sizes = {b"quick": 1, b"slow": 600}
    await bus.publish(
        [Outgoing("shop.parcels.v1", key, json.dumps({"seconds": s}).encode(), partition=0) for key, s in sizes.items()]
    )
    environment |= {"NOVIX_DRAIN_S": "600"}
    with Process(environment, "-c", SLOW.format(folder=str(EXAMPLE.parent))) as process:
        async with asyncio.timeout(WITHIN_S):
            while (
                sum(lane["works"] for lane in (await asyncio.to_thread(process.ask, "/healthz"))[1].get("lanes", []))
                < 2
            ):
                await asyncio.sleep(0.02)
        process.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            while not (await asyncio.to_thread(process.ask, "/readyz"))[1].get("draining"):
                await asyncio.sleep(0.02)
        labels = await followed(bus, "shop.labels.v1", 1)
        assert process.child.poll() is None, "one signal waits for what is called"
        process.child.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.child.wait, 30) == 0

    assert Counter(record.key for record in labels) == Counter([b"quick"])
