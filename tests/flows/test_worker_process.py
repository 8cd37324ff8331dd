"""Several modalities in one process: each a service of its own, what bounds the process shared by all."""

from pathlib import Path

import pytest

from runtime.service import LaneService, Services
from runtime.settings import Settings
from schemas.topics import DELTAS, MODALITY_TOPICS
from workers import app as process


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_every_modality_has_a_group_a_topic_and_a_faststream_application() -> None:
    assert tuple(process.ROLES) == process.MODALITIES == ("text", "image", "audio", "multimodal")
    for modality, role in process.ROLES.items():
        assert (role.group, role.receives) == (f"novix-worker-{modality}", MODALITY_TOPICS[modality])
        assert DELTAS in role.sends
        assert type(getattr(process, modality)) is type(process.app)


async def test_one_modality_is_a_service_and_several_are_services_by_name(settings: Settings) -> None:
    one, two, all_four = (
        process.build(settings, which) for which in (("image",), ("text", "audio"), process.MODALITIES)
    )

    assert isinstance(one, LaneService)
    assert isinstance(two, Services)
    assert set(two.describe()) == {"worker-text", "worker-audio"}
    assert set(all_four.describe()) == {"worker-text", "worker-image", "worker-audio", "worker-multimodal"}
    told = all_four.describe()["worker-image"]
    assert told["deltas"] == {"published": 0, "dropped": 0, "pending_chars": 0}
    assert told["state"] == "connecting"


async def test_the_workers_of_a_process_share_their_limits_breakers_and_notes(settings: Settings) -> None:
    services = process.build(settings)
    apps = [service._app for service in services._services.values()]  # type: ignore[attr-defined]

    assert len({app.topic for app in apps}) == 4
    assert len({id(app.workshop) for app in apps}) == 1
    assert len({id(app.steps) for app in apps}) == 1
    parts = [service._settings.max_in_flight_bytes for service in services._services.values()]  # type: ignore[attr-defined]
    assert sum(parts) == settings.max_in_flight_bytes


def test_all_workers_of_a_machine_note_their_calls_in_one_file(settings: Settings) -> None:
    assert process.intents_path(settings) == settings.home / "intents" / "novix-worker.sqlite"
