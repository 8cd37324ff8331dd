"""Results as records, and a world of what was measured, for the suites of what Novix knows of models."""

from datetime import timedelta

import pytest
from console_world import NOON, Story, ms

from console.hub.known import World
from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from router.catalogue import load
from runtime.ports import Record
from runtime.settings import Settings
from schemas import codec
from schemas.topics import RESULTS

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def result(number, *, model=LLAMA, provider="groq", call_ms=100, calls=1, cost=1_000, tenant="acme", status="succeeded",
           task="chat-completion", usage=None):  # fmt: skip
    """One job's result as a record of its topic, completed `number` seconds after noon."""
    story = Story(job_id=f"{model}-{number}", tenant=tenant, began=NOON + timedelta(seconds=number), offset=number)
    told = codec.decode(story.result.encode())
    document = {
        **told, "status": status, "task": task, "served": {"model": model, "provider": provider},
        "attempts": [told["attempts"][-1]] * calls, "cost_nanousd": cost,
        "timing_ms": {"total": call_ms + 50, "calling": call_ms},
        "usage": {"input_tokens": 10, "output_tokens": 5} if usage is None else usage,
    }  # fmt: skip
    if status != "succeeded":
        document["served"] = None
    return (RESULTS.name, 0, number, ms(NOON) + number * 1_000, codec.encode(document))


@pytest.fixture
def explored(tmp_path):
    """A store, an index over it, and an hour and a half past noon as the time."""
    store = Store(tmp_path / "x.sqlite", now_ms=lambda: ms(NOON))
    index = Index(tmp_path / "x.sqlite")
    yield store, index
    index.close()
    store.close()


def fill(store, *records):
    store.add([facts_of(*record) for record in records])


class Clock:
    """Turned by hand."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def record(topic, offset, value, key=b""):
    return Record(topic.name, 0, offset, key, value, (), ms(NOON))


def world_of(index=None):
    return World(load(Settings()), index, now=lambda: NOON + timedelta(hours=1))
