"""What it costs to know what was observed of models: `python -m bench.known [JOBS]`, 100,000 jobs of 300 models."""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench.world import machine
from console.hub.observed import FRESH_S, Observed
from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from schemas import codec
from schemas.topics import RESULTS

JOBS, MODELS, TENANTS, AT_A_TIME = 100_000, 300, 20, 500


def result(number: int, now_ms: int) -> bytes:
    """A result as a worker writes it, of one call."""
    model = {"model": f"org/model-{number % MODELS}", "provider": "groq"}
    call = {**model, "attempt": 1, "started_at": "2026-11-22T12:00:00Z", "waited_ms": 0, "duration_ms": number % 900}
    return codec.encode({
        "schema": 1, "job_id": f"j{number}", "tenant": f"t{number % TENANTS}", "submission": 1, "status": "succeeded",
        "task": "chat-completion", "asked": {"model": "auto", "provider": "auto"}, "served": model, "attempts": [call],
        "usage": {"input_tokens": 400 + number % 100, "output_tokens": 60}, "cost_nanousd": 1_000 + number % 50,
        "timing_ms": {"total": number % 900 + 30, "calling": number % 900},
        "received": {"topic": "inference.jobs.v1", "partition": 0, "offset": number, "timestamp_ms": now_ms},
        "completed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_ms / 1_000)),
    })  # fmt: skip


def timed(name: str, work: Callable[[], object]) -> None:
    """Do it and say how long it took."""
    began = time.perf_counter()
    work()
    sys.stdout.write(f"{name:44} {(time.perf_counter() - began) * 1_000:9.2f} ms\n")


def main(jobs: int) -> None:
    """Fill an explorer's memory and ask it."""
    now_ms = time.time_ns() // 1_000_000
    sys.stdout.write(f"{machine()}; {jobs:,} jobs of {MODELS} models\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.sqlite"
        with closing(Store(path)) as store, closing(Index(path)) as index:
            for start in range(0, jobs, AT_A_TIME):
                some = range(start, min(jobs, start + AT_A_TIME))
                store.add([facts_of(RESULTS.name, 0, at, now_ms, result(at, now_ms)) for at in some])
            observed = Observed(index)

            def every() -> None:
                for model in observed.models():
                    observed.speed(model)

            timed(f"all {MODELS} models, the first time", every)
            timed(f"all {MODELS} models, again", every)
            store.add([facts_of(RESULTS.name, 0, jobs, now_ms, result(jobs, now_ms))])
            time.sleep(FRESH_S)
            timed(f"all {MODELS} models, one result later", every)
            timed("a tenant's mix", lambda: observed.mix("t3"))
            with closing(sqlite3.connect(path)) as file:
                [size] = file.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'job_by_model'").fetchone()
            sys.stdout.write(f"{'index job_by_model':44} {size / jobs:9.1f} bytes a job\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS)
