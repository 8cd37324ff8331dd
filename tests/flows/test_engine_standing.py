"""The lane engine in virtual time: an offset that was set without what stands beside it."""

import asyncio
import json
from dataclasses import replace

from engine_story import log_of, told
from sim_log import SimLog, SimMember
from sim_world import Process, SimApp, SimHandler, World, publish

from runtime.outcome import Outcome, Publish
from runtime.ports import Delivery, Position
from runtime.progress import ANEW, decode
from runtime.showing import shown
from runtime.standing import may_reopen
from schemas.audit import AuditEntry
from schemas.topics import AUDIT


async def audited(handler: SimHandler, delivery: Delivery) -> Outcome:
    """Published, and told of in the lane's audit chain: that is the lane's history."""
    done = publish(delivery.record)
    assert isinstance(done, Publish)
    return replace(done, audit=(AuditEntry(at=delivery.arrived_at, action="job.succeeded"),))


async def put_back(log: SimLog, metadata: str) -> Process:
    """A lane does four records and leaves; somebody sets its offset to 2, with this beside it; a successor comes."""
    world = World(log, SimApp(audited))
    await world.join()
    await world.all_committed()
    await world.process.stop()
    log.positions[0] = Position(2, metadata)
    log._before.clear()
    successor = Process(log, world.group, SimApp(audited), "one")
    await world.join()
    await asyncio.sleep(5)
    return successor


@told
async def test_a_lane_without_work_commits_where_it_begins_once_and_no_later_opening_searches_the_audit_for_it():
    log = log_of(0)
    world = World(log, SimApp())
    await world.join()
    await world.until(lambda: world.engine.ready)
    position = log.positions[0]
    known = decode(position.offset, position.metadata)
    assert (position.offset, known.sequence, known.custody) == (0, 1, "")
    assert b'"action":"lane.taken"' in (log.written[AUDIT.name][0].value or b"")
    await world.process.kill()

    del log.written[AUDIT.name][0]  # a search would take this for a first start, and begin a second chain
    successor = Process(log, world.group, SimApp(), "one")
    await world.join()
    await world.until(lambda: successor.engine.ready)

    assert (log.positions[0], log.commits, len(log.written[AUDIT.name])) == (position, 1, 0)
    await asyncio.wait_for(successor.stop(), 30)


@told
async def test_an_offset_without_what_stood_beside_it_stops_a_lane_that_has_worked_before():
    log = log_of(4)
    successor = await put_back(log, "")

    assert "what stood beside its committed offset 2 is gone" in (successor.engine.runners[0].stopped or "")
    assert log.results.total() == 4, "done again in silence"
    await asyncio.wait_for(successor.stop(), 30)


@told
async def test_whoever_writes_anew_beside_an_offset_has_all_above_it_done_again():
    log = log_of(4)
    successor = await put_back(log, ANEW)

    assert successor.engine.runners[0].stopped is None
    assert log.results == {b"0-0": 1, b"0-1": 1, b"0-2": 2, b"0-3": 2}
    await asyncio.wait_for(successor.stop(), 30)


@told
async def test_a_lane_waits_as_long_as_an_older_position_is_answered_than_its_audit_chain_has_seen():
    log = log_of(4)
    world = World(log, SimApp(audited))
    await world.join()
    await world.all_committed()
    older = log.positions[0]
    for number in range(3):
        log.append(0, b"later-%d" % number)
    await world.all_committed()
    await world.process.stop()
    newest, log.positions[0] = log.positions[0], older
    log._before.clear()
    successor = Process(log, world.group, SimApp(audited), "one")
    await world.join()
    await asyncio.sleep(30)

    runner = successor.engine.runners[0]
    assert runner.lane is None
    assert not successor.engine.ready
    assert "knows of 2 audit batches, and its chain has 3" in (runner.hindrance or "")
    assert shown(runner, successor.engine._clock.now())["reason"] == runner.hindrance
    assert log.results.total() == 7, "done again"

    log.positions[0] = newest
    log.append(0, b"last")
    await asyncio.sleep(30)
    assert runner.hindrance is None
    assert runner.lane is not None
    assert log.results.total() == 8
    assert max(log.results.values()) == 1
    await asyncio.wait_for(successor.stop(), 30)


@told
async def test_whoever_begins_anew_goes_on_with_the_audit_chain_and_may_be_followed():
    log = log_of(4)
    successor = await put_back(log, ANEW)
    await asyncio.wait_for(successor.stop(), 30)
    third = Process(log, successor.group, SimApp(audited), "one")
    log.append(0, b"last")
    await asyncio.sleep(0)
    await third.group.rebalance({"one": [0]})
    await asyncio.sleep(30)

    batches = [json.loads(record.value or b"") for record in log.written[AUDIT.name]]
    assert [batch["sequence"] for batch in batches] == list(range(1, len(batches) + 1))
    assert log.results[b"last"] == 1
    await asyncio.wait_for(third.stop(), 30)


class Moving(SimMember):
    """A member whose group begins its next generation while a heartbeat is on its way."""

    async def heartbeat(self) -> bool:
        self.generation += 1
        return True

    def held(self) -> set[int]:
        return {0}


@told
async def test_a_lane_is_not_opened_again_in_a_generation_that_began_while_the_heartbeat_was_answered():
    """The partition may be somebody else's in it: to open would fence the rightful owner."""
    member, closing = Moving(World(log_of(1), SimApp()).group, "one"), asyncio.Event()
    opening = asyncio.ensure_future(may_reopen(member, 0, member.generation, 0, closing))
    await asyncio.sleep(30)
    closing.set()

    assert await opening is False
