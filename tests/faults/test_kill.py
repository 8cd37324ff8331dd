"""Processes that are killed, at random or at a chosen place: one result each, and the repeated calls are listed."""

import random

import pytest
from ordeal import PER_KILL, ordeal

from runtime.failpoints import EXIT_CODE

SEED = 11


def test_kill_9_of_router_of_worker_and_of_both_loses_no_job_and_doubles_none(broker, tmp_path):
    """Every job is published twice, the second time after the first kill: deduplication has to hold across them."""
    dice = random.Random(SEED)
    with ordeal(broker.bootstrap, tmp_path) as run:
        jobs = run.publish(800)
        router, worker = run.system.router, run.system.worker
        worker_deaths = 0
        for victims in ((worker,), (router,), (router, worker), (worker,), (router, worker)):
            run.more(dice.randint(30, 120))
            for victim in victims:
                victim.kill()
            for victim in victims:
                victim.start()
            worker_deaths += worker in victims
            if worker_deaths == 1:
                run.stranger.publish(*jobs)

        verdict = run.verdict(may_repeat=worker_deaths * PER_KILL)

    assert verdict.repeated, "no kill met a call: the test shows nothing"


@pytest.mark.parametrize(
    ("victim", "places"),
    [
        ("worker", ("before_call", "after_call", "after_settle", "before_commit", "before_end", "after_end")),
        ("router", ("after_settle", "before_commit", "before_end", "after_end")),
    ],
)
def test_a_process_that_dies_at_a_chosen_place_is_begun_anew_and_nothing_is_doubled(broker, tmp_path, victim, places):
    dice = random.Random(SEED)
    with ordeal(broker.bootstrap, tmp_path, start=False) as run:
        process = run.system.router if victim == "router" else run.system.worker
        for other in run.system.processes:
            if other is not process:
                other.start()
        for place in places:
            run.publish(100)
            process.start(NOVIX_FAILPOINT=f"{place}:{dice.randint(1, 3)}")
            assert process.wait(90) == EXIT_CODE, place
        process.start()

        run.verdict(may_repeat=len(places) * PER_KILL if victim == "worker" else 0)


def test_a_job_on_whose_call_the_worker_dies_three_times_is_set_aside_and_the_others_go_on(broker, tmp_path):
    """Row 40. The provider never answers for one model; whoever waits for that answer is killed."""
    poison = "meta-llama/Llama-3.3-70B-Instruct"
    with ordeal(broker.bootstrap, tmp_path) as run:
        run.system.stub("/admin/behave", {"model": poison, "stall": True})
        run.publish(1, model=poison)
        identity = run.wanted[0]
        trace = f"{identity[0]}/{identity[1]}"
        for death in range(1, 4):
            run.publish(60)
            run.wait(lambda death=death: run.system.calls()[trace] >= death, f"call number {death} of the poison")
            run.more(20)
            run.system.worker.kill()
            run.system.worker.start()

        run.until()
        result = run.stranger.result(identity[1], identity[0])
        letters = run.stranger.letters_of(identity[1])
        run.verdict(may_repeat=3 * PER_KILL)

    assert (result["status"], result["error"]["kind"]) == ("failed", "crashed")
    assert [letter.header("__dlq.errors.topic") for letter in letters] == ["inference.text.v1"]
    assert [attempt["kind"] for attempt in result["attempts"]] == ["interrupted"] * 3
