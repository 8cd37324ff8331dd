"""What a lane has decided and not committed: a commit takes out its own notes, and the cursor waits for it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from router_world import MemoryLog
from worker_world import START

from router.fold import Entry, milliseconds
from router.memory import Memory
from router.seen import Seen
from router.standing import AlreadyDecided, Duplicate, Fresh
from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import DECISIONS

MEMORY = Memory(1_000, timedelta(hours=24))


def entry(job: str, submission: int = 1, *, rejected: bool = False) -> Entry:
    """One decision about `ants/JOB`."""
    return Entry(f"ants/{job}", submission, "d", rejected, f"{job}.{submission}", milliseconds(START))


def written(log: MemoryLog, one: Entry) -> None:
    """The decision is in the log."""
    decision = {
        "tenant": "ants", "job_id": one.identity.partition("/")[2], "submission": one.submission, "digest": one.digest,
        "verdict": "rejected" if one.rejected else "assigned", "decision_id": one.decision_id,
    }  # fmt: skip
    value = codec.encode({"sequence": 1, "decisions": [decision]})
    log.commit([Outgoing(DECISIONS.name, None, value, partition=0)], one.decided_ms)


async def opened(folder: Path, log: MemoryLog) -> Seen:
    return await Seen.open(folder, "decisions", 0, log, MEMORY)


async def test_a_commit_forgets_no_note_of_another_identity_nor_of_a_later_submission(tmp_path: Path) -> None:
    """Decisions of the next transaction stand in notes alone while the one before it is committed."""
    seen = await opened(tmp_path, MemoryLog())
    refused, again, other = entry("a", rejected=True), entry("a", 2), entry("b")
    for one in (refused, again, other):
        seen.note(one)

    seen.committed([refused])

    assert seen.lookup("ants/a", "d", "third", START) == Duplicate(2)
    assert seen.lookup("ants/b", "d", "second", START) == Duplicate(1)
    assert seen.lookup("ants/c", "d", "first", START) == Fresh(1)


async def test_a_later_note_of_a_submission_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    """Of a job that no broker takes: its second decision is the submission's, before the commit and after it."""
    seen = await opened(tmp_path, MemoryLog())
    first, second = entry("a"), replace(entry("a"), decision_id="anew")
    seen.note(first)
    seen.note(second)

    noted = [seen.lookup("ants/a", "d", one.decision_id, START) for one in (first, second)]
    seen.committed([second])

    assert noted == [Duplicate(1), AlreadyDecided(1)]
    assert [seen.lookup("ants/a", "d", one.decision_id, START) for one in (first, second)] == noted


async def test_the_cursor_does_not_pass_what_is_in_the_log_and_not_in_the_file_yet(tmp_path: Path) -> None:
    """A process that dies between the end of a transaction and its folding, after a look at the log's end: its
    successor reads the decisions that the first one did not take in."""
    log = MemoryLog()
    seen = await opened(tmp_path, log)
    first, second = entry("a"), entry("b")
    written(log, first)
    seen.committed([first])
    written(log, second)  # committed, and `committed` is not told any more
    await seen.checkpoint(0, log, 1)
    seen.close()

    successor = await opened(tmp_path, log)

    assert successor.lookup("ants/b", "d", "again", START) == Duplicate(1)
    assert successor.lookup("ants/a", "d", "again", START) == Duplicate(1)
