"""The breaker on the whole system: a provider that failed three times is left alone, then asked once."""

import uuid
from collections.abc import Iterator

import pytest
from stranger import Found, Stranger, installation
from system import chat

SICK = "openai/gpt-oss-20b"
HEALTHY = "Qwen/Qwen3-32B"
WAITING = 8


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """One installation: each job is tried once, and an open breaker lets a trial call through after two seconds."""
    folder = tmp_path_factory.mktemp("breaker")
    with installation(broker.bootstrap, folder, NOVIX_MAX_RETRIES="0", NOVIX_BREAKER_RESET_S="2") as stranger:
        yield stranger


def statuses(novix: Stranger, tenant: str) -> list[int]:
    """What the provider answered to this tenant's calls, in order."""
    return [status for trace, status in novix.system.stub("/admin/calls") if trace.startswith(f"{tenant}/")]


def test_three_failures_open_it_and_one_trial_call_decides_whether_it_closes(novix: Stranger):
    tenant = f"team-{uuid.uuid4().hex[:8]}"

    def job(job_id: str, **more: object) -> dict:
        return chat(job_id, tenant, model=SICK, provider="groq", **more)

    novix.system.stub("/admin/behave", {"model": SICK, "status": 503})
    assert [novix.run(job(f"fails-{number}"))["error"]["kind"] for number in range(3)] == ["overloaded"] * 3

    # Open: who cannot wait until it lets a call through is told so, and nobody is called.
    refused = novix.run(job("cannot-wait", timeout_s=0.5))
    assert (refused["status"], refused["error"]["kind"]) == ("failed", "breaker_open")
    assert refused["attempts"] == []
    assert refused["cost_nanousd"] == 0
    assert statuses(novix, tenant) == [503] * 3

    # Half-open: of many that wait, one is let through; it fails, and the others wait on.
    waiting = [f"waits-{number}" for number in range(WAITING)]
    novix.publish(*map(job, waiting))

    def ended(results: list[Found]) -> list[Found]:
        return [found for found in results if (found.key or b"").startswith(f"{tenant}/waits-".encode())]

    [trial] = ended(novix.until(lambda results: bool(ended(results))))
    assert trial.json["error"]["kind"] == "overloaded"
    assert statuses(novix, tenant) == [503] * 4

    # The next trial succeeds, it closes, and everybody is served.
    novix.system.stub("/admin/behave", {"model": SICK, "status": 200})
    results = ended(novix.until(lambda results: len(ended(results)) == WAITING))
    assert sum(found.json["status"] == "succeeded" for found in results) == WAITING - 1
    assert statuses(novix, tenant) == [503] * 4 + [200] * (WAITING - 1)


def test_one_sick_model_keeps_no_other_waiting(novix: Stranger):
    tenant = f"team-{uuid.uuid4().hex[:8]}"
    novix.system.stub("/admin/behave", {"model": SICK, "status": 503})
    for number in range(3):
        novix.run(chat(f"fails-{number}", tenant, model=SICK, provider="fireworks-ai"))
    novix.publish(chat("waits", tenant, model=SICK, provider="fireworks-ai", timeout_s=1))
    other = novix.run(chat("served", tenant, model=HEALTHY))

    assert other["status"] == "succeeded"
    assert novix.result("waits", tenant)["error"]["kind"] == "breaker_open"
    novix.system.stub("/admin/behave", {"model": SICK, "status": 200})
