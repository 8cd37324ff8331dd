"""One process that does all modalities, on a real broker: its lanes, its health, and the pieces that it publishes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import chat

from schemas.delta import Delta
from schemas.topics import DELTAS


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    """An installation whose one worker was named no modality."""
    with installation(broker.bootstrap, tmp_path, start=False) as stranger:
        stranger.system.worker.arguments = ("-m", "console", "worker")
        stranger.system.start()
        yield stranger


def test_a_worker_of_all_modalities_publishes_the_pieces_of_an_answer_and_then_the_whole(novix: Stranger):
    result = novix.run(chat("streamed", "team", stream=True))
    novix.run(chat("plain", "team"))
    status, told = novix.system.worker.health()
    ended = novix.system.worker.terminate()
    found = [(record.key, Delta.model_validate_json(record.value or b"")) for record in novix.read(DELTAS.name)]

    assert result["status"] == "succeeded"
    assert {key for key, _ in found} == {b"team/streamed"}
    assert "".join(delta.text for _, delta in found) == result["output"]["choices"][0]["message"]["content"] != ""
    assert [delta.number for _, delta in found] == list(range(len(found)))
    assert {(delta.attempt, delta.trace_id) for _, delta in found} == {(1, result["trace_id"])}
    assert status == 200
    services = {name: state for name, state in told.items() if name.startswith("worker-")}
    assert set(services) == {"worker-text", "worker-image", "worker-audio", "worker-multimodal"}
    assert all(lane["state"] == "open" for service in services.values() for lane in service["lanes"])
    assert services["worker-image"]["deltas"]["dropped"] == 0
    assert ended == 0
