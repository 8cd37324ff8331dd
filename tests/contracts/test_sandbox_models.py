"""The sandbox's real models for sounds and images: one server, its network shut, asked as anybody asks it."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient, constants
from huggingface_hub.inference._providers import PROVIDERS, hf_inference
from PIL import Image
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
    b64,
    flac,
    sound_of,
    stored,
)

from sandbox.hf import catalogue
from schemas import tasks

pytestmark = pytest.mark.models

# Round trips


def test_what_is_spoken_is_understood(sandbox: Sandbox, speech: bytes) -> None:
    heard = sandbox.ask(WHISPER, speech)
    assert tasks.output_fault("automatic-speech-recognition", heard.json()) is None
    for word in ("invoice", "kitchen", "Friday"):
        assert word in heard.json()["text"]
    samples, rate = sound_of(speech)
    assert heard.headers["x-compute-audio-length"] == f"{len(samples) / rate:.2f}"


def test_timestamps_come_if_asked_and_lie_within_the_sound(sandbox: Sandbox, speech: bytes) -> None:
    body = {"inputs": b64(speech), "parameters": {"return_timestamps": True}}
    heard = sandbox.ask(WHISPER, body).json()
    assert tasks.output_fault("automatic-speech-recognition", heard) is None
    assert "".join(chunk["text"] for chunk in heard["chunks"]) == heard["text"]
    for chunk in heard["chunks"]:
        start, end = chunk["timestamp"]
        assert 0 <= start < end <= 5


def test_an_image_of_text_is_read_as_that_text(sandbox: Sandbox, page: bytes) -> None:
    [found] = sandbox.ask(READER, page).json()
    assert found["generated_text"].splitlines() == list(LINES)


def test_an_image_without_text_has_none(sandbox: Sandbox) -> None:
    blank = stored(Image.new("RGB", (40, 40), "white"))
    assert sandbox.ask(READER, blank).json() == [{"generated_text": ""}]
    asked = {"inputs": {"image": b64(blank), "question": "Who?"}}
    assert sandbox.ask(DOCUMENTS, asked).json() == []


@pytest.mark.parametrize(
    ("question", "line"), [("When is it due?", 2), ("How much money is it?", 1), ("What is the invoice's number?", 0)]
)
def test_a_question_finds_its_line_in_a_drawn_document(sandbox: Sandbox, page: bytes, question: str, line: int) -> None:
    body = {"inputs": {"image": b64(page), "question": question}, "parameters": {"top_k": 3}}
    found = sandbox.ask(DOCUMENTS, body).json()
    assert tasks.output_fault("document-question-answering", found) is None
    assert found[0]["answer"] == LINES[line]
    words = " ".join(LINES).split()
    assert [" ".join(words[row["start"] : row["end"] + 1]) for row in found] == [row["answer"] for row in found]
    assert sum(row["score"] for row in found) == pytest.approx(1)


def test_enhancement_brings_speech_nearer_to_what_it_was_before_the_noise(sandbox: Sandbox, speech: bytes) -> None:
    noisy, clean = noisy_and_clean(sandbox, speech)
    [row] = sandbox.ask(ENHANCER, flac(noisy, 16000)).json()
    assert row["content-type"] == "audio/flac"
    better, rate = sound_of(base64.b64decode(row["blob"]))
    assert rate == 16000
    assert len(better) == len(clean)
    assert signal_to_noise_db(clean, better) > signal_to_noise_db(clean, noisy) + 3


def noisy_and_clean(sandbox: Sandbox, speech: bytes) -> tuple[Any, Any]:
    """The speech at 16 kHz, with white noise 5 dB below it and without."""
    from sandbox.hf.sound import decoded

    clean = decoded(speech).samples * 0.5
    noise = np.random.default_rng(7).normal(0, 1, len(clean))
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10**0.5)
    return clean + noise, clean


def signal_to_noise_db(clean: Any, heard: Any) -> float:
    return float(10 * np.log10(np.sum(clean**2) / np.sum((heard - clean) ** 2)))


@pytest.mark.parametrize(("model", "others"), [(VOICE, set()), (EVENTS, {"singing", "music"})])
def test_silence_and_speech_are_told_apart_by_their_share_of_the_time(
    sandbox: Sandbox, speech: bytes, model: str, others: set[str]
) -> None:
    samples, rate = sound_of(speech)
    padded = np.concatenate([samples, np.zeros_like(samples)])
    found = sandbox.ask(model, flac(padded, rate)).json()
    assert tasks.output_fault("audio-classification", found) is None
    scores = {row["label"]: row["score"] for row in found}
    assert set(scores) == {"speech", "silence"} | others
    assert scores["speech"] == pytest.approx(0.5, abs=0.1)
    assert scores["silence"] == pytest.approx(0.5, abs=0.1)


def test_both_labels_of_an_image_add_up_to_one(sandbox: Sandbox, page: bytes) -> None:
    found = sandbox.ask(NSFW, page).json()
    assert tasks.output_fault("image-classification", found) is None
    assert sum(row["score"] for row in found) == pytest.approx(1)
    assert found[0]["label"] == "normal"
    body = {"inputs": b64(page), "parameters": {"top_k": 1}}
    assert sandbox.ask(NSFW, body).json() == found[:1]


def test_a_prompt_draws_the_same_landscape_again_and_another_one_another(sandbox: Sandbox) -> None:
    small = {"width": 96, "height": 64}
    drawn = [
        sandbox.ask(TERRAIN, {"inputs": words, "parameters": small | {"seed": seed}}, accept="image/png").content
        for words, seed in (("hills", 1), ("hills", 1), ("dunes", 1), ("hills", 2))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    image = Image.open(io.BytesIO(drawn[0]))
    assert (image.format, image.size) == ("PNG", (96, 64))
    assert len(set(image.convert("L").getdata())) > 20


# The wire


@pytest.mark.parametrize(
    ("accept", "kind", "first"),
    [("*/*", "audio/flac", b"fLaC"), ("audio/wav", "audio/wav", b"RIFF"), ("text/html", "audio/flac", b"fLaC")],
)
def test_a_sound_is_flac_unless_the_caller_likes_wav_better(
    sandbox: Sandbox, accept: str, kind: str, first: bytes
) -> None:
    spoken = sandbox.ask(SPEAKER, {"inputs": "Hello"}, accept=accept)
    assert (spoken.headers["content-type"], spoken.content[:4]) == (kind, first)
    assert spoken.headers["x-compute-characters"] == "5"


def test_a_file_and_the_same_file_in_json_are_answered_alike_under_any_declared_type(
    sandbox: Sandbox, page: bytes
) -> None:
    plain = sandbox.ask(NSFW, {"inputs": b64(page)}).json()
    for kind in ("image/png", "application/json", "application/octet-stream", "audio/wav"):
        assert sandbox.ask(NSFW, page, **{"content-type": kind}).json() == plain
    assert sandbox.ask(f"{NSFW}/pipeline/image-classification", page).json() == plain


@pytest.mark.parametrize(
    ("model", "content", "status", "said"),
    [
        (WHISPER, b"", 400, {"error": ["Error in `inputs`: Malformed soundfile"]}),
        (WHISPER, b"RIFF\x00\x00\x00\x00WAVEfmt ", 400, {"error": ["Error in `inputs`: Malformed soundfile"]}),
        (WHISPER, b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", 400, None),
        (NSFW, b"\x89PNG\r\n\x1a\n", 400, {"error": ["Error in `inputs`: cannot identify image file"]}),
        (NSFW, {"inputs": "*"}, 400, {"error": ["Error in `inputs`: malformed base64"]}),
        (NSFW, {"inputs": 5}, 422, None),
        (NSFW, {"inputs": "", "parameters": {"top_k": 0}}, 422, None),
        (DOCUMENTS, {"inputs": {"image": "AAAA", "question": "?"}}, 400, None),
        (DOCUMENTS, {"inputs": {"image": {}, "question": "?"}}, 400, None),
        (SPEAKER, {"inputs": "\x01\x02"}, 400, None),
        (SPEAKER, {"inputs": "a" * 5001}, 422, None),
        (SPEAKER, b"no json", 400, None),
        (TERRAIN, {"inputs": "x", "parameters": {"width": 10_000}}, 422, None),
        (EVENTS, {"inputs": "AAAA", "parameters": {"function_to_apply": "softmax"}}, 400, None),
    ],
)
def test_what_cannot_be_worked_on_is_refused_in_hugging_faces_forms_and_free(
    sandbox: Sandbox, model: str, content: Any, status: int, said: Any
) -> None:
    before = sandbox.http.get("/admin/bill").json()
    answer = sandbox.ask(model, content)
    assert answer.status_code == status
    assert said is None or answer.json() == said
    assert sandbox.http.get("/admin/bill").json() == before


def test_a_call_with_a_file_is_billed_by_the_compute_time_that_its_answer_told(sandbox: Sandbox, page: bytes) -> None:
    answers = [
        sandbox.ask(model, content, **{"x-amzn-trace-id": "a-page"})
        for model, content in (
            (NSFW, page),
            (DOCUMENTS, {"inputs": {"image": b64(page), "question": "When?"}}),
            (SPEAKER, {"inputs": "one two three"}),
        )
    ]
    entries = sandbox.http.get("/admin/bill/entries", params={"trace": "a-page"}).json()["entries"]
    told = [round(float(answer.headers["x-compute-time"]) * 1000) for answer in answers]
    assert [entry["compute_ms"] for entry in entries] == told
    assert [entry["cost_nanousd"] for entry in entries] == [ms * 120 for ms in told]


def test_a_fault_spoils_a_call_with_a_file_as_any_other(sandbox: Sandbox, page: bytes) -> None:
    faults = [
        {"match": {"model": NSFW, "first": 1}, "action": {"kind": "rate_limit", "retry_after": "2"}},
        {"match": {"model": TERRAIN, "first": 1}, "action": {"kind": "garbage", "content_type": "image/png"}},
    ]
    assert sandbox.http.post("/admin/faults", json={"profiles": faults}).status_code == 201
    try:
        assert sandbox.ask(NSFW, page).status_code == 429
        noise = sandbox.ask(TERRAIN, {"inputs": "x"})
        assert (noise.status_code, noise.headers["content-type"], len(noise.content)) == (200, "image/png", 512)
        assert sandbox.ask(NSFW, page).status_code == 200
    finally:
        sandbox.http.delete("/admin/faults")


def test_what_the_sandbox_cannot_do_is_told(sandbox: Sandbox) -> None:
    told = sandbox.http.get("/healthz").json()
    offered = {task for row in catalogue.catalogue() if row["id"] in told["models"] for task in row["tasks"]}
    assert sorted([*offered, *told["not_available_offline"]]) == sorted(tasks.MODALITIES)
    assert "text-to-speech" in offered
    assert "espeak" in told["text_to_speech_by"]
    assert {"translation", "fill-mask", "text-to-video"} <= set(told["not_available_offline"])


# Hugging Face's own client


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceClient]:
    """The official client, with the sandbox for the Hub and for hf-inference."""
    monkeypatch.setattr(constants, "ENDPOINT", sandbox.url)
    monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", sandbox.url + "/{provider}")
    for helper in PROVIDERS["hf-inference"].values():
        monkeypatch.setattr(helper, "base_url", f"{sandbox.url}/hf-inference")
    hf_inference._check_supported_task.cache_clear()
    yield InferenceClient(provider="hf-inference", token="hf_test", timeout=120)
    hf_inference._check_supported_task.cache_clear()


def test_the_official_client_works_for_every_task_with_sounds_and_images(
    client: InferenceClient, page: bytes, tmp_path: Path
) -> None:
    spoken = client.text_to_speech(SAID, model=SPEAKER)
    (tmp_path / "said.flac").write_bytes(spoken)
    assert "invoice" in client.automatic_speech_recognition(spoken, model=WHISPER).text
    assert "invoice" in client.automatic_speech_recognition(tmp_path / "said.flac", model=WHISPER).text
    assert client.audio_classification(spoken, model=EVENTS, top_k=1)[0].label == "speech"
    [enhanced] = client.audio_to_audio(spoken, model=ENHANCER)
    assert sound_of(bytes(enhanced.blob))[1] == 16000  # type: ignore[arg-type]
    assert client.image_to_text(page, model=READER).generated_text == "\n".join(LINES)
    assert {row.label for row in client.image_classification(page, model=NSFW)} == {"normal", "nsfw"}
    [found] = client.document_question_answering(page, question="When is it due?", model=DOCUMENTS)
    assert found.answer == LINES[2]
    drawn = client.text_to_image("a valley", model=TERRAIN, width=128, height=128, seed=3)
    assert drawn.size == (128, 128)


def test_the_official_client_works_for_every_task_with_text(client: InferenceClient) -> None:
    assert client.feature_extraction("a text", model=E5).shape == (384,)
    near, far = client.sentence_similarity("a dog", ["a small dog", "tax law"], model=E5)
    assert near > far
    labels = client.zero_shot_classification("money back please", ["refund", "weather"], model=ZERO_SHOT)
    assert labels[0].label == "refund"
    assert client.text_classification("I love it", model="novix-sandbox/e5-sentiment")[0].label == "POSITIVE"
    assert client.text_generation("One, two,", model=SMOL, max_new_tokens=4)
    asked = [{"role": "user", "content": "Say hello"}]
    whole = client.chat_completion(asked, model=SMOL, max_tokens=5, temperature=0).choices[0].message.content
    pieces = client.chat_completion(asked, model=SMOL, max_tokens=5, temperature=0, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole


def test_no_model_has_tried_to_reach_the_network(sandbox: Sandbox, page: bytes, speech: bytes) -> None:
    asked: dict[str, bytes | dict[str, Any]] = {
        WHISPER: speech, EVENTS: speech, ENHANCER: speech, READER: page, NSFW: page,
        SPEAKER: {"inputs": "Hello"},
        TERRAIN: {"inputs": "x", "parameters": {"width": 64, "height": 64}},
        DOCUMENTS: {"inputs": {"image": b64(page), "question": "When?"}},
    }  # fmt: skip
    answered = {model: sandbox.ask(model, content).status_code for model, content in asked.items()}
    assert answered == dict.fromkeys(asked, 200)
    assert sandbox.tried.read_text().split() == ["socket.getaddrinfo"]  # ours, before the server began
