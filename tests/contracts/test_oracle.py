"""Every request is the one that huggingface_hub 2.4.0 builds: recorded rows, and its own helpers where it is there."""

import base64
import copy
import importlib.util
import itertools
import mimetypes
from pathlib import Path
from typing import Any

import pytest
from conformance_reasons import Sent, explained
from dialects import reply
from oracle import TASKS, ask_of, call_of, expected, rows, shown

from schemas import providers
from schemas.media import INPUTS as INPUTS_OF
from workers.errors import ProviderError
from workers.exchange import Ask, Binary, Media

RECORDED = rows()


def ours(row: dict[str, Any]) -> dict[str, Any]:
    ask = ask_of(row["task"], row["inputs"], row["parameters"])
    provider = row["provider"]
    as_it_is = provider in ("auto", "endpoint-url", "openai", "hf-inference")
    call, scheme = call_of(
        provider,
        row["task"],
        ask,
        model=row["model"],
        provider_model=row["model"] if as_it_is else row["provider_model_id"],
        own_key=row["key_kind"] == "provider",
        adapter_weights_path=row.get("adapter_weights_path") or "",
        bill_to=row.get("extra_headers", {}).get("X-HF-Bill-To", ""),
    )
    return shown(call, scheme)


@pytest.mark.parametrize("row", RECORDED, ids=[f"{row['id']}-{row['provider']}-{row['task']}" for row in RECORDED])
def test_a_request_is_the_official_clients(row: dict[str, Any]) -> None:
    if "expect" not in row:
        with pytest.raises(ProviderError) as refused:
            ours(row)
        assert refused.value.nothing_sent
        return
    row["parameters"].pop("model", None)
    assert ours(row) == expected(row["expect"])


needs_client = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)
MEDIA = frozenset(INPUTS_OF) - {"chat-completion", "document-question-answering"}
PNG, WAV = b"\x89PNG\r\n\x1a\nfakeimg", b"RIFF$\x00\x00\x00WAVEfmt fakeaudio"
ADAPTERS = ("", "lora/pytorch.safetensors")
MODELS = ("prov/model-x", "owner/name:abc123", "black-forest-labs/FLUX.1-kontext-dev", "fal-ai/lora")
SCHEMA = {"name": "p", "schema": {"type": "object", "properties": {"a": {"type": "integer", "default": None}}}}
SIZED = {"width": 512, "height": 256, "num_inference_steps": 4, "guidance_scale": 3.5, "seed": 7, "scheduler": None}
TEXTS = ("a cat", "", 'Grüße \U0001f431\u2028"\\', "https://x.test/a.png", "data:text/plain,a")
"""Of tasks that take a text: what looks like an address is a text all the same."""
STRANGE = {
    "é": {"deep": {"null": None, "list": [1, None, {"null": None}]}},
    "none": None, "empty": {}, "blank": "", "zero": 0, "no": False, "tiny": 1e-7, "much": 2**53,
}  # fmt: skip
INPUTS: dict[str, tuple[Any, ...]] = {
    "conversational": (
        [{"role": "user", "content": "Hi"}],
        [
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]},
        ],
        [{"role": "system", "content": "", "name": None}, {"role": "user", "content": [{"type": "text", "text": "é"}]}],
    ),
    "feature-extraction": ("hello", ["a", "b"]),
    "sentence-similarity": ({"source_sentence": "a", "sentences": ["b", "c"]},),
    "question-answering": ({"question": "who?", "context": "me"}, {"question": "", "context": "", "more": None}),
    "table-question-answering": ({"query": "q", "table": {"a": ["1"]}},),
    "document-question-answering": ({"question": "q", "image": "iVBORw0KGgpmYWtlaW1n"},),
    **dict.fromkeys(("audio-classification", "audio-to-audio", "automatic-speech-recognition"), (WAV,)),
    **dict.fromkeys(
        (
            "image-classification", "image-segmentation", "image-to-text", "object-detection", "image-to-image",
            "image-to-video", "zero-shot-image-classification",
        ),
        (PNG,),
    ),
}  # fmt: skip
PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "conversational": (
        {"max_tokens": 8, "temperature": 0, "stop": ["x"], "seed": None},
        {"stream": True, "stream_options": {"include_usage": True}, "logit_bias": {"1": None}},
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {"response_format": {"type": "json_object"}, **STRANGE},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA["schema"]}}]},
    ),
    "text-generation": ({"max_new_tokens": 5, "temperature": 0.5, "return_full_text": False, "stop": ["."]},),
    "feature-extraction": ({"normalize": True, "prompt_name": "query", "dimensions": None},),
    "text-to-image": (SIZED, {"width": 512, "negative_prompt": "dog"}, {"width": 0, "height": 0, **STRANGE}),
    "image-to-image": ({"prompt": "x", "num_inference_steps": 4, "target_size": {"width": 64, "height": 32}},),
    "image-to-video": ({"prompt": "x", "num_frames": 16, "target_size": {"height": 64}}, {"num_inference_steps": 3}),
    "text-to-video": ({"num_inference_steps": 10, "guidance_scale": 5, "num_frames": 16},),
    "text-to-speech": ({"voice": "af", "speed": 1.2}, {"generation_parameters": {"do_sample": True, "top_k": None}}),
    "automatic-speech-recognition": ({"language": "en", "return_timestamps": True, "words": [1, "ä"], "n": 0.5},),
    "sentence-similarity": (),
}
UNLIKE = {("hf-inference", "visual-question-answering"), ("hf-inference", "tabular-classification")}
"""Not compared: the client puts question and image beside the bytes, where the published schema and huggingface.js put
them inside `inputs`; tabular tasks have no published schema."""


def prepared(provider: str, task: str, inputs: Any, parameters: dict[str, Any], way: tuple[str, str, bool]) -> Any:
    """What the official client would send; nothing is sent, and no network is used."""
    from huggingface_hub.hf_api import InferenceProviderMapping
    from huggingface_hub.inference._providers import PROVIDERS, _common

    provider_model, adapter, own_key = way
    known = _common.HARDCODED_MODEL_INFERENCE_MAPPING.setdefault(provider, {})
    known["org/model"] = InferenceProviderMapping(
        provider=provider,
        hf_model_id="org/model",
        providerId=provider_model,
        task=task,
        status="live",
        **({"adapterWeightsPath": adapter} if adapter else {}),
    )
    try:
        made = PROVIDERS[provider][task].prepare_request(  # type: ignore[index]
            inputs=inputs,
            parameters=parameters,
            headers={"X-HF-Bill-To": "acme"},
            model="org/model",
            api_key="sk-own" if own_key else "hf_token",
        )
    finally:
        del known["org/model"]
    return made


def in_oracles_form(made: Any) -> dict[str, Any]:
    headers = {name: text for name, text in made.headers.items() if name not in ("user-agent", "x-amzn-trace-id")}
    headers["authorization"] = headers["authorization"].partition(" ")[0] + " <KEY>"
    data = made.data
    kind, mark, boundary = headers.get("content-type", "").partition("; boundary=")
    if mark:
        headers["content-type"] = f"{kind}; boundary=<BOUNDARY>"
        data = data.replace(boundary.encode(), b"<BOUNDARY>")
    expect = {"method": "POST", "url": made.url, "headers": headers, "json": made.json, "data": None}
    if data is not None:
        expect["data"] = {"$bytes_b64": base64.b64encode(data).decode()}
    return expected(expect)


def helpers() -> list[tuple[str, str]]:
    if importlib.util.find_spec("huggingface_hub") is None:
        return []
    from huggingface_hub.inference._providers import PROVIDERS

    return [
        (provider, task) for provider, tasks in PROVIDERS.items() for task in tasks if (provider, task) not in UNLIKE
    ]


@needs_client
@pytest.mark.parametrize(("provider", "task"), helpers())
def test_every_helper_of_the_client_builds_what_we_build(
    provider: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left of a difference is in the table of reasons, and only for the doors that are named there."""
    from huggingface_hub.inference._providers import hf_inference

    monkeypatch.setattr(hf_inference, "_check_supported_task", lambda model, task: None)
    as_it_is = provider in ("hf-inference", "openai")
    compared = 0
    for inputs, parameters, model, adapter, own_key in itertools.product(
        INPUTS.get(task, TEXTS),
        ({}, *PARAMETERS.get(task, ({"top_k": 1, "none": None}, STRANGE))),
        ("org/model",) if as_it_is else MODELS,
        ADAPTERS,
        (False, True),
    ):
        if provider == "openai" and not own_key:
            continue
        if provider == "hf-inference" and own_key:
            continue  # its own host is the router
        made = prepared(provider, task, copy.deepcopy(inputs), copy.deepcopy(parameters), (model, adapter, own_key))
        call, scheme = call_of(
            provider,
            task,
            ask_of(task, inputs, parameters),
            model="org/model",
            provider_model=model,
            own_key=own_key,
            adapter_weights_path=adapter,
            bill_to="acme",
        )
        theirs, sent = in_oracles_form(made), shown(call, scheme)
        reasons = explained(Sent("POST", theirs["url"], theirs["body"]), Sent("POST", sent["url"], sent["body"]))
        assert reasons is not None, (theirs, sent)
        assert set(reasons) <= ALLOWED.get((provider, task), set())
        assert theirs["headers"] == sent["headers"]
        compared += 1
    assert compared


FILES = {
    "image": {"a.png": PNG, "à b.jpg": b"\xff\xd8\xff\xe0", "a.webp": b"RIFF$\x00\x00\x00WEBP", "noname": PNG},
    "audio": {"a.wav": WAV, "à b.mp3": b"ID3", "a.flac": b"fLaC", "noname": WAV},
}
OF_ONE_TYPE = {"wavespeed": "image/jpeg", ("fal-ai", "automatic-speech-recognition"): "audio/mpeg"}
"""Where the client says one type of all bytes; we say the one that they have."""


@needs_client
@pytest.mark.parametrize(("provider", "task"), [pair for pair in helpers() if TASKS.get(pair[1], pair[1]) in MEDIA])
def test_a_file_is_sent_as_the_client_sends_it_with_its_type(
    provider: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.inference._providers import hf_inference

    monkeypatch.setattr(hf_inference, "_check_supported_task", lambda model, task: None)
    kind = INPUTS_OF[task][0].kind
    always = OF_ONE_TYPE.get((provider, task), OF_ONE_TYPE.get(provider))
    model = "org/model" if provider == "hf-inference" else "a/b"
    for (name, data), parameters in itertools.product(FILES[kind].items(), ({}, {"top_k": 1})):
        (tmp_path / name).write_bytes(data)
        made = prepared(provider, task, str(tmp_path / name), dict(parameters), (model, "", False))
        media = Media(kind, data, always or mimetypes.guess_type(name)[0] or "")
        asked = Ask(task, {"inputs": media, "parameters": parameters})
        call, scheme = call_of(
            provider, task, asked, model="org/model", provider_model=model, own_key=False, bill_to="acme"
        )
        assert in_oracles_form(made) == shown(call, scheme)


ALLOWED = {(provider, "text-generation"): {"max_tokens"} for provider in ("together", "novita")}
"""Where a reason of `conformance_reasons` may be needed; everywhere else the requests are equal."""


@needs_client
def test_we_speak_to_every_provider_of_the_client_and_know_what_each_does() -> None:
    from huggingface_hub.inference._providers import PROVIDERS as THEIRS

    theirs = {
        name: {TASKS.get(task, task) for task in tasks} - {"tabular-classification"} for name, tasks in THEIRS.items()
    }
    theirs["hf-inference"].add("text-to-audio")
    assert {name: set(tasks) for name, tasks in providers.PROVIDERS.items() if name in theirs} == theirs


B64 = base64.b64encode(PNG).decode()
ANSWERS: list[tuple[str, str, Any]] = [
    *((name, "text-generation", {"choices": [{"text": "x", "finish_reason": "stop"}]}) for name in
      ("together", "novita", "deepinfra", "featherless-ai")),
    *((name, "feature-extraction", {"data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1]}]})
      for name in ("together", "scaleway", "deepinfra")),
    *((name, task, {"data": [{"b64_json": B64}]}) for name, task in
      (("together", "text-to-image"), ("together", "image-to-image"), ("nscale", "text-to-image"))),
    ("deepinfra", "automatic-speech-recognition", {"text": "a", "segments": [{"text": "a", "start": 0, "end": 1}]}),
    ("fal-ai", "automatic-speech-recognition", {"text": "a"}),
    ("replicate", "automatic-speech-recognition", {"output": "a"}),
    ("replicate", "automatic-speech-recognition", {"output": ["a", "b"]}),
    ("replicate", "automatic-speech-recognition", {"output": [{"transcription": "a", "translation": "b"}]}),
    ("groq", "conversational", {"choices": [{"message": {"content": "x"}}]}),
]  # fmt: skip


@needs_client
@pytest.mark.parametrize(("provider", "task", "answer"), ANSWERS)
def test_an_answer_is_understood_as_the_official_client_understands_it(provider: str, task: str, answer: Any) -> None:
    from huggingface_hub.inference._providers import PROVIDERS as THEIRS

    theirs = THEIRS[provider][task].get_response(copy.deepcopy(answer))  # type: ignore[index]
    found = reply(provider, TASKS.get(task, task), answer).document
    if task == "text-generation":
        theirs = {"generated_text": theirs["generated_text"]}
    assert (found.data if isinstance(found, Binary) else found) == theirs
