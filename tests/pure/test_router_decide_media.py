"""The decision about images, sounds and videos: whose worker, which models, at what price."""

from typing import Any

import pytest
from rulings import HOSTED, IMAGE, LLAMA, VIEWS, job, ruled, view

from schemas.failure import FailureKind

FLUX, SDXL = "black-forest-labs/FLUX.1-schnell", "stabilityai/stable-diffusion-xl-base-1.0"


@pytest.mark.parametrize(
    ("task", "task_input", "modality"),
    [
        ("text-to-image", {"inputs": "a fox"}, "image"),
        ("image-to-text", {"inputs": "AAAA"}, "image"),
        ("automatic-speech-recognition", {"inputs": "AAAA"}, "audio"),
        ("text-to-speech", {"inputs": "Hi"}, "audio"),
        ("visual-question-answering", {"inputs": {"image": "AAAA", "question": "Who?"}}, "multimodal"),
        ("translation", {"inputs": "Hi"}, "text"),
        ("chat-completion", {"messages": [{"role": "user", "content": [IMAGE]}]}, "multimodal"),
        ("chat-completion", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}, "text"),
    ],
)
def test_a_job_goes_to_the_worker_of_its_modality(task: str, task_input: dict[str, Any], modality: str) -> None:
    ruling = ruled(job(task, task_input))
    assert (ruling.verdict, ruling.modality) == ("assigned", modality)


def test_a_chat_with_an_image_is_shown_to_models_that_read_images_alone() -> None:
    ruling = ruled(job(task_input={"messages": [{"role": "user", "content": [IMAGE]}]}))
    readers = {one.model for one in VIEWS["hosted"].catalogue.offers if "image" in one.reads}
    assert {one.model for one in ruling.candidates} <= readers
    assert any(one.model == LLAMA and "reads text alone" in one.detail for one in ruling.exclusions)


def test_a_named_model_falls_back_to_its_other_providers_and_to_no_other_model() -> None:
    """B225."""
    ruling = ruled(job("text-to-image", {"inputs": "a fox"}, model=FLUX))
    assert {(one.model, one.provider) for one in ruling.candidates} == {
        (FLUX, "fal-ai"), (FLUX, "nscale"), (FLUX, "replicate")
    }  # fmt: skip


def test_a_named_provider_is_the_only_one_that_is_asked() -> None:
    ruling = ruled(job("text-to-image", {"inputs": "a fox"}, provider="nscale"))
    assert {one.provider for one in ruling.candidates} == {"nscale"}
    assert {one.model for one in ruling.candidates} == {FLUX, SDXL}


def test_where_the_mapping_decides_a_candidate_has_no_name_on_the_wire_yet() -> None:
    ruling = ruled(job("text-to-image", {"inputs": "a fox"}, model=FLUX, provider="fal-ai"))
    (one,) = ruling.candidates
    assert (one.provider_model, one.dialect, one.base_url) == ("", "fal-ai", HOSTED.hf_router_url)


def test_image_jobs_that_leave_the_model_to_us_get_the_installations_or_the_cheapest() -> None:
    asked = job("text-to-image", {"inputs": "a fox"})
    costs = [one.estimate_nanousd for one in ruled(asked).candidates]
    assert costs == sorted(costs)
    assert len({one.model for one in ruled(asked).candidates}) > 1
    assert {one.model for one in ruled(asked, view(image_model=FLUX)).candidates} == {FLUX}
    assert ruled(asked, view(image_model="no/such")).candidates == ruled(asked).candidates, "nobody has it: as `auto`"


def test_a_translator_is_replaced_by_none_of_another_pair_of_languages() -> None:
    """The next model would answer another question, although the job leaves the model to us."""
    ruling = ruled(job("translation", {"inputs": "Hi"}))
    assert len({one.model for one in ruling.candidates}) == 1
    assert any("do not compare" in one.detail for one in ruling.exclusions)


@pytest.mark.parametrize(
    ("task", "task_input", "model"),
    [
        ("text-to-image", {"inputs": "x", "parameters": {"width": 1024, "height": 1024}}, FLUX),
        ("text-to-image", {"inputs": "x", "parameters": {"num_inference_steps": 30}}, SDXL),
        ("text-to-speech", {"inputs": "x" * 5_000}, "hexgrad/Kokoro-82M"),
        ("text-to-video", {"inputs": "x", "parameters": {"num_frames": 80}}, "Wan-AI/Wan2.2-TI2V-5B"),
    ],
)
def test_a_ceiling_that_is_too_low_is_refused_with_a_quote_in_any_unit(
    task: str, task_input: dict[str, Any], model: str
) -> None:
    refused = ruled(job(task, task_input, model=model, max_cost_nanousd=1_000))
    assert (refused.verdict, refused.kind) == ("rejected", FailureKind.PRICE_CEILING)
    assert refused.message is not None
    quoted = int(refused.message.split(" needs ")[1].split()[0])
    assert ruled(job(task, task_input, model=model, max_cost_nanousd=quoted - 1)).kind == FailureKind.PRICE_CEILING
    accepted = ruled(job(task, task_input, model=model, max_cost_nanousd=quoted))
    assert accepted.verdict == "assigned"
    assert all(one.estimate_nanousd <= one.ceiling_nanousd <= quoted for one in accepted.candidates)


def test_the_length_of_a_sound_that_nobody_has_heard_leaves_the_whole_ceiling_to_the_worker() -> None:
    asked = job("automatic-speech-recognition", {"inputs": "https://example.org/a.wav"}, provider="deepinfra")
    (one,) = ruled(asked).candidates
    assert one.ceiling_nanousd == 10_000_000
    assert one.estimate_nanousd == 80_000
