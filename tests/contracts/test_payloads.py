"""Payloads on their way into a call and out of it: every form, every lie, every store that fails."""

import asyncio
import base64
import gc
import hashlib
import io
from contextlib import AsyncExitStack

import media_files
import pytest
from payload_world import PNG, SOON, URL, Web, World
from PIL import Image

from runtime.blobs import BlobDamaged, BlobUnavailable
from runtime.blobs.folder import FolderStore
from runtime.http import FetchRefused, FetchStatus, FetchTooLarge, FetchUnreachable
from runtime.settings import Settings
from schemas.failure import FAILURES, FailureKind
from schemas.media import MAX_INLINE_BYTES, BlobRef
from workers.errors import ProviderError
from workers.exchange import Media
from workers.media import MediaLimits, probed
from workers.payloads import MAX_JSON_BYTES, Payloads, payload_room
from workers.room import AnswerRoom

K = FailureKind
WAV = media_files.wav()


@pytest.fixture
def world() -> World:
    return World()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ref(data: bytes, **fields):
    sha256 = hashlib.sha256(data).hexdigest()
    told = {"sha256": sha256, "uri": f"blob://{sha256}", "media_type": "image/png", "bytes": len(data)}
    return {"$ref": {**told, **fields}}


@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
@pytest.mark.parametrize("form", ["base64", "data", "lying data", "blob", "data ref", "https ref"])
async def test_every_way_to_give_a_payload_leads_to_its_bytes(world: World, form: str, *, big: bool):
    data = media_files.wav(8) if big else media_files.good_bmp()
    task, media_type = ("automatic-speech-recognition", "audio/wav") if big else ("image-classification", "image/bmp")
    await world.store.put(data, "application/octet-stream")
    world.web.pages[URL] = data
    value = {
        "base64": text(data), "data": f"data:{media_type};base64,{text(data)}",
        "lying data": f"data:text/html;base64,{text(data)}", "blob": ref(data),
        "data ref": ref(data, uri=f"data:{media_type};base64,{text(data)}"), "https ref": ref(data, uri=URL),
    }[form]  # fmt: skip

    async with world.loaded(value, task) as media:
        assert isinstance(media, Media)
        assert (media.data, media.media_type) == (data, media_type)


async def test_what_is_loaded_leaves_the_rest_of_the_input_as_it_is(world: World):
    asked = {"inputs": {"image": text(PNG), "question": "What?"}, "top_k": 3}

    async with world.payloads.loaded("visual-question-answering", asked, total_s=SOON) as full:
        assert full["inputs"]["image"].width == 64
        assert (full["inputs"]["question"], full["top_k"]) == ("What?", 3)
    assert asked["inputs"]["image"] == text(PNG)


async def test_a_chats_addresses_are_for_its_provider_and_its_other_images_are_loaded(world: World):
    urls = [URL, f"data:image/png;base64,{text(PNG)}", "https://images.example/other.png"]
    chat = {"messages": [{"content": [{"image_url": {"url": url}} for url in urls]}]}

    assert await world.payloads.gathered("chat-completion", chat, total_s=SOON) is chat
    async with world.payloads.loaded("chat-completion", chat, total_s=SOON) as full:
        first, second, third = (part["image_url"]["url"] for part in full["messages"][0]["content"])
        assert (first, second.data, third) == (URL, PNG, urls[2])
    assert world.web.asked == []


@pytest.mark.parametrize("task", ["text-generation", "text-to-image", "no such task"])
async def test_a_task_without_payloads_is_passed_on_untouched(world: World, task: str):
    asked = {"inputs": "https://images.example/cat.png"}

    assert await world.payloads.gathered(task, asked, total_s=SOON) is asked
    async with world.payloads.loaded(task, asked, total_s=SOON) as full:
        assert full is asked
    assert await world.payloads.stored(task, asked, total_s=SOON) is asked


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", K.INVALID_MEDIA), ("no base64", K.INVALID_MEDIA), ("ftp://x/y", K.INVALID_MEDIA), (7, K.INVALID_MEDIA),
        ("\ud800\ud800\ud800\ud800", K.INVALID_MEDIA), (text(WAV), K.INVALID_MEDIA), (text(b"text"), K.INVALID_MEDIA),
        (text(media_files.bomb_png()), K.INVALID_MEDIA), (text(media_files.svg()), K.INVALID_MEDIA),
        (ref(PNG), K.PAYLOAD_MISSING), (ref(PNG, sha256="0" * 64), K.INVALID_MEDIA),
        (ref(PNG, uri=f"data:image/png;base64,{text(PNG)}", sha256="0" * 64), K.INVALID_MEDIA),
        (ref(PNG, uri=URL, sha256="0" * 64), K.INVALID_MEDIA), (ref(PNG, uri=URL, bytes=3), K.TOO_LARGE),
        (ref(PNG, uri=URL, bytes=999), K.INVALID_MEDIA), (ref(PNG, bytes=40_000_000), K.TOO_LARGE),
    ],
)  # fmt: skip
async def test_what_is_no_payload_is_refused_before_anything_is_sent(world: World, value, kind: FailureKind):
    error = await world.refused(value)

    assert (error.kind, error.nothing_sent) == (kind, True)
    assert not FAILURES[kind].maybe_charged
    assert world.room.held == 0


@pytest.mark.parametrize("size", [3, 10**6])
async def test_a_reference_that_tells_another_size_than_its_blob_has_is_refused(world: World, size: int):
    await world.store.put(PNG, "image/png")

    assert (await world.refused(ref(PNG, bytes=size))).kind is K.INVALID_MEDIA


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(BlobUnavailable("away"), K.PAYLOAD_UNREACHABLE), (BlobDamaged("damaged"), K.PAYLOAD_MISSING)],
)
async def test_a_store_that_does_not_give_a_blob_is_told_apart_from_one_that_has_none(world: World, fault, kind):
    await world.store.put(PNG, "image/png")
    world.store.faults = [fault]

    assert (await world.refused(ref(PNG))).kind is kind


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (FetchRefused("inside"), K.EGRESS_REFUSED), (FetchTooLarge("much"), K.TOO_LARGE),
        (FetchStatus("404", 404), K.PAYLOAD_MISSING), (FetchStatus("503", 503), K.PAYLOAD_UNREACHABLE),
            (FetchUnreachable("away"), K.PAYLOAD_UNREACHABLE),
    ],
)  # fmt: skip
async def test_an_address_that_gives_nothing_is_told_by_its_reason(world: World, fault, kind):
    world.web.pages[URL] = fault

    assert (await world.refused(URL)).kind is kind
    with pytest.raises(ProviderError) as refused:
        await world.payloads.gathered("image-classification", {"inputs": URL}, total_s=SOON)
    assert (refused.value.kind, refused.value.nothing_sent) == (kind, True)


async def test_what_lies_at_an_address_is_kept_under_its_digest_and_fetched_once(world: World):
    gathered = await world.payloads.gathered("image-classification", {"inputs": URL, "top_k": 2}, total_s=SOON)

    told = BlobRef.model_validate(gathered["inputs"]["$ref"])
    assert (told.uri, told.media_type, told.width) == (f"blob://{hashlib.sha256(PNG).hexdigest()}", "image/png", 64)
    assert gathered["top_k"] == 2
    async with world.loaded(gathered["inputs"]) as media:
        assert media.data == PNG
    assert await world.payloads.gathered("image-classification", gathered, total_s=SOON) is gathered
    assert world.web.asked == [URL]


async def test_what_lies_at_an_address_and_is_no_image_is_not_kept(world: World):
    world.web.pages[URL] = media_files.html()

    with pytest.raises(ProviderError) as refused:
        await world.payloads.gathered("image-classification", {"inputs": URL}, total_s=SOON)

    assert refused.value.kind is K.INVALID_MEDIA
    assert world.store.blobs == {}


async def test_base64_beyond_the_limit_is_refused_before_it_is_decoded(monkeypatch):
    world = World(MediaLimits(max_bytes=1_000))
    monkeypatch.setattr(base64, "b64decode", None)

    assert (await world.refused("A" * 2_000)).kind is K.TOO_LARGE


async def test_the_images_of_one_chat_share_the_limit_of_one_payload():
    world = World(MediaLimits(max_bytes=3 * len(PNG)))
    urls = [f"data:image/png;base64,{text(PNG)}"] * 4
    chat = {"messages": [{"content": [{"image_url": {"url": url}} for url in urls]}]}

    with pytest.raises(ProviderError, match="too_large"):
        async with world.payloads.loaded("chat-completion", chat, total_s=SOON):
            raise AssertionError("they were loaded")
    assert world.room.held == 0


async def test_who_finds_no_room_waits_for_those_before_and_the_largest_always_fits():
    """Room for two of five jobs: never more are in memory, and all of them come through."""
    data = media_files.wav(3)
    world = World(MediaLimits(max_bytes=len(data)), room=2 * len(data))
    inside, most = 0, 0
    await world.store.put(data, "audio/wav")

    async def job() -> None:
        nonlocal inside, most
        async with world.loaded(ref(data), "audio-classification"):
            inside += 1
            most = max(most, inside)
            for _ in range(20):
                await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(job() for _ in range(5)))

    assert most == 2
    assert world.room.held == 0


async def test_who_waits_longer_for_room_than_there_is_time_is_told_to_come_again():
    data = media_files.wav(3)
    world = World(MediaLimits(max_bytes=len(data)), room=len(data))
    async with world.loaded(text(data), "audio-classification"):
        with pytest.raises(ProviderError) as refused:
            async with world.loaded(text(data), "audio-classification", total_s=0.05):
                raise AssertionError("there was room")

    assert (refused.value.kind, refused.value.nothing_sent) == (K.PAYLOAD_UNREACHABLE, True)
    assert FAILURES[K.PAYLOAD_UNREACHABLE].retryable
    assert world.room.held == 0


async def test_a_cancelled_job_gives_its_room_back():
    data = media_files.wav(3)
    world = World(MediaLimits(max_bytes=len(data)), room=len(data))
    entered = asyncio.Event()

    async def job() -> None:
        async with world.loaded(text(data), "audio-classification"):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(job())
    await entered.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert world.room.held == 0


def made(data: bytes, kind="image") -> Media:
    return probed(data, kind)


async def test_a_small_image_travels_inside_its_result(world: World):
    output = await world.payloads.stored("text-to-image", {"image": made(PNG)}, total_s=SOON)

    told = BlobRef.model_validate(output["image"]["$ref"])
    assert told.uri == f"data:image/png;base64,{text(PNG)}"
    assert (told.sha256, told.bytes) == (hashlib.sha256(PNG).hexdigest(), len(PNG))
    assert world.store.blobs == {}


async def test_a_large_image_lies_in_the_store_and_its_reference_says_what_it_is(tmp_path):
    """Row A6: reference, sha256, media type and dimensions; the blob opens as PNG."""
    noise = Image.effect_noise((700, 600), 90)
    held = io.BytesIO()
    noise.save(held, "PNG")
    data = held.getvalue()
    assert len(data) > MAX_INLINE_BYTES
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(FolderStore(tmp_path))
        payloads = Payloads(store, Web(), MediaLimits(), AnswerRoom(10**8, 10**8))
        output = await payloads.stored("text-to-image", {"image": made(data)}, total_s=SOON)
        told = BlobRef.model_validate(output["image"]["$ref"])
        blob = await store.get(told.sha256, max_bytes=told.bytes)

    assert output["image"]["$ref"] == {
        "sha256": hashlib.sha256(data).hexdigest(), "uri": f"blob://{told.sha256}", "media_type": "image/png",
        "bytes": len(data), "width": 700, "height": 600,
    }  # fmt: skip
    assert blob.media_type == "image/png"
    with Image.open(io.BytesIO(blob.data), formats=["PNG"]) as image:
        image.load()
        assert image.size == (700, 600)


async def test_a_sounds_reference_says_how_long_it_is(world: World):
    output = await world.payloads.stored("text-to-speech", {"audio": made(WAV, "audio")}, total_s=SOON)

    told = BlobRef.model_validate(output["audio"]["$ref"])
    assert (told.duration_ms, told.sampling_rate, told.channels, told.width) == (1000, 16_000, 1, None)


async def test_masks_that_fit_one_by_one_and_not_together_all_lie_in_the_store(world: World):
    mask = made(media_files.good_bmp() + bytes(100_000))
    segments = [{"label": str(number), "mask": mask} for number in range(3)]

    output = await world.payloads.stored("image-segmentation", segments, total_s=SOON)

    assert [one["label"] for one in output] == ["0", "1", "2"]
    assert all(one["mask"]["$ref"]["uri"].startswith("blob://") for one in output)
    assert segments[0]["mask"] is mask


async def test_json_that_fits_into_no_record_lies_in_the_store(world: World):
    output = [{"label": str(number), "score": 0.5, "note": "x" * 1_000} for number in range(1_000)]

    kept = await world.payloads.stored("image-classification", output, total_s=SOON, answer_bytes=1_100_000)

    told = BlobRef.model_validate(kept["$ref"])
    assert (told.media_type, told.uri[:7]) == ("application/json", "blob://")
    assert len(world.store.blobs[told.sha256].data) == told.bytes > MAX_JSON_BYTES


async def test_a_store_that_fails_twice_is_asked_a_third_time(world: World):
    world.store.faults = [BlobUnavailable("away"), BlobUnavailable("away")]
    large = made(PNG + bytes(MAX_INLINE_BYTES))

    output = await world.payloads.stored("text-to-image", {"image": large}, total_s=SOON)

    assert output["image"]["$ref"]["uri"].startswith("blob://")
    assert world.store.faults == []


async def test_a_store_that_goes_on_failing_fails_the_job_which_may_have_been_charged(world: World):
    world.store.faults = [BlobUnavailable("away")] * 10_000
    large = made(PNG + bytes(MAX_INLINE_BYTES))

    with pytest.raises(ProviderError) as failed:
        await world.payloads.stored("text-to-image", {"image": large}, total_s=0.1)

    assert (failed.value.kind, failed.value.nothing_sent) == (K.STORE_FAILED, False)


async def test_no_message_repeats_content_or_what_an_address_says_behind_its_host(world: World):
    secrets = [
        "data:image/png;base64,canary!",
        "ftp://canary/",
        {"$ref": {"sha256": "canary", "canary": 1}},
        "canary!!",
    ]
    for value in [*secrets, text(b"canary" * 9), ref(b"canary", uri="file:///canary")]:
        error = await world.refused(value)
        assert "canary" not in repr(error)
        assert text(b"canary")[:8] not in repr(error)


async def test_bytes_are_let_go_when_the_context_ends(world: World):
    data = media_files.wav(5)
    async with world.loaded(text(data), "audio-classification") as media:
        assert len(media.data) == len(data)
    del media
    await asyncio.sleep(0)  # the loop itself holds what it woke this test with
    gc.collect()

    assert not [one for one in gc.get_objects() if isinstance(one, Media) and one.data == data]


def test_the_settings_say_how_much_room_there_is():
    room = payload_room(Settings(max_payload_bytes=4_194_304, max_payloads_bytes=8_388_608))

    assert room.size == 8_388_608
