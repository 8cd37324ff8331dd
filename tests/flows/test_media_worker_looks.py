"""Workers whose provider queues its work: all requests of one call have one deadline and one id, and are one call."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from media_files import good_png
from media_world import STRANGER, MediaWorld, document, in_queue, media_world, queued, record, state
from worker_world import START, failing, result_of

from runtime.ports import Record
from schemas.failure import FailureKind

K = FailureKind
FILM = f"{STRANGER}/film.png"
RESULT = document({"images": [{"url": FILM}]})
THERE: dict[str, list[Any]] = {FILM: [good_png()]}


def job(*candidates: Any, **change: Any) -> Record:
    """An input of image-to-image, which fal queues."""
    painted = {"inputs": base64.b64encode(good_png()).decode(), "parameters": {"prompt": "in the rain"}}
    return record("image-to-image", painted, *(candidates or [queued()]), **change)


def slowly(made: MediaWorld, seconds: float, *steps: httpx.Response) -> list[float]:
    """The provider takes so long for each of its answers; when each request began, in seconds."""
    began: list[float] = []
    answers = iter(steps)

    def answered(_: httpx.Request) -> httpx.Response:
        began.append(made.it.clock.passed.total_seconds())
        made.it.clock.turn(seconds)
        return next(answers, failing(400))

    made.it.script.steps = [answered]
    return began


async def test_each_request_of_a_call_has_what_is_left_of_the_jobs_time_and_no_more(tmp_path: Path) -> None:
    """The requests to a provider that is slow with each of them would else go on beyond the deadline together."""
    async with media_world(tmp_path, there=THERE) as made:
        steps = in_queue(), state("IN_QUEUE"), state("IN_PROGRESS"), state("COMPLETED"), RESULT
        began = slowly(made, 20.0, *steps)
        result = result_of(await made.it.run(job()))
        left = [request.extensions["timeout"]["pool"] for request in made.it.script.requests]

    assert result.status == "succeeded"
    assert len(began) == 5
    assert began[-1] > 80
    assert left == pytest.approx([600 - at for at in began])


async def test_nobody_looks_into_a_queue_any_more_once_the_looks_have_taken_the_jobs_time(tmp_path: Path) -> None:
    async with media_world(tmp_path) as made:
        began = slowly(made, 250.0, in_queue(), *[state("IN_PROGRESS")] * 9)
        result = result_of(await made.it.run(job(deadline=START + timedelta(minutes=10))))
        await made.it.settled()
        methods = [request.method for request in made.it.script.requests]

    assert (result.status, result.error and result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert methods == ["POST", "GET", "GET", "PUT"]
    assert began[2] < 600


async def test_a_call_has_the_id_of_its_first_request_whatever_its_looks_are_called(tmp_path: Path) -> None:
    """It is what its provider's bill names."""
    first, look, last = in_queue(), state("COMPLETED"), document({"images": [{"url": FILM}]})
    for number, one in enumerate((first, look, last)):
        one.headers["x-request-id"] = f"r-{number}"
    async with media_world(tmp_path, first, look, last, there=THERE) as made:
        result = result_of(await made.it.run(job()))

    assert [attempt.request_id for attempt in result.attempts] == ["r-0"]


async def test_work_that_was_taken_up_is_not_asked_for_again_under_another_name(tmp_path: Path) -> None:
    """A look is answered with 404, and the model has another name by now: the work may be done, and charged, all the
    same. Begun again it would be paid for twice."""
    names, posted = iter(["old", "new", "new"]), []

    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.host == "huggingface.co":
            return named(next(names))
        if request.method != "POST":
            return failing(404)
        posted.append(request.url.path)
        return in_queue()

    async with media_world(tmp_path, answered) as made:
        result = result_of(await made.it.run(job(queued(provider_model=""))))
        await made.it.settled()

    assert (result.status, result.error and result.error.kind) == ("failed", K.NOT_FOUND)
    assert [(attempt.ambiguous, attempt.cost_nanousd) for attempt in result.attempts] == [(True, 1_000)]
    assert posted == ["/fal-ai/fal-ai/old"]


def named(provider_id: str) -> httpx.Response:
    """The Hub's mapping of the model to what fal calls it."""
    told = {"status": "live", "providerId": f"fal-ai/{provider_id}", "task": "image-to-image"}
    return document({"id": "acme/paint", "inferenceProviderMapping": {"fal-ai": told}})
