"""The sandbox's Inference Endpoints on the wire: the shapes that were seen, states, refusals, what a caller meets, and
the bill. Time is turned by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from endpoints_world import BEGIN, MODEL, Clock

from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving

CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
BODY: dict[str, Any] = {
    "name": "small",
    "type": "authenticated",
    "provider": {"vendor": "aws", "region": "us-east-1"},
    "compute": {
        "accelerator": "gpu", "instanceType": "nvidia-l4", "instanceSize": "x1",
        "scaling": {"minReplica": 0, "maxReplica": 2, "scaleToZeroTimeout": 15, "measure": {"pendingRequests": 1.5}},
    },
    "model": {
        "repository": MODEL, "revision": None, "task": "text-generation", "framework": "pytorch", "env": {},
        "image": {"huggingface": {}}, "secrets": {"HUB": "hf_a_secret_of_mine"},
    },
}  # fmt: skip
ONE = "/v2/endpoint/acme/small"


class Here:
    def __init__(self, client: httpx.AsyncClient, clock: Clock, app: Any) -> None:
        self.client = client
        self.clock = clock
        self.fleet = next(route.endpoint.__self__.fleet for route in app.routes if route.path == "/v2/provider")

    async def create(self, **more: Any) -> httpx.Response:
        return await self.client.post("/v2/endpoint/acme", json=BODY | more)

    async def status(self) -> dict[str, Any]:
        return (await self.client.get(ONE)).json()["status"]

    async def running(self) -> str:
        """Create one, wait for it, and return its address."""
        assert (await self.create()).status_code == 202
        self.clock.at += timedelta(minutes=10)
        status = await self.status()
        assert status["state"] == "running"
        return status["url"]


@asynccontextmanager
async def here(folder: Path, token: str | None = None) -> AsyncIterator[Here]:
    clock = Clock()
    app = create_app(Options(state=folder, token=token), engines=Engines(ScriptedText()), clock=clock.now)
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer hf_test"}) as client,
    ):
        yield Here(client, clock, app)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Here], Coroutine[Any, Any, None]]], None]:
    def played(story: Callable[[Here], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            async with here(tmp_path) as one:
                await story(one)

        asyncio.run(run())

    return played


def test_an_endpoint_has_the_shape_that_was_seen_and_tells_no_secret(play):
    async def story(one: Here) -> None:
        made = await one.create()
        assert made.status_code == 202
        told = made.json()
        seen = {"name", "type", "accountId", "provider", "healthRoute", "compute", "model", "status"}
        assert seen <= told.keys()
        assert {
            "createdAt", "createdBy", "updatedAt", "updatedBy", "private", "state", "message", "readyReplica",
            "targetReplica",
        } <= told["status"].keys()  # fmt: skip
        assert told["status"]["state"] == "pending"
        assert told["status"]["message"] == "Endpoint waiting to be scheduled"
        assert "hf_a_secret_of_mine" not in made.text + (await one.client.get("/v2/endpoint/acme")).text

    play(story)


def test_its_states_follow_with_realistic_times(play):
    async def story(one: Here) -> None:
        await one.create()
        seen = [((await one.status())["state"], 0)]
        for second in range(0, 2_400, 5):
            one.clock.at = BEGIN + timedelta(seconds=second)
            state = (await one.status())["state"]
            if state != seen[-1][0]:
                seen.append((state, second))
        assert [state for state, _ in seen] == ["pending", "initializing", "running", "scaledToZero"]
        assert 120 <= seen[2][1] <= 300
        assert seen[3][1] - seen[2][1] == pytest.approx(900, abs=5)

    play(story)


def test_looking_rarely_sees_the_same_instants_as_looking_often(play):
    async def story(one: Here) -> None:
        await one.create()
        one.clock.at += timedelta(minutes=40)
        late = await one.status()
        assert late["state"] == "scaledToZero"
        bill = (await one.client.get("/admin/endpoints/bill")).json()
        lines = (await one.client.get(f"{ONE}/logs")).text.splitlines()
        instants = [line.split()[0] for line in lines]
        assert instants == sorted(instants)
        assert late["updatedAt"] == instants[-1]
        assert 15 <= bill["endpoints"][0]["replica_minutes"] <= 20

    play(story)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Has Capitals"}, "name"),
        ({"name": "x" * 33}, "name"),
        ({"type": "protected"}, "type"),
        ({"type": ["public"]}, "type"),
        ({"provider": {"vendor": "aws", "region": "mars-1"}}, "there is no"),
        ({"provider": None}, "provider"),
        ({"model": {"repository": MODEL, "task": None}}, "task"),
        ({"model": {**BODY["model"], "image": {"docker": {}}}}, "model.image"),
        ({"model": {**BODY["model"], "framework": "keras"}}, "model.framework"),
        ({"compute": {**BODY["compute"], "accelerator": "tpu"}}, "compute.accelerator"),
        ({"compute": {**BODY["compute"], "instanceType": "nvidia-l5"}}, "there is no"),
        ({"compute": {**BODY["compute"], "scaling": {"minReplica": 3, "maxReplica": 2}}}, "compute.scaling"),
        ({"compute": {**BODY["compute"], "scaling": {"scaleToZeroTimeout": 0}}}, "scaleToZeroTimeout"),
        ({"compute": {**BODY["compute"], "scaling": []}}, "compute.scaling"),
        ({"tags": [1]}, "tags"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_the_field(play, change: dict[str, Any], words: str):
    async def story(one: Here) -> None:
        refused = await one.create(**change)
        assert refused.status_code == 400
        assert words in refused.json()["error"]
        assert (await one.client.get("/v2/endpoint/acme")).json()["items"] == []

    play(story)


def test_what_cannot_be_done_in_a_state_is_refused(play):
    async def story(one: Here) -> None:
        await one.running()
        assert (await one.client.post(f"{ONE}/resume")).status_code == 400
        assert (await one.create()).status_code == 409
        assert (await one.client.post(f"{ONE}/pause")).json()["status"]["state"] == "paused"
        assert (await one.client.post(f"{ONE}/scale-to-zero")).status_code == 400
        assert (await one.client.post(f"{ONE}/resume")).status_code == 202
        assert (await one.client.delete(ONE)).status_code == 202
        assert (await one.client.get(ONE)).status_code == 404

    play(story)


def test_an_update_serves_until_the_new_replicas_are_there(play):
    async def story(one: Here) -> None:
        url = await one.running()
        updated = await one.client.put(ONE, json={"model": {"revision": "abc"}})
        assert (updated.status_code, updated.json()["status"]["state"]) == (202, "updating")
        assert updated.json()["model"]["repository"] == MODEL
        assert (await one.client.post(f"{url}/v1/chat/completions", json=CHAT)).status_code == 200
        assert (await one.client.put(ONE, json={"model": {"revision": "abd"}})).status_code == 400
        one.clock.at += timedelta(minutes=5)
        assert (await one.status())["state"] == "running"

    play(story)


def test_other_scaling_alone_replaces_no_replica(play):
    async def story(one: Here) -> None:
        await one.running()
        changed = await one.client.put(ONE, json={"compute": {"scaling": {"scaleToZeroTimeout": 60}}})
        assert changed.json()["status"]["state"] == "running"
        one.clock.at += timedelta(minutes=50)
        assert (await one.status())["state"] == "running"

    play(story)


def test_a_caller_of_one_that_sleeps_gets_503_at_once_and_wakes_it(play):
    async def story(one: Here) -> None:
        url = await one.running()
        await one.client.post(f"{ONE}/scale-to-zero")
        refused = await one.client.post(f"{url}/v1/chat/completions", json=CHAT)
        assert refused.status_code == 503
        assert (await one.status())["state"] == "pending"
        one.clock.at += timedelta(minutes=5)
        assert (await one.client.post(f"{url}/v1/chat/completions", json=CHAT)).status_code == 200

    play(story)


def test_a_caller_that_asks_to_be_held_is_held_until_it_has_started(play):
    async def story(one: Here) -> None:
        url = await one.running()
        await one.client.post(f"{ONE}/scale-to-zero")

        async def passes() -> None:
            for _ in range(100):
                await asyncio.sleep(0.02)
                one.clock.at += timedelta(seconds=10)

        time = asyncio.create_task(passes())
        held = await one.client.post(
            f"{url}/v1/chat/completions", json=CHAT, headers={"x-scale-up-timeout": "600"}, timeout=30
        )
        assert held.status_code == 200
        await one.client.post(f"{ONE}/scale-to-zero")
        short = await one.client.post(
            f"{url}/v1/chat/completions", json=CHAT, headers={"x-scale-up-timeout": "20"}, timeout=30
        )
        assert short.status_code == 503
        time.cancel()

    play(story)


def test_a_health_check_wakes_nobody_and_a_paused_one_refuses(play):
    async def story(one: Here) -> None:
        url = await one.running()
        assert (await one.client.get(f"{url}/health")).status_code == 200
        await one.client.post(f"{ONE}/scale-to-zero")
        assert (await one.client.get(f"{url}/health")).status_code == 503
        assert (await one.status())["state"] == "scaledToZero"
        await one.client.post(f"{ONE}/pause")
        refused = await one.client.post(url, json={"inputs": "x"})
        assert refused.status_code == 400
        assert "Invalid state: endpoint is paused" in refused.json()["error"]
        assert (await one.status())["state"] == "paused"

    play(story)


def test_its_models_answer_and_no_call_is_charged_for(play):
    async def story(one: Here) -> None:
        url = await one.running()
        chat = await one.client.post(f"{url}/v1/chat/completions", json=CHAT)
        assert chat.json()["choices"][0]["message"]["content"]
        text = await one.client.post(url, json={"inputs": "hello", "parameters": {"max_new_tokens": 4}})
        assert text.json()[0]["generated_text"]
        assert (await one.client.get("/admin/bill")).json()["count"] == 0
        bill = (await one.client.get("/admin/endpoints/bill")).json()
        minutes = bill["endpoints"][0]["replica_minutes"]
        assert bill["total_nanousd"] == -(-minutes * 800_000_000 // 60) > 0
        scraped = (await one.client.get(f"{ONE}/open-metrics")).text
        assert "endpoint_requests_total 2" in scraped
        assert scraped.endswith("# EOF\n")

    play(story)


def test_load_starts_a_second_replica_and_calm_stops_it(play):
    async def story(one: Here) -> None:
        await one.running()
        one.fleet.of("acme", "small").machine.in_flight = 5
        one.clock.at += timedelta(minutes=2)
        assert (await one.status())["targetReplica"] == 2
        one.clock.at += timedelta(minutes=5)
        assert (await one.status())["readyReplica"] == 2
        one.fleet.of("acme", "small").machine.in_flight = 1
        one.clock.at += timedelta(minutes=4)
        assert (await one.status())["targetReplica"] == 2  # 300 s of calm come first
        one.clock.at += timedelta(minutes=5)
        assert (await one.status())["targetReplica"] == 1

    play(story)


def test_without_a_machine_it_fails_and_with_too_many_it_is_refused(play):
    async def story(one: Here) -> None:
        await one.client.post("/admin/endpoints", json={"no_capacity": ["aws-us-east-1-nvidia-l4-x1"]})
        await one.create()
        one.clock.at += timedelta(minutes=5)
        assert (await one.status())["state"] == "pending"
        one.clock.at += timedelta(minutes=10)
        status = await one.status()
        assert (status["state"], "no capacity" in status["errorMessage"]) == ("failed", True)
        many = {**BODY["compute"], "scaling": {"maxReplica": 17}}
        refused = await one.create(name="many", compute=many)
        assert refused.status_code == 403
        assert "0 of 16 accelerators in use, 17 requested" in refused.json()["error"]
        assert (await one.client.get("/admin/endpoints/bill")).json()["total_nanousd"] == 0

    play(story)


def test_prices_need_no_token_and_endpoints_do(tmp_path: Path):
    async def run() -> None:
        async with here(tmp_path, token="hf_the_one") as one:
            anonymous = httpx.AsyncClient(base_url=one.client.base_url)
            assert (await anonymous.get("/v2/provider")).status_code == 200
            for method, path in (("GET", "/v2/endpoint/acme"), ("POST", "/v2/endpoint/acme"), ("DELETE", ONE)):
                assert (await anonymous.request(method, path)).status_code == 401
                assert (await one.client.request(method, path)).status_code == 401  # another token than the one
            await anonymous.aclose()

    asyncio.run(run())


def test_the_list_is_paged(play):
    async def story(one: Here) -> None:
        for number in range(5):
            await one.create(name=f"e{number}")
        first = (await one.client.get("/v2/endpoint/acme?limit=2")).json()
        second = (await one.client.get(f"/v2/endpoint/acme?limit=2&cursor={first['nextCursor']}")).json()
        names = [row["name"] for row in first["items"] + second["items"]]
        assert names == ["e0", "e1", "e2", "e3"]
        assert (await one.client.get("/v2/endpoint/acme?limit=0")).status_code == 400
        assert (await one.client.get("/v2/endpoint/nobody")).json() == {"items": []}

    play(story)
