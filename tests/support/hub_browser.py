"""The Model Hub's pages in a browser: over the explorer's afternoon, a hub in memory, and a Kafka whose worker answers
at once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from console_world import MemoryLog
from explorer_story import Told
from explorer_world import Explorer, explorer
from hub_world import BERT, DISTILBERT, ROBERTA, MemoryHub, endpoint, eval_run, ruled

from runtime.ports import Outgoing
from schemas.discovery import Interval
from schemas.topics import JOBS, RESULTS

ADDRESSES = {
    "hub": "/hub", "hub search": "/hub?q=bert&task=fill-mask", "hub nothing": "/hub?q=nothing-like-it",
    "hub model": f"/hub/model/{BERT}", "hub compare": f"/hub/compare?m={BERT}&m={ROBERTA}&m={DISTILBERT}",
    "hub recommend": "/hub/recommend?q=classify+mails+for+commercial+use", "hub insights": "/hub/insights",
    "hub registry": "/hub/registry", "hub endpoints": "/hub/endpoints", "hub discovery": "/hub/discovery",
}  # fmt: skip
"""A page of each kind."""


def expected(value: float, unit: Any) -> Interval:
    """A prediction around a value."""
    return Interval(value=value, low=value * 0.8, high=value * 1.4, unit=unit, source="predicted")


def filled() -> MemoryHub:
    """A hub with something to see on each page."""
    runs = [eval_run(BERT), eval_run(ROBERTA, 0.9), eval_run(DISTILBERT, 0.88)]
    runs.append(eval_run(BERT, run_id="bench-1", kind="bench", jobs_per_s=131.0, machine="2 cores of an EPYC"))
    known = {BERT: (45, 1_000_000), ROBERTA: (60, 1_400_000), DISTILBERT: (25, 700_000)}
    expectations: dict[str, tuple[Interval | None, Interval | None]] = {
        name: (expected(ms, "ms"), expected(cost, "nanousd")) for name, (ms, cost) in known.items()
    }
    return MemoryHub(all_runs=runs, all_endpoints=[endpoint()], told=ruled(), expectations=expectations,
                     removed={"licenses": 1_204, "max_bytes": 3}, partial=True)  # fmt: skip


def answering(output: Any = None) -> MemoryLog:
    """A Kafka whose jobs have results as soon as they are published."""

    def results(outgoing: Outgoing, place: tuple[int, int]) -> Iterable[Outgoing]:
        if outgoing.topic != JOBS.name:
            return []
        job = json.loads(outgoing.value or b"{}")
        said = [{"label": "POSITIVE", "score": 0.98}] if output is None else output
        result = {
            "job_id": job["id"], "tenant": job["tenant"], "status": "succeeded", "output": said, "cost_nanousd": 12_000,
            "received": {"topic": JOBS.name, "partition": place[0], "offset": place[1]}, "trace_id": "ab" * 16,
            "served": {"model": job.get("model", "auto"), "provider": "local"}, "task": job["task"],
        }  # fmt: skip
        key = f"{job['tenant']}/{job['id']}".encode()
        return [Outgoing(RESULTS.name, key, json.dumps(result).encode())]

    return MemoryLog(on_publish=results)


@contextmanager
def hub_explorer(told: Sequence[Told], folder: Path, hub: MemoryHub, log: MemoryLog) -> Iterator[Explorer]:
    """The pages, until the block ends."""

    @asynccontextmanager
    async def connection() -> Any:
        yield log

    with explorer(told, folder, hub=hub, log=connection) as shown:
        yield shown
