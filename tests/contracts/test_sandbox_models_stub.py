"""The scripted provider's files and queue: what tests of whole systems get from it is what real readers can read."""

import io
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from sandbox.stub_files import made


@pytest.fixture(scope="module")
def stub() -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "sandbox.stub"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as running:
        try:
            assert running.stdout is not None
            with httpx.Client(base_url=f"http://127.0.0.1:{int(running.stdout.readline())}") as client:
                yield client
        finally:
            running.kill()


def told(stub: httpx.Client, **how: Any) -> None:
    assert stub.post("/admin/behave", json=how).status_code == 200


@pytest.mark.parametrize("least", [0, 300_000])
def test_every_file_is_of_its_kind_at_least_as_large_as_told_and_like_no_other(least: int) -> None:
    for kind in ("image/png", "audio/wav", "video/mp4"):
        one, other = made(kind, least, 1), made(kind, least, 2)
        assert one != other
        assert least <= len(one) == len(other) <= max(20_000, least * 1.2)
    assert Image.open(io.BytesIO(made("image/png", least, 1))).convert("RGB").width >= 16
    with wave.open(io.BytesIO(made("audio/wav", least, 1))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (16_000, 1)
        assert len(sound.readframes(10**9)) == sound.getnframes() * 2
    with av.open(io.BytesIO(made("video/mp4", least, 1))) as video:
        assert len(list(video.decode(video=0))) == 8


def test_a_task_is_answered_with_a_file_and_a_chat_as_before(stub: httpx.Client) -> None:
    told(stub, model="a/drawer", file="image/png", file_bytes=50_000)
    drawn = stub.post("/hf-inference/models/a/drawer", content=b"\xff\xd8raw bytes")
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(drawn.content)).format == "PNG"
    other = stub.post("/hf-inference/models/a/other", json={"inputs": "x"})
    assert "generated_text" in other.json()[0]
    chat = stub.post("/v1/chat/completions", json={"model": "a/drawer", "messages": []})
    assert chat.json()["object"] == "chat.completion"


def test_a_queued_request_is_completed_after_so_many_looks_and_its_result_has_an_address_here(
    stub: httpx.Client,
) -> None:
    told(stub, model="fal-ai/wan", file="video/mp4", polls=2)
    stub.post("/admin/reset")
    first = stub.post("/fal-ai/fal-ai/wan?_subdomain=queue", json={"prompt": "waves"}).json()
    assert first["status"] == "IN_QUEUE"
    path = "/fal-ai" + httpx.URL(first["response_url"]).path
    states = [stub.get(f"{path}/status?_subdomain=queue").json()["status"] for _ in range(3)]
    assert states == ["IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]
    result = stub.get(f"{path}?_subdomain=queue").json()
    film = stub.get(result["video"]["url"])
    assert film.headers["content-type"] == "video/mp4"
    assert film.content[4:8] == b"ftyp"
    assert stub.get("/admin/aside").json() == {"cancelled": 0, "status": 3, "result": 1, "file": 1}
    assert len(stub.get("/admin/calls").json()) == 1


def test_a_queued_request_can_fail_or_be_cancelled_and_has_no_result_then(stub: httpx.Client) -> None:
    told(stub, model="fal-ai/sick", polls=0, ends="FAILED")
    first = stub.post("/fal-ai/fal-ai/sick?_subdomain=queue", json={}).json()
    path = "/fal-ai" + httpx.URL(first["response_url"]).path
    assert stub.get(f"{path}/status").json()["status"] == "FAILED"
    assert stub.get(path).status_code == 404
    assert stub.put(f"{path}/cancel").status_code == 200
    assert stub.get("/admin/aside").json()["cancelled"] == 1


def test_an_address_comes_at_once_where_there_is_no_queue_and_given_json_as_it_is(stub: httpx.Client) -> None:
    told(stub, model="fal-ai/voice", file="audio/wav")
    spoken = stub.post("/fal-ai/fal-ai/voice", json={"text": "x"}).json()
    assert stub.get(spoken["audio"]["url"]).content[:4] == b"RIFF"
    told(stub, model="a/classifier", answer=[{"label": "cat", "score": 1.0}])
    answer = stub.post("/hf-inference/models/a/classifier", content=b"\0")
    assert answer.json() == [{"label": "cat", "score": 1.0}]
