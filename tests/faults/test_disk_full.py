"""A disk without room: no call is made without its note, the worker says so by name, and goes on when there is room."""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ordeal import Ordeal, ordeal
from system import Process

SIZE = "2m"
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Full:
    """A file system of 2 MB on which the process has its home and its log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, _: Process) -> None:
        """All the room that is left; once more, what has become free since."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            for size in (65_536, 4_096, 512):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def give(self, _: Process) -> None:
        """The room is there again."""
        (self.folder / "filler").unlink()


class Quota:
    """No file of the process may be larger than it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, process: Process) -> None:
        assert process.child is not None
        resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def give(self, process: Process) -> None:
        if process.running:
            assert process.child is not None
            resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, UNLIMITED)


Disk = Full | Quota


@contextmanager
def disk(kind: str, folder: Path) -> Iterator[Disk]:
    """Where the process has its files. Skips where a file system cannot be made."""
    folder.mkdir()
    if kind == "quota":
        yield Quota(folder)
        return
    making = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(making, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a file system of 2 MB")
    try:
        yield Full(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def trouble(process: Process) -> str | None:
    """What the worker says of its file of intents."""
    return process.health()[1].get("intents", {}).get("trouble")


def on(process: Process, folder: Path) -> None:
    """The process has its home and its log there."""
    process.environment["NOVIX_HOME"] = str(folder / "home")
    process.log = folder / f"{process.name}.log"


def no_more_calls(run: Ordeal) -> int:
    """Wait until every call is answered; how many there were."""
    run.wait(lambda: run.system.stub("/admin/state")["in_flight"] == 0, "end of the last call")
    return len(run.system.stub("/admin/calls"))


def held_back(worker: Process) -> bool:
    """Whether it has been given its partitions, and no lane is open or some jobs wait in those that are."""
    lanes = worker.lanes()
    waiting = sum(lane["works"] for lane in lanes)
    return bool(lanes) and (waiting >= 3 or all(lane["state"] != "open" for lane in lanes))


@pytest.mark.row(44)
@pytest.mark.parametrize("kind", ["quota", pytest.param("disk", marks=pytest.mark.long)])
def test_a_worker_without_room_for_its_notes_makes_no_call_and_says_so_until_there_is_room(
    broker, tmp_path, proof, kind
):
    """Its log has no room either, which is no reason for anything."""
    with (
        disk(kind, tmp_path / "small") as small,
        ordeal(broker.bootstrap, tmp_path, start=False, proof=proof) as run,
    ):
        worker = run.system.worker
        on(worker, small.folder)
        run.system.start()
        run.publish(150)
        run.more(20)
        small.take(worker)
        run.publish(100)
        run.wait(lambda: bool(trouble(worker)), "trouble with the notes")
        calls, ended = no_more_calls(run), run.ended()
        run.publish(20)
        run.wait(lambda: sum(lane["works"] for lane in worker.lanes()) >= 3, "jobs that wait for room")
        assert no_more_calls(run) == calls, "calls were made without a note"
        assert ended < len(run.wanted)
        assert worker.running

        small.give(worker)
        run.healed()
        run.recover()
        assert not trouble(worker)
        run.verdict(note=kind)


@pytest.mark.long
@pytest.mark.row(44)
def test_a_worker_that_is_killed_on_a_full_disk_begins_nothing_until_there_is_room(broker, tmp_path, proof):
    with (
        disk("disk", tmp_path / "small") as small,
        ordeal(broker.bootstrap, tmp_path, start=False, proof=proof) as run,
    ):
        worker = run.system.worker
        worker.environment["NOVIX_HOME"] = str(small.folder / "home")
        run.system.start()
        run.publish(150)
        run.more(20)
        small.take(worker)
        worker.kill()
        worker.start()
        # The kill may have freed some room: then the lanes open, and the first notes that have none are told of.
        run.wait(
            lambda: "IntentsUnavailable" in worker.log.read_text() or bool(trouble(worker)), "trouble that is told"
        )
        small.take(worker)
        calls = no_more_calls(run)
        run.publish(20)
        run.wait(lambda: held_back(worker), "lanes that do not open, or jobs that wait for room")
        assert no_more_calls(run) == calls, "calls were made without a note"
        assert worker.running, "a crash loop instead of an alarm"

        small.give(worker)
        run.healed()
        run.recover()
        run.verdict(excused=True)


@pytest.mark.long
@pytest.mark.row(44)
def test_a_router_without_room_for_its_caches_decides_each_job_once(broker, tmp_path, proof):
    with (
        disk("disk", tmp_path / "small") as small,
        ordeal(broker.bootstrap, tmp_path, start=False, proof=proof, NOVIX_STUCK_AFTER_S="5") as run,
    ):
        router = run.system.router
        on(router, small.folder)
        run.system.start()
        jobs = run.publish(150)
        run.more(20)
        small.take(router)
        run.publish(150)
        run.stranger.publish(*jobs)
        run.wait(lambda: router.health()[0] == 503, "alarm of the router")
        assert router.running, "a crash loop instead of an alarm"

        small.give(router)
        run.healed()
        run.recover()
        run.verdict()
