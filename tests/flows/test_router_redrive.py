"""Dead letters driven again: the identity's next submission, once for each dead letter, and no forged one."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from router_world import MemoryLog, World, chat

from router import seen
from router.fold import Entry
from router.letters import FALSE_CLAIMS, LOOKS, MOST_AHEAD, MOST_KNOWN
from router.standing import Standing, standing
from runtime.outcome import Done, GiveUp
from runtime.ports import NotReadable, Outgoing, Record
from schemas import headers
from schemas.failure import FailureKind
from schemas.topics import DECISIONS, DLQ, JOBS, RESULTS, TEXT


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def audited(done: Done) -> list[str]:
    return [entry.action for entry in done.audit]


def decided(world: World) -> list[tuple[int, str]]:
    return [(one["submission"], one["verdict"]) for batch in world.on(DECISIONS.name) for one in batch["decisions"]]


def assigned(records: list[Record]) -> Record:
    (found,) = [one for one in records if one.topic == TEXT.name]
    return found


async def failed(world: World, id: str = "a1", **more: Any) -> Record:
    """The dead letter of a job that a worker gave up."""
    return world.failed(assigned(await world.run(world.job(chat(id, **more)))))


async def test_a_dead_letter_of_a_worker_driven_again_is_the_next_submission(world: World) -> None:
    letter = await failed(world)
    world.clock.turn(60)
    again = assigned(await world.run(world.redrive(letter, "ada\x07" + "x" * 300)))

    assert decided(world) == [(1, "assigned"), (2, "assigned")]
    assert dict(again.headers)[headers.IDENTITY] == b"default/a1/2"
    assert {headers.REDRIVE, headers.REDRIVEN_BY}.isdisjoint(dict(again.headers))
    decision = world.on(DECISIONS.name)[-1]["decisions"][0]
    assert decision["redriven_from"] == f"{letter.partition}/{letter.offset}"
    done = world.outcomes[-1]
    assert audited(done) == ["job.redriven", "job.assigned"]
    told = done.audit[0].detail
    assert (told["dead_letter"], told["by"]) == (f"{letter.partition}/{letter.offset}", "ada?" + "x" * 124)
    first, second = (one.spans[0].context.trace_id for one in world.outcomes)
    assert first != second, "each submission has its own trace"


async def test_the_same_dead_letter_driven_again_gives_nothing_new_but_an_audit_entry(world: World) -> None:
    letter = await failed(world)
    await world.run(world.redrive(letter), world.redrive(letter))
    await world.run(world.redrive(letter))
    await world.crash()
    await world.run(world.redrive(letter))
    assert decided(world) == [(1, "assigned"), (2, "assigned")]
    assert [audited(one) for one in world.outcomes[2:]] == [["job.redriven_before"]] * 3
    assert world.outcomes[-1].audit[0].submission == 2


async def test_each_dead_letter_of_a_job_is_driven_again_once(world: World) -> None:
    first = await failed(world)
    second = world.failed(assigned(await world.run(world.redrive(first))))
    await world.run(world.redrive(first), world.redrive(second), world.redrive(first), world.redrive(second))
    assert decided(world) == [(1, "assigned"), (2, "assigned"), (3, "assigned")]


async def test_a_conflict_driven_again_is_done_after_all(world: World) -> None:
    written = await world.run(world.job(chat()), world.job(chat(text="other")))
    (letter,) = [one for one in written if one.topic == DLQ.name]
    again = assigned(await world.run(world.redrive(letter)))
    assert b"other" in (again.value or b"")
    assert decided(world) == [(1, "assigned"), (2, "assigned")]


async def test_a_fault_of_ours_while_a_dead_letter_is_driven_again_ends_that_submission(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = await failed(world)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("router.lane.decide", broken)
    await world.run(world.redrive(letter))
    (result,) = world.on(RESULTS.name)
    assert (result["submission"], result["status"], result["error"]["kind"]) == (2, "failed", "internal")
    assert audited(world.outcomes[-1]) == ["job.redriven", "job.rejected"]


async def test_a_kill_between_decision_and_commit_loses_and_repeats_no_redrive(world: World) -> None:
    letter = await failed(world)
    record = world.redrive(letter)
    before = await world.handle(record)
    await world.crash()
    await world.run(record)
    assert before.facts[0].entry.decision_id == world.outcomes[-1].facts[0].entry.decision_id
    assert decided(world) == [(1, "assigned"), (2, "assigned")]


async def test_random_kills_neither_lose_nor_repeat_a_redrive(tmp_path: Path) -> None:
    """Forty dead letters, each driven again up to four times in any order, with kills before and after commits."""
    chance = random.Random(5)
    world = World(tmp_path)
    written = await world.run(*(world.job(chat(f"a{n}")) for n in range(40)))
    letters = [world.failed(one) for one in written if one.topic == TEXT.name]
    again = [letter for letter in letters for _ in range(chance.randint(1, 4))]
    chance.shuffle(again)
    records = [world.redrive(letter) for letter in again]
    done = 0
    while done < len(records):
        reached = min(len(records), done + chance.randint(1, 9))
        for record in records[done:reached]:
            await world.handle(record)
        if chance.random() < 0.4:
            await world.crash()
            continue
        await world.commit()
        done = reached if chance.random() < 0.8 else max(0, done - 3)
        if chance.random() < 0.4:
            await world.crash()
    ids = [dict(one.headers)[headers.IDENTITY] for one in world.published if one.topic == TEXT.name]
    assert sorted(ids) == sorted(f"default/a{n}/{sub}".encode() for n in range(40) for sub in (1, 2))


async def test_a_redrive_away_from_home_is_forwarded_with_its_claim(tmp_path: Path) -> None:
    log = MemoryLog()
    home = World(tmp_path, log=log)
    away = World(tmp_path, log=log, partition=(home.partition + 1) % 3)
    letter = await failed(home)
    (sent,) = await away.run(home.redrive(letter, "ada", partition=away.partition))
    assert (sent.topic, sent.partition) == (JOBS.name, home.partition)
    told = dict(sent.headers)
    assert told[headers.REDRIVE] == f"{letter.partition}/{letter.offset}".encode()
    assert told[headers.REDRIVEN_BY] == b"ada"
    await home.run(sent, home.redrive(letter))
    assert decided(home) == [(1, "assigned"), (2, "assigned")]
    assert home.outcomes[-1].audit[0].action == "job.redriven_before"


async def test_what_was_never_decided_is_a_first_submission(world: World) -> None:
    out = Outgoing(DLQ.name, None, b'{"id":"new","task":"chat-completion","input":{"messages":[]}}')
    letter = world.log.append(Outgoing(out.topic, None, out.value, ((headers.DLQ_TOPIC, JOBS.name.encode()),)))
    await world.run(world.redrive(letter), world.redrive(letter))
    assert [one for one, _ in decided(world)] == [1]
    assert audited(world.outcomes[-1]) == ["job.redriven_before"]


async def test_a_dead_letter_whose_identity_is_forgotten_is_not_submitted_as_the_first_one(world: World) -> None:
    letter = await failed(world)
    world.clock.turn(25 * 3600)
    await world.run(world.redrive(letter))
    assert decided(world) == [(1, "assigned"), (2, "assigned")]


async def test_a_dead_letter_driven_again_is_known_longer_than_its_identity(world: World, tmp_path: Path) -> None:
    letter = await failed(world)
    await world.run(world.redrive(letter))
    world.clock.turn(3 * 86_400)
    await world.run(world.job(chat("other")))
    await world.crash()
    await world.run(world.redrive(letter))
    assert audited(world.outcomes[-1]) == ["job.redriven_before"]
    assert [one for one, _ in decided(world)] == [1, 2, 1]


async def test_an_identity_driven_again_very_often_costs_no_more_and_each_letter_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its submissions the newest alone are looked at; which letters were driven stands elsewhere."""
    monkeypatch.setattr(seen, "NEWEST", 3)
    await world.run(world.job(chat()))
    written = await world.run(*(world.job(chat(text=f"other {number}")) for number in range(10)))
    letters = [one for one in written if one.topic == DLQ.name]
    read: list[int] = []

    def counting(newest_first: Sequence[Entry], *given: Any, **named: Any) -> Standing:
        read.append(len(newest_first))
        return standing(newest_first, *given, **named)

    monkeypatch.setattr(seen, "standing", counting)
    for letter in letters:
        await world.run(world.redrive(letter))
    assert decided(world) == [(number, "assigned") for number in range(1, 12)]
    await world.run(*map(world.redrive, letters))
    assert [audited(one) for one in world.outcomes[-10:]] == [["job.redriven_before"]] * 10
    assert max(read) == 3


async def test_a_timeout_counts_from_the_redrive_and_an_absolute_deadline_stays(world: World) -> None:
    span = await failed(world, timeout_s=30)
    instant = world.failed(assigned(await world.run(world.job(chat("a2", deadline="2026-11-22T12:01:00Z")))))
    world.clock.turn(120)
    await world.run(world.redrive(span), world.redrive(instant))
    assert decided(world)[2:] == [(2, "assigned"), (2, "expired")]
    (result,) = world.on(RESULTS.name)
    assert (result["job_id"], result["submission"], result["status"]) == ("a2", 2, "expired")


async def test_a_redrive_is_cancelled_by_a_wish_about_its_own_submission_alone(world: World) -> None:
    first, second = await failed(world), await failed(world, "a2")
    world.cancel("a1", submission=1)
    world.cancel("a2", submission=2)
    await world.run(world.redrive(first), world.redrive(second))
    assert decided(world)[2:] == [(2, "assigned"), (2, "cancelled")]


# forged


async def refused(world: World, record: Record) -> tuple[list[str], str]:
    await world.run(record)
    done = world.outcomes[-1]
    return audited(done), done.audit[0].detail["redrive_refused"]


async def test_a_claim_that_is_not_true_counts_for_nothing(world: World) -> None:
    letter = await failed(world)
    other = world.failed(assigned(await world.run(world.job(chat("a2")))))
    here, there = (b"%d/%d" % (one.partition, one.offset) for one in (letter, other))
    cut = world.log.append(Outgoing(DLQ.name, None, letter.value, (*letter.headers, (headers.KEPT, b"1 of 2 bytes"))))
    junk = [
        world.log.append(Outgoing(DLQ.name, None, value, letter.headers))
        for value in (
            None, b"", b"[]", b"3", b"\xff", b'{"job":[],"submission":1}', b'{"job":{},"submission":"x"}',
            b'{"job":{"id":"a1"},"submission":%d}' % 2**63, b"[" * 400,
        )
    ]  # fmt: skip

    async def claimed(place: bytes, **more: Any) -> tuple[list[str], str]:
        return await refused(world, world.job(chat(**more), headers=((headers.REDRIVE, place),)))

    assert await claimed(there) == (["job.duplicate"], "the dead letter is another job's")
    assert await claimed(here, text="changed") == (["job.conflict"], "the dead letter's job has other content")
    for gone in (b"9/0", b"0/99", b"1/99", b"999999999999999999/0"):
        assert await claimed(gone) == (["job.duplicate"], "there is no such dead letter")
    assert await claimed(b"%d/%d" % (cut.partition, cut.offset)) == (
        ["job.duplicate"], "the dead letter was cut and is not whole",
    )  # fmt: skip
    for one in junk:
        actions, _ = await claimed(b"%d/%d" % (one.partition, one.offset))
        assert actions == ["job.duplicate"]
    assert decided(world) == [(1, "assigned"), (1, "assigned")]


async def test_a_claim_on_a_new_job_that_is_not_true_leaves_it_a_new_job(world: World) -> None:
    letter = await failed(world)
    place = b"%d/%d" % (letter.partition, letter.offset)
    actions, why = await refused(world, world.job(chat("new"), headers=((headers.REDRIVE, place),)))
    assert (actions, why) == (["job.assigned"], "the dead letter is another job's")
    assert decided(world) == [(1, "assigned"), (1, "assigned")]


@pytest.mark.parametrize("forged", [b"", b"1", b"a/b", b"-1/0", b"0/0/0", b"\xff", b"0/" + b"9" * 40])
async def test_a_claim_that_names_no_place_is_none(world: World, forged: bytes) -> None:
    await failed(world)
    await world.run(world.job(chat(), headers=((headers.REDRIVE, forged),)))
    assert audited(world.outcomes[-1]) == ["job.duplicate"]
    assert "redrive_refused" not in world.outcomes[-1].audit[0].detail


async def test_a_job_that_is_refused_is_not_driven_again(world: World) -> None:
    letter = await failed(world)
    bad = {"id": "a1", "task": 3, "input": {}}
    claim = ((headers.REDRIVE, b"%d/%d" % (letter.partition, letter.offset)),)
    done = await world.handle(world.job(bad, headers=claim))
    assert isinstance(done, GiveUp)
    assert done.kind == FailureKind.CONFLICT
    assert done.audit[0].detail["redrive_refused"] == "the job is refused as it stands"


async def test_a_redrive_needs_no_room_among_the_headers_of_its_job(world: World) -> None:
    many = tuple((f"h{n}", b"v") for n in range(headers.MAX_HEADERS))
    letter = await failed(world)
    record = world.redrive(letter)
    full = world.log.append(Outgoing(JOBS.name, record.key, record.value, (*many, *record.headers), record.partition))
    await world.run(full)
    assert decided(world) == [(1, "assigned"), (2, "assigned")]


# a log that cannot be read


async def test_dead_letters_that_cannot_be_read_hold_a_job_up_for_a_moment_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = await failed(world)
    looks = 0
    bounds = world.log.bounds

    async def broken(topic: str, partition: int) -> tuple[int, int]:
        nonlocal looks
        if topic == DLQ.name:
            looks += 1
            raise ConnectionError
        return await bounds(topic, partition)

    monkeypatch.setattr(world.log, "bounds", broken)
    assert await refused(world, world.redrive(letter)) == (
        ["job.duplicate"], "the dead letter could not be read: ConnectionError",
    )  # fmt: skip
    assert looks == LOOKS
    monkeypatch.undo()
    await world.run(world.redrive(letter))
    assert decided(world)[-1] == (2, "assigned"), "asked for again it is done"


async def test_a_router_that_may_not_read_dead_letters_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = await failed(world)

    async def forbidden(topic: str) -> int:
        raise NotReadable(topic)

    await world.lane()
    monkeypatch.setattr(world.log, "partitions", forbidden)
    assert await refused(world, world.redrive(letter)) == (
        ["job.duplicate"], "the router may not read the dead letters",
    )  # fmt: skip


# many


async def test_dead_letters_driven_again_in_their_order_are_read_many_at_once(world: World) -> None:
    written = await world.run(*(world.job(chat(f"a{n}")) for n in range(300)))
    letters = [world.failed(one) for one in written if one.topic == TEXT.name]
    world.log.reads, fetches, read = 0, 0, world.log.read

    def counted(*where: Any) -> Any:
        nonlocal fetches
        fetches += 1
        return read(*where)

    world.log.read = counted  # type: ignore[method-assign]
    await world.run(*(world.redrive(letter) for letter in letters))
    assert [one for one, _ in decided(world)] == [1] * 300 + [2] * 300
    assert world.log.reads <= 300 + 2 * MOST_AHEAD
    assert fetches < 30


async def test_large_dead_letters_are_read_one_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.letters.AHEAD_BYTES", 2_000)
    letters = [await failed(world, f"a{n}", text="x" * 2_000) for n in range(8)]
    world.log.reads = 0
    for letter in reversed(letters):
        await world.run(world.redrive(letter))
    assert world.log.reads == len(letters)
    assert [one for one, _ in decided(world)] == [1] * 8 + [2] * 8


async def test_a_flood_of_forged_claims_is_looked_at_no_more_after_a_hundred(world: World) -> None:
    letter = await failed(world)
    for n in range(MOST_KNOWN):
        world.log.append(Outgoing(DLQ.name, None, b"%d" % n, (), letter.partition))
    world.log.reads = 0
    for n in range(FALSE_CLAIMS + 20):
        place = b"%d/%d" % (letter.partition, n * 7 + 1)
        await world.handle(world.job(chat(), headers=((headers.REDRIVE, place),)))
    assert world.outcomes[-1].audit[0].detail["redrive_refused"] == "too many claims were false in the last minute"
    assert all(audited(one) == ["job.duplicate"] for one in world.outcomes[1:])
    world.clock.turn(61)
    await world.run(world.redrive(letter))
    assert decided(world)[-1] == (2, "assigned")
