"""The text worker against the local Hugging Face over a real socket: what we say it cost is what the bill says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from worker_world import TOKEN, assigned, candidate, result_of

from runtime.breaker import BreakerKey, Breakers
from runtime.clock import SystemClock
from runtime.credentials import Credentials
from runtime.http import Egress, HttpTransport
from runtime.limits import Limits
from runtime.outcome import RetryAt
from runtime.ports import Delivery
from runtime.settings import Settings
from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving
from schemas.assignment import Candidate, Price
from schemas.failure import FailureKind
from schemas.result import JobResult
from workers.worker import WorkerApplication, WorkerLane, Workshop

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
PRICE = Price(
    input_nanousd_per_million_tokens=20_000_000,
    output_nanousd_per_million_tokens=60_000_000,
    source="novix-sandbox",
    as_of="2026-11-22",
)


class Wire:
    """A worker, the local Hugging Face that it calls, and that one's admin routes."""

    def __init__(self, lane: WorkerLane, admin: httpx.AsyncClient) -> None:
        self.lane, self.admin = lane, admin

    async def run(self, job: dict[str, Any], dialect: str = "hf-router") -> JobResult:
        """Do one job; what has to wait waits for real."""
        now = datetime.now(UTC)
        record = assigned(self.offer(dialect), job=job, deadline=now + timedelta(seconds=60))
        delivery = Delivery(record, now)
        while isinstance(outcome := await self.lane.handle(delivery), RetryAt):
            await asyncio.sleep(max(0.0, (outcome.when - datetime.now(UTC)).total_seconds()))
            delivery = Delivery(record, now, delivery.attempt + 1, outcome.memo)
        return result_of(outcome)

    async def spoil(self, action: dict[str, Any], **match: Any) -> None:
        (await self.admin.post("/admin/faults", json={"match": match, "action": action})).raise_for_status()

    async def bill(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.admin.get("/admin/bill/entries")).json()["entries"]
        return entries

    def offer(self, dialect: str) -> Candidate:
        at = str(self.admin.base_url).rstrip("/")
        return candidate(
            model=SMALL, provider_model=SMALL, provider="hf-inference", dialect=dialect, base_url=at, price=PRICE
        )


@asynccontextmanager
async def wired(tmp_path: Path, token: str = TOKEN) -> AsyncIterator[Wire]:
    settings = Settings(hf_token=SecretStr(token), backoff_factor_s=0.001)
    limits: Limits[BreakerKey] = Limits(8)
    app = create_app(Options(state=tmp_path, token=TOKEN), engines=Engines(ScriptedText()))
    async with (
        serving(app) as url,
        HttpTransport(Egress([url])) as transport,
        httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as admin,
    ):
        shop = Workshop(
            settings, transport, Credentials(value=settings.hf_token), limits, Breakers(), SystemClock(), lambda: 0.5
        )
        yield Wire(WorkerLane(WorkerApplication(shop)), admin)


def chat(**more: Any) -> dict[str, Any]:
    return {"input": {"messages": [{"role": "user", "content": "Say hello to me"}], **more}}


async def test_chat_plain_and_streamed_and_generation_cost_what_the_bill_says(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        plain = await wire.run(chat())
        streamed = await wire.run(chat(stream=True))
        generated = await wire.run(
            {"task": "text-generation", "input": {"inputs": "Once upon a time"}}, dialect="hf-inference"
        )
        entries = await wire.bill()

    results = [plain, streamed, generated]
    assert [result.status for result in results] == ["succeeded"] * 3
    assert plain.output["choices"][0]["message"] == streamed.output["choices"][0]["message"]
    assert plain.usage["output_tokens"] == streamed.usage["output_tokens"] > 0
    assert "first_token" in streamed.timing_ms
    assert "first_token" not in plain.timing_ms
    assert generated.output["generated_text"]
    assert all(result.served is not None and result.served.provider == "hf-inference" for result in results)
    assert [result.cost_nanousd for result in results] == [entry["cost_nanousd"] for entry in entries]
    assert [result.attempts[0].request_id for result in results] == [entry["inference_id"] for entry in entries]
    assert {entry["trace"] for entry in entries} == {"acme/a1"}
    assert {result.cost_source for result in results} == {"computed"}


async def test_a_refused_rate_is_waited_for_and_billed_once(tmp_path: Path) -> None:
    async with wired(tmp_path) as wire:
        await wire.spoil({"kind": "rate_limit", "retry_after": "1"}, first=1)
        result = await wire.run(chat())
        entries = await wire.bill()

    assert [attempt.kind for attempt in result.attempts] == [FailureKind.RATE_LIMITED, None]
    assert result.attempts[1].waited_ms >= 1_000
    assert result.cost_nanousd == sum(entry["cost_nanousd"] for entry in entries)
    assert len(entries) == 1


async def test_a_wrong_token_is_told_as_one_and_not_shown(tmp_path: Path) -> None:
    async with wired(tmp_path, token="hf_anotherTokenThatIsWrong") as wire:
        result = await wire.run(chat())

    assert result.error is not None
    assert (result.error.kind, result.error.upstream_status) == (FailureKind.UNAUTHORIZED, 401)
    assert "hf_another" not in result.model_dump_json()
