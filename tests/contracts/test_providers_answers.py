"""What each dialect makes of an answer: the reply, the next call, or a typed failure; never another exception."""

import base64
import json
from typing import Any

import pytest
from asks import ASKS
from dialects import PAIRS, after, got, onward, read, refusal, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from worker_world import candidate

from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.exchange import FIRST, Binary, Call, Next, Reply
from workers.providers import PROVIDERS

K = FailureKind
PNG = b"\x89PNG\r\n\x1a\nrest"


@pytest.mark.parametrize("name", sorted(name for name, task in PAIRS if task == "chat-completion"))
def test_a_chat_is_the_tasks_own_form_and_headers_measure_it(name: str) -> None:
    answer = {"choices": [{"message": {"content": "x"}}], "error": None}
    found = reply(name, "chat-completion", answer, headers={"x-compute-time": "0.123", "retry-after": "5"})
    assert found.document == answer
    assert found.usage == {"compute_ms": 123}


@pytest.mark.parametrize("name", ["together", "novita", "deepinfra", "featherless-ai", "openai-compatible"])
def test_a_completion_becomes_the_tasks_own_form(name: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13}
    found = reply(name, "text-generation", {"choices": [{"text": " a city"}], "usage": usage})
    assert found.document == {"generated_text": " a city"}
    assert found.usage == {"input_tokens": 3, "output_tokens": 10}
    assert refusal(name, "text-generation", {"choices": []}).kind is K.INVALID_OUTPUT
    assert reply(name, "text-generation", b"", streamed={"generated_text": "put together"}).document == {
        "generated_text": "put together"
    }


@pytest.mark.parametrize("name", ["together", "scaleway", "deepinfra", "openai-compatible"])
def test_vectors_come_in_the_order_of_their_index(name: str) -> None:
    rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    found = reply(name, "feature-extraction", {"data": rows, "usage": {"prompt_tokens": 4}})
    assert found.document == [[1.0], [2.0]]
    assert found.usage == {"input_tokens": 4}
    unnumbered = [{"embedding": [2.0]}, {"embedding": [1.0]}]
    assert reply(name, "feature-extraction", {"data": unnumbered}).document == [[2.0], [1.0]]
    assert refusal(name, "feature-extraction", {"data": []}).kind is K.INVALID_OUTPUT


@pytest.mark.parametrize(
    ("name", "task"),
    [("together", "text-to-image"), ("together", "image-to-image"), ("nscale", "text-to-image"),
     ("openai-compatible", "text-to-image")],
)  # fmt: skip
def test_an_image_in_base64_is_its_bytes_and_one_at_an_address_is_fetched(name: str, task: str) -> None:
    text = base64.b64encode(PNG).decode()
    for told in (text, f"data:image/webp;base64,{text}"):
        document = reply(name, task, {"data": [{"b64_json": told}]}).document
        assert isinstance(document, Binary)
        assert document.data == PNG
    step = onward(name, task, {"data": [{"url": "https://x.test/a.png"}]})
    assert (step.call.url, step.call.public, step.stage) == ("https://x.test/a.png", True, "fetch")
    assert after(name, task, step, PNG) == Reply(Binary(PNG, "application/octet-stream"))
    for bad in ({"data": [{"b64_json": "!!"}]}, {"data": []}, {"data": [{"url": "file:///etc/passwd"}]}, []):
        assert refusal(name, task, bad).kind is K.INVALID_OUTPUT


@pytest.mark.parametrize(
    ("name", "task"),
    [("together", "text-to-speech"), ("deepinfra", "text-to-speech"), ("hf-inference", "text-to-image"),
     ("hf-inference", "text-to-audio"), ("endpoint", "image-text-to-video"), ("endpoint", "depth-estimation")],
)  # fmt: skip
def test_a_body_that_is_the_payload_is_told_by_its_bytes_not_by_its_declaration(name: str, task: str) -> None:
    assert reply(name, task, PNG, headers={"content-type": "application/json; x=1"}).document == Binary(
        PNG, "application/json"
    )
    assert reply(name, task, {"audio": "AAAA"}).document == {"audio": "AAAA"}
    assert refusal(name, task, {"error": "Model is overloaded"}).kind is K.OVERLOADED
    assert refusal(name, task, b"").kind is K.INVALID_OUTPUT


def test_a_transcript_has_its_segments_as_chunks() -> None:
    segments = [{"text": "a", "start": 0.0, "end": 1.5, "id": 1}, "junk"]
    found = reply("deepinfra", "automatic-speech-recognition", {"text": "a", "segments": segments})
    assert found.document == {"text": "a", "chunks": [{"text": "a", "timestamp": [0.0, 1.5]}]}
    text = {"content-type": "text/plain"}
    plain = reply("openai-compatible", "automatic-speech-recognition", b"hi", headers=text)
    lied = reply("deepinfra", "automatic-speech-recognition", b' {"text": "hi"}', headers=text)
    assert lied.document == {"text": "hi"}
    assert plain.document == {"text": "hi"}
    assert reply("fal-ai", "automatic-speech-recognition", {"text": "a", "x": 1}).document == {"text": "a"}


def test_labels_of_ones_own_server_are_as_many_as_were_asked_for() -> None:
    labels = [{"label": name, "score": 0.3} for name in "abc"]
    asked = ASKS["text-classification"]
    top = type(asked)(asked.task, {**asked.body, "parameters": {"top_k": 2}})
    found = PROVIDERS["tei"].read(top, candidate(dialect="tei"), got(labels))
    assert isinstance(found, Reply)
    assert found.document == labels[:2]


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("text-to-image", {"images": [{"url": "URL", "content_type": "image/jpeg"}]}),
        ("text-to-speech", {"audio": {"url": "URL"}}),
    ],
)
def test_a_result_may_lie_elsewhere_or_inside_the_answer(task: str, answer: Any) -> None:
    """fal tells an address, or with `sync_mode` a `data:` URI. What is fetched is fetched without a credential."""
    told = json.dumps(answer)
    step = onward("fal-ai", task, json.loads(told.replace("URL", "https://fal.media/files/a.png")))
    assert (step.stage, step.call.method, step.call.public, step.cancel) == ("fetch", "GET", True, None)
    assert not {"authorization", "x-hf-bill-to", "x-hf-session-id"} & {name for name, _ in step.call.headers}
    inside = json.loads(told.replace("URL", f"data:image/jpeg;base64,{base64.b64encode(PNG).decode()}"))
    assert reply("fal-ai", task, inside).document == Binary(PNG, "image/jpeg")


MEMBERS = [
    "data", "status", "output", "urls", "get", "error", "url", "images", "video", "audio", "id", "image",
    "request_id", "response_url", "choices", "text", "task_status", "outputs", "image_result", "index",
    "video_url", "detail", "usage", "metrics", "predict_time", "segments", "txt_file", "b64_json",
]  # fmt: skip
"""Names that the readers look for."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    pair=st.sampled_from(PAIRS),
    answer=JSON | st.binary(max_size=50),
    stage=st.sampled_from([FIRST, "poll", "result", "fetch", "other"]),
    memo=st.sampled_from([{}, {"path": "/p", "usage": {"calls": 1}}]),
    kind=st.sampled_from(["application/json", "text/html", "image/png", ""]),
)
@settings(max_examples=400)
def test_whatever_is_answered_there_is_a_reply_a_next_call_or_a_typed_failure(
    pair: tuple[str, str], answer: Any, stage: str, memo: Any, kind: str
) -> None:
    name, task = pair
    try:
        step = read(name, task, answer, stage=stage, memo=memo, headers={"content-type": kind})
    except ProviderError:
        return
    if isinstance(step, Next) and not step.call.public:
        assert step.call.url.startswith("http://provider.test/")


@given(url=st.text(max_size=60) | st.sampled_from(["https://x.test/a", "http://[", "https://x\ny", "data:,x"]))
def test_whatever_address_an_answer_names_only_an_address_is_fetched(url: str) -> None:
    try:
        step = read("fal-ai", "text-to-image", {"images": [{"url": url}]})
    except ProviderError:
        return
    if isinstance(step, Next):
        assert step.call == Call("GET", url, step.call.headers, public=True)
        assert url.startswith(("https://", "http://"))


def test_a_strangers_headers_cost_nobody_anything() -> None:
    """Only the provider's own answers are measured; what lies at an address that it named is not its."""
    step = onward("fal-ai", "text-to-image", {"images": [{"url": "https://x.test/a"}]}, headers={"x-compute-time": "1"})
    found = read("fal-ai", "text-to-image", PNG, stage="fetch", memo=step.memo, headers={"x-compute-time": "999"})
    assert isinstance(found, Reply)
    assert found.usage == {"compute_ms": 1_000}
