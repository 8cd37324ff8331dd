"""Workers whose provider queues its work: waited for, given up in time, told to stop, and paid for once."""

import asyncio
import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from media_files import good_png
from media_world import STRANGER, MediaWorld, document, in_queue, media_world, queued, record, state
from worker_world import START, TOKEN, answer, failing, result_of

from runtime.intents import IntentFile
from runtime.outcome import Outcome, Publish
from runtime.ports import Delivery, Record
from schemas.failure import FailureKind

K = FailureKind
FILM = f"{STRANGER}/film.png"
REQUEST = httpx.Request("GET", "http://provider.test/")
MINUTES = timedelta(minutes=10)


def painted() -> dict[str, Any]:
    """An input of image-to-image, which fal queues."""
    return {"inputs": base64.b64encode(good_png()).decode(), "parameters": {"prompt": "in the rain"}}


def job(**change: Any) -> Record:
    return record("image-to-image", painted(), queued(**change.pop("at", {})), **change)


RESULT = document({"images": [{"url": FILM}]})
THERE: dict[str, list[Any]] = {FILM: [good_png()]}


def paths(made: MediaWorld) -> list[tuple[str, str]]:
    return [(request.method, request.url.path) for request in made.it.script.requests]


async def test_a_queue_is_looked_into_until_the_work_is_done_and_the_result_is_fetched(tmp_path: Path) -> None:
    steps = [in_queue(), state("IN_QUEUE"), state("IN_PROGRESS"), state("COMPLETED"), RESULT]
    async with media_world(tmp_path, *steps, there=THERE) as made:
        result = result_of(await made.it.run(job()))
    requests = made.it.script.requests

    assert result.status == "succeeded"
    assert result.output["image"]["$ref"]["width"] == 64
    assert [path for _, path in paths(made)] == [
        "/fal-ai/fal-ai/paint",
        *["/fal-ai/fal-ai/paint/requests/r1/status"] * 3,
        "/fal-ai/fal-ai/paint/requests/r1",
    ]
    assert all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in requests)
    assert {request.headers["x-amzn-trace-id"] for request in requests} == {"acme/a1"}
    assert all(request.url.host == "provider.test" for request in requests)
    (attempt,) = result.attempts
    assert attempt.duration_ms == made.it.clock.passed / timedelta(milliseconds=1) >= 1_500
    assert (result.cost_nanousd, result.usage) == (300, {"images": 1})


async def test_work_that_fails_costs_nothing_and_is_begun_again(tmp_path: Path) -> None:
    steps = [in_queue(), state("FAILED"), in_queue(), state("COMPLETED"), RESULT]
    async with media_world(tmp_path, *steps, there=THERE) as made:
        result = result_of(await made.it.run(job()))

    assert result.status == "succeeded"
    assert [(attempt.ambiguous, attempt.cost_nanousd) for attempt in result.attempts] == [(False, 0), (False, 300)]


async def test_work_that_never_ends_is_given_up_at_the_deadline_told_to_stop_and_counted_with_its_ceiling(
    tmp_path: Path,
) -> None:
    async with media_world(tmp_path, in_queue(), state("IN_PROGRESS")) as made:
        result = result_of(await made.it.run(job()))
        await made.it.settled()

    assert (result.status, result.error.kind) == ("expired", K.DEADLINE_PASSED)
    (attempt,) = result.attempts
    assert (attempt.ambiguous, attempt.cost_nanousd) == (True, 1_000)
    assert START + MINUTES - timedelta(seconds=6) <= made.it.clock.now() <= START + MINUTES
    assert paths(made)[-1] == ("PUT", "/fal-ai/fal-ai/paint/requests/r1/cancel")
    assert len(paths(made)) < 250, "it is looked at ever more seldom"


@pytest.mark.parametrize(
    "fault",
    [failing(503), failing(502), failing(429, retry_after="2"), httpx.ConnectError("no"), httpx.ReadTimeout("silence")],
    ids=["503", "502", "429", "connect", "silence"],
)
async def test_a_look_that_fails_is_made_again_and_the_work_goes_on(tmp_path: Path, fault: Any) -> None:
    """The job is begun and may be charged: it is not begun anew because its state could not be read."""
    steps = [in_queue(), fault, fault, state("COMPLETED"), fault, RESULT]
    async with media_world(tmp_path, *steps, there=THERE) as made:
        result = result_of(await made.it.run(job()))

    assert result.status == "succeeded"
    assert len(result.attempts) == 1
    assert [method for method, _ in paths(made)].count("POST") == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(failing(500), K.PROVIDER_ERROR), (httpx.ReadError("reset"), K.CONNECTION_LOST), (failing(403), K.FORBIDDEN)],
    ids=["500", "reset", "403"],
)
async def test_what_is_given_up_after_it_was_taken_up_may_be_charged(
    tmp_path: Path, fault: Any, kind: FailureKind
) -> None:
    async with media_world(tmp_path, in_queue(), fault, max_retries=0) as made:
        result = result_of(await made.it.run(job()))

    (attempt,) = result.attempts
    assert (attempt.kind, attempt.ambiguous, attempt.cost_nanousd) == (kind, True, 1_000)
    assert result.cost_nanousd == 1_000


async def test_a_look_that_answers_with_an_error_and_no_state_leaves_the_work_charged(tmp_path: Path) -> None:
    steps = [in_queue(), document({"error": "Rate limit exceeded"}), failing(400)]
    async with media_world(tmp_path, *steps) as made:
        result = result_of(await made.it.run(job()))

    assert result.attempts[0].kind is K.RATE_LIMITED
    assert (result.attempts[0].ambiguous, result.attempts[0].cost_nanousd) == (True, 1_000)


async def test_work_that_may_be_charged_is_not_begun_elsewhere_beyond_the_jobs_own_ceiling(tmp_path: Path) -> None:
    async with media_world(tmp_path, in_queue(), failing(403)) as made:
        two = record("image-to-image", painted(), queued(), queued(model="acme/other"), max_cost_nanousd=1_500)
        result = result_of(await made.it.run(two))

    assert len(result.attempts) == 1
    assert result.cost_nanousd == 1_000


async def test_a_credential_is_shown_to_nobody_whom_an_answer_names(tmp_path: Path) -> None:
    """A queue that says its states are elsewhere: its path alone is believed, or nothing."""
    lie = document({"request_id": "r1", "status": "IN_QUEUE", "response_url": "https://evil.test/fal-ai/paint/r1"})
    async with media_world(tmp_path, lie, max_retries=0) as made:
        result = result_of(await made.it.run(job()))

    assert result.error.kind is K.INVALID_OUTPUT
    assert {request.url.host for request in made.it.script.requests} == {"provider.test"}


async def waiting_in_the_queue(made: MediaWorld) -> tuple[Delivery, "asyncio.Task[Outcome]"]:
    """A job whose state is being asked for, and whose provider does not answer."""
    delivery = Delivery(job(), made.it.clock.now())
    task = asyncio.create_task(made.it.lane.handle(delivery))
    delivery.lease.poke = task.cancel
    while len(made.it.script.requests) < 2:
        await asyncio.sleep(0)
    return delivery, task


async def hangs(request: httpx.Request) -> httpx.Response:
    if request.method == "PUT":
        return answer({"status": "CANCELLATION_REQUESTED"})
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_job_that_is_cancelled_while_it_is_in_a_queue_ends_and_its_provider_is_told(tmp_path: Path) -> None:
    async with media_world(tmp_path, in_queue(), hangs) as made:
        _, task = await waiting_in_the_queue(made)
        made.it.cancel()
        done = await task
        await made.it.settled()

    assert isinstance(done, Publish)
    result = result_of(done)
    assert (result.status, result.cost_nanousd) == ("cancelled", 1_000)
    assert paths(made)[-1] == ("PUT", "/fal-ai/fal-ai/paint/requests/r1/cancel")
    assert made.it.script.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert made.it.limits.total_in_flight == 0


async def test_a_process_that_ends_its_drain_in_mid_queue_leaves_a_note_that_nobody_died_of_it(tmp_path: Path) -> None:
    """A call in a queue is no wait: the drain waits for it. When it is cut short the provider is told to stop."""
    async with IntentFile(tmp_path / "intents.sqlite") as intents:
        async with media_world(tmp_path, in_queue(), hangs, intents=intents) as made:
            delivery, task = await waiting_in_the_queue(made)
            assert not delivery.lease.waiting
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await made.it.settled()
        left = await intents.left(made.it.lane._lane, 0, (), intents.custody)

    (note,) = left[7]
    assert note.ended is not None
    assert '"interrupted"' in note.ended
    assert paths(made)[-1][0] == "PUT"
    assert made.it.limits.total_in_flight == 0


async def test_a_provider_that_cannot_be_told_to_stop_holds_nobody_up(tmp_path: Path) -> None:
    async def deaf(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            raise httpx.ConnectError("no", request=REQUEST)
        return await hangs(request)

    async with media_world(tmp_path, in_queue(), deaf) as made:
        _, task = await waiting_in_the_queue(made)
        made.it.cancel()
        done = await task
        await made.it.settled()

    assert result_of(done).status == "cancelled"  # type: ignore[arg-type]


async def test_a_crash_in_mid_queue_leaves_the_call_noted_with_its_ceiling(tmp_path: Path) -> None:
    """One note for all requests of a call, made before the first: the work may go on without us."""
    async with (
        IntentFile(tmp_path / "intents.sqlite") as intents,
        media_world(tmp_path, in_queue(), hangs, intents=intents) as made,
    ):
        _, task = await waiting_in_the_queue(made)
        left = await intents.left(made.it.lane._lane, 0, (), intents.custody)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await made.it.settled()

    (note,) = left[7]
    assert note.ended is None
    assert '"ceiling_nanousd":1000' in note.begun
