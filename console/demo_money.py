"""What the demonstration shows of money: a quote, a small hard budget that holds, and what a result says of both."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console import answers
from console.exits import CommandError, Exit
from console.kafka import Log
from console.words import count, money
from schemas import codec
from schemas.failure import FailureKind

Results = Mapping[str, Mapping[str, Any]]

BUDGET = "tiny"
LIMIT_NANOUSD = 20_000
LIMIT = "0.00002"
"""In dollars: enough for some of the jobs."""
ASKED = (
    "Name a bird.", "Name a fish.", "Name a tree.", "Name a river.", "Name a colour.", "Name a metal.",
    "Name a city.", "Name a fruit.", "Name a month.", "Name a flower.", "Name a planet.", "Name a game.",
)  # fmt: skip


def jobs(tenant: str) -> list[dict[str, Any]]:
    """Short questions, more than the budget pays for."""
    return [
        {
            "id": f"thrifty-{number}",
            "tenant": tenant,
            "task": "chat-completion",
            "input": {"messages": [{"role": "user", "content": text}], "max_tokens": 24},
        }
        for number, text in enumerate(ASKED, 1)
    ]


def written(folder: Path, made: Sequence[Mapping[str, Any]]) -> Path:
    """The jobs as a file of lines. Raises `CommandError`."""
    path = folder / "thrifty.jsonl"
    try:
        path.write_bytes(b"".join(codec.encode(job) + b"\n" for job in made))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", Exit.USAGE) from None
    return path


async def results_of(
    log: Log, since: dict[int, int], tenant: str, number: int, within_s: float
) -> dict[str, dict[str, Any]]:
    """The results of so many jobs of a tenant, by id. Raises `CommandError`."""
    found: dict[str, dict[str, Any]] = {}
    try:
        async with asyncio.timeout(within_s):
            async for record in answers.results_after(log, since, answers.of_tenant(tenant)):
                result = answers.document(record)
                found[str(result.get("job_id"))] = result
                if len(found) >= number:
                    break
    except TimeoutError:
        raise CommandError(f"{len(found)} of {number} results within {within_s:g} s", Exit.NOT_MET) from None
    return found


def told(results: Results) -> list[str]:
    """What became of the jobs, what of the budget was spent, and one result's money."""
    kinds = Counter(_kind(one) for one in results.values())
    done = next((one for one in results.values() if one["status"] == "succeeded"), None)
    lines = [
        f"a hard budget of {money(LIMIT_NANOUSD)}: {count(len(results), 'job')} published, {kinds['succeeded']} done, "
        f"{kinds[FailureKind.OVER_BUDGET.value]} refused in time, spent {money(spent(results))}"
    ]
    return lines if done is None else [*lines, f"one of them, {done['job_id']}: {answers.paid(dict(done))}"]


def not_shown(results: Results) -> list[str]:
    """What was promised of it and did not come to pass; empty when all did."""
    kinds = Counter(_kind(one) for one in results.values())
    missing = [
        f"{number} jobs of the small budget ended as {kind}" for kind, number in kinds.items() if kind not in GOOD
    ]
    if spent(results) > LIMIT_NANOUSD:
        missing.append(f"of a budget of {LIMIT_NANOUSD} nano-dollars {spent(results)} were spent")
    missing += [f"no job of the small budget {GOOD[kind]}" for kind in GOOD if not kinds[kind]]
    whole = ("quoted_nanousd", "reserved_nanousd", "paid_nanousd", "priced_by")
    for one in results.values():
        if one["status"] == "succeeded" and any((one.get("money") or {}).get(name) is None for name in whole):
            missing.append(f"{one['job_id']} does not say what was quoted, reserved and paid, and who priced it")
    return missing


def spent(results: Results) -> int:
    """Nano-dollars that all of them cost."""
    return sum(int(one["cost_nanousd"]) for one in results.values())


GOOD = {"succeeded": "was done", FailureKind.OVER_BUDGET.value: "was refused"}


def _kind(result: Mapping[str, Any]) -> str:
    return "succeeded" if result["status"] == "succeeded" else str((result.get("error") or {}).get("kind"))
