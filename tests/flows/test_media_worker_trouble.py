"""Workers of payloads when something else is wrong: the store, the memory, the time, a provider's queue."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from media_files import good_png
from media_world import STRANGER, at_hf, document, in_queue, media_world, painting, queued, record, state
from worker_world import START, failing, result_of

from runtime.blobs import Blob, BlobUnavailable
from runtime.blobs.folder import FolderStore
from runtime.http import FetchUnreachable
from runtime.outcome import RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind
from schemas.media import MAX_INLINE_BYTES

K = FailureKind
PICTURE = f"{STRANGER}/gull.png"
LARGE = good_png() + bytes(MAX_INLINE_BYTES)
LABELS = document([{"label": "gull", "score": 0.9}])


class Away(FolderStore):
    """A store that does not answer while `away`."""

    away = True

    async def put(self, data: bytes, media_type: str) -> str:
        if self.away:
            raise BlobUnavailable("nobody answers")
        return await super().put(data, media_type)


class Slow(FolderStore):
    """A store that gives nothing `times` times."""

    times = 10

    async def get(self, sha256: str, *, max_bytes: int) -> Blob:
        if self.times:
            self.times -= 1
            raise BlobUnavailable("nobody answers")
        return await super().get(sha256, max_bytes=max_bytes)


def large(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "image/png"}, content=LARGE)


def classifying(**change: Any) -> Any:
    return record("image-classification", {"inputs": PICTURE}, at_hf(), **change)


async def test_while_the_store_is_away_no_output_is_paid_for_that_it_would_have_to_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first job finds it out, and pays for that; the others wait, uncounted, until the store answers."""
    monkeypatch.setattr("workers.payloads._LOOK_AGAIN_S", 0.0)
    store = Away(tmp_path / "away")
    async with media_world(tmp_path, large, store=store, shared={"store_s": 30.0}) as made:
        lost = result_of(await made.it.run(record("text-to-image", painting(), at_hf())))
        waits = await made.it.lane.handle(Delivery(record("text-to-image", painting(), at_hf(), offset=8), START))
        calls = len(made.it.script.requests)
        store.away = False
        assert isinstance(waits, RetryAt)
        made.it.clock.turn_to(waits.when)
        back = Delivery(record("text-to-image", painting(), at_hf(), offset=8), START, memo=waits.memo)
        kept = result_of(await made.it.lane.handle(back))  # type: ignore[arg-type]

    assert (lost.error.kind, lost.cost_nanousd) == (K.STORE_FAILED, 300)
    assert (calls, waits.kind) == (1, K.STORE_FAILED)
    assert (kept.status, len(kept.attempts)) == ("succeeded", 1)


async def test_inputs_in_a_store_that_is_away_are_waited_for_as_long_as_the_job_has_time(tmp_path: Path) -> None:
    """It is no fault of the job's, and nobody is called meanwhile: there is nothing to count."""
    async with media_world(tmp_path, LABELS, store=Slow(tmp_path / "slow")) as made:
        sha256 = await made.store.put(good_png(), "image/png")
        ref = {"sha256": sha256, "uri": f"blob://{sha256}", "media_type": "image/png", "bytes": len(good_png())}
        result = result_of(await made.it.run(record("image-classification", {"inputs": {"$ref": ref}}, at_hf())))

    assert (result.status, len(result.attempts)) == ("succeeded", 1)
    assert result.timing_ms["waiting"] == 50_000


async def test_an_input_that_cannot_be_had_is_counted_anew_after_each_call(tmp_path: Path) -> None:
    """An hour may pass between two calls. That its input was away once before each of them does not end the job."""
    away = FetchUnreachable("files.stranger.test: nobody answers")
    async with media_world(
        tmp_path, there={PICTURE: [away, good_png(), away, good_png()]}, max_retries=1, backoff_factor_s=0.1
    ) as made:

        async def expires(_: httpx.Request) -> httpx.Response:
            """The copy of the input is removed while the provider is busy."""
            sha256 = [one.sha256 async for one in made.store.all()]
            for each in sha256:
                await made.store.remove(each, untouched_since=datetime.now(UTC) + timedelta(days=1))
            return failing(503)

        made.it.script.steps = [expires, LABELS]
        result = result_of(await made.it.run(classifying()))

    assert (result.status, [attempt.kind for attempt in result.attempts]) == ("succeeded", [K.OVERLOADED, None])
    assert made.addresses.asked == [PICTURE] * 4


async def test_a_job_that_comes_too_late_has_expired_whatever_its_input_names(tmp_path: Path) -> None:
    async with media_world(tmp_path, LABELS, there={PICTURE: [good_png()]}) as made:
        made.it.clock.turn(601)
        result = result_of(await made.it.run(classifying()))

    assert (result.status, result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert made.addresses.asked == []


async def test_memory_that_is_full_is_waited_for_and_is_no_fault_of_the_address(tmp_path: Path) -> None:
    """Others' payloads fill the room for longer than a fetch may take: it goes on when they are done."""
    data = good_png() + bytes(100_000)
    async with media_world(tmp_path, LABELS, there={PICTURE: [data]}, fetch_s=0.5) as made:
        with made.room.share() as first, made.room.share() as second:
            await first.grow(made.room.size // 2)
            await second.grow(made.room.size - made.room.size // 2)
            task = asyncio.create_task(made.it.lane.handle(Delivery(classifying(), START)))
            await asyncio.sleep(1.0)
            assert not task.done()
        outcome = await task

    assert result_of(outcome).status == "succeeded"  # type: ignore[arg-type]
    assert made.addresses.asked == [PICTURE]


async def test_a_queue_that_tells_of_another_job_is_not_believed_and_may_have_done_the_work(tmp_path: Path) -> None:
    other = document({"status": "COMPLETED", "request_id": "r2"})
    steps = [in_queue(), other, in_queue(), state("FAILED")]
    async with media_world(tmp_path, *steps, max_retries=0) as made:
        painted = record(
            "image-to-image",
            {"inputs": base64.b64encode(good_png()).decode(), "parameters": {"prompt": "rain"}},
            queued(),
        )
        result = result_of(await made.it.run(painted))
        await made.it.settled()

    assert result.error.kind is K.INVALID_OUTPUT
    assert (result.attempts[0].ambiguous, result.cost_nanousd) == (True, 1_000)
    assert [request.method for request in made.it.script.requests] == ["POST", "GET", "PUT"], "and it is told to stop"
