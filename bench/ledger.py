"""What money costs a router: CPU of purse, reserve and ledger a job, of opening a lane, and of a snapshot.

`python -m bench ledger`, without Kafka: the log is in memory, one tenant has three budgets, each call is charged once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figure import Figure, median
from router.accounts import Accounts
from router.money.books import Books
from runtime.ports import LaneId, Record
from schemas import codec
from schemas.accounts import AccountRecord, Budget, Tenant
from schemas.decision import Reserve
from schemas.job import InferenceJob
from schemas.topics import BUDGETS, DECISIONS, JOBS, LEDGER, ROUTER_GROUP

NAME = "ledger"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LANE = LaneId(ROUTER_GROUP, JOBS.name, 0)
A_BATCH = 200
AT_ONCE = 500
SNAPSHOT_BYTES = 524_288


@dataclass
class Log:
    """Decisions and ledger of one home. Implements `LogReader`."""

    records: dict[str, list[Record]] = field(default_factory=dict)

    def add(self, topic: str, value: bytes) -> Record:
        """One record more."""
        known = self.records.setdefault(topic, [])
        known.append(Record(topic, 0, len(known), None, value, (), len(known)))
        return known[-1]

    async def bounds(self, topic: str, _: int) -> tuple[int, int]:
        return 0, len(self.records.get(topic, []))

    async def read(self, topic: str, _: int, start: int, end: int) -> AsyncIterator[Record]:
        for record in self.records.get(topic, [])[start:end]:
            yield record

    async def partitions(self, _: str) -> int:
        return 1


def measure(*, quick: bool) -> list[Figure]:
    """A job's way through the books, and a lane's opening."""
    rounds, count = (1, 2_000) if quick else (5, 20_000)
    accounts = _accounts()
    steps = [_steps(accounts, count) for _ in range(rounds)]
    figures = [
        Figure(NAME, f"{name}, CPU a job", median([one[name] for one in steps]), "us")
        for name in ("purse", "reserve", "ledger")
    ]
    total = median([sum(one.values()) for one in steps])
    figures.append(
        Figure(
            NAME,
            "all three",
            total,
            "us",
            "under 30",
            f"{count:,} jobs, {AT_ONCE} at a time in the books, 3 budgets each",
        )
    )
    return [*figures, *_opening(accounts, 10_000 if quick else 100_000)]


def _accounts() -> Accounts:
    accounts = Accounts()
    limit = 10**14
    for offset, event in enumerate(
        (
            Tenant(at=NOON, tenant="acme", time_zone="Europe/Berlin"),
            Budget(at=NOON, id="month", tenant="acme", limit_nanousd=limit),
            Budget(at=NOON, id="team", tenant="acme", window="day", team="red", limit_nanousd=limit),
            Budget(at=NOON, id="groq", tenant="acme", window="hour", provider="groq", limit_nanousd=limit),
        )
    ):
        accounts.fold(Record(BUDGETS.name, 0, offset, None, AccountRecord(event=event).encode(), (), 0))
    return accounts


def _steps(accounts: Accounts, count: int) -> dict[str, float]:
    """Microseconds a job of each step, for `count` jobs of which `AT_ONCE` are reserved at a time."""
    books = Books(accounts)
    spent = {"purse": 0.0, "reserve": 0.0, "ledger": 0.0}
    for first in range(0, count, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        asked = [_job(number) for number in numbers]
        decided = [_decision(accounts, number, Reserve(nanousd=1_000)) for number in numbers]
        ended = Record(LEDGER.name, 0, first, None, _ends(first, first + AT_ONCE), (), 0)
        began = time.process_time()
        for job, decision in zip(asked, decided, strict=True):
            books.purse(job, decision["decided_at"])
        looked = time.process_time()
        for decision in decided:
            books.reserve(decision)
        books.sealed([decision["decision_id"] for decision in decided], 1)
        noted = time.process_time()
        books.fold_ledger(ended)
        spent["ledger"] += time.process_time() - noted
        spent["reserve"] += noted - looked
        spent["purse"] += looked - began
    return {name: seconds / count * 1e6 for name, seconds in spent.items()}


def _opening(accounts: Accounts, count: int) -> list[Figure]:
    log = Log()
    for sequence, at in enumerate(range(0, count, A_BATCH), 1):
        decisions = [_decision(accounts, n, {"nanousd": 1_000}) for n in range(at, at + A_BATCH)]
        log.add(DECISIONS.name, codec.encode({"lane": str(LANE), "sequence": sequence, "decisions": decisions}))
        log.add(LEDGER.name, _ends(at, at + A_BATCH - 10))
    began = time.process_time()
    books, pause = asyncio.run(_opened(log, accounts))
    took = time.process_time() - began
    encoded: list[int] = []
    snapshot = _cpu_us(
        lambda: encoded.extend(len(one.value or b"") for one in books.snapshot(LANE, NOON, SNAPSHOT_BYTES))
    )
    still = books.describe()["open"]
    return [
        Figure(NAME, f"opening on {count:,} decisions and their ends, CPU", took, "s"),
        Figure(NAME, "longest pause of the loop meanwhile, CPU", pause * 1_000, "ms"),
        Figure(
            NAME, f"a snapshot with {still:,} open jobs, CPU", snapshot / 1_000, "ms", note=f"{sum(encoded):,} bytes"
        ),
    ]


async def _opened(log: Log, accounts: Accounts) -> tuple[Books, float]:
    """The books, and how much CPU another task had to wait for at most: other processes are no matter."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.process_time()
            await asyncio.sleep(0)
            longest = max(longest, time.process_time() - began)

    beating = asyncio.create_task(beat())
    books = await Books.open(LANE, log, accounts, NOON)
    beating.cancel()
    return books, longest


def _decision(accounts: Accounts, number: int, reserve: Any) -> dict[str, Any]:
    at = NOON + timedelta(milliseconds=number)
    return {
        "decision_id": f"{number:032x}", "tenant": "acme", "job_id": f"j{number}", "submission": 1,
        "verdict": "assigned", "versions": {"accounts": accounts.version}, "team": "red", "key_id": None,
        "metadata": {}, "deadline": at + timedelta(minutes=10), "decided_at": at, "reserve": reserve,
        "candidates": [
            {"model": model, "provider": "groq", "estimate_nanousd": 500, "ceiling_nanousd": 1_000}
            for model in ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct")
        ],
    }  # fmt: skip


def _job(number: int) -> InferenceJob:
    return InferenceJob.model_validate(
        {"id": f"j{number}", "task": "chat-completion", "input": {}, "tenant": "acme", "team": "red"}
    )


def _ends(first: int, beyond: int) -> bytes:
    charge = {
        "model": "meta-llama/Llama-3.1-8B-Instruct", "provider": "groq", "nanousd": 500, "source": "computed",
        "attempt": 1, "request_id": "req_0123456789abcdef", "usage": {"input_tokens": 10, "output_tokens": 20},
    }  # fmt: skip
    entries = [
        {
            "kind": "settle", "tenant": "acme", "job_id": f"j{number}", "submission": 1,
            "decision_id": f"{number:032x}", "reserved_nanousd": 1_000, "cost_nanousd": 500, "cost_source": "computed",
            "charges": [charge], "task": "chat-completion", "status": "succeeded", "waited_ms": 3, "called_ms": 400,
            "at": NOON,
        }
        for number in range(first, beyond)
    ]  # fmt: skip
    return codec.encode({"lane": "novix-worker-text.inference.text.v1.0", "entries": entries})


def _cpu_us(step: Callable[[], None]) -> float:
    began = time.process_time()
    step()
    return (time.process_time() - began) * 1e6
