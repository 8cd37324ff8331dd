"""Local files that are damaged, locked or deleted under the processes: they are made anew, and each job ends once."""

import random
import sqlite3
from pathlib import Path

import pytest
from ordeal import Ordeal, ordeal
from system import Process

SEED = 17
HEADER = 100
"""Bytes of SQLite's own at the beginning of a file."""


def notes(run: Ordeal) -> list[Path]:
    """The files of intents, the newest last."""
    found = (run.stranger.folder / "home" / "intents").glob("*.sqlite")
    return sorted(found, key=lambda path: (len(path.name), path))


def files(run: Ordeal) -> list[Path]:
    """The newest file of intents, and the router lanes' caches of seen identities, as far as they are there."""
    return [*notes(run)[-1:], *sorted((run.stranger.folder / "home" / "seen").glob("*.sqlite"))]


def parts(path: Path) -> list[Path]:
    """A database and its log, as far as they are there. Its index in shared memory stays as it is: SQLite maps it, and
    the kernel ends a process that reads where a mapped file has been cut."""
    return [one for suffix in ("", "-wal") if (one := path.with_name(path.name + suffix)).exists()]


def scribble(path: Path, dice: random.Random) -> None:
    """Nonsense over the whole file and its log, the header as well."""
    for part in parts(path):
        part.write_bytes(dice.randbytes(max(HEADER, part.stat().st_size)))


def empty(path: Path, _: random.Random) -> None:
    """Cut to nothing."""
    for part in parts(path):
        part.write_bytes(b"")


def delete(path: Path, _: random.Random) -> None:
    """Gone, its index as well."""
    for part in (*parts(path), path.with_name(f"{path.name}-shm")):
        part.unlink(missing_ok=True)


def restart(process: Process) -> None:
    process.kill()
    process.start()


@pytest.mark.row(45)
@pytest.mark.parametrize("damage", [scribble, *(pytest.param(one, marks=pytest.mark.long) for one in (empty, delete))])
def test_files_that_are_damaged_under_running_processes_and_before_they_start_again_cost_no_job(
    broker, tmp_path, proof, damage
):
    """First under both processes, then while both are down: what a killed worker had noted is gone, and is counted."""
    dice = random.Random(proof.seed(SEED))
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        router, worker = run.system.router, run.system.worker
        first = run.publish(150)
        run.more(30)
        for file in files(run):
            damage(file, dice)
        run.stranger.publish(*first)
        run.more(30)
        run.publish(150)
        run.more(20)
        router.kill()
        worker.kill()
        for file in files(run):
            damage(file, dice)
        run.repeat(100)
        router.start()
        worker.start()
        run.healed()
        run.recover()
        run.verdict(excused=True, note=damage.__name__)


@pytest.mark.long
@pytest.mark.row(45)
def test_notes_that_another_process_keeps_locked_hold_the_calls_back_and_then_go_to_another_file(
    broker, tmp_path, proof
):
    """Beyond the ten seconds after which a file is given up."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        worker = run.system.worker
        run.publish(100)
        run.more(20)
        locked = notes(run)[-1]
        holder = sqlite3.connect(locked, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        run.publish(50)
        run.wait(lambda: worker.health()[1]["intents"]["trouble"] == "SQLITE_BUSY", "trouble with the notes")
        run.wait(lambda: notes(run)[-1] != locked, "other file of notes")
        run.healed()
        run.recover()
        holder.close()
        restart(worker)
        run.verdict(excused=True)
