"""What metrics cost: of each job in a worker and in a router, and of a scrape. CPU time of this process, no Kafka."""

import time
import timeit
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from bench.figure import Figure
from runtime.metrics import Metrics
from runtime.metrics.lanes import CountedLanes, Written
from runtime.metrics.routing import CountedRouting
from runtime.metrics.work import CountedWork, Ended
from schemas.result import Attempt

NAME = "metrics"
IN_A_TRANSACTION = 50


def measure(*, quick: bool) -> list[Figure]:
    """Each count as the engine, a worker and a router make it; the fastest of several rounds."""
    rounds, each = (3, 500) if quick else (9, 5_000)
    metrics = Metrics()
    lane = CountedLanes(metrics, "novix-worker-text", "inference.text.v1")
    work, routing = CountedWork(metrics), CountedRouting(metrics)
    attempt = Attempt(
        attempt=1, model="acme/chat", provider="groq", started_at=datetime.now(UTC), waited_ms=0, duration_ms=200,
        cost_nanousd=30,
    )  # fmt: skip
    usage, timing = {"input_tokens": 20, "output_tokens": 5}, {"total": 300, "queued": 4, "routed": 5}
    job = Ended("acme", "chat-completion", "succeeded", "", timing, (attempt,), (("slot", 0.1),), usage, 30)
    written = Written(
        Counter({"inference.results.v1": 50, "inference.ledger.v1": 1, "inference.audit.v1": 1}), Counter(),
        Counter({"job.succeeded": IN_A_TRANSACTION}), 200,
    )  # fmt: skip

    def worked() -> None:
        lane.settled(0.2)
        work.called("groq", "acme/chat", "ok")
        work.ended(job)
        work.released(5)

    def routed() -> None:
        lane.settled(0.001)
        routing.decided("assigned", None, "chat-completion", 50)

    def committed() -> None:
        lane.polled(IN_A_TRANSACTION, 0.1)
        lane.committed(IN_A_TRANSACTION, written, 0.01)

    def microseconds(what: Callable[[], object], times: int) -> float:
        return 1e6 * min(timeit.repeat(what, timer=time.process_time, number=times, repeat=rounds)) / times

    return [
        Figure(NAME, "a job of a worker, one call", microseconds(worked, each), "us"),
        Figure(NAME, "a job of a router", microseconds(routed, each), "us"),
        Figure(NAME, "a transaction of 50 records", microseconds(committed, each), "us"),
        Figure(NAME, "a scrape, few models", microseconds(lambda: metrics.page(""), max(5, each // 100)), "us"),
    ]
