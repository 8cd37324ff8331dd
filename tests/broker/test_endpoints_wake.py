"""Dedicated endpoints on a real broker: orders, a job that waits for a sleeping endpoint, the wake, the answer."""

import asyncio
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from stranger import TOKEN, Stranger, novix
from system import PARTITIONS, Process, System, settings_for

from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving
from schemas.topics import AUDIT, ENDPOINT_COMMANDS, ENDPOINTS

pytestmark = pytest.mark.broker

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
STARTS = 0.03
"""Of the real time: a GPU's endpoint starts in some six seconds."""
WITHIN_S = 90


@contextmanager
def sandbox(state: Path) -> Iterator[str]:
    """The sandbox's Hugging Face in a thread of its own; its chat model repeats what it is asked."""
    ready, stop = threading.Event(), threading.Event()
    told: list[str] = []

    async def serve() -> None:
        app = create_app(Options(state=state, endpoint_starts=STARTS), engines=Engines(ScriptedText()))
        async with serving(app) as url:
            told.append(url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield told[0]
    finally:
        stop.set()
        thread.join()


@dataclass
class World:
    """One installation on one sandbox."""

    stranger: Stranger
    url: str
    controller: Process


@pytest.fixture(scope="module")
def world(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Router, worker and controller as processes, on a sandbox whose endpoints start quickly."""
    folder, prefix = tmp_path_factory.mktemp("endpoints"), f"t-{uuid.uuid4().hex[:8]}."
    with sandbox(folder / "hf") as url:
        more = {
            "NOVIX_HF_HUB_URL": url, "NOVIX_SANDBOX_URL": url, "NOVIX_ENDPOINTS_URL": url,
            "NOVIX_ENDPOINTS_POLL_S": "0.3", "NOVIX_PARTITIONS": str(PARTITIONS), "NOVIX_LOG_LEVEL": "info",
        }  # fmt: skip
        settings, environment = settings_for(broker.bootstrap, prefix, folder / "home", url, **more)
        novix("topics", "create", "--partitions", str(PARTITIONS), environment=environment)
        system = System(settings, environment, url, logs=folder)
        controller = system.process(("-m", "console", "endpoints", "run"), "endpoints")
        system.start()
        controller.start()
        stranger = Stranger(system, folder)
        try:
            end = time.monotonic() + WITHIN_S
            while not all(one.health()[0] == 200 for one in (*system.processes, controller)):
                assert time.monotonic() < end, [(one.name, one.health()) for one in (*system.processes, controller)]
                time.sleep(0.2)
            yield World(stranger, url, controller)
        finally:
            controller.stop()
            system.stop()
            stranger.close()


def run(stranger: Stranger, *arguments: str, expect: int | None = 0) -> Any:
    done = novix("endpoints", *arguments, "--json", environment=stranger.system.environment, expect=expect)
    return json.loads(done.stdout)


def create(stranger: Stranger, name: str, *more: str, expect: int | None = 0) -> Any:
    return run(
        stranger, "create", f"acme/{name}", "--model", MODEL, "--task", "text-generation",
        "--instance", "nvidia-l4/x1", *more, expect=expect,
    )  # fmt: skip


def states_of(stranger: Stranger, name: str) -> list[dict[str, Any]]:
    """Everything that the topic tells of it, the newest last."""
    return [found.json for found in stranger.read(ENDPOINTS.name) if found.key == f"acme/{name}".encode()]


def state_of(stranger: Stranger, name: str) -> dict[str, Any]:
    """As the topic has it last."""
    told = states_of(stranger, name)
    return told[-1] if told else {"status": None, "ready": False}


def until(stranger: Stranger, name: str, status: str) -> dict[str, Any]:
    end = time.monotonic() + WITHIN_S
    while True:
        state = state_of(stranger, name)
        if state["status"] == status:
            return state
        assert time.monotonic() < end, state
        time.sleep(0.2)


def until_it_served(stranger: Stranger, name: str) -> None:
    """It ran and was ready, now or before: on a slow machine it sleeps again before anybody looks."""
    end = time.monotonic() + WITHIN_S
    while not any(state["status"] == "running" and state["ready"] for state in states_of(stranger, name)):
        assert time.monotonic() < end, state_of(stranger, name)
        time.sleep(0.2)


def job(number: int, tenant: str = "default", *, name: str = "sleeper", timeout_s: float = 80.0) -> dict[str, Any]:
    return {
        "id": f"{name}-{number}", "tenant": tenant, "task": "chat-completion", "model": MODEL,
        "provider": f"endpoint.{name}", "timeout_s": timeout_s, "max_cost_nanousd": 10**9,
        "input": {"messages": [{"role": "user", "content": f"count to {number}"}], "max_tokens": 4},
    }  # fmt: skip


def test_jobs_for_an_endpoint_that_sleeps_wake_it_are_served_and_it_sleeps_again(world: World):
    stranger = world.stranger
    run(stranger, "quota", "--tenant", "default", "--most", "3", "--per-hour", "10")
    assert create(stranger, "sleeper", "--sleep-after", "3")["outcome"] == "done"
    until_it_served(stranger, "sleeper")
    until(stranger, "sleeper", "scaledToZero")
    jobs = [job(number) for number in range(6)]

    stranger.publish(*jobs)
    results = [stranger.result(one["id"], "default") for one in jobs]

    assert [one["status"] for one in results] == ["succeeded"] * 6, results
    assert {one["served"]["provider"] for one in results} == {"endpoint.sleeper"}
    assert {len(one["attempts"]) for one in results} == {1}  # nobody failed first
    state = until(stranger, "sleeper", "scaledToZero")
    assert state["woken_for"] == 6
    assert state["measured"]["succeeded"] == 6
    commands = [found.json for found in stranger.read(ENDPOINT_COMMANDS.name)]
    own = [one["action"] for one in commands if one["name"] == "sleeper" and one["by"] == "novix-endpoints"]
    assert own == ["scale_to_zero", "resume", "scale_to_zero"]


def test_a_job_that_a_start_cannot_help_is_refused_at_once_and_so_is_a_tenant_whose_tier_has_none(world: World):
    stranger = world.stranger
    until(stranger, "sleeper", "scaledToZero")
    novix("tenant", "set", "plain", "--tier", "standard", environment=stranger.system.environment)
    time.sleep(2)  # a tier is in force within two seconds

    late, plain = job(100, timeout_s=4.0), job(101, "plain")
    stranger.publish(late, plain)

    refused = stranger.result(late["id"], "default", within_s=10)
    assert (refused["status"], refused["error"]["kind"]) == ("rejected", "too_slow"), refused
    refused = stranger.result(plain["id"], "plain", within_s=10)
    assert (refused["status"], refused["error"]["kind"]) == ("rejected", "not_approved"), refused
    assert state_of(stranger, "sleeper")["status"] == "scaledToZero"  # neither woke it


def test_a_controller_that_is_killed_while_jobs_wait_wakes_once_when_it_is_back(world: World):
    stranger = world.stranger
    until(stranger, "sleeper", "scaledToZero")
    before = len(wakes(stranger))
    world.controller.kill()
    jobs = [job(number) for number in range(200, 203)]
    stranger.publish(*jobs)
    time.sleep(3)
    assert state_of(stranger, "sleeper")["status"] == "scaledToZero"  # nobody is there to wake it, and no job did

    world.controller.start()

    assert {stranger.result(one["id"], "default")["status"] for one in jobs} == {"succeeded"}
    assert len(wakes(stranger)) == before + 1
    until(stranger, "sleeper", "scaledToZero")


def wakes(stranger: Stranger) -> list[dict[str, Any]]:
    return [one for one in (found.json for found in stranger.read(ENDPOINT_COMMANDS.name)) if one["action"] == "resume"]


def test_every_decision_about_an_endpoint_is_made_again_byte_for_byte(world: World):
    done = novix("replay", "--json", environment=world.stranger.system.environment)
    told = json.loads(done.stdout)
    assert told["same"] == told["decisions"] > 8, told


def test_what_was_done_is_in_the_audit_and_the_bill_agrees_and_no_token_is_anywhere(world: World):
    stranger = world.stranger
    assert run(stranger, "delete", "acme/sleeper", "--why", "the test ends")["outcome"] == "done"
    entries = [entry for found in stranger.read(AUDIT.name) for entry in found.json["entries"]]
    ours = [entry for entry in entries if entry["action"] == "endpoint.commanded"]
    assert {entry["detail"]["action"] for entry in ours} == {"create", "resume", "scale_to_zero", "delete"}
    assert ours[-1]["detail"]["why"] == "the test ends"
    assert ours[-1]["authority"].startswith("operator:novix endpoints delete by")
    bill = json.loads(urllib.request.urlopen(f"{world.url}/admin/endpoints/bill", timeout=10).read())  # noqa: S310
    costs = state_of(stranger, "sleeper")["costs"]
    assert bill["total_nanousd"] > 0
    assert costs["total_nanousd"] == bill["total_nanousd"], (costs, bill)
    assert stranger.leaks(TOKEN) == []
