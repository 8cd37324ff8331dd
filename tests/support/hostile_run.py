"""What the tests of a provider that does its worst share: jobs as a router would assign them, and what came of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hostile import PREFIX, HostileProvider
from stranger import TOKEN, Found, Stranger
from system import Process
from verdict import Evidence, Verdict, judge

from schemas.assignment import AssignedJob, Assignment, Candidate, Price
from schemas.job import InferenceJob
from schemas.result import Received
from schemas.topics import JOBS, TEXT, TOPICS

IN_FLIGHT = 96
DEADLINE_S = 8.0
"""Of the calls that hang: nothing else ends them."""
PATIENT_S = 40.0
"""Of all others: each ends by what it is."""
ANSWERS_MB = 64
"""Of answers in memory at once (NOVIX_MAX_IN_FLIGHT_BYTES): two of the largest there may be."""
MEMORY_MB = 420
"""Of the process at its worst: 100 when idle, the answers, one of 32 MiB decoded (as much again for its text, and for
the copy that is held against the schema), 64 KiB that each of the calls may hold uncounted, and what the allocator
keeps. Without bounds it would be gigabytes: each bomb alone is 300 MB."""
PROMPT = "the-canary-prompt-that-nobody-may-repeat"
HANGS = ("drip-head", "drip-status", "drip-body", "drip-1xx", "drip-sse", "drip-words")


def assigned(
    name: str, url: str, *, stream: bool = False, timeout: timedelta | None = None
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """A record for the worker: `name` is the job's id, and what stands before a `#` the model that it asks."""
    now = datetime.now(UTC)
    model = PREFIX + name.partition("#")[0]
    job_input: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    job = {"id": name, "tenant": "t", "task": "chat-completion", "model": model, "input": job_input}
    InferenceJob.model_validate(job)
    price = Price(output_nanousd_per_million_tokens=1_000, source="test", as_of="2026-11-22")
    candidate = Candidate(
        model=model, provider="auto", provider_model=model, dialect="hf-router", base_url=url, price=price,
        max_in_flight=IN_FLIGHT, estimate_nanousd=1, ceiling_nanousd=5,
    )  # fmt: skip
    assignment = Assignment(
        candidates=[candidate], parameters={"max_tokens": 16}, max_cost_nanousd=10**9, decision_id="0" * 32,
        deadline=now + (timeout or timedelta(seconds=DEADLINE_S if name in HANGS else PATIENT_S)),
    )  # fmt: skip
    received = Received(topic=JOBS.name, partition=0, offset=0, timestamp_ms=int(now.timestamp() * 1000))
    envelope = AssignedJob(submission=1, job=job, assignment=assignment, received=received, routed_at=now)
    return f"t/{name}".encode(), envelope.encode(), []


def peak_mb(process: Process) -> int:
    """The most memory that a process ever had (VmHWM)."""
    assert process.child is not None
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@dataclass
class Aftermath:
    novix: Stranger
    provider: HostileProvider
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    """Ids in the order in which the results were read."""
    written: list[str] = field(default_factory=list)
    """Ids of all jobs, in their order."""

    def write(self, *records: tuple[bytes, bytes, list[tuple[str, bytes]]]) -> None:
        self.novix.write(list(records), topic=TEXT.name)
        self.written += [(key or b"").decode().partition("/")[2] for key, _, _ in records]

    def job(self, name: str, **more: Any) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        return assigned(name, self.provider.url, **more)

    def until(self, *names: str) -> dict[str, dict[str, Any]]:
        """Wait for these results."""

        def there(found: list[Found]) -> bool:
            for one in found[len(self.order) :]:
                document = one.json
                assert document["job_id"] not in self.results, "a second result"
                self.results[document["job_id"]] = document
                self.order.append(document["job_id"])
            return set(names) <= set(self.results)

        self.novix.until(there, 60)
        return {name: self.results[name] for name in names}

    def verdict(self) -> Verdict:
        """What the offline checker says of all that was written so far, once it is quiet. There was no router."""
        self.until(*self.written)
        self.novix.quiet()
        evidence = Evidence(
            wanted=[("t", name, 1) for name in self.written],
            records=self.novix.read(*(topic.name for topic in TOPICS)),
            calls=list(self.provider.traces),
            may_repeat=0,
            secrets=[TOKEN.encode()],
            peaks={"MiB of worker": (peak_mb(self.novix.system.worker), MEMORY_MB)},
            alone=True,
            routed=False,
        )
        return judge(evidence)
