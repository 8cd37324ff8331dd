"""A router lane whose held records end where a test sees it, and which is told of ended jobs by hand."""

import json
from pathlib import Path
from typing import Any

from router_world import START, World, chat

from runtime.outcome import Hold, Publish
from runtime.ports import Delivery, Lease, Outgoing, Record
from schemas.accounts import AccountRecord, Budget, Tenant
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.topics import BUDGETS, LEDGER, RESULTS, TEXT


class Lane:
    """A lane whose held records end here, as the engine has it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.world = World(home, **settings)
        self.ended: dict[int, Any] = {}
        self.leases: dict[int, Lease] = {}

    async def give(self, job: dict[str, Any]) -> int:
        """Publish and hand over one job; its offset."""
        return await self.hand(self.world.job(job))

    async def hand(self, record: Record) -> int:
        """Hand over a record that was published; its offset."""
        lease = Lease(end=lambda outcome: self.ended.setdefault(record.offset, outcome))
        self.leases[record.offset] = lease
        outcome = await (await self.world.lane()).handle(Delivery(record, self.world.clock.now(), lease=lease))
        if not isinstance(outcome, Hold):
            self.ended[record.offset] = outcome
        return record.offset

    def look(self) -> None:
        self.world.app.pumps[self.world.partition].look()

    def tell(self, event: Budget | Tenant) -> None:
        record = self.world.log.append(Outgoing(BUDGETS.name, None, AccountRecord(event=event).encode(), (), 0))
        self.world.app.state.accounts.fold(record)

    def end(self, offset: int, cost: int) -> None:
        """The job's worker tells its end."""
        assigned = self.sent(offset)
        entry = LedgerEntry(
            kind="settle" if cost else "release", tenant="default", job_id=assigned["job"]["id"],
            submission=assigned["submission"], decision_id=assigned["assignment"]["decision_id"],
            reserved_nanousd=assigned["assignment"]["reserved"]["nanousd"], cost_nanousd=cost, cost_source="computed",
            charges=[{"model": "m", "provider": "p", "nanousd": cost, "source": "computed", "attempt": 1}] if cost
            else [], status="succeeded", at=self.world.clock.now(), called_ms=5,
        )  # fmt: skip
        batch = LedgerBatch(lane="w", entries=[entry])
        record = self.world.log.append(Outgoing(LEDGER.name, b"", batch.encode(), (), self.world.partition))
        self.world.app.pumps[self.world.partition].hear(record)
        self.look()

    def sent(self, offset: int) -> dict[str, Any]:
        """The assigned job."""
        outcome = self.ended[offset]
        assert isinstance(outcome, Publish)
        told: dict[str, Any] = json.loads(outcome.records[0].value or b"")
        assert outcome.records[0].topic == TEXT.name, told.get("error")
        return told

    def refusal(self, offset: int) -> str:
        outcome = self.ended[offset]
        assert outcome.records[0].topic == RESULTS.name
        return str(json.loads(outcome.records[0].value)["error"]["kind"])


def budget(limit: int, **more: Any) -> Budget:
    return Budget(at=START, id="b", tenant="default", window="total", limit_nanousd=limit, **more)


async def reserved_by_one(home: Path, text: str = "Hi") -> int:
    lane = Lane(home / "probe")
    lane.tell(budget(10**12))
    return int(lane.sent(await lane.give(chat("probe", text=text)))["assignment"]["reserved"]["nanousd"])
