"""What our worker asks by hf-inference's dialect, the sandbox answers, and what it answers, our worker reads."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox_models import (
    DOCUMENTS,
    E5,
    ENHANCER,
    EVENTS,
    LINES,
    NSFW,
    READER,
    SAID,
    SMOL,
    SPEAKER,
    TERRAIN,
    VOICE,
    WHISPER,
    ZERO_SHOT,
    Sandbox,
)

from router.catalogue import load as catalogue_of
from runtime.settings import Settings
from schemas.assignment import Candidate
from schemas.media import OUTPUTS, found
from schemas.tasks import output_fault
from workers.exchange import FIRST, Answer, Call, Got, Media, Reply
from workers.media import probed
from workers.modalities import TASKS, answered
from workers.providers import PROVIDERS

pytestmark = pytest.mark.models

SENTENCES = {"source_sentence": "a dog", "sentences": ["a small dog", "tax law"]}

ROWS: list[tuple[str, str, Any]] = [
    ("automatic-speech-recognition", WHISPER, {"inputs": "speech"}),
    ("automatic-speech-recognition", WHISPER, {"inputs": "speech", "parameters": {"return_timestamps": True}}),
    ("audio-classification", EVENTS, {"inputs": "speech"}),
    ("audio-classification", VOICE, {"inputs": "speech", "parameters": {"top_k": 1}}),
    ("audio-to-audio", ENHANCER, {"inputs": "speech"}),
    ("text-to-speech", SPEAKER, {"inputs": SAID}),
    ("image-to-text", READER, {"inputs": "page"}),
    ("image-classification", NSFW, {"inputs": "page"}),
    ("image-classification", NSFW, {"inputs": "page", "parameters": {"top_k": 1}}),
    ("document-question-answering", DOCUMENTS, {"inputs": {"image": "page", "question": "When is it due?"}}),
    ("text-to-image", TERRAIN, {"inputs": "a valley", "parameters": {"width": 96, "height": 64}}),
    ("feature-extraction", E5, {"inputs": "a text"}),
    ("sentence-similarity", E5, {"inputs": SENTENCES}),
    ("zero-shot-classification", ZERO_SHOT, {"inputs": "x", "parameters": {"candidate_labels": ["a", "b"]}}),
    ("text-classification", "novix-sandbox/e5-sentiment", {"inputs": "I love it"}),
    ("text-generation", SMOL, {"inputs": "One, two,", "parameters": {"max_new_tokens": 3}}),
    ("chat-completion", SMOL, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}),
]


@pytest.mark.parametrize(
    ("task", "model", "task_input"), ROWS, ids=[f"{task}-{at}" for at, (task, *_) in enumerate(ROWS)]
)
def test_every_task_that_runs_offline_goes_there_and_back(
    sandbox: Sandbox, page: bytes, speech: bytes, task: str, model: str, task_input: Any
) -> None:
    files = {"page": probed(page, "image"), "speech": probed(speech, "audio")}
    answer = done(sandbox, task, model, put(task_input, files))
    [entry] = sandbox.http.get("/admin/bill/entries", params={"trace": task + model}).json()["entries"][-1:]
    if task not in ("chat-completion", "text-generation"):
        assert answer.usage["compute_ms"] == entry["compute_ms"]
    else:
        assert answer.usage["output_tokens"] == entry["output_tokens"] == 3
    payloads = [value for _, value in found(OUTPUTS.get(task, ()), answer.output)]
    assert bool(payloads) == (task in OUTPUTS)
    assert all(isinstance(value, Media) for value in payloads)
    if task == "document-question-answering":
        assert answer.output[0]["answer"] == LINES[2]


def put(value: Any, files: dict[str, Media]) -> Any:
    """`value` with the file of that name where a name stands."""
    if isinstance(value, dict):
        return {key: put(item, files) for key, item in value.items()}
    return files.get(value, value) if isinstance(value, str) else value


def done(sandbox: Sandbox, task: str, model: str, task_input: Any, by: Candidate | None = None) -> Answer:
    candidate = by or offered(sandbox, task, model)
    ask = TASKS[task].ask(task_input, {}, candidate)
    dialect = PROVIDERS[candidate.dialect]
    call = dialect.request(ask, candidate, (("x-amzn-trace-id", task + model),))
    got = sent(sandbox, call)
    reply = dialect.read(ask, candidate, got)
    assert isinstance(reply, Reply)
    return answered(ask, reply)


def sent(sandbox: Sandbox, call: Call) -> Got:
    content = call.body if isinstance(call.body, bytes) else b"".join(call.body)
    answer: httpx.Response = sandbox.http.request(
        call.method, call.url, content=content, headers=dict(call.headers) | {"authorization": "Bearer hf_test"}
    )
    assert answer.status_code == 200, answer.text
    return Got(FIRST, call.url, 200, {name.lower(): value for name, value in answer.headers.items()}, answer.content)


def offered(sandbox: Sandbox, task: str, model: str) -> Candidate:
    """As the router's catalogue offers it."""
    return offered_by(Settings(sandbox_url=sandbox.url, hf_router_url=sandbox.url), task, model)


def offered_by(settings: Settings, task: str, model: str) -> Candidate:
    [offer] = [offer for offer in catalogue_of(settings).by_task[task] if offer.model == model]
    assert offer.price is not None
    return Candidate(
        model=model,
        provider=offer.provider,
        provider_model=offer.provider_model,
        dialect=offer.dialect,
        base_url=offer.base_url or "",
        price=offer.price,
        max_in_flight=1,
        estimate_nanousd=1,
        ceiling_nanousd=1,
    )


@pytest.mark.parametrize(
    ("dialect", "path", "task", "model", "task_input"),
    [
        ("openai-compatible", "", "chat-completion", SMOL, {"messages": [{"role": "user", "content": "Hi"}]}),
        ("openai-compatible", "/v1", "chat-completion", SMOL, {"messages": [{"role": "user", "content": "Hi"}]}),
        (
            "tgi",
            f"/hf-inference/models/{SMOL}",
            "chat-completion",
            SMOL,
            {"messages": [{"role": "user", "content": "Hi"}]},
        ),
        ("endpoint", f"/hf-inference/models/{NSFW}", "image-classification", NSFW, {"inputs": "page"}),
        ("endpoint", f"/hf-inference/models/{WHISPER}", "automatic-speech-recognition", WHISPER, {"inputs": "speech"}),
        ("endpoint", f"/hf-inference/models/{SPEAKER}", "text-to-speech", SPEAKER, {"inputs": SAID}),
    ],
)
def test_a_server_of_ones_own_in_the_local_network_does_the_work(
    sandbox: Sandbox, page: bytes, speech: bytes, tmp_path: Path,
    dialect: str, path: str, task: str, model: str, task_input: Any,
) -> None:  # fmt: skip
    """B142, B143: from the operator's catalogue file to the answer; the host is on the operator's list."""
    offer = {
        "provider": "mine", "dialect": dialect, "base": sandbox.url + path, "tasks": [task], "max_in_flight": 1,
        "price": {"nanousd_per_call": 1, "source": "own", "as_of": "2026-11-22"},
    }  # fmt: skip
    rows = {"origin": "a test", "models": [{"model": model, "tier": None, "offers": [offer]}]}
    own = tmp_path / "own.json"
    own.write_text(json.dumps(rows))
    files = {"page": probed(page, "image"), "speech": probed(speech, "audio")}
    settings = Settings(catalogue=str(own), egress_hosts=sandbox.url)
    answer = done(sandbox, task, model, put(task_input, files), offered_by(settings, task, model))
    assert output_fault(task, answer.output) is None or task in OUTPUTS
