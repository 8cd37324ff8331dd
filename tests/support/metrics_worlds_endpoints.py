"""The same for the controller of dedicated endpoints."""

from datetime import timedelta
from typing import Any, cast

from endpoints_world import Clock, state_of
from metrics_worlds import Moved, scraped
from metrics_worlds_work import OF_NO_LANE

from hub.endpoints.controller import Controller
from runtime.health import observe
from runtime.metrics import Metrics
from runtime.ports import Record
from schemas.decision import Decision, DecisionBatch
from schemas.endpoints import CostMetrics, LogCounts
from schemas.topics import DECISIONS


def woken() -> Moved:
    """An endpoint that slept serves; a job has waited a minute for it; the list of a namespace cannot be read."""
    metrics, clock = Metrics(), Clock()
    controller = Controller(cast(Any, None), cast(Any, None), clock)
    state = {"commands": {"lanes": [], **OF_NO_LANE}}
    observe(
        metrics, "endpoints", lambda: {"commands": state["commands"] | controller.describe()}, lambda: True,
        lambda: True,
    )  # fmt: skip
    controller.states["acme/small"] = state_of()
    assert "novix_endpoint_status" not in scraped(metrics)  # who does not own the orders tells none
    controller.owner = True
    before = scraped(metrics)
    costs = CostMetrics(nanousd_per_hour=800_000_000, total_nanousd=1_500_000_000)
    controller.states["acme/small"] = state_of(
        "running", ready=True, url="https://small.test", ready_replicas=2, target_replicas=3, costs=costs,
        cold_start_s=180, running_revision="a" * 40, newest_revision="b" * 40, logs=LogCounts(lines=9, errors=3),
    )  # fmt: skip
    told = {
        "decision_id": "d", "tenant": "default", "job_id": "j", "submission": 1, "digest": "", "task": "x",
        "verdict": "assigned", "candidates": [{"provider": "endpoint.small"}], "decided_at": clock.at,
        "received": {"topic": "inference.jobs.v1", "partition": 0, "offset": 0, "timestamp_ms": 0},
    }  # fmt: skip
    batch = DecisionBatch(lane="l", decisions=[Decision.model_validate(told)])
    controller.waiting.decided(Record(DECISIONS.name, 0, 0, b"", batch.encode(), (), 0))
    clock.at += timedelta(minutes=1)
    controller.faults["list acme"] = "status 500"
    return Moved(before, scraped(metrics))
