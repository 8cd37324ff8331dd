"""One suite for every provider dialect: the requests that it makes, and who may carry what."""

import base64
import json
from typing import Any

import httpx
import pytest
from asks import ASKS, IMAGE, SOUND, ask
from hypothesis import given
from hypothesis import strategies as st
from worker_world import candidate

from schemas import providers
from schemas.failure import FailureKind
from schemas.media import INPUTS
from schemas.tasks import MODALITIES
from workers.errors import ProviderError
from workers.exchange import Ask, Call
from workers.providers import PROVIDERS
from workers.providers.common import MAX_TRACE_CHARS, call_headers, header_text
from workers.providers.doors import HOSTED
from workers.providers.table import ROUTED
from workers.providers.ways import direct, own_hosts, takes_own_key

NOT_ROUTED = {spoken.name for spoken in ROUTED if not spoken.routed}
PAIRS = [
    (name, task) for name, dialect in PROVIDERS.items() for task in sorted(dialect.tasks) if name not in NOT_ROUTED
]


def made(name: str, asked: Ask, **change: Any) -> Call:
    at = candidate(**{"dialect": name, "provider": name, "provider_model": "org/name", **change})
    return PROVIDERS[name].request(asked, at, call_headers("acme", "a1", ""))


def call(name: str, task: str, **change: Any) -> Call:
    return made(name, ASKS[task], **change)


def body_of(call: Call) -> bytes:
    return b"".join(call.body) if isinstance(call.body, tuple) else call.body


def document(call: Call) -> Any:
    return json.loads(body_of(call))


def test_the_plain_table_names_what_the_dialects_carry() -> None:
    assert set(PROVIDERS) == providers.DIALECTS
    assert {name: PROVIDERS[name].tasks for name in providers.PROVIDERS} == providers.PROVIDERS
    assert PROVIDERS["hf-inference"].tasks == HOSTED | {"chat-completion"}


def test_the_plain_table_names_whose_answers_may_come_later_than_the_call() -> None:
    later = set()
    for name, spoken in PROVIDERS.items():
        for route in getattr(spoken, "routes", {}).values():
            if "queues" in route.read.__module__ or "at_once" in route.read.__qualname__:
                later.add(name)
    assert later == providers.LATER


def test_every_task_is_carried_by_some_dialect() -> None:
    assert {task for _, task in PAIRS} == set(MODALITIES)


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_request_goes_below_the_base_and_shows_no_credential(name: str, task: str) -> None:
    sent = call(name, task)
    request = httpx.Request(sent.method, sent.url, headers=list(sent.headers), content=body_of(sent))

    assert sent.method == "POST"
    assert sent.url == "http://provider.test" or sent.url.startswith("http://provider.test/")
    assert request.url.host == "provider.test"
    headers = dict(sent.headers)
    assert len(headers) == len(sent.headers)
    assert headers["accept-encoding"] == "identity"
    assert all(name == name.lower() for name in headers)
    assert not {"authorization", "baggage", "traceparent", "tracestate"} & set(headers)
    assert not sent.public


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_body_is_the_same_every_time_and_names_the_model_first_or_not_at_all(name: str, task: str) -> None:
    sent = call(name, task)
    content_type = dict(sent.headers)["content-type"]

    assert call(name, task) == sent
    if content_type != "application/json":
        assert content_type.startswith(("image/", "audio/", "video/", "multipart/form-data; boundary="))
        return
    body = document(sent)
    assert None not in body.values()
    assert "model" not in body or next(iter(body)) == "model"


@pytest.mark.parametrize(("name", "task"), [pair for pair in PAIRS if pair[1] in INPUTS])
def test_a_payload_travels_whole_and_is_encoded_once(name: str, task: str) -> None:
    """Raw, as base64, or in a form: every byte of it, and no copy of the body around it."""
    asked = ask(task, messages=picture(IMAGE)) if task == "chat-completion" else ASKS[task]
    media = next(one for one in (IMAGE, SOUND, ASKS["video-classification"].body["inputs"]) if one in media_in(asked))
    sent = made(name, asked)

    if isinstance(sent.body, bytes):
        assert sent.body is media.data
        assert dict(sent.headers)["content-type"] == media.media_type
        return
    encoded = [piece for piece in sent.body if piece in (media.data, base64.b64encode(media.data))]
    assert encoded
    assert len({id(piece) for piece in encoded}) == 1


def media_in(asked: Ask) -> list[Any]:
    inputs = asked.body.get("inputs")
    if asked.task == "chat-completion":
        return [IMAGE]
    return [inputs["image"] if isinstance(inputs, dict) else inputs]


def picture(url: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def test_a_chats_picture_is_a_data_uri_and_its_address_stays_an_address() -> None:
    sent = document(made("groq", ask("chat-completion", messages=picture(IMAGE) + picture("https://x.test/a.png"))))
    uris = [message["content"][0]["image_url"]["url"] for message in sent["messages"]]
    assert uris == [f"data:image/png;base64,{base64.b64encode(IMAGE.data).decode()}", "https://x.test/a.png"]


@pytest.mark.parametrize(
    ("provider", "provider_model", "sent"),
    [
        ("auto", "org/name", "org/name"),
        ("groq", "org/name", "org/name:groq"),
        ("groq", "org/name:cheapest", "org/name:cheapest"),
    ],
)
def test_the_router_is_told_the_provider_as_a_suffix(provider: str, provider_model: str, sent: str) -> None:
    asked = call("hf-router", "chat-completion", provider=provider, provider_model=provider_model)
    assert asked.url == "http://provider.test/v1/chat/completions"
    assert document(asked)["model"] == sent


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ("chat-completion", "/hf-inference/models/org/name/v1/chat/completions"),
        ("text-generation", "/hf-inference/models/org/name"),
        ("feature-extraction", "/hf-inference/models/org/name/pipeline/feature-extraction"),
        ("sentence-similarity", "/hf-inference/models/org/name/pipeline/sentence-similarity"),
        ("image-classification", "/hf-inference/models/org/name"),
    ],
)
def test_hf_inference_has_a_route_a_task(task: str, path: str) -> None:
    assert call("hf-inference", task).url == f"http://provider.test{path}"


def test_a_models_name_cannot_leave_its_path() -> None:
    url = call("hf-inference", "text-classification", provider_model="org/na me?x=1#y").url
    assert url == "http://provider.test/hf-inference/models/org/na%20me%3Fx%3D1%23y"
    for name in ("../groq", "org/../..", "/", "org//name", "."):
        with pytest.raises(ProviderError) as error:
            call("fal-ai", "text-to-image", provider_model=name)
        assert (error.value.kind, error.value.nothing_sent) == (FailureKind.REQUEST_REFUSED, True)


def test_options_of_embeddings_stay_at_the_root() -> None:
    assert document(call("hf-inference", "feature-extraction")) == {"inputs": ["a", "b"], "normalize": True}


def test_a_table_is_asked_by_query_on_the_wire() -> None:
    body = document(call("hf-inference", "table-question-answering"))
    assert body == {"inputs": {"query": "how many?", "table": {"a": ["1"]}}, "parameters": {}}


def test_payloads_of_question_answering_stand_inside_the_inputs() -> None:
    for task in ("document-question-answering", "visual-question-answering"):
        inputs = document(call("hf-inference", task))["inputs"]
        assert inputs == {"question": "q", "image": base64.b64encode(IMAGE.data).decode()}


def test_a_payload_is_told_by_its_own_type_and_by_a_default_only_where_nobody_knows_it() -> None:
    webp = IMAGE.__class__("image", b"RIFF1234WEBP", "image/webp")
    unknown = IMAGE.__class__("image", b"???", "")
    for one, head in ((webp, "data:image/webp;base64,"), (unknown, "data:image/jpeg;base64,")):
        body = document(made("wavespeed", ask("image-to-image", inputs=one)))
        assert body["image"].startswith(head)
    raw = made("hf-inference", ask("image-classification", inputs=unknown))
    assert "content-type" not in dict(raw.headers)


def test_a_forms_field_cannot_end_its_line_and_no_payload_ends_the_form() -> None:
    """The boundary depends on all that stands between."""
    name = 'x"\r\n\r\nmodel'
    asked = ask("automatic-speech-recognition", parameters={name: "a", "b": True, "c": [1]})
    sent = made("deepinfra", asked)
    boundary = dict(sent.headers)["content-type"].partition("boundary=")[2].encode()

    body = body_of(sent)
    assert body.count(b"--" + boundary) == 6
    assert b'name="x%22%0D%0A%0D%0Amodel"' in body
    assert body.endswith(b'name="model"\r\n\r\norg/name\r\n--' + boundary + b"--\r\n")
    assert b'filename="audio.flac"\r\nContent-Type: audio/flac\r\n\r\nfLaCrest\r\n' in body
    other = made("deepinfra", ask("automatic-speech-recognition", parameters={name: boundary.decode()}))
    assert boundary not in dict(other.headers)["content-type"].encode()


def test_a_producer_cannot_name_another_model_than_the_one_that_is_priced() -> None:
    for name, task in PAIRS:
        asked = ASKS[task]
        if task in ("chat-completion", "feature-extraction"):
            asked = ask(task, model="other/model")
        elif "parameters" in asked.body:
            asked = ask(task, parameters={**asked.body["parameters"], "model": "other/model"})
        assert b"other/model" not in body_of(made(name, asked)), (name, task)


def test_completions_are_limited_by_the_name_that_their_servers_know() -> None:
    for name in ("together", "novita", "deepinfra", "featherless-ai", "openai-compatible"):
        body = document(call(name, "text-generation"))
        assert body["max_tokens"] == 8
        assert "max_new_tokens" not in body


def test_no_sampling_is_a_temperature_of_zero_where_completions_are_spoken() -> None:
    asked = ask("text-generation", parameters={"do_sample": False, "max_new_tokens": 1})
    body = document(made("together", asked))
    assert body["temperature"] == 0
    assert "do_sample" not in body
    assert document(made("hf-inference", asked))["parameters"]["do_sample"] is False


def test_a_stream_asks_for_events_and_for_its_usage() -> None:
    asked = Ask("text-generation", ASKS["text-generation"].body, stream=True)
    for name, path in (("together", "/together/v1/completions"), ("hf-inference", "/hf-inference/models/org/name")):
        sent = made(name, asked)
        assert dict(sent.headers)["accept"] == "text/event-stream"
        assert document(sent)["stream"] is True
        assert sent.url == f"http://provider.test{path}"
    assert document(made("together", asked))["stream_options"] == {"include_usage": True}
    generated = made("tgi", asked)
    assert generated.url == "http://provider.test/generate_stream"
    assert "stream" not in document(generated)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://x.test", "https://x.test/v1/chat/completions"),
        ("https://x.test/v1", "https://x.test/v1/chat/completions"),
        ("https://x.test/v1/", "https://x.test/v1/chat/completions"),
        ("https://x.test/a", "https://x.test/a/v1/chat/completions"),
        ("https://x.test/v1/chat/completions?k=1", "https://x.test/v1/chat/completions?k=1"),
        ("https://x.test/v1?k=1", "https://x.test/v1/chat/completions?k=1"),
    ],
)
def test_any_base_address_of_ones_own_is_completed(base: str, url: str) -> None:
    for name in ("openai-compatible", "endpoint"):
        assert call(name, "chat-completion", base_url=base).url == url


def test_an_endpoint_is_asked_at_its_own_address() -> None:
    url = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"
    assert call("endpoint", "text-to-audio", base_url=url).url == url
    assert document(call("endpoint", "chat-completion", base_url=url, provider_model=""))["model"] == "dummy"
    assert document(call("endpoint", "chat-completion", base_url=url))["model"] == "org/name"


def test_an_endpoint_that_sleeps_is_asked_to_wake_whatever_server_runs_there() -> None:
    """Without the header its proxy answers 503 for as long as a machine starts."""
    url = "https://abc.us-east-1.aws.endpoints.huggingface.cloud"
    for name, task in (("endpoint", "summarization"), ("tgi", "chat-completion"), ("tei", "feature-extraction")):
        assert dict(call(name, task, base_url=url).headers)["x-scale-up-timeout"] == "600"
    assert "x-scale-up-timeout" in dict(call("endpoint", "summarization", base_url="https://own.test").headers)
    for name in ("openai-compatible", "groq", "hf-inference"):
        assert "x-scale-up-timeout" not in dict(call(name, "chat-completion").headers)


THE_INPUT = {
    "prompt": "text-to-image text-to-video text-generation",
    **dict.fromkeys(("text", "input"), "text-to-speech text-to-audio feature-extraction"),
    **dict.fromkeys(("image", "images", "image_url", "image_urls"), "image-to-image image-to-video image-segmentation"),
    **dict.fromkeys(("input_image", "input_images"), "image-to-image image-to-video image-segmentation"),
    **dict.fromkeys(("frame_images", "reference_images"), "image-to-image image-to-video image-segmentation"),
    **dict.fromkeys(("audio", "audio_url", "file"), "automatic-speech-recognition"),
}
"""What the tasks' inputs are called by some provider."""


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_no_parameter_takes_the_place_of_the_input_that_was_looked_at_and_priced(name: str, task: str) -> None:
    names = [one for one, tasks in THE_INPUT.items() if task in tasks.split()]
    plain = ASKS[task].body
    told = {**(plain.get("parameters") or {}), **dict.fromkeys(names, "CANARY")}
    change = dict.fromkeys(names, "CANARY") if task == "feature-extraction" else {"parameters": told}
    bare, sent = call(name, task), made(name, ask(task, **change))
    if b"form-data" in body_of(bare):
        assert body_of(sent).count(b'name="file"') == 1
    elif names and "json" in dict(bare.headers)["content-type"]:
        own, with_names = [one["input"] if name == "replicate" else one for one in (document(bare), document(sent))]
        assert {key: one for key, one in with_names.items() if key in own and key != "parameters"} == {
            key: one for key, one in own.items() if key != "parameters"
        }


def test_servers_of_ones_own_are_spoken_to_in_their_words() -> None:
    asked = ask("text-classification", parameters={"function_to_apply": "none", "top_k": 1})
    assert document(made("tei", asked)) == {"inputs": "a cat", "raw_scores": True}
    assert made("tei", asked).url == "http://provider.test/predict"
    assert document(call("tei", "feature-extraction")) == {"inputs": ["a", "b"], "normalize": True}
    assert call("tei", "sentence-similarity").url == "http://provider.test/similarity"
    spoken = document(made("openai-compatible", ask("text-to-image", parameters={"width": 8, "height": 4, "seed": 1})))
    assert spoken == {
        "model": "org/name", "prompt": "a cat", "n": 1, "response_format": "b64_json", "seed": 1, "size": "8x4"
    }  # fmt: skip


def test_what_a_provider_cannot_be_asked_is_refused_by_name_before_anything_is_sent() -> None:
    for name, task, provider_model in (
        ("openai", "chat-completion", "gpt"),
        ("groq", "text-to-image", "m"),
        ("groq", "chat-completion", ""),
    ):
        with pytest.raises(ProviderError, match=name) as error:
            call(name, task, provider_model=provider_model)
        assert (error.value.kind, error.value.nothing_sent) == (FailureKind.REQUEST_REFUSED, True)
    with pytest.raises(ProviderError, match="no address"):
        call("openai-compatible", "chat-completion", base_url="http://[::1")


def test_a_key_of_ones_own_goes_to_the_providers_own_host_in_its_own_form() -> None:
    for dialect, task, url, authorization in (
        ("groq", "chat-completion", "https://api.groq.com/openai/v1/chat/completions", "Bearer k"),
        ("fal-ai", "text-to-image", "https://fal.run/org/name", "Key k"),
        ("fal-ai", "text-to-video", "https://queue.fal.run/org/name", "Key k"),
        ("openai", "chat-completion", "https://api.openai.com/v1/chat/completions", "Bearer k"),
    ):
        asked = candidate(dialect=dialect, provider=dialect, provider_model="org/name")
        assert takes_own_key(asked)
        way = direct(asked, task)
        assert way.dialect.request(ASKS[task], way.candidate, call_headers("acme", "a1", "")).url == url
        assert way.authorization("k") == authorization
        assert any(url.startswith(f"{host}/") for host in own_hosts([dialect]))
    assert not takes_own_key(candidate(dialect="hf-inference"))
    assert own_hosts(["hf-inference", "nobody"]) == ()
    assert own_hosts(["fal-ai"]) == ("https://fal.run", "https://queue.fal.run")


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


PARAMETERS = st.dictionaries(
    st.sampled_from(["width", "height", "target_size", "num_inference_steps", "prompt", "top_k", "return_timestamps"])
    | st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=4,
)


@given(pair=st.sampled_from(PAIRS), parameters=PARAMETERS, provider_model=st.text(max_size=12))
def test_whatever_is_asked_there_is_a_request_or_a_refusal_before_anything_is_sent(
    pair: tuple[str, str], parameters: dict[str, Any], provider_model: str
) -> None:
    name, task = pair
    told = parameters if task in ("chat-completion", "feature-extraction") else {"parameters": parameters}
    mine = {key: value for key, value in told.items() if key not in ("inputs", "messages")}
    try:
        sent = made(name, ask(task, **mine), provider_model=provider_model)
    except ProviderError as error:
        assert error.nothing_sent  # noqa: PT017
        return
    request = httpx.Request(sent.method, sent.url, headers=list(sent.headers), content=body_of(sent))
    assert request.url.host == "provider.test"
    if dict(sent.headers)["content-type"] == "application/json":
        json.loads(body_of(sent))
