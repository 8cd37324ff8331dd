"""Processes that are killed, at random or at a chosen place: one result each, and the repeated calls are listed."""

import random

import pytest
from ordeal import Ordeal, ordeal
from system import Process

from runtime.failpoints import EXIT_CODE

SEED = 11
WORKER_PLACES = ("before_call", "after_call", "after_settle", "before_commit", "before_end", "after_end")
ROUTER_PLACES = WORKER_PLACES[2:]


def again(run: Ordeal, *victims: Process) -> int:
    """kill -9, and another start: of all of them at once. How many calls were out just before."""
    out = int(run.system.stub("/admin/state")["in_flight"])
    for victim in victims:
        victim.kill()
    for victim in victims:
        victim.start()
    run.healed()
    return out


@pytest.mark.row(1, 6)
def test_kill_9_of_router_of_worker_and_of_both_loses_no_job_and_doubles_none(broker, tmp_path, proof):
    """Every job is published twice, the second time after the first kill: deduplication has to hold across them."""
    dice = random.Random(proof.seed(SEED))
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        jobs = run.publish(500)
        router, worker = run.system.router, run.system.worker
        run.more(dice.randint(30, 120))
        again(run, worker)
        run.stranger.publish(*jobs)
        run.more(dice.randint(30, 90))
        again(run, router)
        run.more(dice.randint(30, 90))
        again(run, router, worker)
        run.recover()

        verdict = run.verdict(excused=True)

    assert verdict.repeated, "no kill met a call: the test shows nothing"


@pytest.mark.long
@pytest.mark.row(1)
def test_twenty_kills_of_a_worker_at_random_progress_lose_no_job_and_list_what_was_called_twice(
    broker, tmp_path, proof
):
    kills = 20
    dice = random.Random(proof.seed(SEED))
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        met = 0
        for _ in range(kills):
            run.publish(60)
            run.publish(60, ordering_key="line")
            run.more(dice.randint(5, 90))
            met += again(run, run.system.worker) > 0
        run.recover()
        verdict = run.verdict(excused=True, note=f"{met} of {kills} kills met calls")

    assert verdict.repeated, "no kill cost a call: the test shows nothing"
    assert met > kills // 2, "half of the kills met no call"


@pytest.mark.long
@pytest.mark.row(1, 6)
def test_everything_that_is_killed_and_started_at_once_again_and_again_loses_nothing(broker, tmp_path, proof):
    kills, crew = 5, 3
    dice = random.Random(proof.seed(SEED))
    with ordeal(broker.bootstrap, tmp_path, crew=crew, proof=proof) as run:
        met = 0
        for _ in range(kills):
            run.publish(140)
            run.publish(60, ordering_key="line")
            run.more(dice.randint(20, 150))
            met += again(run, *run.system.processes) > 0
        run.recover()
        run.verdict(excused=True, note=f"{met} of {kills} kills met calls")

    assert met > kills // 2, "half of the kills met no call"


@pytest.mark.row(2, 20)
@pytest.mark.parametrize(
    ("victim", "places"),
    [("worker", WORKER_PLACES), pytest.param("router", ROUTER_PLACES, marks=pytest.mark.long)],
    ids=["worker", "router"],
)
def test_a_process_that_dies_at_a_chosen_place_is_begun_anew_and_nothing_is_doubled(
    broker, tmp_path, proof, victim, places
):
    """Before and after a call, after its outcome, before and inside a transaction, and after its end."""
    dice = random.Random(proof.seed(SEED))
    with ordeal(broker.bootstrap, tmp_path, start=False, proof=proof) as run:
        process = run.system.router if victim == "router" else run.system.worker
        for other in run.system.processes:
            if other is not process:
                other.start()
        for place in places:
            run.publish(60)
            process.start(NOVIX_FAILPOINT=f"{place}:{dice.randint(1, 3)}")
            assert process.wait(90) == EXIT_CODE, place
        process.start()
        run.healed()
        run.recover()

        run.verdict(excused=victim == "worker", note=victim)


@pytest.mark.row(40)
def test_a_job_on_whose_call_the_worker_dies_three_times_is_set_aside_and_the_others_go_on(broker, tmp_path, proof):
    """The provider never answers for one model; whoever waits for that answer is killed."""
    poison = "meta-llama/Llama-3.3-70B-Instruct"
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        run.system.stub("/admin/behave", {"model": poison, "stall": True})
        run.publish(1, model=poison)
        identity = run.wanted[0]
        trace = f"{identity[0]}/{identity[1]}"
        for death in range(1, 4):
            run.publish(60)
            run.wait(lambda death=death: run.system.calls()[trace] >= death, f"call number {death} of the poison")
            run.more(20)
            again(run, run.system.worker)

        run.recover()
        run.until()
        result = run.stranger.result(identity[1], identity[0])
        letters = run.stranger.letters_of(identity[1])
        run.verdict(excused=True)

    assert (result["status"], result["error"]["kind"]) == ("failed", "crashed")
    assert [letter.header("__dlq.errors.topic") for letter in letters] == ["inference.text.v1"]
    assert [attempt["kind"] for attempt in result["attempts"]] == ["interrupted"] * 3
