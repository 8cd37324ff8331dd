"""One suite for every provider dialect: the requests that it makes, and who may carry what."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker_world import candidate

from schemas.tasks import input_fault
from workers.exchange import FIRST, Ask, Call, Got, Reply
from workers.modalities import TASKS
from workers.providers import PROVIDERS
from workers.providers.common import MAX_TRACE_CHARS, call_headers, header_text

INPUTS: dict[str, dict[str, Any]] = {
    "chat-completion": {"messages": [{"role": "user", "content": "Hi"}], "tools": None},
    "text-generation": {"inputs": "Once", "parameters": {"stop": ["."], "seed": None}},
    "feature-extraction": {"inputs": ["a", "b"], "normalize": True, "prompt_name": None},
    "sentence-similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "zero-shot-classification": {"inputs": "a", "parameters": {"candidate_labels": ["x", "y"], "multi_label": None}},
    "text-classification": {"inputs": "a", "parameters": {}},
}
PAIRS = [(name, task) for name, dialect in PROVIDERS.items() for task in sorted(dialect.tasks)]


def asked(task: str) -> Ask:
    return TASKS[task].ask(INPUTS[task], {"max_tokens": 8, "temperature": 0.7, "top_p": 0.9}, candidate())


def call(name: str, task: str, **change: Any) -> Call:
    at = candidate(**{"dialect": name, **change})
    return PROVIDERS[name].request(asked(task), at, call_headers("acme", "a1", ""))


def test_every_task_is_carried_by_some_dialect() -> None:
    assert {task for _, task in PAIRS} == set(TASKS) == set(INPUTS)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_request_goes_below_the_base_and_shows_no_credential(name: str, task: str) -> None:
    made = call(name, task)
    request = httpx.Request(made.method, made.url, headers=list(made.headers), content=made.body)

    assert made.method == "POST"
    assert made.url.startswith("http://provider.test/")
    assert request.url.host == "provider.test"
    headers = dict(made.headers)
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert all(name == name.lower() for name in headers)
    assert not {"authorization", "baggage", "traceparent", "tracestate"} & set(headers)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_body_has_no_nulls_and_is_the_same_every_time(name: str, task: str) -> None:
    made = call(name, task)
    body = json.loads(made.body)

    assert made == call(name, task)
    assert None not in body.values()
    assert None not in (body.get("parameters") or {}).values()
    assert body.get("parameters") != {}
    if task == "chat-completion":
        assert next(iter(body)) == "model"
    else:
        assert "model" not in body
        assert input_fault(task, body) is None


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_reply_keeps_the_document_and_reads_the_measures(name: str, task: str) -> None:
    got = Got(FIRST, "http://provider.test/x", 200, {"x-compute-time": "0.123", "retry-after": "5"}, b'{"x": 1}')
    reply = PROVIDERS[name].read(asked(task), candidate(), got)
    assert isinstance(reply, Reply)
    assert reply.document == {"x": 1}
    assert reply.usage == {"compute_ms": 123}


@pytest.mark.parametrize(
    ("provider", "provider_model", "sent"),
    [
        ("auto", "org/name", "org/name"),
        ("groq", "org/name", "org/name:groq"),
        ("groq", "org/name:cheapest", "org/name:cheapest"),
    ],
)
def test_the_router_is_told_the_provider_as_a_suffix(provider: str, provider_model: str, sent: str) -> None:
    made = call("hf-router", "chat-completion", provider=provider, provider_model=provider_model)
    assert made.url == "http://provider.test/v1/chat/completions"
    assert json.loads(made.body)["model"] == sent


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ("chat-completion", "/hf-inference/models/org/name/v1/chat/completions"),
        ("text-generation", "/hf-inference/models/org/name"),
        ("feature-extraction", "/hf-inference/models/org/name/pipeline/feature-extraction"),
        ("sentence-similarity", "/hf-inference/models/org/name/pipeline/sentence-similarity"),
        ("zero-shot-classification", "/hf-inference/models/org/name"),
        ("text-classification", "/hf-inference/models/org/name"),
    ],
)
def test_hf_inference_has_a_route_a_task(task: str, path: str) -> None:
    assert call("hf-inference", task, provider_model="org/name").url == f"http://provider.test{path}"


def test_a_models_name_cannot_leave_its_path() -> None:
    url = call("hf-inference", "text-classification", provider_model="org/na me?x=1#y").url
    assert url == "http://provider.test/hf-inference/models/org/na%20me%3Fx%3D1%23y"


def test_options_of_embeddings_stay_at_the_root() -> None:
    body = json.loads(call("hf-inference", "feature-extraction").body)
    assert body == {"inputs": ["a", "b"], "normalize": True}


def test_who_pays_is_told_only_if_somebody_is_named() -> None:
    assert "x-hf-bill-to" not in dict(call_headers("acme", "a1", ""))
    assert dict(call_headers("acme", "a1", "org"))["x-hf-bill-to"] == "org"


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_ids_make_headers_that_can_be_sent(tenant: str, job_id: str) -> None:
    headers = dict(call_headers(tenant, job_id, ""))
    for name in ("x-hf-session-id", "x-amzn-trace-id"):
        assert len(headers[name]) <= MAX_TRACE_CHARS
        assert all("!" <= char <= "~" for char in headers[name])
    httpx.Request("POST", "http://x.test", headers=list(headers.items()))


def test_plain_ids_come_back_as_they_are() -> None:
    assert dict(call_headers("acme", "a-1", ""))["x-amzn-trace-id"] == "acme/a-1"
    assert header_text("a b\r\nc") == "a_b__c"
