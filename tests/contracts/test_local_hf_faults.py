"""Faults on demand, as a raw client on a socket sees them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
CHAT = "/v1/chat/completions"
BODY = {"model": SMALL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}


class Sandbox:
    """A running local Hugging Face, its admin routes, and raw calls to it."""

    def __init__(self, admin: httpx.AsyncClient) -> None:
        self.admin = admin

    async def spoil(self, action: dict[str, Any], **match: Any) -> None:
        answer = await self.admin.post("/admin/faults", json={"match": match, "action": action})
        assert answer.status_code == 201, answer.text

    async def opened(self, body: dict[str, Any], **headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send one chat request on a fresh connection and do not read yet."""
        url = self.admin.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        content = json.dumps(body).encode()
        lines = [f"POST {CHAT} HTTP/1.1", "Host: sandbox", "Authorization: Bearer hf_test", "Connection: close"]
        lines += [f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        return reader, writer

    async def raw(self, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body bytes (still chunked, if chunked), until the server closes."""
        reader, writer = await self.opened(body, **headers)
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        writer.close()
        first, *lines = head.decode().split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), named, rest

    async def bill(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.admin.get("/admin/bill/entries")).json()["entries"]
        return entries

    async def charge(self) -> dict[str, Any]:
        """The only charge, once it is there: an answer that a fault ends is seen before it is charged."""
        while True:
            if entries := await self.bill():
                [entry] = entries
                return entry
            await asyncio.sleep(0.01)

    async def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = (await self.admin.get("/admin/log")).json()["calls"]
        return calls

    async def logged(self, trace: str, *, ended: bool) -> dict[str, Any]:
        """The call with that trace id, once it is in the log, or once its end is."""
        while True:
            for call in await self.calls():
                if call["trace"] == trace and (not ended or call["duration_ms"] is not None):
                    return call
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(state: Path) -> AsyncIterator[Sandbox]:
    app = create_app(Options(state=state), engines=Engines(ScriptedText()))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as admin:
        yield Sandbox(admin)


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with running(tmp_path) as sandbox:
        yield sandbox


async def test_a_status_is_answered_with_its_body_and_headers_instead_of_work(sandbox: Sandbox) -> None:
    body = {"error": f"Model {SMALL} is currently loading", "estimated_time": 20.0}
    await sandbox.spoil({"kind": "status", "status": 503, "body": body, "headers": {"X-Error-Message": "loading"}})
    status, headers, content = await sandbox.raw(BODY)
    assert (status, json.loads(content)) == (503, body)
    assert headers["x-error-message"] == "loading"
    assert headers["x-request-id"].startswith("root=1-")
    assert await sandbox.bill() == []


async def test_a_text_body_is_sent_as_it_is(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "status", "status": 504, "body": "<html>504 Gateway Time-out</html>"})
    status, headers, content = await sandbox.raw(BODY)
    assert (status, content) == (504, b"<html>504 Gateway Time-out</html>")
    assert headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("after", ["2", "Sun, 22 Nov 2026 06:00:00 GMT", None])
async def test_a_rate_limit_says_when_to_come_back_or_does_not(sandbox: Sandbox, after: str | None) -> None:
    await sandbox.spoil({"kind": "rate_limit", "retry_after": after}, first=1)
    status, headers, content = await sandbox.raw(BODY)
    assert status == 429
    assert headers.get("retry-after") == (after and after.lower())
    assert "Rate limit reached" in json.loads(content)["error"]
    assert (await sandbox.raw(BODY))[0] == 200


async def test_garbage_is_no_json_under_a_json_type_and_costs_nothing(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "garbage", "size_bytes": 300})
    status, headers, content = await sandbox.raw(BODY)
    assert (status, headers["content-type"], len(content)) == (200, "application/json", 300)
    with pytest.raises(ValueError, match=r"."):
        json.loads(content)
    assert await sandbox.bill() == []


async def test_a_cut_ends_the_connection_within_a_body_that_was_paid(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "cut", "after_bytes": 25})
    status, headers, content = await sandbox.raw(BODY)
    assert (status, len(content)) == (200, 25)
    assert int(headers["content-length"]) > 25
    entry = await sandbox.charge()
    assert (entry["output_tokens"], entry["aborted"]) == (8, False)


async def test_a_cut_stream_ends_without_its_last_chunk(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "cut", "after_bytes": 300})
    status, headers, content = await sandbox.raw(BODY | {"stream": True})
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert b"[DONE]" not in content
    assert not content.endswith(b"0\r\n\r\n")
    entry = await sandbox.charge()
    assert entry["output_tokens"] >= 1


async def test_an_error_object_ends_a_200_stream_that_was_begun(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "stream_error", "after_events": 2, "error": "broken", "error_type": "generation"})
    status, _, content = await sandbox.raw(BODY | {"stream": True})
    events = [line[6:] for line in content.split(b"\r\n") for line in line.split(b"\n") if line.startswith(b"data: ")]
    assert status == 200
    assert [b"delta" in event for event in events] == [True, True, False]
    assert json.loads(events[-1]) == {"error": "broken", "error_type": "generation"}
    assert content.endswith(b"0\r\n\r\n")
    entry = await sandbox.charge()
    assert entry["output_tokens"] >= 2
    [call] = await sandbox.calls()
    assert not call["aborted"]


async def test_a_drip_brings_the_whole_body_in_small_pieces(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "drip", "delay_ms": 1, "chunk_bytes": 50})
    status, headers, content = await sandbox.raw(BODY)
    assert status == 200
    assert len(content) == int(headers["content-length"])
    assert json.loads(content)["object"] == "chat.completion"


async def test_a_delay_comes_before_an_answer_that_is_whole(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "delay", "delay_ms": 30})
    status, _, content = await sandbox.raw(BODY)
    assert status == 200
    assert json.loads(content)["usage"]["completion_tokens"] == 8
    [call] = await sandbox.calls()
    assert call["duration_ms"] >= 30


@pytest.mark.parametrize("action", [{"kind": "stall"}, {"kind": "delay", "delay_ms": 3_600_000}])
async def test_a_call_that_stalls_is_listed_while_it_hangs_and_as_aborted_when_its_client_leaves(
    sandbox: Sandbox, action: dict[str, Any]
) -> None:
    await sandbox.spoil(action, header={"name": "x-amzn-trace-id", "value": "job-9"})
    reader, writer = await sandbox.opened(BODY, **{"X-Amzn-Trace-Id": "job-9"})
    assert (await sandbox.raw(BODY, **{"X-Amzn-Trace-Id": "job-8"}))[0] == 200
    call = await sandbox.logged("job-9", ended=False)
    assert (call["status"], call["aborted"], call["fault"]) == (None, False, "fault")

    writer.close()
    call = await sandbox.logged("job-9", ended=True)
    assert (call["status"], call["aborted"], call["fault"]) == (None, True, "fault")
    assert await reader.read(-1) == b""


async def test_profiles_are_listed_with_their_counts_and_cleared(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "status", "status": 500}, nth=2)
    for expected in (200, 500, 200):
        assert (await sandbox.raw(BODY))[0] == expected
    [row] = (await sandbox.admin.get("/admin/faults")).json()["profiles"]
    assert (row["seen"], row["fired"]) == (3, 1)
    assert row["match"]["nth"] == 2
    await sandbox.admin.delete("/admin/faults")
    assert (await sandbox.admin.get("/admin/faults")).json() == {"profiles": []}


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ({"action": {"kind": "explode"}}, "action"),
        ({"action": {"kind": "stall"}, "wen": {}}, "wen"),
        ({"action": {"kind": "stall", "delay_ms": 5}}, "delay_ms"),
        ({"action": {"kind": "status", "status": 99}}, "status"),
        ({"match": {"nth": 0}, "action": {"kind": "stall"}}, "match.nth"),
        ({"profiles": "all"}, "profiles"),
        ([], "profiles"),
    ],
)
async def test_a_wrong_profile_is_refused_by_field_and_none_of_its_request_is_taken(
    sandbox: Sandbox, profile: Any, named: str
) -> None:
    rows = {"profiles": [{"action": {"kind": "stall"}}, profile]} if "profiles" not in profile else profile
    answer = await sandbox.admin.post("/admin/faults", json=rows)
    assert answer.status_code == 422
    assert named in answer.json()["error"] or named == "profiles"
    assert (await sandbox.admin.get("/admin/faults")).json() == {"profiles": []}


async def test_the_admin_routes_are_neither_spoilt_nor_logged(sandbox: Sandbox) -> None:
    await sandbox.spoil({"kind": "stall"})
    assert (await sandbox.admin.get("/admin/bill")).status_code == 200
    assert (await sandbox.admin.get("/healthz")).status_code == 200
    assert await sandbox.calls() == []


async def test_a_client_from_elsewhere_may_not_use_the_admin_routes(tmp_path: Path) -> None:
    app = create_app(Options(state=tmp_path), engines=Engines(ScriptedText()))
    far = httpx.ASGITransport(app=app, client=("192.0.2.7", 4000))
    async with httpx.AsyncClient(transport=far, base_url="http://sandbox") as client:
        for method, path in (("GET", "/admin/bill"), ("GET", "/admin/log"), ("POST", "/admin/faults")):
            assert (await client.request(method, path)).status_code == 403
        assert (await client.get("/v1/models")).status_code == 200


async def test_a_fault_of_the_engine_is_a_500_of_hugging_faces_kind_and_is_logged(tmp_path: Path) -> None:
    class Broken(ScriptedText):
        def chat(self, ask: Any, emit: Any) -> None:
            raise MemoryError("secret words")

    app = create_app(Options(state=tmp_path), engines=Engines(Broken()))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as admin:
        status, _, content = await Sandbox(admin).raw(BODY)
        [call] = await Sandbox(admin).calls()
    warning = "There was an inference error: MemoryError"
    assert (status, json.loads(content)) == (500, {"error": "unknown error", "warnings": [warning]})
    assert call["status"] == 500
