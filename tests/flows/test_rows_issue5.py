"""Rows of the requirements that no other suite proves: speech by the second, music, units that nobody tells."""

import base64
from pathlib import Path

import httpx
import pytest
from media_files import good_png, wav
from media_world import at_hf, document, media_world, painting, record
from sound_files import flac
from worker_world import result_of

from schemas.assignment import Price


async def test_thirty_seconds_of_speech_are_billed_as_thirty_seconds(tmp_path: Path) -> None:
    """A7. The worker measures the sound; the provider's answer says nothing of it."""
    by_the_second = Price(nanousd_per_audio_second=20, source="test", as_of="2026-11-22")
    sound = {"inputs": base64.b64encode(flac(30.0)).decode()}
    heard = document({"text": "the gull"})
    async with media_world(tmp_path, heard, modality="audio") as made:
        job = record("automatic-speech-recognition", sound, at_hf(price=by_the_second), modality="audio")
        result = result_of(await made.it.run(job))

    assert result.output == {"text": "the gull"}
    assert result.usage["audio_ms"] == 30_000
    assert result.cost_nanousd == 30 * 20


async def test_music_comes_back_as_a_sound_that_was_measured(tmp_path: Path) -> None:
    """B158: scarcely served, so against the wire form alone."""
    song = httpx.Response(200, headers={"content-type": "audio/wav"}, content=wav(2.0))
    async with media_world(tmp_path, song, modality="audio") as made:
        result = result_of(
            await made.it.run(record("text-to-audio", {"inputs": "a sea shanty"}, at_hf(), modality="audio"))
        )

    ref = result.output["audio"]["$ref"]
    assert (ref["media_type"], ref["duration_ms"]) == ("audio/wav", 2_000)
    assert len(ref["sha256"]) == 64


@pytest.mark.parametrize(("steps", "cost"), [({}, 900), ({"num_inference_steps": 4}, 300 + 4 * 20)])
async def test_a_charged_unit_that_nobody_tells_counts_as_expected_and_not_as_nothing(
    tmp_path: Path, steps: dict[str, int], cost: int
) -> None:
    """The price is for images and steps; how many steps the model makes by default, no answer says."""
    price = Price(nanousd_per_image=300, nanousd_per_step=20, source="test", as_of="2026-11-22")
    maker = at_hf(price=price, estimate_nanousd=900, ceiling_nanousd=1_000)
    made_it = httpx.Response(200, headers={"content-type": "image/png"}, content=good_png())
    async with media_world(tmp_path, made_it) as made:
        result = result_of(await made.it.run(record("text-to-image", {**painting(), "parameters": steps}, maker)))

    assert result.cost_nanousd == cost
    assert result.cost_source == "estimated"
