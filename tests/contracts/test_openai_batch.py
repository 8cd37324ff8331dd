"""OpenAI's batch files in and out: held against the types of OpenAI's own client library."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from console_world import Story
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming as TextParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
from pydantic import TypeAdapter

from runtime.ports import Outgoing
from schemas import tasks
from schemas.failure import FAILURES, FailureKind
from schemas.job import ReadableJob, read_job
from schemas.openai_answers import STATUS, line_of
from schemas.openai_batch import ENDPOINTS, job_of
from schemas.topics import JOBS, RESULTS

CANARY = "CANARY-7f3"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
PNG = b"\x89PNG\r\n\x1a\n rest of it"


def line(url: str, body: Any, custom_id: Any = "request-1", **more: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body, **more}


REQUESTS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "/v1/chat/completions": (
        CompletionCreateParamsNonStreaming,
        {"model": "google/gemma", "messages": MESSAGES, "max_completion_tokens": 50, "stop": "END", "user": "u1"},
        {"messages": MESSAGES, "max_tokens": 50, "stop": ["END"]},
    ),
    "/v1/completions": (
        TextParams,
        {"model": "google/gemma", "prompt": ["Once"], "max_tokens": 9, "echo": False, "n": 1, "seed": 7},
        {"inputs": "Once", "parameters": {"max_new_tokens": 9, "return_full_text": False, "seed": 7}},
    ),
    "/v1/embeddings": (
        EmbeddingCreateParams,
        {"model": "google/gemma", "input": ["a", "b"], "encoding_format": "float"},
        {"inputs": ["a", "b"]},
    ),
    "/v1/images/generations": (
        ImageGenerateParamsNonStreaming,
        {"model": "google/gemma", "prompt": "a bee", "size": "512x256", "n": 1, "response_format": "b64_json"},
        {"inputs": "a bee", "parameters": {"width": 512, "height": 256}},
    ),
}


@pytest.mark.parametrize("url", REQUESTS)
def test_a_request_of_openais_own_type_becomes_a_job_that_the_contract_and_the_tasks_schema_take(url):
    kind, body, expected = REQUESTS[url]
    TypeAdapter(kind).validate_python(body)  # it is what OpenAI's client would send

    job = job_of(line(url, body), "shop")

    assert job["input"] == expected
    assert (job["id"], job["tenant"], job["model"], job["priority"]) == ("request-1", "shop", "google/gemma", "batch")
    assert isinstance(read_job(json.dumps(job).encode(), ()), ReadableJob)
    assert tasks.input_fault(job["task"], job["input"]) is None


def test_every_address_is_tried():
    assert set(REQUESTS) == set(ENDPOINTS)


def test_stream_is_left_out_and_a_missing_model_is_the_routers_choice():
    job = job_of(line("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "stream_options": {}}), "t")

    assert (job["input"], job["model"]) == ({"messages": MESSAGES}, "auto")
    assert "stream" not in job


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("google/gemma:groq", {"model": "google/gemma", "provider": "groq"}),
        ("google/gemma:cheapest", {"model": "google/gemma"}),
        ("google/gemma", {"model": "google/gemma"}),
    ],
)
def test_a_models_colon_names_its_provider(model, named):
    job = job_of(line("/v1/chat/completions", {"model": model, "messages": MESSAGES}), "t")

    assert {name: job[name] for name in ("model", "provider") if name in job} == named


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (line("/v1/responses", {}), "/v1/chat/completions, /v1/completions, /v1/embeddings, /v1/images/generations"),
        (line(None, {}), "url is not one"),
        (line("/v1/embeddings", {"input": "a"}, method="GET"), "method must be POST"),
        (line("/v1/embeddings", {"input": "a"}, custom_id=7), "custom_id is a number"),
        (line("/v1/embeddings", {"input": "a"}, custom_id=""), "custom_id has 0 characters"),
        (line("/v1/embeddings", {"input": "a"}, custom_id=CANARY + "\n"), "custom_id has 11 characters"),
        (line("/v1/embeddings", [CANARY]), "body is a list"),
        (line("/v1/embeddings", {"input": "a", "encoding_format": "base64"}), "only float"),
        (line("/v1/embeddings", {"input": [[1, 2]]}), "not of tokens"),
        (line("/v1/embeddings", {"input": "a", "dimensions": 64}), "body.dimensions"),
        (line("/v1/completions", {"prompt": [CANARY, "b"]}), "prompt is a list of 2"),
        (line("/v1/completions", {"prompt": "a", "n": 3}), "body.n: a job has one answer"),
        (line("/v1/completions", {"prompt": "a", "suffix": CANARY}), "body.suffix"),
        (line("/v1/completions", {"prompt": "a", CANARY: 1}), "a name"),
        (line("/v1/images/generations", {"prompt": "a", "size": f"{CANARY}x1"}), "size is a text of 12"),
        (line("/v1/images/generations", {"prompt": "a", "size": "99999x1"}), "up to 16384"),
        (line("/v1/images/generations", {"prompt": "a", "response_format": "url"}), "only b64_json"),
        (line("/v1/images/generations", {"prompt": "a", "n": 2}), "body.n"),
        (line("/v1/images/generations", {"prompt": None}), "prompt is a null"),
        (line("/v1/chat/completions", {"model": 5, "messages": []}), "model is a number"),
    ],
)
def test_what_no_job_can_stand_for_is_refused_by_name_and_without_its_value(wrong, says):
    told = job_of(wrong, "t")

    assert isinstance(told, str)
    assert says in told
    assert CANARY not in told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["model", "prompt", "input", "size", "n", "stop", "messages", "encoding_format", "x"])


@given(JSON, st.sampled_from([*ENDPOINTS, "/other"]), st.dictionaries(NAMES, JSON) | JSON)
def test_any_line_gives_a_job_or_a_reason(custom_id, url, body):
    assert isinstance(job_of(line(url, body, custom_id), "t"), dict | str)


# results


def result(task: str, output: Any, **told: Any) -> dict[str, Any]:
    made = Story(job_id="request-1", status="succeeded", output=output).result.model_dump(mode="json", by_alias=True)
    return {**made, "task": task, "usage": {"input_tokens": 3, "output_tokens": 5}, **told}


CHAT = {"choices": [{"message": {"role": "assistant", "content": "Honey."}, "finish_reason": "eos_token"}]}
ANSWERS = {
    "chat-completion": (ChatCompletion, CHAT),
    "text-generation": (Completion, {"generated_text": "upon a time", "details": {"finish_reason": "length"}}),
    "feature-extraction": (CreateEmbeddingResponse, [[0.5, 1], [0.25, 2.0]]),
    "text-to-image": (ImagesResponse, {"image": {"$ref": {}}}),
}


@pytest.mark.parametrize("task", ANSWERS)
def test_a_results_body_is_what_openais_own_client_reads(task):
    kind, output = ANSWERS[task]

    told = line_of(result(task, output), PNG)

    assert set(told) == {"id", "custom_id", "response", "error"}
    assert (told["custom_id"], told["error"], told["response"]["status_code"]) == ("request-1", None, 200)
    assert told["response"]["request_id"]
    kind.model_validate(told["response"]["body"], strict=True)


def test_what_was_answered_is_in_the_body():
    chat = ChatCompletion.model_validate(line_of(result("chat-completion", CHAT))["response"]["body"])
    text = Completion.model_validate(line_of(result(*pair("text-generation")))["response"]["body"])
    rows = CreateEmbeddingResponse.model_validate(line_of(result(*pair("feature-extraction")))["response"]["body"])
    image = ImagesResponse.model_validate(line_of(result(*pair("text-to-image")), PNG)["response"]["body"])

    assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == ("Honey.", "stop")
    assert (chat.usage.prompt_tokens, chat.usage.completion_tokens, chat.usage.total_tokens) == (3, 5, 8)
    assert (text.choices[0].text, text.choices[0].finish_reason) == ("upon a time", "length")
    assert [row.embedding for row in rows.data] == [[0.5, 1.0], [0.25, 2.0]]
    assert [row.index for row in rows.data] == [0, 1]
    assert base64.b64decode(image.data[0].b64_json) == PNG


def pair(task):
    return task, ANSWERS[task][1]


def test_a_providers_own_id_time_and_model_win():
    told = line_of(result("chat-completion", {**CHAT, "id": "theirs", "created": 5, "model": "m", "object": "x"}))

    body = told["response"]["body"]
    assert (body["id"], body["created"], body["model"], body["object"]) == ("theirs", 5, "m", "chat.completion")


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_has_a_status_and_the_error_as_its_body(kind):
    error = {"kind": kind, "message": "why", "retryable": False}

    told = line_of(result("chat-completion", None, status="failed", error=error))

    assert told["error"] is None
    assert 400 <= told["response"]["status_code"] < 600
    assert told["response"]["body"]["error"]["code"] == kind
    assert told["response"]["body"]["error"]["message"] == "why"
    assert (told["response"]["status_code"] < 500) == (
        told["response"]["body"]["error"]["type"] == "invalid_request_error"
    )


def test_only_failures_that_exist_have_a_status():
    assert set(STATUS) <= {str(kind) for kind in FAILURES}


@pytest.mark.parametrize(("status", "code"), [("expired", "batch_expired"), ("cancelled", "batch_cancelled")])
def test_what_ended_without_an_answer_has_an_error_and_no_response(status, code):
    error = {"kind": "deadline_passed", "message": "late", "retryable": False}

    told = line_of(result("chat-completion", None, status=status, error=error))

    assert (told["response"], told["error"]) == (None, {"code": code, "message": "late"})


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("chat-completion", {}),
        ("text-generation", []),
        ("feature-extraction", [[[0.5]]]),
        ("feature-extraction", []),
        ("text-to-image", {"image": {"$ref": {}}}),
    ],
)
def test_an_output_that_the_form_cannot_hold_is_a_failure_not_a_success(task, output):
    told = line_of(result(task, output), None)

    assert told["response"]["status_code"] == 502


def test_other_tasks_have_no_line():
    assert line_of(result("summarization", {"summary_text": "x"})) is None


# the commands


def published(log):
    return [record for (topic, _), rows in log.records.items() if topic == JOBS.name for record in rows]


def test_publish_takes_batch_lines_and_jobs_in_one_file_and_tells_refused_ones_by_number(novix, log):
    lines = [
        line("/v1/chat/completions", {"messages": MESSAGES}, "a"),
        line("/v1/moderations", {"input": CANARY}, "b"),
        {"id": "c", "task": "chat-completion", "input": {"messages": MESSAGES}},
    ]

    done = novix("publish", "-", "--tenant", "shop", stdin="\n".join(map(json.dumps, lines)))

    assert (done.exit_code, done.stdout) == (1, "2 jobs published, 1 line refused\n")
    assert "line 2: url is not one that jobs can stand for" in done.stderr
    assert CANARY not in done.stderr
    assert {(record.key, json.loads(record.value)["id"]) for record in published(log)} == {
        (b"shop", "a"),
        (b"default", "c"),
    }


def test_results_are_written_as_openais_output_file(novix, log):
    Story(job_id="a", output=CHAT).write(log)
    Story(job_id="b", status="failed", tenant="other").write(log)

    done = novix("results", "--format", "openai-batch")

    told = {one["custom_id"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert set(told) == {"a", "b"}
    assert ChatCompletion.model_validate(told["a"]["response"]["body"]).choices[0].message.content == "Honey."
    assert "error" in told["b"]["response"]["body"]


def test_a_store_that_is_away_ends_the_command_rather_than_telling_lost_images_and_small_ones_need_none(
    novix, log, tmp_path
):
    (tmp_path / "bee.png").write_bytes(PNG)
    (tmp_path / "file").write_bytes(b"")
    inside = json.loads(novix("blob", "put", "bee.png", "--json").stdout)
    stored = {"$ref": dict(inside["$ref"])}
    inside["$ref"]["uri"] = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    for job_id, image in (("a", inside), ("b", stored)):
        made = result("text-to-image", {"image": image}, job_id=job_id, completed_at=datetime.now(UTC).isoformat())
        log.append(Outgoing(RESULTS.name, f"default/{job_id}".encode(), json.dumps(made).encode()))

    away = {"NOVIX_BLOB_STORE": str(tmp_path / "file" / "blobs")}
    small = novix("results", "--format", "openai-batch", "--job", "a", **away)
    large = novix("results", "--format", "openai-batch", "--job", "b", **away)

    assert (small.exit_code, json.loads(small.stdout)["response"]["status_code"]) == (0, 200)
    assert (large.exit_code, large.stdout) == (1, "")
    assert "ENOTDIR" in large.stderr


def test_an_image_in_the_blob_store_stands_in_the_line_and_a_lost_one_is_told(novix, log, tmp_path):
    (tmp_path / "bee.png").write_bytes(PNG)
    reference = json.loads(novix("blob", "put", "bee.png", "--json").stdout)
    lost = {"$ref": {**reference["$ref"], "sha256": "0" * 64, "uri": "blob://" + "0" * 64}}
    for job_id, image in (("there", reference), ("lost", lost)):
        made = result("text-to-image", {"image": image}, job_id=job_id, completed_at=datetime.now(UTC).isoformat())
        log.append(Outgoing(RESULTS.name, f"default/{job_id}".encode(), json.dumps(made).encode()))

    done = novix("results", "--format", "openai-batch")

    told = {one["custom_id"]: one["response"] for one in map(json.loads, done.stdout.splitlines())}
    assert base64.b64decode(told["there"]["body"]["data"][0]["b64_json"]) == PNG
    assert told["lost"]["status_code"] == 502
