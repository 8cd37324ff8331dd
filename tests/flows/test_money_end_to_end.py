"""From an organisation's event to its line on the provider's bill: router, worker and the readers of money together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import worker_world
from money_log import account
from router_world import MemoryLog, World, chat
from worker_world import completion, result_of

from console.money import lanes
from console.money.balance import Balance
from console.money.bill import Bill, Billed
from console.money.joined import Ended
from console.money.reading import read
from console.money.reconcile import Reconciler, ours_of
from console.money.statement import Statement
from runtime.partitions import home_partition
from runtime.ports import Record
from schemas.accounts import Budget, Organisation, Tenant
from schemas.topics import TEXT

SAID = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class AsLog:
    """The router world's log as the console reads it."""

    memory: MemoryLog

    def reader(self) -> MemoryLog:
        return self.memory

    async def find_since(self, topic: str, partition: int, timestamp_ms: int) -> int:
        rows = self.memory.records.get((topic, partition), [])
        _, end = await self.memory.bounds(topic, partition)
        return next((row.offset for row in rows if row.timestamp_ms >= timestamp_ms), end)


async def test_what_a_tenant_has_done_is_billed_to_its_organisation_and_every_reader_says_the_same(
    tmp_path: Path,
) -> None:
    """A15, B213: the event of `novix org create` becomes X-HF-Bill-To of the call; its cost is found by each sum."""
    routed = World(tmp_path, partition=home_partition("acme", 3))
    accounts = routed.app.state.accounts
    for offset, event in enumerate((
        Organisation(at=SAID, organisation="org", bill_to="acme-inc"),
        Tenant(at=SAID, tenant="acme", organisation="org"),
        Budget(at=SAID, tenant="acme", id="all", limit_nanousd=1_000_000_000),
    )):  # fmt: skip
        out = account(event)
        accounts.fold(Record(out.topic, 0, offset, out.key, out.value, (), 0))
    await routed.run(routed.job(chat(tenant="acme", team="red", metadata={"project": "x"}), tenant="acme"))
    [assigned] = [record for record in routed.published if record.topic == TEXT.name]

    worked = worker_world.world(
        worker_world.answer(completion("Honey.", prompt_tokens=9, completion_tokens=2)),
        egress_hosts="http://127.0.0.1:9", sandbox_url="http://127.0.0.1:9", hf_router_url="http://127.0.0.1:9",
    )  # fmt: skip
    worked.clock.turn_to(routed.clock.now())
    done = await worked.run(assigned)
    result = result_of(done)
    routed.clock.turn(2)
    routed.log.commit(worked.lane.seal(list(done.facts), 100_000), int(routed.clock.now().timestamp() * 1_000))

    assert [request.headers["x-hf-bill-to"] for request in worked.script.requests] == ["acme-inc"]
    assert result.cost_nanousd > 0
    statement, balance = Statement(("team", "tag:project")), Balance()
    ends: list[Ended] = []

    def take(ended: Ended) -> None:
        statement.add(ended)
        balance.ended(ended)
        ends.append(ended)

    log = AsLog(routed.log)
    books = await read(log, accounts, take)
    line = (await lanes.lines(log, accounts, ["acme"], routed.clock.now()))["acme", "all"]

    assert (books.open, books.repeated, books.strangers, balance.faults()) == ([], [], 0, [])
    assert {key: group.nanousd for key, group in statement.groups.items()} == {("red", "x"): result.cost_nanousd}
    assert (line.spent_nanousd, line.reserved_nanousd) == (result.cost_nanousd, 0)
    assert result.money is not None
    assert result.money.paid_nanousd == result.cost_nanousd
    assert result.money.reserved_nanousd == ends[0].entry.reserved_nanousd

    [attempt] = result.attempts
    at = attempt.started_at + timedelta(milliseconds=attempt.duration_ms)
    row = Billed(2, result.cost_nanousd, "", at, at, attempt.model, attempt.provider)
    reconciler = Reconciler(Bill((row,), 1, ()))
    for ours in ours_of(ends[0]):
        reconciler.add(ours)
    assert (reconciler.finish().agrees(), reconciler.found.matched["time"]) == (True, 1)
