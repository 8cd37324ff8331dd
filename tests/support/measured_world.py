"""A router and workers in one function, for the commands that measure models: what each answers, and at what cost."""

from collections.abc import Callable
from typing import Any

from console_world import MemoryLog, Story

from runtime.ports import Outgoing
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.topics import CATALOG, EVALS, JOBS, RESULTS

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen3-32B"
Answer = Callable[[dict[str, Any]], dict[str, Any] | None]
"""A job to what its result says beside its identity; None: no result comes."""


def answering(answer: Answer) -> Callable[[Any, tuple[int, int]], list[Outgoing]]:
    """For `MemoryLog.on_publish`."""

    def on_publish(record: Any, place: tuple[int, int]) -> list[Outgoing]:
        if record.topic != JOBS.name:
            return []
        asked = codec.decode(record.value)
        said = answer(asked)
        if said is None:
            return []
        story = Story(job_id=asked["id"], tenant=asked["tenant"], status=said.pop("status", "succeeded"))
        attempt = codec.decode(story.result.encode())["attempts"][-1:]
        document = {
            **codec.decode(story.result.encode()),
            "task": asked["task"],
            "attempts": attempt,
            "served": {"model": asked["model"], "provider": "hf-inference"},
            "received": {"topic": JOBS.name, "partition": place[0], "offset": place[1], "timestamp_ms": 0},
            **said,
        }
        key = f"{asked['tenant']}/{asked['id']}".encode()
        return [Outgoing(RESULTS.name, key, codec.encode(document))]

    return on_publish


def jobs_on(log: MemoryLog) -> list[dict[str, Any]]:
    """The jobs that were published, partition by partition."""
    return [codec.decode(one.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for one in rows]


def runs_on(log: MemoryLog) -> list[dict[str, Any]]:
    """The runs that were kept."""
    return [codec.decode(one.value) for (topic, _), rows in log.records.items() if topic == EVALS.name for one in rows]


def catalogue(log: MemoryLog, *models: str, **told: Any) -> None:
    """Entries on the catalogue's topic."""
    for model in models:
        entry = CatalogEntry.model_validate(
            {"id": model, "task": "chat-completion", "tasks": ["chat-completion"], **told}
        )
        log.append(Outgoing(CATALOG.name, entry.key.encode(), entry.encode()))
