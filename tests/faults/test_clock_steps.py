"""The wall clock of router and worker is set ahead and back under load: waits are monotonic, and each job ends once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from inner import WallClock
from ordeal import CALL_MS, ordeal

HOUR_S = 3_600
SICK = "openai/gpt-oss-20b"
WAITS = {
    "NOVIX_BREAKER_RESET_S": "2", "NOVIX_RETRY_IN_MEMORY_S": "0.3", "NOVIX_BACKOFF_FACTOR_S": "0.6",
    "NOVIX_RETRY_BUDGET": "1000",
}  # fmt: skip
"""An open breaker, rests in memory and rests in the 5 s topic: every wait that there is."""


def patient() -> dict[str, Any]:
    """A job whose deadline no such step reaches."""
    return {"deadline": (datetime.now(UTC) + timedelta(hours=12)).isoformat()}


@pytest.mark.row(46)
@pytest.mark.parametrize(
    "steps", [(HOUR_S, 0), pytest.param((-HOUR_S, 0), marks=pytest.mark.long)], ids=["ahead", "behind"]
)
def test_no_wait_grows_and_nothing_is_lost_when_the_clock_steps_during_an_open_breaker(broker, tmp_path, proof, steps):
    """Were a timer to go by the wall clock, it would wait for an hour more than this test does."""
    clock = WallClock(tmp_path)
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **WAITS, **clock.environment) as run:
        run.publish(60, **patient())
        run.more(20)
        run.system.stub("/admin/behave", {"model": SICK, "status": 503, "delay_ms": CALL_MS})
        run.publish(20, model=SICK, provider="groq", **patient())
        run.wait(lambda: [status for _, status in run.system.stub("/admin/calls")].count(503) >= 4, "open breaker")
        for ahead in steps:
            clock.set_ahead(ahead)
            run.publish(40, **patient())
            run.more(30)
        run.system.stub("/admin/behave", {"model": SICK, "status": 200, "delay_ms": CALL_MS})
        run.healed()
        run.recover(model=SICK, provider="groq", **patient())
        run.verdict(stepped=True)


@pytest.mark.long
@pytest.mark.row(46)
def test_a_clock_so_far_ahead_that_the_broker_refuses_its_records_holds_the_lanes_until_it_is_right(
    broker, tmp_path, proof
):
    """Kafka takes no record of a time more than an hour ahead of its own."""
    clock = WallClock(tmp_path)
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **clock.environment) as run:
        run.publish(80, **patient())
        run.more(20)
        clock.set_ahead(3 * HOUR_S)
        run.publish(40, **patient())
        log = run.system.router.log
        run.wait(lambda: "InvalidTimestampError" in log.read_text(), "record that is refused")
        assert all(process.running for process in run.system.processes), "a crash loop instead of a wait"
        clock.set_ahead(0)
        run.healed()
        run.recover(**patient())
        run.verdict()


@pytest.mark.long
@pytest.mark.row(46)
def test_a_router_that_begins_with_a_clock_days_ahead_knows_who_was_decided_once_it_is_right(broker, tmp_path, proof):
    """Its lanes open with a time at which it would remember nobody; what it would decide then the broker refuses."""
    clock = WallClock(tmp_path)
    with ordeal(broker.bootstrap, tmp_path, proof=proof, **clock.environment) as run:
        first = run.publish(80, **patient())
        run.until(80)
        router = run.system.router
        clock.set_ahead(30 * HOUR_S)
        router.kill()
        router.start()
        run.publish(40, **patient())
        run.stranger.publish(*first[:20])
        run.wait(lambda: "InvalidTimestampError" in router.log.read_text(), "record that is refused")
        clock.set_ahead(0)
        run.healed()
        run.stranger.publish(*first)
        run.recover(**patient())
        run.verdict()
