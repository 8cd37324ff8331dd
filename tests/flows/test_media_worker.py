"""Workers of payloads: an image by reference from end to end, and what is refused before anybody is paid."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from media_files import good_jpeg, good_png, wav
from media_world import (
    STRANGER,
    Broken,
    at_hf,
    document,
    media_world,
    painting,
    queued,
    record,
)
from worker_world import PROMPT, TOKEN, answer, candidate, chat_input, completion, everything_in, failing, result_of

from runtime.http import FetchRefused, FetchStatus, FetchUnreachable
from runtime.outcome import GiveUp
from schemas.assignment import Price
from schemas.failure import FailureKind
from schemas.media import MAX_INLINE_BYTES

K = FailureKind
PICTURE = f"{STRANGER}/gull.png"


def picture(data: bytes, media_type: str = "image/jpeg") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": media_type}, content=data)


def inline(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_small_image_is_in_the_result_with_what_its_bytes_say(tmp_path: Path) -> None:
    async with media_world(tmp_path, picture(good_png(), "image/jpeg")) as made:
        done = await made.it.run(record("text-to-image", painting(), at_hf()))
    result = result_of(done)
    process = next(span for span in done.spans if span.name == "process inference.image.v1")

    assert process.attributes["messaging.consumer.group.name"] == "novix-worker-image"
    assert [entry.detail["hf_api_version"] for entry in done.audit] == ["2.4"]
    ref = result.output["image"]["$ref"]
    assert result.status == "succeeded"
    assert ref["media_type"] == "image/png"
    assert (ref["width"], ref["height"], ref["bytes"]) == (64, 48, len(good_png()))
    assert ref["uri"] == f"data:image/png;base64,{inline(good_png())}"
    assert result.usage == {"images": 1}
    assert result.cost_nanousd == 300


async def test_a_large_image_is_in_the_store_and_the_result_says_where(tmp_path: Path) -> None:
    large = good_png(1_500, 1_500) + bytes(MAX_INLINE_BYTES)
    async with media_world(tmp_path, picture(large)) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), at_hf())))
        ref = result.output["image"]["$ref"]
        kept = await made.blob(ref)

    assert ref["uri"] == f"blob://{ref['sha256']}"
    assert kept == large
    assert (ref["width"], ref["height"]) == (1_500, 1_500)


async def test_an_image_by_reference_is_sent_as_its_bytes(tmp_path: Path) -> None:
    labels = [{"label": "gull", "score": 0.9}]
    async with media_world(tmp_path, document(labels)) as made:
        sha256 = await made.store.put(good_jpeg(), "image/jpeg")
        ref = {"sha256": sha256, "uri": f"blob://{sha256}", "media_type": "image/jpeg", "bytes": len(good_jpeg())}
        result = result_of(
            await made.it.run(record("image-classification", {"inputs": {"$ref": ref}}, at_hf(ceiling_nanousd=300)))
        )
        (request,) = made.it.script.requests

    assert result.output == labels
    assert request.read() == good_jpeg()
    assert request.headers["content-type"] == "image/jpeg"
    assert made.room.held == 0


async def test_an_address_is_fetched_once_whatever_happens_to_the_call(tmp_path: Path) -> None:
    labels = document([{"label": "gull", "score": 0.9}])
    async with media_world(tmp_path, failing(503), failing(503), labels, there={PICTURE: [good_png()]}) as made:
        result = result_of(await made.it.run(record("image-classification", {"inputs": PICTURE}, at_hf())))

    assert result.status == "succeeded"
    assert made.addresses.asked == [PICTURE]
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED, K.OVERLOADED, None]


async def test_what_was_fetched_and_has_expired_since_is_fetched_again(tmp_path: Path) -> None:
    """No topic names the copy of what lies at an address, so `novix blob gc` may take it while its job waits."""
    labels = document([{"label": "gull", "score": 0.9}])
    opened: list[Any] = []

    async def expires(_: httpx.Request) -> httpx.Response:
        [store] = opened
        [kept] = [info async for info in store.all()]
        assert await store.remove(kept.sha256, untouched_since=kept.touched_at + timedelta(1))
        return failing(503)

    async with media_world(tmp_path, expires, labels, there={PICTURE: [good_png()]}) as made:
        opened.append(made.store)
        result = result_of(await made.it.run(record("image-classification", {"inputs": PICTURE}, at_hf())))

    assert result.status == "succeeded"
    assert made.addresses.asked == [PICTURE] * 2
    assert [attempt.kind for attempt in result.attempts] == [K.OVERLOADED, None]


async def test_an_address_that_does_not_answer_is_asked_again_and_is_no_attempt(tmp_path: Path) -> None:
    labels = document([{"label": "gull", "score": 0.9}])
    there: dict[str, list[Any]] = {PICTURE: [FetchUnreachable("no"), FetchStatus("no: status 502", 502), good_png()]}
    async with media_world(tmp_path, labels, there=there) as made:
        result = result_of(await made.it.run(record("image-classification", {"inputs": PICTURE}, at_hf())))

    assert result.status == "succeeded"
    assert len(result.attempts) == 1
    assert [wait.kind for wait in made.it.waits] == [K.PAYLOAD_UNREACHABLE] * 2
    assert made.it.limits.total_in_flight == 0


@pytest.mark.parametrize(
    ("task_input", "there", "kind", "replay"),
    [
        (PICTURE, [FetchRefused("files.stranger.test: not on the public internet")], K.EGRESS_REFUSED, False),
        (PICTURE, [FetchUnreachable("files.stranger.test: nobody")], K.PAYLOAD_UNREACHABLE, True),
        (PICTURE, [b"<svg>"], K.INVALID_MEDIA, False),
        (inline(wav()), [], K.INVALID_MEDIA, False),
        (inline(good_png()[:20]), [], K.INVALID_MEDIA, False),
        ({"$ref": {"sha256": "0" * 64, "uri": "blob://" + "0" * 64, "media_type": "image/png", "bytes": 5}}, [],
         K.PAYLOAD_MISSING, True),
    ],
    ids=["private", "unreachable", "svg", "sound", "cut", "missing"],
)  # fmt: skip
async def test_a_payload_that_cannot_be_had_or_used_ends_the_job_before_anybody_is_called(
    tmp_path: Path, task_input: Any, there: list[Any], kind: FailureKind, replay: bool
) -> None:
    async with media_world(tmp_path, there={PICTURE: there}) as made:
        other = at_hf(model="acme/other")
        done = await made.it.run(record("image-classification", {"inputs": task_input}, at_hf(), other))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", kind)
    assert made.it.script.requests == []
    assert (result.attempts, result.cost_nanousd) == ([], 0)
    assert isinstance(done, GiveUp) is replay
    assert made.it.limits.total_in_flight == 0
    assert made.room.held == 0


async def test_a_sound_that_is_longer_than_its_price_allows_is_refused_and_the_cheaper_candidate_hears_it(
    tmp_path: Path,
) -> None:
    """Nobody knew its length before the worker had looked: 3 s at 400 a second are more than 1,000."""
    dear = Price(nanousd_per_audio_second=400, source="test", as_of="2026-11-22")
    cheap = Price(nanousd_per_audio_second=300, source="test", as_of="2026-11-22")
    first, second = at_hf(model="acme/dear", price=dear), at_hf(model="acme/cheap", price=cheap)
    said, sound = document({"text": "the gull"}), {"inputs": inline(wav(3.0))}
    task = "automatic-speech-recognition"
    async with media_world(tmp_path, said, modality="audio") as made:
        result = result_of(await made.it.run(record(task, sound, first, second, modality="audio")))
    async with media_world(tmp_path, said, modality="audio") as alone:
        refused = result_of(await alone.it.run(record(task, sound, first, modality="audio")))

    assert result.served.model == "acme/cheap"
    assert len(result.attempts) == 1
    assert result.usage["audio_ms"] == 3_000
    assert result.cost_nanousd == 900
    assert (refused.error.kind, refused.attempts) == (K.PRICE_CEILING, [])
    assert "1200" in refused.error.message
    assert alone.it.script.requests == []


async def test_an_output_that_the_store_does_not_take_is_paid_for_and_told(tmp_path: Path) -> None:
    large = good_png() + bytes(MAX_INLINE_BYTES)
    async with media_world(tmp_path, picture(large), store=Broken(tmp_path / "full")) as made:
        done = await made.it.run(record("text-to-image", painting(), at_hf()))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", K.STORE_FAILED)
    assert result.cost_nanousd == 300
    assert [attempt.kind for attempt in result.attempts] == [None]
    assert isinstance(done, GiveUp)


async def test_a_text_that_no_record_can_hold_is_in_the_store_as_json(tmp_path: Path) -> None:
    long = "gull " * 400_000
    async with media_world(tmp_path, answer(completion(long)), modality="text") as made:
        done = await made.it.run(record("chat-completion", chat_input(), candidate(), modality="text"))
        result = result_of(done)
        ref = result.output["$ref"]
        kept = json.loads(await made.blob(ref))

    assert (result.status, result.cost_nanousd) == ("succeeded", 30)
    assert (ref["media_type"], ref["bytes"] > 2_000_000) == ("application/json", True)
    assert kept["choices"][0]["message"]["content"] == long
    assert len(done.records[0].value or b"") < 10_000


async def test_what_an_answer_names_is_fetched_without_a_credential(tmp_path: Path) -> None:
    there: dict[str, list[Any]] = {PICTURE: [FetchUnreachable("reset"), good_jpeg()]}
    found = document({"images": [{"url": PICTURE, "content_type": "image/png"}]})
    async with media_world(tmp_path, found, there=there) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), queued())))

    assert result.output["image"]["$ref"]["media_type"] == "image/jpeg"
    assert made.addresses.asked == [PICTURE, PICTURE]
    assert len(made.it.script.requests) == len(result.attempts) == 1


async def test_an_answer_that_names_a_private_address_is_paid_for_and_not_fetched(tmp_path: Path) -> None:
    there: dict[str, list[Any]] = {PICTURE: [FetchRefused("files.stranger.test: not on the public internet")]}
    async with media_world(tmp_path, document({"images": [{"url": PICTURE}]}), there=there) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), queued())))

    assert (result.status, result.error.kind) == ("failed", K.EGRESS_REFUSED)
    (attempt,) = result.attempts
    assert (attempt.ambiguous, attempt.cost_nanousd) == (True, 1_000)


async def test_a_chat_that_shows_an_image_sends_its_address_as_it_is_and_its_bytes_as_a_data_uri(
    tmp_path: Path,
) -> None:
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": PICTURE}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{inline(good_png())}"}},
    ]
    task_input = {"messages": [{"role": "user", "content": content}]}
    async with media_world(tmp_path, answer(completion("A gull.")), modality="multimodal") as made:
        done = await made.it.run(record("chat-completion", task_input, candidate(), modality="multimodal"))
        sent = made.it.script.requests[0].read().decode()

    assert result_of(done).output["choices"][0]["message"]["content"] == "A gull."
    assert PICTURE in sent
    assert f"data:image/png;base64,{inline(good_png())}" in sent
    assert made.addresses.asked == []
    assert inline(good_png()) not in everything_in(done)
    assert TOKEN not in everything_in(done)
