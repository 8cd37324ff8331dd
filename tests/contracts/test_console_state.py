"""The state file: what `novix up` leaves for every other command."""

import json
import stat

import pytest

from console.world import World, now, read_world, remove_world, write_world
from runtime.settings import load, state_file


def test_the_state_file_is_what_settings_read_and_only_its_owner_may(tmp_path):
    world = World(environment={"NOVIX_KAFKA_BOOTSTRAP": "127.0.0.1:1234"}, supervisor=1, mark="m", started_at=now())

    write_world(tmp_path, world)
    loaded = load({"NOVIX_HOME": str(tmp_path)}, tmp_path)

    assert read_world(tmp_path) == world
    assert loaded.settings.kafka_bootstrap == "127.0.0.1:1234"
    assert loaded.sources["kafka_bootstrap"] == "novix up"
    assert stat.S_IMODE(state_file(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    remove_world(tmp_path)
    remove_world(tmp_path)
    assert read_world(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"environment": 1}', b"\xff", json.dumps({"pid": 1}).encode()])
def test_a_damaged_state_file_counts_as_none(tmp_path, content):
    state_file(tmp_path).write_bytes(content)

    assert read_world(tmp_path) is None
