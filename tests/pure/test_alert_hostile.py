"""What alerts do with records and clocks that are wrong."""

import json
from datetime import timedelta

import pytest
from alert_world import CENT, DAY, HOUR, MINUTE, NOON, SECOND, TODAY, Watched, budget

from console.alerting import spending
from console.alerting.crossings import Told
from console.alerting.measures import Measures
from console.alerting.reading import Buckets
from console.alerting.service import Watch
from runtime.clock import SystemClock
from runtime.settings import load
from schemas.alerts import Alert
from schemas.topics import BUDGETS, POLICIES


@pytest.mark.parametrize("threshold", ["1" + "0" * 400, "NaN", "Infinity", "-Infinity", "1e999", "-1"])
def test_a_rule_with_an_impossible_threshold_is_refused_and_the_others_go_on(threshold):
    watched = Watched()
    rule = {"kind": "alert", "id": "lag", "on": "breaker_open", "threshold": 7, "at": NOON.isoformat()}
    watched.give(POLICIES, json.dumps({"event": rule}).replace(": 7,", f": {threshold},").encode())
    watched.breaker("open")

    assert watched.measures.rules.alert_rules() == []
    assert len(watched.measures.rules.faults) == 1
    assert [alert.rule for alert in watched.look("breaker_open")] == ["breaker-open"]


def test_a_rule_that_fails_by_a_fault_of_ours_leaves_the_others_alone(monkeypatch):
    watched = Watched()
    watched.breaker("open")

    def fails(rule, now):
        raise ZeroDivisionError

    monkeypatch.setitem(watched.measures._readings, "anomaly", fails)
    assert [alert.rule for alert in watched.look()] == ["breaker-open"]


def test_a_share_that_a_budget_names_twice_is_told_once():
    watched = Watched()
    budget(watched, alert_percent=(50, 50, 80))
    watched.spent("j", 60 * CENT, budgets=TODAY)
    assert [alert.threshold for alert in watched.look("budget")] == [50.0]


def test_a_record_from_the_future_does_not_wipe_out_the_present():
    """A machine whose clock is a year ahead writes one dead letter between the others."""
    watched = Watched()
    for _ in range(3):
        watched.letter()
    present, watched.now = watched.now, watched.now + 365 * DAY
    watched.letter()
    watched.now = present
    for _ in range(2):
        watched.letter()
    assert [alert.value for alert in watched.look("dead_letters")] == [1.0]


def test_one_end_that_is_stamped_years_back_gives_a_new_tenant_no_past_to_be_compared_with():
    watched = Watched()
    present, watched.now = watched.now, watched.now - 3_000 * DAY
    watched.ended("old", CENT)
    watched.now = present
    watched.ended("first", 1_000 * CENT)
    assert watched.look("anomaly") == []


def test_buckets_are_as_many_as_promised_however_clocks_go():
    buckets = Buckets(MINUTE, 10)
    for number in range(100):
        buckets.add(NOON + number * 999 * DAY / 1_000, n=1)
        buckets.add(NOON - number * HOUR, n=1)
    assert len(buckets._sums["n"]) <= 10


def test_a_clock_that_is_behind_the_routers_loses_nothing_of_a_window_that_has_just_begun():
    """The router is two seconds ahead: it opens the window of a new day while it is yesterday here."""
    watched = Watched(now=NOON.replace(hour=23, minute=59, second=59))
    budget(watched)
    watched.spent("j", 60 * CENT, budgets=(("main", "2026-11-23", 0),))
    told = watched.look("budget") + watched.later(2 * SECOND).look("budget")
    assert [(alert.threshold, alert.state) for alert in told] == [(50.0, "firing")]


def test_a_clock_that_is_set_back_over_the_end_of_a_window_tells_no_crossing_twice():
    watched = Watched(now=NOON.replace(day=23, hour=0, minute=0, second=1))
    budget(watched)
    watched.spent("j", 60 * CENT, budgets=(("main", "2026-11-23", 0),))
    told = watched.look("budget")
    told += watched.later(-2 * SECOND).look("budget")
    told += watched.later(2 * SECOND).look("budget")
    assert [alert.state for alert in told] == ["firing"]


def test_a_budget_that_was_used_up_before_the_log_that_is_read_is_not_told_to_be_over_by_a_restart():
    """The decisions of three days are read; a hard budget that is used up gets no new ones."""
    watched = Watched()
    budget(watched, window="month")
    watched.spent("j", 100 * CENT, budgets=(("main", "2026-11", 0),))
    fired = watched.look("budget")
    watched.log = [record for record in watched.log if record.topic == BUDGETS.name]
    other = watched.later(4 * DAY).begun_anew()

    assert [alert.threshold for alert in fired] == [50, 80, 100]
    assert other.look() == []
    other.spent("k", 1, budgets=(("main", "2026-11", 100 * CENT),))
    assert other.look() == []
    assert {alert.state for alert in other.later(5 * DAY).look("budget")} == {"resolved"}


def test_an_organisations_month_is_not_forgotten_for_an_end_that_is_stamped_ahead():
    watched = Watched(now=NOON.replace(day=30, hour=23, minute=59, second=59))
    watched.account("organisation", organisation="org", soft_nanousd_per_month=100 * CENT)
    watched.account("tenant", tenant="acme", organisation="org")
    present = watched.now
    watched.later(2 * SECOND).ended("j", 60 * CENT)
    watched.now = present
    told = watched.look("budget") + watched.later(3 * SECOND).look("budget")
    assert [(alert.threshold, alert.state) for alert in told] == [(50.0, "firing")]


def test_what_ended_is_remembered_by_number_alone_and_not_for_ever(monkeypatch):
    monkeypatch.setattr("console.alerting.crossings.MOST_RESOLVED", 3)
    told = Told()
    for number in range(10):
        for state in ("firing", "resolved"):
            told.note(
                Alert(
                    alert_id=f"a{number}", rule="r", on="lag", state=state, subject=f"s{number}", crossing=4, value=1,
                    threshold=1, unit="u", message="m", at=NOON,
                )
            )  # fmt: skip
    assert told.firing() == []
    assert [told.last("r", f"s{number}") for number in (0, 6, 7, 9)] == [(0, False), (0, False), (4, False), (4, False)]


def test_reservations_that_are_too_many_to_remember_are_not_held_as_reserved(monkeypatch):
    monkeypatch.setattr(spending, "MOST_OPEN", 2)
    watched = Watched()
    budget(watched, alert_percent=(1,))
    for number in range(5):
        watched.decided(f"j{number}", 10 * CENT, budgets=TODAY)
    watched.spent("paid", 2 * CENT, budgets=TODAY)
    [alert] = watched.look("budget")
    assert alert.detail["reserved_nanousd"] <= 2 * 10 * CENT


def test_a_process_that_reads_a_long_log_is_well_and_not_ready():
    """`novix up` waits a minute and a half for everybody to be well; reading may take longer."""
    watch = Watch(load({}).settings, SystemClock())
    assert (watch.healthy, watch.ready, watch.describe()["open"]) == (True, False, False)


def test_the_measures_take_any_bytes_on_every_topic():
    from runtime.ports import Record

    measures = Measures(0.2)
    for value in (None, b"", b"\xff", b"[]", b"null", b'{"decisions": [1, {"reserve": 1}]}', b'{"entries": [{}]}'):
        for topic, fold in measures.folds.items():
            fold(Record(topic.name, 0, 0, None, value, (), -1))
    assert measures.look(Told(), NOON + timedelta(days=1)) == []
