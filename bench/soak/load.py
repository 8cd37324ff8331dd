"""What is asked for: chat plain and streamed, embeddings, jobs in order, tenants with and without money."""

import random
from dataclasses import dataclass, field
from typing import Any

from money_world import BUDGETS, DOLLAR, say
from ordeal import TENANTS, Ordeal
from system import chat

EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
VECTOR = [[0.25] * 16]
"""What the stub answers for it, whatever was asked."""
STREAMS, EMBEDDINGS, ORDERED, POOR = 0.15, 0.2, 0.1, 0.05
"""Shares of the jobs."""
PURSE_NANOUSD = 2_000_000
"""What the poor tenant may spend in all; then its jobs are refused."""
KEPT = 200
"""Jobs that may be published again."""


@dataclass
class Mixed(Ordeal):
    """A run whose jobs differ, drawn from a seed."""

    dice: random.Random = field(default_factory=random.Random)

    def prepare(self) -> None:
        """Budgets, and how the provider answers for the embedder. Before the processes start."""
        say(
            self.stranger,
            BUDGETS,
            kind="budget",
            id="purse",
            tenant="poor",
            window="total",
            limit_nanousd=PURSE_NANOUSD,
        )
        say(self.stranger, BUDGETS, kind="tenant", tenant="poor", over_limit="refuse")
        say(self.stranger, BUDGETS, kind="budget", id="wide", tenant="tenant-0", window="hour", limit_nanousd=DOLLAR)
        self.system.stub("/admin/behave", {"model": EMBEDDER, "answer": VECTOR, "delay_ms": 30})

    def publish(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """So many more jobs."""
        first = len(self.wanted)
        jobs = [self._job(number) | more for number in range(first, first + count)]
        self.wanted += [(job["tenant"], job["id"], 1) for job in jobs]
        # Not the poor tenant's: a rejected id that is sent again is a submission of its own.
        self._jobs = [*self._jobs, *(job for job in jobs if job["tenant"] != "poor")][-KEPT:]
        self.stranger.publish(*jobs)
        return jobs

    def _job(self, number: int) -> dict[str, Any]:
        tenant = "poor" if self.dice.random() < POOR else f"tenant-{number % TENANTS}"
        chance = self.dice.random()
        text = f"Question {number}: " + "what do bees make? " * self.dice.randint(1, 40)
        if chance < EMBEDDINGS:
            told: dict[str, Any] = {"task": "feature-extraction", "model": EMBEDDER, "input": {"inputs": text[:400]}}
            return {"id": f"job-{number}", "tenant": tenant, **told}
        more: dict[str, Any] = {}
        if chance < EMBEDDINGS + STREAMS:
            more["stream"] = True
        elif chance < EMBEDDINGS + STREAMS + ORDERED:
            more["ordering_key"] = f"line-{self.dice.randrange(8)}"
        return chat(f"job-{number}", tenant=tenant, text=text, **more)
