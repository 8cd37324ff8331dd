"""An event loop that is blocked: its watchdog tells of it while it lasts, and each job ends once all the same."""

import json
from pathlib import Path

import pytest
from inner import block, blockable
from ordeal import PER_FREEZE, SESSION, ordeal

BLOCKED_S = 10
"""Beyond the session and the commit's deadline: the worker's lanes go to the other one, and come back."""


def told(log: Path, event: str) -> list[dict]:
    """What a process logged under that name."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.mark.row(12)
def test_a_loop_that_is_blocked_beyond_its_session_is_told_while_it_is_and_doubles_nothing(broker, tmp_path, proof):
    with ordeal(broker.bootstrap, tmp_path, crew=2, proof=proof, **SESSION, **blockable(BLOCKED_S)) as run:
        stuck, other = run.system.workers
        run.healthy()
        run.publish(500)
        run.more(60)
        block(stuck)
        stuck.broke()
        run.wait(lambda: bool(told(stuck.log, "loop.blocked")), "alarm of the watchdog", BLOCKED_S)
        [alarm] = told(stuck.log, "loop.blocked")
        assert stuck.health()[0] == 0, "it was told after the fact, or by a process that was not blocked"
        run.wait(lambda: len(other.lanes()) == 3, "worker that has all the lanes")
        run.healthy([stuck])
        run.healed()
        run.recover()
        assert stuck.health()[1]["loop"]["blocked"] >= 1

        run.verdict(excused=True, zombies=PER_FREEZE)

    assert alarm["for_ms"] >= 1_000
    assert alarm["where"].startswith("sitecustomize:"), "the alarm names another place than the one that blocks"
