"""A router's clock is a day and more ahead while its lane opens: once it is right, who was decided is still known."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from router_world import World, chat

AHEAD_S = 30 * 3600.0
"""Beyond what a lane remembers."""


def audited(outcome: Any) -> list[str]:
    return [entry.action for entry in outcome.audit]


@pytest.mark.parametrize("lost", [False, True], ids=["cache-kept", "cache-lost"])
async def test_a_lane_that_opened_with_a_clock_ahead_knows_the_ids_once_the_clock_is_right(
    tmp_path: Path, lost: bool
) -> None:
    """Meanwhile the broker takes none of its records (`message.timestamp.after.max.ms`): nothing is decided."""
    world = World(tmp_path)
    await world.run(world.job(chat("a0")), world.job(chat("a1")))

    def ahead() -> None:
        for file in (tmp_path / "seen").iterdir() if lost else ():
            file.unlink()
        world.clock.turn(AHEAD_S)

    await world.crash(ahead)
    await world.lane()
    world.clock.turn(-AHEAD_S)

    await world.run(world.job(chat("a0")), world.job(chat("a1", text="other")))

    assert [audited(one) for one in world.outcomes[2:]] == [["job.duplicate"], ["job.conflict"]]


async def test_a_cache_that_was_made_anew_with_a_clock_ahead_knows_the_ids_once_the_clock_is_right(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    await world.run(world.job(chat("a0")))
    lane = await world.lane()
    lane._seen._connection().execute("DROP TABLE seen")
    world.clock.turn(AHEAD_S)
    await world.handle(world.job(chat("b0")))  # finds the damage
    world.clock.turn(-AHEAD_S)

    await world.run(world.job(chat("a0")))

    assert audited(world.outcomes[-1]) == ["job.duplicate"]


@pytest.mark.parametrize("lost", [False, True], ids=["cache-kept", "cache-lost"])
async def test_what_is_older_than_the_window_is_deleted_by_the_time_of_what_was_decided_last(
    tmp_path: Path, lost: bool
) -> None:
    world = World(tmp_path)
    await world.run(*(world.job(chat(f"a{n}")) for n in range(5)))
    world.clock.turn(timedelta(hours=25).total_seconds())
    await world.run(world.job(chat("b0")))

    def lose() -> None:
        for file in (tmp_path / "seen").iterdir() if lost else ():
            file.unlink()

    await world.crash(lose)

    seen = (await world.lane())._seen
    assert seen._connection().execute("SELECT identity FROM seen").fetchall() == [("default/b0",)]
