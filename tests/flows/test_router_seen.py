"""What a router lane has seen: redeliveries, crashes, a lost, damaged or foreign cache. No job is decided twice."""

import random
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from router_world import HandClock, MemoryLog, World, chat, sandbox_settings

from router.application import PartitionMismatch, RouterApplication
from router.catalogue import load
from router.fold import Entry, UnreadableDecisions
from router.memory import Memory
from runtime.outcome import Abandoned, Done, Publish, RetryAt
from runtime.partitions import home_partition
from runtime.ports import Delivery, LaneId, Outgoing, Record, Resumed
from schemas import codec
from schemas.topics import DECISIONS, JOBS, ROUTER_GROUP, TEXT


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def audited(done: Done) -> list[str]:
    return [entry.action for entry in done.audit]


def decisions(world: World) -> list[dict[str, object]]:
    return [one for batch in world.on(DECISIONS.name) for one in batch["decisions"]]


async def test_a_redelivered_record_publishes_nothing_again(world: World) -> None:
    record = world.job(chat())
    await world.run(record)
    await world.crash()
    assert await world.handle(record) == Publish()
    assert await world.commit() == []


async def test_a_redelivered_rejection_is_no_new_submission(world: World) -> None:
    record = world.job(chat(model="no/such"))
    await world.run(record)
    assert await world.handle(record) == Publish()


async def test_after_an_uncommitted_crash_the_job_is_decided_once_under_the_same_id(world: World) -> None:
    record = world.job(chat())
    first = await world.handle(record)
    await world.crash()
    await world.run(record)
    assert len(world.on(TEXT.name)) == 1
    (decision,) = decisions(world)
    assert decision["decision_id"].encode() in first.facts[0].encoded
    assert world.outcomes[0].spans[0].span_id == world.outcomes[1].spans[0].span_id


async def test_what_was_seen_survives_the_loss_of_the_disk(world: World, tmp_path: Path) -> None:
    await world.run(world.job(chat()), world.job(chat("a2", model="no/such")))

    def lose() -> None:
        for file in (tmp_path / "seen").iterdir():
            file.unlink()

    await world.crash(lose)
    done = await world.run(world.job(chat()), world.job(chat("a2")))
    assert audited(world.outcomes[2]) == ["job.duplicate"]
    assert [one.topic for one in done] == [TEXT.name, DECISIONS.name]
    assert decisions(world)[-1]["submission"] == 2


async def test_a_restart_reads_only_what_is_new(world: World) -> None:
    for n in range(20):
        await world.run(world.job(chat(f"a{n}")))
    await world.crash()
    await world.lane()
    await world.crash()
    world.log.reads = 0
    await world.lane()
    assert world.log.reads == 1 + 20 + 1, (
        "the record that shows that the log is still the same; money has no snapshot yet; the last one's registry"
    )


@pytest.mark.parametrize("damage", [b"", b"not a database" * 500])
async def test_a_damaged_cache_is_folded_anew(world: World, tmp_path: Path, damage: bytes) -> None:
    await world.run(world.job(chat()))

    def scribble() -> None:
        for file in (tmp_path / "seen").iterdir():
            if file.suffix == ".sqlite":
                file.write_bytes(damage)
            else:
                file.unlink()

    await world.crash(scribble)
    assert audited(await world.handle(world.job(chat()))) == ["job.duplicate"]


async def test_a_cache_that_breaks_at_work_is_folded_anew_and_the_open_transaction_kept(world: World) -> None:
    await world.run(world.job(chat("a1")))
    await world.handle(world.job(chat("a2")))
    lane = await world.lane()
    lane._seen._connection().execute("DROP TABLE seen")
    assert audited(await world.handle(world.job(chat("a1")))) == ["job.duplicate"]
    assert audited(await world.handle(world.job(chat("a2")))) == ["job.duplicate"]


async def test_a_cache_of_another_log_is_not_believed(tmp_path: Path) -> None:
    old = World(tmp_path)
    await old.run(old.job(chat()))
    await old.crash()
    new = World(tmp_path, log=MemoryLog())
    await new.run(new.job(chat("other")), new.job(chat()))
    assert [audited(one) for one in new.outcomes] == [["job.assigned"], ["job.assigned"]]


async def test_a_cache_that_is_ahead_of_the_log_is_not_believed(tmp_path: Path) -> None:
    old = World(tmp_path)
    await old.run(*(old.job(chat(f"a{n}")) for n in range(3)))
    await old.run(old.job(chat("a3")))
    await old.crash()
    await old.lane()
    await old.crash()
    assert audited(await World(tmp_path, log=MemoryLog()).handle(old.job(chat("a1")))) == ["job.assigned"]


async def test_the_oldest_identities_are_forgotten_and_the_rest_is_bounded(tmp_path: Path) -> None:
    world = World(tmp_path, dedup_max=1000)
    for start in range(0, 1500, 100):
        await world.run(*(world.job(chat(f"a{n}")) for n in range(start, start + 100)))
    rows = (await world.lane())._seen._connection().execute("SELECT count(*) FROM seen").fetchone()[0]
    assert 1000 <= rows <= 1100
    assert audited(await world.handle(world.job(chat("a1499")))) == ["job.duplicate"]
    assert audited(await world.handle(world.job(chat("a0")))) == ["job.assigned"]


async def test_of_two_decisions_about_one_id_in_one_transaction_none_waits_any_more(world: World) -> None:
    """What is noted of a decision that the file has would never be forgotten."""
    seen, now_ms = (await world.lane())._seen, int(world.clock.now().timestamp() * 1000)
    both = [Entry("t/a", number, f"digest-{number}", False, f"d{number}", now_ms) for number in (1, 2)]
    for entry in both:
        seen.note(entry)
    seen.committed(both)
    assert seen._noted == {}
    assert audited(await world.handle(world.job(chat("b")))) == ["job.assigned"]


async def test_of_reservations_that_ended_no_more_are_remembered_than_of_identities(tmp_path: Path) -> None:
    ended = (await World(tmp_path, dedup_max=1000).lane())._books._ended
    for n in range(1500):
        ended.add(f"d{n}", None)
    assert len(ended) == 1000
    assert ended.knows("d1499")
    assert not ended.knows("d499")


async def test_a_checkpoint_moves_the_cursor_without_reading_the_log_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.lane.CHECKPOINT_EVERY", 10)
    for n in range(40):
        await world.run(world.job(chat(f"a{n}")))
    await world.crash()
    world.log.reads = 0
    await world.lane()
    assert world.log.reads < 15 + 40, "all of them for money, which has no snapshot yet"
    for n in (0, 19, 39):
        assert audited(await world.handle(world.job(chat(f"a{n}")))) == ["job.duplicate"]


async def test_a_foreign_record_in_the_decisions_topic_stops_the_lane_by_name(world: World) -> None:
    world.log.append(Outgoing(DECISIONS.name, None, b"hello", partition=world.partition))
    with pytest.raises(UnreadableDecisions, match=f"{DECISIONS.name}/{world.partition}/0"):
        await world.lane()


async def test_a_lane_with_unequal_partition_counts_does_not_open(tmp_path: Path) -> None:
    world = World(tmp_path, log=MemoryLog(inference_decisions_v1=4))
    with pytest.raises(PartitionMismatch, match=r"has 3 partitions .* has 4"):
        await world.lane()


async def test_a_closed_lane_decides_nothing_more(world: World) -> None:
    lane = await world.lane()
    await lane.close()
    with pytest.raises(Abandoned):
        await lane.handle(Delivery(world.job(chat()), world.clock.now()))


async def test_random_crashes_neither_lose_nor_repeat_a_job(tmp_path: Path) -> None:
    """Jobs, some twice, delivered in order from the last commit on, with crashes before and after commits."""
    chance = random.Random(7)
    world = World(tmp_path)
    records = [world.job(chat(f"a{n // 2 if n % 5 == 0 else n}")) for n in range(300)]
    done = reached = 0
    while done < len(records):
        reached = min(len(records), done + chance.randint(1, 20))
        for record in records[done:reached]:
            await world.handle(record)
        if chance.random() < 0.3:
            await world.crash()
            continue
        await world.commit()
        done = reached if chance.random() < 0.8 else max(0, done - 5)
        if chance.random() < 0.3:
            await world.crash()
    ids = [one["job"]["id"] for one in world.on(TEXT.name)]
    assert len(ids) == len(set(ids))
    assert set(ids) == {one["job_id"] for one in decisions(world)}
    assert len(ids) == len({f"a{n // 2 if n % 5 == 0 else n}" for n in range(300)})


async def test_two_lanes_of_one_process_do_not_share_what_they_have_seen(tmp_path: Path) -> None:
    settings = sandbox_settings(tmp_path)
    app = RouterApplication(settings, load(settings), HandClock())
    log = MemoryLog()
    lanes = [await app.open_lane(LaneId(ROUTER_GROUP, JOBS.name, n), log, Resumed(0)) for n in range(3)]
    tenants = {home_partition(f"t{n}", 3): f"t{n}" for n in range(50)}
    for n, lane in enumerate(lanes):
        value = codec.encode(chat(tenant=tenants[n]))
        done = await lane.handle(Delivery(Record(JOBS.name, n, 0, None, value, (), 0), HandClock().now()))
        assert isinstance(done, Publish)
        assert audited(done) == ["job.assigned"]
        await lane.close()
    assert len(list((tmp_path / "seen").glob("*.sqlite"))) == 3


# how long


async def test_an_identity_is_remembered_for_the_window_and_no_longer(tmp_path: Path) -> None:
    world = World(tmp_path, dedup_hours=2)
    await world.run(world.job(chat()))
    world.clock.turn(2 * 3600)
    assert audited(await world.handle(world.job(chat(text="other")))) == ["job.conflict"]
    await world.commit()
    world.clock.turn(1)
    await world.run(world.job(chat(text="other")), world.job(chat()))
    assert [audited(one) for one in world.outcomes[2:]] == [["job.assigned"], ["job.conflict"]]
    assert [one["submission"] for one in decisions(world)] == [1, 1]


@pytest.mark.parametrize("lost", [False, True])
async def test_what_is_remembered_is_the_same_after_a_restart_with_and_without_the_cache(
    tmp_path: Path, lost: bool
) -> None:
    world = World(tmp_path, dedup_hours=2)
    for n in range(5):
        await world.run(world.job(chat(f"a{n}")))
        world.clock.turn(3600)

    def lose() -> None:
        for file in (tmp_path / "seen").iterdir():
            file.unlink()

    await world.crash(lose if lost else lambda: None)
    await world.run(*(world.job(chat(f"a{n}")) for n in range(5)))
    told = ["job.assigned"] * 3 + ["job.duplicate"] * 2
    assert [audited(one) for one in world.outcomes[5:]] == [[one] for one in told]


async def test_a_forgotten_identity_that_comes_again_is_remembered_anew(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.run(world.job(chat()))
    world.clock.turn(25 * 3600)
    await world.run(world.job(chat()), world.job(chat()))
    await world.crash()
    await world.run(world.job(chat()))
    assert [audited(one)[0] for one in world.outcomes[1:]] == ["job.assigned", "job.duplicate", "job.duplicate"]


async def test_forgetting_is_written_to_the_file_in_bounded_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.seen.PRUNE_STEP", 40)
    world = World(tmp_path, dedup_hours=1)
    await world.run(*(world.job(chat(f"a{n}")) for n in range(60)))
    held = []
    for n in range(3):
        world.clock.turn(3 * 3600)
        await world.run(world.job(chat(f"b{n}")))
        held.append(world.app.describe()["dedup"][0]["identities"])
    assert held == [21, 1, 1]
    seen = (await world.lane())._seen
    assert seen._connection().execute("SELECT count(*) FROM seen").fetchone()[0] == 1


async def test_health_tells_what_a_lane_remembers_and_which_bound_holds(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.app._memory = Memory(20, timedelta(hours=24))
    assert world.app.describe()["dedup"] == []
    await world.lane()
    first = {"partition": world.partition, "identities": 0, "since": None, "bound": "all since the beginning"}
    assert world.app.describe()["dedup"] == [first]
    await world.run(world.job(chat()))
    began = {"since": "2026-11-22T12:00:00+00:00", "bound": "all since the beginning"}
    assert world.app.describe()["dedup"] == [{**first, "identities": 1, **began}]
    world.clock.turn(25 * 3600)
    await world.run(world.job(chat("a2")))
    world.clock.turn(60)
    told = {"partition": world.partition, "identities": 1, "since": "2026-11-23T13:00:00+00:00", "bound": "24 h"}
    assert world.app.describe()["dedup"] == [told]
    for n in range(23):
        await world.run(world.job(chat(f"b{n}")))
    (many,) = world.app.describe()["dedup"]
    assert (many["bound"], many["since"]) == ("20 ids", "2026-11-23T13:01:00+00:00")
    await world.crash()
    assert world.app.describe()["dedup"] == []
    await world.lane()
    assert world.app.describe()["dedup"] == [many]


async def test_health_of_a_lane_whose_cache_is_damaged_can_still_be_asked(world: World) -> None:
    lane = await world.lane()
    lane._seen._connection().execute("DROP TABLE tally")
    (told,) = world.app.describe()["dedup"]
    assert told["identities"] is None


async def test_a_cache_from_before_identities_had_a_time_is_folded_anew(world: World, tmp_path: Path) -> None:
    await world.run(world.job(chat()))

    def older() -> None:
        (file,) = (tmp_path / "seen").glob("*.sqlite")
        file.unlink()
        with sqlite3.connect(file) as db:
            db.execute("CREATE TABLE seen (seq INTEGER PRIMARY KEY, identity TEXT, submission INTEGER, digest TEXT)")
            db.execute("INSERT INTO seen VALUES (1, 'default/a9', 1, 'd')")
        db.close()

    await world.crash(older)
    await world.run(world.job(chat()), world.job(chat("a9")))
    assert [audited(one) for one in world.outcomes[1:]] == [["job.duplicate"], ["job.assigned"]]


async def test_what_is_folded_twice_is_counted_once_and_stays_the_oldest(tmp_path: Path) -> None:
    world = World(tmp_path)
    for n in range(10):
        await world.run(world.job(chat(f"a{n}")))
    first = decisions(world)[0]["decision_id"]
    for _ in range(3):
        await world.crash()
        seen = (await world.lane())._seen
        with seen._connection() as db:  # as if nothing had been noted of the log since its first record
            db.execute("UPDATE folded SET cursor = 1, offset = 0, decision_id = ?", (first,))
    await world.crash()
    world.log.reads = 0
    seen = (await world.lane())._seen
    assert world.log.reads == 10 + 10 + 1, (
        "all but the first record, and that for the comparison; all of them for money; the last one for its registry"
    )
    assert seen._connection().execute("SELECT min(seq), max(seq), count(*) FROM seen").fetchone() == (1, 10, 10)
    assert world.app.describe()["dedup"][0]["identities"] == 10
    assert audited(await world.handle(world.job(chat("a0")))) == ["job.duplicate"]


async def test_an_id_forgotten_and_not_yet_deleted_is_counted_once_when_it_comes_again(world: World) -> None:
    await world.run(world.job(chat()))
    world.clock.turn(24 * 3600 + 60)
    await world.run(world.job(chat()))
    assert [one["submission"] for one in decisions(world)] == [1, 1]
    assert world.app.describe()["dedup"][0]["identities"] == 1


async def test_many_forgotten_submissions_do_not_hide_a_new_one(world: World) -> None:
    for _ in range(70):
        await world.run(world.job(chat(model="no/such")))
    world.clock.turn(24 * 3600 + 60)
    await world.run(world.job(chat()))
    await world.run(world.job(chat()))
    assert decisions(world)[-1]["submission"] == 1
    assert audited(world.outcomes[-1]) == ["job.duplicate"]


async def test_a_full_disk_stops_intake_by_name_until_there_is_room(world: World) -> None:
    """Nothing is decided that could not be remembered; nothing is lost, and the log is what it is mended from."""
    await world.run(world.job(chat("a1")))
    lane = await world.lane()

    def full(path: Path, *args: Any, **more: Any) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    whole = sqlite3.connect
    lane._seen.discard()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite3, "connect", full)
        outcome = await lane.handle(Delivery(world.job(chat("a3")), world.clock.now()))
        assert isinstance(outcome, RetryAt)
        assert "disk is full" in str(world.app.describe()["dedup"][0]["blocked"])
    assert sqlite3.connect is whole

    assert audited(await world.handle(world.job(chat("a1")))) == ["job.duplicate"]
    assert "blocked" not in world.app.describe()["dedup"][0]
