"""A token that is revoked in the middle of the work, and rotated: one alarm, nobody calls on, the work waits for it."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from ordeal import CALL_MS, IN_FLIGHT, ordeal
from stranger import TOKEN

NEW = "hf_rotatedcanaryrotatedcanary"
TO_LEARN = 3
"""Refusals in a row before a worker believes that its token is refused."""


def events(log: Path) -> Counter[str]:
    """What a process told, by event."""
    return Counter(json.loads(line)["event"] for line in log.read_text().splitlines() if line.startswith("{"))


def rotate(file: Path, token: str) -> None:
    """As a person or a secret's controller does: the new file takes the old one's place in one step."""
    anew = file.with_suffix(".new")
    anew.write_text(token)
    os.replace(anew, file)


@pytest.mark.row(49)
def test_a_revoked_token_is_told_once_and_the_work_waits_until_it_is_rotated(broker, tmp_path, proof):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    settings = {"NOVIX_HF_TOKEN": "", "NOVIX_HF_TOKEN_FILE": str(file), "NOVIX_RETRY_BUDGET": "1000"}
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **settings) as run:
        worker = run.system.worker
        run.publish(200)
        run.more(40)
        run.system.stub("/admin/behave", {"delay_ms": CALL_MS, "takes": [NEW]})
        run.publish(200)
        run.wait(lambda: "refused_credentials" in worker.health()[1], "refused credential that the worker tells of")
        run.wait(lambda: run.system.stub("/admin/state")["in_flight"] == 0, "end of the last call")
        waits = sum(lane["works"] for lane in worker.lanes())
        run.publish(100)
        rotate(file, NEW)
        run.healed()
        run.recover()
        run.until()
        told, answered = events(worker.log), Counter(status for _, status in run.system.stub("/admin/calls"))
        results = [found.json for found in run.stranger.until(lambda _: True)]
        letters = len(run.stranger.read("inference.dlq.v1"))
        leaks = run.stranger.leaks(NEW)
        run.verdict(note=f"{answered[401]} calls were refused, {letters} dead letters")

    failed = [result for result in results if result["status"] != "succeeded"]
    assert waits > 0, "nobody waited: the test shows nothing"
    assert (told["credential.refused"], told["credential.accepted"]) == (1, 1)
    assert answered[401] <= IN_FLIGHT + TO_LEARN, "who has learnt it calls no more"
    assert {result["error"]["kind"] for result in failed} <= {"unauthorized"}
    assert len(failed) == letters < TO_LEARN
    assert leaks == []
