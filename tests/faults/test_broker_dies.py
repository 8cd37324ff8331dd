"""The broker is stopped, killed, frozen, and forgets: no job is lost or doubled, no call repeated, nothing skipped."""

import shutil
import time

import pytest
from ordeal import SESSION, ordeal

FROZEN_S, LONG_FROZEN_S = 10, 30


@pytest.mark.row(13, 15)
def test_a_broker_that_is_stopped_killed_and_frozen_under_load_costs_no_job_and_no_call(mortal, tmp_path, proof):
    with ordeal(mortal.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        run.publish(900)
        run.more(60)
        mortal.stop()
        mortal.start()
        run.more(150)
        mortal.kill()
        mortal.start()
        run.more(150)
        mortal.freeze()
        time.sleep(FROZEN_S)  # the fault itself: beyond the session, the commit's deadline and the clients' patience
        mortal.thaw()
        run.healed()
        run.recover()
        run.publish(100)

        run.verdict(note=f"SIGTERM, kill -9, and {FROZEN_S} s of SIGSTOP")
        assert run.said("lane.rebuilt"), "no producer was rebuilt: the test shows nothing"


@pytest.mark.long
@pytest.mark.row(15)
def test_a_broker_that_is_frozen_for_half_a_minute_costs_no_job_and_no_call(mortal, tmp_path, proof):
    """The provider goes on answering; what it answered waits in memory for a transaction, and is not asked again."""
    with ordeal(mortal.bootstrap, tmp_path, proof=proof, **SESSION) as run:
        run.publish(900)
        run.more(60)
        mortal.freeze()
        called = sum(run.system.calls().values())
        time.sleep(LONG_FROZEN_S)  # the fault itself
        made = sum(run.system.calls().values()) - called
        windows = [lane["works"] for lane in run.system.worker.lanes()]
        assert all(process.running for process in run.system.processes)
        assert sum(windows) > 0, "nothing was under way: the test shows nothing"
        mortal.thaw()
        run.healed()
        run.recover()
        run.verdict(note=f"SIGSTOP for {LONG_FROZEN_S} s; {made} calls meanwhile, {sum(windows)} records in memory")


@pytest.mark.row(14)
def test_a_broker_that_lost_acknowledged_records_stops_the_lanes_by_name_instead_of_skipping(mortal, tmp_path, proof):
    """The broker's folder is put back to an older state while it is stopped; the processes know of more."""
    older = tmp_path / "older"
    (tmp_path / "run").mkdir()
    with ordeal(mortal.bootstrap, tmp_path / "run", proof=proof) as run:
        run.publish(60)
        run.until()
        run.quiet()
        mortal.stop()
        shutil.copytree(mortal.home.log_dir, older)
        mortal.start()
        forgotten = run.publish(120)
        run.until()
        run.quiet()
        mortal.stop()
        shutil.rmtree(mortal.home.log_dir)
        shutil.copytree(older, mortal.home.log_dir)
        mortal.start()

        processes = run.system.processes
        for process in processes:
            run.wait(lambda process=process: process.health()[0] == 503, f"alarm of {process.name}", 60)
            reasons = [lane["reason"] for lane in process.lanes() if lane["state"] == "stopped"]
            assert reasons
            assert all(reason.startswith("PositionLost") for reason in reasons), reasons
        assert all(process.running for process in processes), "a crash loop instead of an alarm"

        # Somebody has looked: what the broker still knows is whole, and what it forgot is published again.
        for process in processes:
            process.terminate()
            process.start()
        del run.wanted[60:]
        run.wanted += [(job["tenant"], job["id"], 1) for job in forgotten]
        run.stranger.close()
        run.stranger.publish(*forgotten)
        run.healed()
        run.recover()
        run.verdict(
            may_repeat=None, zombies=None, samples=False, note="put back to an older state; lanes stopped by name"
        )
