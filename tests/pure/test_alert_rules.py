"""Each kind of rule: what makes it fire, and what leaves it silent."""

from datetime import timedelta

import pytest
from alert_world import CENT, DAY, HOUR, MINUTE, SECOND, Watched

from console.alerting.spending import robust_z

# anomalies


def hours_of_spend(watched: Watched, hours: int, nanousd: int) -> None:
    for hour in range(hours):
        watched.later(HOUR).ended(f"past-{hour}", nanousd + hour % 3 * CENT // 100)


def test_a_tenant_that_spends_ten_times_its_usual_hour_is_an_anomaly():
    watched = Watched()
    hours_of_spend(watched, 20, CENT)
    assert watched.look("anomaly") == []
    watched.later(HOUR).ended("burst", 10 * CENT)

    [alert] = watched.look("anomaly")
    assert (alert.tenant, alert.state) == ("acme", "firing")
    assert alert.value >= 3.5


def test_spend_like_that_of_the_past_or_without_a_past_is_no_anomaly():
    steady, fresh = Watched(), Watched()
    hours_of_spend(steady, 24, CENT)
    fresh.ended("first", 1_000 * CENT)

    assert steady.look("anomaly") == []
    assert fresh.look("anomaly") == []


def test_the_z_of_a_sum_is_that_of_iglewicz_and_hoaglin():
    """Median 10, absolute deviations 1, 0, 1, 2, 2: their median is 1; 0.6745 * (20 - 10) / 1. In units of a dollar's
    hundredth, so that neither floor binds."""
    past = [CENT * one for one in (9, 10, 11, 12, 8)]
    assert robust_z(20 * CENT, past) == (10 * CENT, pytest.approx(6.745))
    assert robust_z(3 * CENT, past)[1] == 0


# prices


def test_a_price_that_moves_by_a_quarter_is_told_once_and_the_next_move_as_well():
    watched = Watched()
    watched.price(100)
    watched.later(MINUTE).price(125)
    first = watched.look("price_drift")
    again = watched.later(MINUTE).look("price_drift")
    watched.price(80)

    assert [(alert.value, alert.state) for alert in first] == [(25.0, "firing")]
    assert again == []
    assert [alert.value for alert in watched.look("price_drift")] == [36.0]


def test_small_steps_add_up_until_they_are_told_and_are_told_once():
    """A price that goes up by a tenth an hour is over a fifth with every second step."""
    watched = Watched()
    for nanousd in (100, 110, 121, 133, 146):
        watched.later(HOUR).price(nanousd)
        watched.look("price_drift")
        watched.look("price_drift")
    assert [(alert.value, alert.state) for alert in watched.written if alert.on == "price_drift"] == [
        (21.0, "firing"),
        (pytest.approx(20.661), "firing"),
    ]


def test_a_price_that_moves_a_little_or_is_the_first_is_no_drift():
    watched = Watched()
    watched.price(100)
    watched.later(MINUTE).price(119)
    watched.price(1_000, model="qwen")

    assert watched.later(MINUTE).look("price_drift") == []


def test_a_held_price_is_told_of_and_ends_with_its_approval():
    watched = Watched()
    watched.price(100)
    assert watched.look("price_held") == []
    watched.later(MINUTE).price(100_000, state="held")
    assert [alert.state for alert in watched.look("price_held")] == ["firing"]
    watched.later(MINUTE).price(100_000)
    assert [alert.state for alert in watched.look("price_held")] == ["resolved"]


# the system


def test_a_breaker_is_told_of_once_although_its_trial_calls_fail_and_until_it_closes():
    watched = Watched()
    watched.breaker("open")
    states = [[alert.state for alert in watched.look("breaker_open")]]
    watched.later(301 * SECOND).breaker("half-open")
    states.append([alert.state for alert in watched.look("breaker_open")])
    watched.breaker("open")
    states.append([alert.state for alert in watched.look("breaker_open")])
    watched.breaker("closed")
    states.append([alert.state for alert in watched.look("breaker_open")])

    assert states == [["firing"], [], [], ["resolved"]]


def test_a_closed_breaker_is_silent_and_one_that_nobody_speaks_of_any_more_ends():
    watched = Watched()
    watched.breaker("closed")
    watched.breaker("open", model="qwen")
    assert [alert.subject for alert in watched.look("breaker_open")] == ["together/qwen"]
    assert [alert.state for alert in watched.later(HOUR).look("breaker_open")] == ["resolved"]


def test_five_dead_letters_in_five_minutes_are_told_of_and_four_are_not():
    watched = Watched()
    for _ in range(4):
        watched.letter()
    assert watched.look("dead_letters") == []
    watched.letter()
    assert [alert.value for alert in watched.look("dead_letters")] == [1.0]
    assert [alert.state for alert in watched.later(10 * MINUTE).look("dead_letters")] == ["resolved"]


def test_alerts_that_could_not_be_sent_are_no_dead_letters_that_alerts_are_given_for():
    watched = Watched()
    for _ in range(50):
        watched.letter(topic="novix.alerts.v1")
    assert watched.look("dead_letters") == []


def lag_for(watched: Watched, minutes: int, records: int) -> None:
    for _ in range(minutes):
        watched.measures.lags.note("novix-router", "inference.jobs.v1", records, watched.now)
        watched.later(MINUTE)
    watched.measures.lags.note("novix-router", "inference.jobs.v1", records, watched.now)


def test_a_group_that_is_behind_for_five_minutes_is_told_of_until_it_has_caught_up():
    watched = Watched()
    lag_for(watched, 4, 20_000)
    assert watched.look("lag") == []
    lag_for(watched, 2, 30_000)
    [alert] = watched.look("lag")
    assert (alert.subject, alert.value) == ("novix-router on inference.jobs.v1", 20_000)
    lag_for(watched, 0, 3)
    assert [alert.state for alert in watched.look("lag")] == ["resolved"]


def test_a_group_that_catches_up_now_and_then_has_no_lag():
    watched = Watched()
    for _ in range(4):
        lag_for(watched, 2, 50_000)
        lag_for(watched, 1, 0)
    assert watched.look("lag") == []


def test_after_a_restart_a_lag_that_fires_is_not_over_before_it_was_looked_at():
    watched = Watched()
    lag_for(watched, 6, 20_000)
    watched.look()
    other = watched.begun_anew()
    assert other.look("lag") == []
    lag_for(other, 1, 20_000)
    assert other.look("lag") == []


# service levels


def results(watched: Watched, good: int, bad: int, **who: str) -> None:
    for _ in range(good):
        watched.result("succeeded", **who)
    for _ in range(bad):
        watched.result("failed", "provider_error", **who)


def test_two_failures_in_a_thousand_burn_the_budget_of_three_nines_and_are_told_of():
    watched = Watched()
    watched.account("tenant", tenant="acme", tier="standard")
    results(watched, 998, 2)

    [alert] = watched.look("slo_burn")
    assert (alert.rule, alert.subject, alert.value) == ("slo-burn-3d", "tier standard", 2.0)
    assert "99.8 %" in alert.message


def test_one_failure_in_two_thousand_is_within_the_budget_of_three_nines():
    watched = Watched()
    watched.account("tenant", tenant="acme", tier="standard")
    results(watched, 1_999, 1)
    assert watched.look("slo_burn") == []


def test_a_tier_without_an_objective_and_one_with_few_jobs_are_silent():
    watched = Watched()
    watched.account("tenant", tenant="few", tier="government")
    results(watched, 0, 500)
    results(watched, 90, 9, tenant="few")
    assert watched.look("slo_burn") == []


def test_what_burns_fast_is_told_of_by_the_fast_rule_and_is_over_when_the_short_window_is_clean():
    watched = Watched()
    watched.account("tenant", tenant="acme", tier="standard")
    results(watched, 900, 100)
    assert "slo-burn-1h" in {alert.rule for alert in watched.look("slo_burn")}
    watched.later(20 * MINUTE)
    results(watched, 900, 0)
    assert [alert.state for alert in watched.look("slo_burn") if alert.rule == "slo-burn-1h"] == ["resolved"]


def test_a_changed_objective_holds_at_the_next_look():
    watched = Watched()
    watched.account("tenant", tenant="acme", tier="standard")
    results(watched, 1_999, 1)
    watched.look()
    watched.tier("standard", availability_ppm=999_900)
    assert {alert.value for alert in watched.look("slo_burn")} == {5.0}


# what rules may say


def test_a_rule_of_a_tenant_sees_that_tenant_alone():
    watched = Watched()
    watched.rule("letters-of-b", "dead_letters", tenant="b", threshold=1, window_s=60)
    watched.letter(tenant="b")
    watched.letter(tenant="c")

    assert [(alert.rule, alert.tenant) for alert in watched.look("dead_letters")] == [("letters-of-b", "b")]


def test_a_rule_of_a_built_in_id_takes_its_place_and_removed_gives_it_back():
    watched = Watched()
    watched.rule("dead-letters", "dead_letters", threshold=1_000, window_s=300)
    for _ in range(10):
        watched.letter()
    assert watched.look("dead_letters") == []
    watched.rule("dead-letters", "dead_letters", removed=True)
    assert len(watched.look("dead_letters")) == 1


def test_the_end_of_a_rule_ends_what_it_fired():
    watched = Watched()
    watched.rule("mine", "dead_letters", threshold=0.1, window_s=60)
    watched.letter()
    watched.look()
    watched.rule("mine", "dead_letters", removed=True)
    [alert] = [alert for alert in watched.look("dead_letters") if alert.rule == "mine"]
    assert (alert.state, alert.message) == ("resolved", "dead letters: the rule holds no longer")


def test_records_that_are_no_messages_are_passed_over_by_every_fold():
    watched = Watched()
    for topic in watched.measures.folds:
        for value in (b"", b"{", b"[]", b"null", b"7", b'{"decisions":[{"reserve":1}]}', b'{"entries":[{}]}'):
            watched.give(topic, value)
    assert {alert.on for alert in watched.look()} == {"dead_letters"}, "any bytes may be one"


def test_the_same_records_read_again_after_a_broken_connection_change_nothing():
    watched = Watched()
    watched.account("tenant", tenant="acme", tier="standard")
    results(watched, 998, 2)
    for _ in range(4):
        watched.letter()
    watched.price(100)
    watched.later(SECOND).price(130)
    watched.look()
    for record in list(watched.log):
        watched.take(record)
    assert watched.look() == []


def test_every_measure_of_the_contract_has_a_built_in_rule():
    from typing import get_args

    from schemas.policies import Measure

    assert {rule.on for rule in Watched().measures.in_force().values()} == set(get_args(Measure))
    assert all(timedelta(seconds=rule.window_s) <= 3 * DAY for rule in Watched().measures.in_force().values())
