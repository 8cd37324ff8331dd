"""The faults of harsh schedules do what they say: a trap snaps at its request, an answer is kept from one process, and
what happens to some requests happens to no others.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from simulation.clients.answers import _HANDLERS
from simulation.faults import Faults
from simulation.harsh import SETTINGS, plan
from simulation.installation import BROKER, Installation, Size
from simulation.kafka import SimBroker
from simulation.kernel import Kernel, SimProcess, current
from simulation.network import NetworkFaults
from simulation.provider import SimProvider
from simulation.scenes import REQUESTS, SCENES
from simulation.schedule import CALL, Fault, Plan, Trap
from simulation.substitutes import substituted

from runtime.settings import Settings

Main = Callable[[asyncio.Event], Coroutine[Any, Any, Any]]


class Fetch:
    """A request, as far as the network looks at it."""


class EndTxn(Fetch):
    """Another."""


class World:
    """A kernel, a broker and the faults that befall them; processes that only wait, or ask the broker."""

    def __init__(self, folder: Path) -> None:
        self.kernel = Kernel(1)
        self.broker = self.kernel.servers[BROKER] = SimBroker(self.kernel)
        self.installation = Installation(self.kernel, self.broker, Size(1, 1, 1), folder)
        self.provider = SimProvider(self.kernel, 4)
        self.arrived: list[str] = []
        nothing = Plan(1, Size(1, 1, 1), [], [], [], [])
        self.faults = Faults(nothing, self.installation, self.provider, lambda: None, lambda: None)

    def there(self) -> SimProcess:
        """A process that does nothing."""
        process = SimProcess(self.kernel, "worker-0", len(self.kernel.processes) + 1)
        self.kernel.processes.append(process)
        self.installation.running["worker-0"] = process
        return process

    def start(self, main: Main) -> SimProcess:
        process = self.kernel.start("worker-0", main)
        self.installation.running["worker-0"] = process
        return process

    def asks(self, *requests: Any) -> SimProcess:
        """A process that sends these, one after the other, each on a connection of its own."""

        async def main(_: asyncio.Event) -> None:
            for request in requests:
                connection = self.broker.network.connect()
                try:
                    await connection.ask(self._handle, self.broker, request, timeout_s=2.0)
                except (RequestTimedOutError, KafkaConnectionError) as error:
                    self.arrived.append(type(error).__name__)
                else:
                    self.arrived.append("answer")

        return self.start(main)

    def _handle(self, _: Any, request: Any) -> None:
        self.arrived.append(type(request).__name__)

    def run(self) -> list[str]:
        with substituted(self.kernel):
            self.kernel.run(lambda: not any(one.alive for one in self.kernel.processes), within_s=60)
        return self.arrived


def trap(request: str, *, after: bool, does: str = "kill", times: int = 1) -> Fault:
    return Fault(0.0, "trap", "worker-0", 30.0, trap=Trap(request, after, does, 0.0, times))


def test_a_trap_snaps_at_its_request(tmp_path: Path) -> None:
    world = World(tmp_path)
    process = world.asks(Fetch(), EndTxn(), Fetch())
    world.faults.do(trap("EndTxn", after=True))
    assert world.run() == ["Fetch", "answer", "EndTxn"]
    assert process.ended is None, "it was killed"


def test_a_trap_snaps_before_its_request_is_handled_or_after_it(tmp_path: Path) -> None:
    for after, seen in ((False, []), (True, ["EndTxn"])):
        world = World(tmp_path)
        world.asks(EndTxn())
        world.faults.do(trap("EndTxn", after=after, does="broker_crash"))
        assert world.run() == [*seen, "KafkaConnectionError"]


def test_a_trap_snaps_as_often_as_it_says_and_at_no_other_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.faults.do(trap("Fetch", after=False, times=2))
    other = SimProcess(world.kernel, "worker-1", 9)
    for _ in range(3):
        one = world.there()
        world.faults._at_request("Fetch", other, False)
        world.faults._at_request("Fetch", one, True)
        assert one.alive
        world.faults._at_request("Fetch", one, False)
    assert [one.alive for one in world.kernel.processes] == [False, False, True]


def test_what_a_deaf_process_sends_arrives_and_no_answer_comes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.asks(Fetch())
    world.faults.do(Fault(0.0, "deaf", "worker-0", 30.0))
    assert world.run() == ["Fetch", "_TooLate"]


@pytest.mark.parametrize(("faults", "seen"), [({"only": "EndTxn"}, 1), ({"only": "", "who": "router"}, 0), ({}, 3)])
def test_what_happens_to_some_requests_happens_to_no_others(tmp_path: Path, faults: Any, seen: int) -> None:
    world = World(tmp_path)
    world.asks(Fetch(), EndTxn(), Fetch())
    world.broker.network.faults = NetworkFaults(lost=1.0, **faults)
    assert world.run().count("KafkaConnectionError") == seen


def test_a_locked_disk_refuses_and_a_slow_one_takes_its_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    took: list[Any] = []

    async def main(_: asyncio.Event) -> None:
        began = current().kernel.monotonic
        for _turn in range(20):
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        took.append(current().kernel.monotonic - began)
        try:
            sqlite3.connect(tmp_path / "notes").execute("CREATE TABLE one (a)")
        except sqlite3.OperationalError as error:
            took.append(error.sqlite_errorcode)

    world.start(main)
    world.faults.do(Fault(0.0, "disk_slow", "machine-0", 59.0, by_s=1.0))
    world.faults.do(Fault(0.0, "disk_locked", "machine-0", 59.0))
    world.run()
    assert took[0] > 5.0
    assert took[1] == sqlite3.SQLITE_BUSY


def test_a_machine_that_loses_its_disk_comes_again_with_an_empty_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    home = tmp_path / "machine-0"
    home.mkdir()
    (home / "notes").touch()
    process = world.there()
    world.faults.do(Fault(0.0, "disk_lost", "machine-0", 2.0))
    assert not home.exists()
    assert (process.alive, world.faults.wanted_down) == (False, {process.pid: 2.0})
    assert process.pid in world.faults.excused


def test_all_that_lasts_is_over_when_all_heals(tmp_path: Path) -> None:
    world = World(tmp_path)
    for fault in (
        trap("Fetch", after=False),
        *(Fault(0, kind, "machine-0", 9.0, 1.0) for kind in ("disk_slow", "deaf")),
    ):
        world.faults.do(fault)
    world.faults.do(Fault(0.0, "disk_locked", "machine-0", 9.0))
    world.faults.heal()
    kernel = world.kernel
    assert [*world.faults.traps, *kernel.slow_disks, *kernel.locked_disks, *world.broker.network.deaf] == []


def test_harsh_schedules_name_faults_settings_and_requests_that_there_are() -> None:
    plans = [plan(seed) for seed in range(300)]
    faults = [fault for one in plans for fault in one.faults]
    does = {fault.trap.does for fault in faults if fault.trap is not None}
    assert all(hasattr(Faults, f"_{kind}") for kind in {fault.kind for fault in faults} | does)
    assert {"trap", "deaf", "guest", "disk_lost", "disk_locked", "disk_slow", "habits"} <= {one.kind for one in faults}
    assert SETTINGS.keys() <= Settings.model_fields.keys()
    names = [request.__name__ for request in _HANDLERS]
    asked = {*REQUESTS, *(fault.network.only for fault in faults if fault.network is not None)} - {CALL}
    assert all(any(wanted in name for name in names) for wanted in asked)
    assert all(scene(random.Random(1), Size(2, 1, 1), 3.0) for scene in SCENES)
