"""`novix cancel` on a real broker: wherever the job is, only the lane that holds it ends it."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import pytest
from stranger import Found, Stranger, installation
from system import chat

from novix import Client, Connection
from schemas.topics import AUDIT, CONTROL, RETRY_TIERS, TEXT

STALLED = "google/gemma-4-31B-it"
LIMITED = "Qwen/Qwen3-32B"
WITHIN_S = 60


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation of its own: its processes come and go."""
    with installation(
        broker.bootstrap, tmp_path_factory.mktemp("cancel"), NOVIX_BREAKER="false", NOVIX_READ_TIMEOUT_S="60"
    ) as stranger:
        yield stranger


def behave(novix: Stranger, model: str, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": model, **how})


def until(reached: Callable[[], object]) -> None:
    """Wait for what another process does and tells nobody."""
    end = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.1)


def records(novix: Stranger, tenant: str, *topics: str) -> list[Found]:
    return [found for found in novix.read(*topics) if (found.key or b"").startswith(f"{tenant}/".encode())]


def calls(novix: Stranger, tenant: str, job_id: str) -> int:
    return novix.system.calls()[f"{tenant}/{job_id}"]


def cancelled(result: dict) -> bool:
    return (result["status"], result["error"]["kind"]) == ("cancelled", "cancelled")


def test_a_job_is_cancelled_before_it_is_routed_and_while_its_worker_is_down(novix: Stranger, tenant: str):
    """A job each: one meets a router that was down, one a worker that was down."""
    novix.system.worker.terminate()
    novix.publish(chat("assigned", tenant))
    until(lambda: records(novix, tenant, TEXT.name))
    novix.system.router.terminate()
    novix.publish(chat("unrouted", tenant), chat("goes-on", tenant))
    wishes = [
        json.loads(novix.cli("cancel", name, "--tenant", tenant, "--json").stdout) for name in ("assigned", "unrouted")
    ]
    for process in novix.system.processes:
        process.start()

    assert [wish["state"] for wish in wishes] == ["it is on its way", "it has not been routed yet"]
    assert cancelled(novix.result("assigned", tenant))
    assert cancelled(novix.result("unrouted", tenant))
    assert novix.result("goes-on", tenant)["status"] == "succeeded"
    assert (calls(novix, tenant, "assigned"), calls(novix, tenant, "unrouted")) == (0, 0)
    assert {found.key for found in records(novix, tenant, TEXT.name)} == {
        f"{tenant}/assigned".encode(),
        f"{tenant}/goes-on".encode(),
    }
    assert len(novix.results_of(tenant)) == 3


def test_a_job_that_waits_in_a_retry_topic_is_cancelled_long_before_it_is_due(novix: Stranger, tenant: str):
    behave(novix, LIMITED, status=429, headers={"retry-after": "50"})
    novix.publish(chat("resting", tenant, model=LIMITED))
    until(lambda: records(novix, tenant, *(tier.name for _, tier in RETRY_TIERS)))

    told = json.loads(novix.cli("cancel", "resting", "--tenant", tenant, "--wait", "--timeout", "30", "--json").stdout)

    assert cancelled(told["result"])
    assert [attempt["kind"] for attempt in told["result"]["attempts"]] == ["rate_limited"]
    assert calls(novix, tenant, "resting") == 1
    entries = [entry for found in novix.read(AUDIT.name) for entry in found.json["entries"]]
    mine = [entry for entry in entries if entry.get("tenant") == tenant]
    assert [entry["detail"].get("cancelled") for entry in mine if entry["action"] == "job.returned"] == [True]
    assert any("novix cancel by " in json.dumps(entry["detail"]) for entry in mine)


def test_a_running_call_is_aborted(novix: Stranger, tenant: str):
    """The stub never answers: it only sees that the connection goes."""
    behave(novix, STALLED, stall=True)
    novix.publish(chat("running", tenant, model=STALLED))
    until(lambda: novix.system.stub("/admin/stats")["in_flight"] == 1)

    async def cancel() -> None:
        async with Client(Connection(bootstrap=novix.bootstrap, prefix=novix.named(""))) as client:
            await client.cancel("running", tenant=tenant, by="a test")

    asyncio.run(cancel())

    result = novix.result("running", tenant)
    assert cancelled(result)
    [attempt] = result["attempts"]
    assert attempt["ambiguous"] is True
    assert result["cost_nanousd"] == attempt["cost_nanousd"] > 0
    until(lambda: novix.system.stub("/admin/stats")["in_flight"] == 0)
    assert novix.run(chat("next", tenant))["status"] == "succeeded"


def test_a_job_that_has_ended_stays_as_it_is(novix: Stranger, tenant: str):
    result = novix.run(chat("over", tenant))

    refused = novix.cli("cancel", "over", "--tenant", tenant, expect=1)
    assert "has ended as succeeded" in refused.stderr
    assert records(novix, tenant, CONTROL.name) == []

    novix.cli("cancel", "over", "--tenant", tenant, "--force")
    assert novix.results_of(tenant) == [result]
