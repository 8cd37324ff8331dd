"""A crossing is told once, whatever the value does above the threshold, and whoever dies meanwhile."""

from alert_world import CENT, MINUTE, NOON, TODAY, Watched, budget
from hypothesis import given
from hypothesis import strategies as st

from console.alerting.crossings import Told, alert_id, crossings, is_over
from console.alerting.reading import Buckets, Reading
from runtime.ports import Record
from schemas.policies import AlertRule

RULE = AlertRule.model_validate({"id": "r", "on": "lag", "threshold": 10, "at": NOON})
VALUES = st.lists(st.one_of(st.none(), st.floats(0, 20, allow_nan=False)), max_size=60)


def tell(told: Told, value: float | None):
    alerts = crossings(RULE, [Reading("s", value, "records", "told")], told, NOON)
    for alert in alerts:
        told.note(alert)
    return alerts


@given(VALUES)
def test_a_subject_fires_once_for_each_time_that_it_comes_over_its_threshold(values):
    told, alerts = Told(), []
    for value in values:
        alerts += tell(told, value)

    known = [value for value in values if value is not None]
    came_over = sum(
        is_over(now, 10) and not is_over(before, 10) for before, now in zip([0.0, *known], known, strict=False)
    )
    states = [alert.state for alert in alerts]
    assert states.count("firing") == came_over
    assert states == [state for _ in range(came_over) for state in ("firing", "resolved")][: len(states)]


@given(VALUES, st.integers(0, 60))
def test_whoever_begins_anew_from_the_alerts_topic_tells_the_rest_and_nothing_twice(values, death):
    """Read in any order of its partitions: an end and its beginning may lie apart."""
    whole, first = Told(), Told()
    expected = [alert for value in values for alert in tell(whole, value)]
    before = [alert for value in values[:death] for alert in tell(first, value)]
    second = Told()
    for number, alert in enumerate(reversed(before)):
        second.fold(Record("novix.alerts.v1", number % 3, number, None, alert.encode(), (), 0))
    after = [alert for value in values[death:] for alert in tell(second, value)]

    assert before + after == expected
    assert len({(alert.alert_id, alert.state) for alert in expected}) == len(expected)


def test_the_id_of_a_crossing_is_a_digest_of_rule_subject_and_number_and_its_end_has_it_too():
    told = Told()
    [fired], [over], [again] = tell(told, 11), tell(told, 9), tell(told, 12)

    assert fired.alert_id == over.alert_id == alert_id("r", "s", 1)
    assert (again.alert_id, again.crossing) == (alert_id("r", "s", 2), 2)
    assert alert_id("r", "s1", 1) != alert_id("rs", "1", 1)


def test_a_subject_that_is_not_there_any_more_is_over_and_one_that_is_not_known_is_not():
    told = Told()
    tell(told, 11)
    assert tell(told, None) == []
    assert [alert.state for alert in crossings(RULE, [], told, NOON)] == ["resolved"]


def test_nothing_at_all_is_over_no_threshold():
    assert not is_over(0, 0)
    assert is_over(0.001, 0)
    assert is_over(10, 10)


def test_a_process_that_is_killed_after_it_told_tells_the_same_crossings_no_second_time():
    watched = Watched()
    budget(watched)
    for number in range(9):
        watched.spent(f"j{number}", 10 * CENT, budgets=TODAY)
        watched.look()
    other = watched.later(MINUTE).begun_anew()

    assert other.look("budget") == []
    other.spent("last", 10 * CENT, budgets=TODAY)
    assert [alert.threshold for alert in other.look("budget")] == [100.0]


def test_a_process_that_is_killed_before_it_told_leaves_the_crossing_to_the_next():
    watched = Watched()
    budget(watched)
    watched.spent("j", 55 * CENT, budgets=TODAY)
    [lost] = watched.measures.look(Told(), watched.now)
    [told] = watched.begun_anew().look("budget")

    assert (told.alert_id, told.state) == (lost.alert_id, "firing")


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 9)), max_size=80), st.integers(1, 90))
def test_the_sum_over_a_window_is_that_of_its_minutes_whatever_was_forgotten(added, minutes):
    buckets = Buckets(MINUTE, 100)
    ordered = sorted(added)
    for at, amount in ordered:
        buckets.add(NOON + at * MINUTE, n=amount)
    end = max((at for at, _ in ordered), default=0)

    wanted = sum(amount for at, amount in ordered if end - minutes < at <= end)
    assert buckets.sum("n", NOON + end * MINUTE, minutes * MINUTE) == wanted
