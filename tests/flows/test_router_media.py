"""Jobs on images, sounds and videos through a router lane: to whose topic, with what."""

from pathlib import Path
from typing import Any

import pytest
from router_world import World

from schemas.failure import FailureKind
from schemas.topics import MODALITY_TOPICS, RESULTS

PAGE = {"$ref": {"sha256": "a" * 64, "uri": "blob://" + "a" * 64, "media_type": "image/png", "bytes": 5_000_000}}


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    await made.crash()


async def test_each_modality_has_its_topic_and_the_job_travels_as_it_was_written(world: World) -> None:
    jobs: dict[str, dict[str, Any]] = {
        "text": {"id": "a1", "task": "text-classification", "input": {"inputs": "Hi"}},
        "image": {"id": "a2", "task": "text-to-image", "input": {"inputs": "a fox"}, "stream": True},
        "audio": {"id": "a3", "task": "automatic-speech-recognition", "input": {"inputs": "https://example.org/a.wav"}},
        "multimodal": {
            "id": "a4", "task": "document-question-answering", "input": {"inputs": {"image": PAGE, "question": "Who?"}},
        },
    }  # fmt: skip

    await world.run(*(world.job(job) for job in jobs.values()))

    for modality, job in jobs.items():
        (assigned,) = world.on(MODALITY_TOPICS[modality].name)
        assert assigned["job"] == job
        assert assigned["assignment"]["candidates"][0]["estimate_nanousd"] > 0


async def test_a_payload_that_can_be_none_is_refused_before_anybody_is_asked(world: World) -> None:
    await world.run(world.job({"id": "a1", "task": "image-to-text", "input": {"inputs": "file:///etc/passwd"}}))

    (result,) = world.on(RESULTS.name)
    assert (result["status"], result["error"]["kind"]) == ("rejected", FailureKind.INVALID_MEDIA)
    assert "passwd" not in result["error"]["message"]
    assert not any(world.on(topic.name) for topic in MODALITY_TOPICS.values())
