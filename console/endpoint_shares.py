"""Whose an endpoint's bill is: what it has cost, cut up among the jobs that it did, by the ledger's calls."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from console.exits import CommandError
from console.kafka import Log
from router.prices.dedicated import provider_of
from router.prices.replicas import Allocation, allocate
from runtime.ports import Record
from schemas.endpoints import EndpointState
from schemas.ledger import LedgerBatch
from schemas.topics import LEDGER

MOST_JOBS = 1_000_000
"""That one endpoint's bill is cut up among; they are held in memory."""

Job = tuple[str, str, int]
"""Tenant, id, submission."""


@dataclass
class Calls:
    """Time in calls to one endpoint, by job: a fold of the ledger. Total; an entry that is told again counts once."""

    provider: str
    ms: dict[Job, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """By job and decision."""
    whole: bool = True
    """False: the ledger has lost its beginning by its retention."""

    def fold(self, record: Record) -> None:
        """Take in one record of the ledger. Raises `CommandError` beyond `MOST_JOBS`."""
        try:
            batch = LedgerBatch.model_validate_json(record.value or b"")
        except ValidationError:
            return
        for entry in batch.entries:
            taken = [max(0, call.duration_ms) for call in entry.calls if call.provider == self.provider]
            if taken:
                self.ms[entry.tenant, entry.job_id, entry.submission][entry.decision_id] = sum(taken)
        if len(self.ms) > MOST_JOBS:
            raise CommandError(f"more than {MOST_JOBS} jobs were done by {self.provider}: too many to cut a bill up")

    def by_job(self) -> dict[str, int]:
        """`tenant/id/submission` -> milliseconds."""
        return {f"{tenant}/{job}/{nth}": sum(ms.values()) for (tenant, job, nth), ms in self.ms.items()}


@dataclass(frozen=True)
class Shares:
    """A bill and whose it is. Money in nano-dollars."""

    bill: int
    cut: Allocation
    whole: bool

    @property
    def tenants(self) -> Mapping[str, tuple[int, int]]:
        """Each tenant's part and number of jobs, the largest first."""
        found: dict[str, tuple[int, int]] = {}
        for job, part in self.cut.jobs.items():
            tenant = job.partition("/")[0]
            before = found.get(tenant, (0, 0))
            found[tenant] = before[0] + part, before[1] + 1
        return dict(sorted(found.items(), key=lambda one: (-one[1][0], one[0])))


def shares_of(state: EndpointState, calls: Calls) -> Shares | None:
    """The endpoint's bill so far, its idle time with it, by time in calls; None: a price was unknown while it ran."""
    bill = state.costs.total_nanousd if state.costs.since is not None else 0
    return None if bill is None else Shares(bill, allocate(bill, calls.by_job()), calls.whole)


async def calls_of(log: Log, state: EndpointState) -> Calls:
    """The ledger's calls to an endpoint, as far as the topic still has them."""
    calls, reader = Calls(provider_of(state.spec)), log.reader()
    for partition in range(await reader.partitions(LEDGER.name)):
        first, end = await reader.bounds(LEDGER.name, partition)
        calls.whole &= first == 0
        async for record in reader.read(LEDGER.name, partition, first, end):
            calls.fold(record)
    return calls
