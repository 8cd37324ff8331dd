"""Dead letters driven again twice at once, while other jobs come and the router is killed: one new result each."""

import json
import threading

import pytest
from ordeal import CALL_MS, ordeal

from schemas.topics import DLQ, RESULTS

SICK = "openai/gpt-oss-20b"
FAILED = 40


@pytest.mark.row(52)
def test_dead_letters_that_two_people_drive_again_during_live_traffic_are_done_once_more_and_no_oftener(
    broker, tmp_path, proof
):
    with ordeal(broker.bootstrap, tmp_path, proof=proof, NOVIX_BREAKER="false", NOVIX_MAX_RETRIES="0") as run:
        run.system.stub("/admin/behave", {"model": SICK, "status": 503})
        sick = run.publish(FAILED, model=SICK, provider="groq")
        run.until()
        assert len(run.stranger.read(DLQ.name)) == FAILED
        run.system.stub("/admin/behave", {"model": SICK, "status": 200, "delay_ms": CALL_MS})

        told: list[dict] = []
        people = [
            threading.Thread(
                target=lambda: told.append(
                    json.loads(
                        run.stranger.cli("dlq", "redrive", "--since", "1h", "--yes", "--json", "--rate", "500").stdout
                    )
                )
            )
            for _ in range(2)
        ]
        for person in people:
            person.start()
        run.publish(150)
        run.more(20)
        run.system.router.kill()
        run.system.router.start()
        run.healed()
        for person in people:
            person.join()
        run.recover()
        assert [one["redriven"] for one in told] == [FAILED, FAILED]
        again = [(job["tenant"], job["id"], 2) for job in sick]
        run.wanted += again
        run.verdict()
        results = [found.json for found in run.stranger.read(RESULTS.name)]
        ended = {(result["job_id"], result["status"]) for result in results if result["submission"] == 2}

    assert ended == {(job["id"], "succeeded") for job in sick}
