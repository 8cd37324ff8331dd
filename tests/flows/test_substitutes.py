"""What stands in for the operating system in a schedule: it is put back, and treats the dead as a kernel does."""

import asyncio
import fcntl
import os
import secrets
import socket
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from pkgutil import resolve_name

import pytest
from simulation.kernel import NOON, Kernel, SimProcess
from simulation.substitutes import SUBSTITUTES, substituted

from runtime.clock import SystemClock
from runtime.instance import claim

Main = Callable[[asyncio.Event], Awaitable[None]]


def finish(kernel: Kernel, *processes: SimProcess) -> None:
    kernel.run(lambda: not any(process.alive for process in processes), 100.0)
    for process in processes:
        if isinstance(process.ended, BaseException):
            raise process.ended


def test_every_substitute_is_in_place_while_a_schedule_runs_and_gone_afterwards():
    before = {name: resolve_name(name) for name in SUBSTITUTES}
    with substituted(Kernel(1)):
        kept = [name for name, was in before.items() if resolve_name(name) is was]
    assert kept == []
    assert {name: resolve_name(name) for name in SUBSTITUTES} == before


def test_an_error_in_a_schedule_puts_everything_back_as_well():
    before = {name: resolve_name(name) for name in SUBSTITUTES}
    with pytest.raises(ZeroDivisionError), substituted(Kernel(1)):
        raise ZeroDivisionError
    assert {name: resolve_name(name) for name in SUBSTITUTES} == before


def test_one_seed_gives_one_chance_and_another_seed_another():
    def drawn(seed: int) -> tuple[str, str, bytes]:
        with substituted(Kernel(seed)):
            return str(uuid.uuid4()), secrets.token_hex(6), os.urandom(4)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_each_process_has_its_own_number_machine_and_wall_clock():
    kernel, told = Kernel(1), []

    async def main(_: asyncio.Event) -> None:
        clock = SystemClock()
        await asyncio.sleep(2.0)
        told.append((os.getpid(), socket.gethostname(), clock.now().replace(microsecond=0)))

    with substituted(kernel):
        right = kernel.start("right", main, machine="a")
        wrong = kernel.start("wrong", main, machine="b")
        wrong.skew = timedelta(hours=1)
        finish(kernel, right, wrong)

    soon = NOON + timedelta(seconds=2)
    assert sorted(told) == [(1, "a", soon), (2, "b", soon + timedelta(hours=1))]


def test_a_killed_process_leaves_its_lock_and_its_slot_to_the_next(tmp_path: Path):
    kernel, slots = Kernel(1), dict[str, str]()

    def holds(name: str) -> Main:
        async def main(stop: asyncio.Event) -> None:
            slots[name] = claim("group", "", tmp_path).id
            await stop.wait()

        return main

    with substituted(kernel):
        first = kernel.start("first", holds("first"))
        kernel.run(lambda: "first" in slots, 1.0)
        second = kernel.start("second", holds("second"))
        kernel.run(lambda: "second" in slots, 1.0)
        first.kill()
        third = kernel.start("third", holds("third"))
        kernel.run(lambda: "third" in slots, 1.0)
        for process in (second, third):
            process.stop()
        finish(kernel, second, third)

    assert slots == {"first": "machine-0-0", "second": "machine-0-1", "third": "machine-0-0"}


def test_a_descriptor_that_was_closed_and_given_anew_keeps_its_lock_when_its_first_owner_is_killed(tmp_path: Path):
    kernel, numbers = Kernel(1), list[int]()

    async def closes(stop: asyncio.Event) -> None:
        handle = os.open(tmp_path / "one", os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        numbers.append(handle)
        os.close(handle)
        await stop.wait()

    async def keeps(stop: asyncio.Event) -> None:
        handle = os.open(tmp_path / "two", os.O_RDWR | os.O_CREAT)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        numbers.append(handle)
        await stop.wait()

    with substituted(kernel):
        first = kernel.start("first", closes)
        kernel.run(lambda: len(numbers) == 1, 1.0)
        kernel.start("second", keeps)
        kernel.run(lambda: len(numbers) == 2, 1.0)
        first.kill()
        other = os.open(tmp_path / "two", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)

    assert numbers[0] == numbers[1]


def test_what_a_killed_process_had_not_committed_to_its_database_is_undone(tmp_path: Path):
    kernel, path, begun = Kernel(1), tmp_path / "db.sqlite", asyncio.Event()

    async def main(stop: asyncio.Event) -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("CREATE TABLE t (n)")
        db.execute("INSERT INTO t VALUES (1)")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (2)")
        begun.set()
        await stop.wait()

    with substituted(kernel):
        process = kernel.start("writer", main)
        kernel.run(begun.is_set, 1.0)
        process.kill()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # nobody holds it any more
        assert other.execute("SELECT n FROM t").fetchall() == [(1,)]
        other.close()
