"""Router and worker count the same: what a worker knows before its call is within what the router bounded by.

Else a job that was assigned under an exact ceiling would be refused by its worker as too dear.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.estimate import most_cost, rates
from router.load import load_of
from schemas.assignment import Candidate, Price
from schemas.units import COMPUTE_MS, STEPS, UNITS
from workers.cost import charge
from workers.exchange import Media
from workers.modalities import TASKS

PRICES = [
    Price(**{unit.price: 1_000_003}, source="test", as_of="2026-11-22") for unit in UNITS if unit.name != COMPUTE_MS
]
PROVIDER = Candidate(
    model="org/model", provider="fal-ai", provider_model="m", dialect="fal-ai", base_url="https://example.org",
    price=PRICES[0], max_in_flight=1, estimate_nanousd=0, ceiling_nanousd=0,
)  # fmt: skip
SIDES = st.integers(1, 2_048)


def held(task: str, at_the_router: dict[str, Any], at_the_worker: dict[str, Any]) -> None:
    known = TASKS[task].ask(at_the_worker, {}, PROVIDER).units
    load = load_of(task, at_the_router)
    for unit, count in known.items():
        assert count <= load.most.get(unit, count), unit
    for price in PRICES:
        most = most_cost(rates(price), load, 0, ceiling=10**18, silent_ms=30_000)
        assert charge(known, price).nanousd <= most


def shown(media: Media) -> dict[str, Any]:
    """The same payload as a reference, as a job has it."""
    told = {name: getattr(media, name) for name in ("width", "height", "duration_ms")}
    return {"$ref": {name: value for name, value in told.items() if value is not None}}


@given(st.none() | SIDES, st.none() | SIDES, st.none() | st.integers(1, 1_000))
def test_an_image_that_is_asked_for(width: int | None, height: int | None, steps: int | None) -> None:
    asked = {"inputs": "a fox", "parameters": {"width": width, "height": height, "num_inference_steps": steps}}
    held("text-to-image", asked, asked)


def test_steps_are_counted_by_either_name_that_providers_take() -> None:
    for parameters, steps in (({"steps": 40}, 40), ({"steps": 40, "num_inference_steps": 4}, 40)):
        known = TASKS["text-to-image"].ask({"inputs": "a fox", "parameters": parameters}, {}, PROVIDER).units
        assert known[STEPS] == steps


@given(SIDES, SIDES, SIDES, SIDES)
def test_an_image_that_is_made_of_another(width: int, height: int, wide: int, high: int) -> None:
    image = Media("image", b"x", "image/png", wide, high)
    parameters = {"prompt": "a fox", "target_size": {"width": width, "height": height}}
    held(
        "image-to-image", {"inputs": shown(image), "parameters": parameters},
        {"inputs": image, "parameters": parameters},
    )  # fmt: skip


@given(st.none() | st.integers(1, 1_440), st.none() | st.integers(1, 1_000))
def test_a_video_that_is_asked_for(frames: int | None, steps: int | None) -> None:
    asked = {"inputs": "a fox runs", "parameters": {"num_frames": frames, "num_inference_steps": steps}}
    held("text-to-video", asked, asked)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=300))
def test_a_text_that_is_spoken(words: str) -> None:
    held("text-to-speech", {"inputs": words}, {"inputs": words})


@given(st.integers(1, 3_600_000))
def test_a_sound_whose_length_a_reference_tells(duration_ms: int) -> None:
    sound = Media("audio", b"x", "audio/wav", duration_ms=duration_ms, sampling_rate=16_000, channels=1)
    for task in ("automatic-speech-recognition", "audio-classification", "audio-to-audio"):
        held(task, {"inputs": shown(sound)}, {"inputs": sound})


@given(SIDES, SIDES)
def test_an_image_that_is_looked_at(width: int, height: int) -> None:
    image = Media("image", b"x", "image/png", width, height)
    held("image-classification", {"inputs": shown(image)}, {"inputs": image})
    question = {"question": "Who?"}
    held(
        "visual-question-answering", {"inputs": {"image": shown(image), **question}},
        {"inputs": {"image": image, **question}},
    )  # fmt: skip


@given(SIDES, SIDES, st.integers(1, 4))
def test_images_in_a_chat(width: int, height: int, images: int) -> None:
    image = Media("image", b"x", "image/png", width, height)

    def chat(url: Any) -> dict[str, Any]:
        content = [{"type": "image_url", "image_url": {"url": url}}] * images
        return {"messages": [{"role": "user", "content": content}], "max_tokens": 5}

    held("chat-completion", chat(shown(image)), chat(image))
