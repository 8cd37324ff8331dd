"""Rules about budgets and reservations: what makes each fire, and what leaves it silent."""

from alert_world import CENT, DAY, HOUR, MINUTE, TODAY, Watched, budget


def test_a_budget_tells_each_of_its_shares_once_as_it_is_spent():
    watched = Watched()
    budget(watched)
    told = []
    for number in range(10):
        watched.spent(f"j{number}", 10 * CENT, budgets=TODAY)
        told += [(number, alert.threshold, alert.state) for alert in watched.look("budget")]

    assert told == [(4, 50.0, "firing"), (7, 80.0, "firing"), (9, 100.0, "firing")]
    assert watched.written[1].detail["spent_nanousd"] == 80 * CENT
    assert (watched.written[1].tenant, watched.written[1].unit) == ("acme", "%")


def test_a_budget_below_its_first_share_is_silent_although_all_of_it_is_reserved():
    watched = Watched()
    budget(watched)
    watched.spent("j1", 49 * CENT, budgets=TODAY)
    watched.decided("j2", 51 * CENT, budgets=TODAY)

    assert watched.look("budget") == []


def test_a_hard_budget_with_no_room_for_its_smallest_job_is_used_up_and_a_soft_one_is_not():
    watched = Watched()
    budget(watched)
    budget(watched, "soft", hard=False)
    both = (*TODAY, ("soft", "2026-11-22", 0))
    for number in range(3):
        watched.spent(f"j{number}", 32 * CENT, reserved=40 * CENT, budgets=both)

    firing = {alert.subject for alert in watched.look("budget") if alert.threshold == 100}
    assert firing == {"budget main of acme, 2026-11-22 at 100 %"}


def test_the_next_window_of_a_budget_begins_silent_and_ends_what_fired_in_the_last():
    watched = Watched()
    budget(watched)
    watched.spent("j1", 60 * CENT, budgets=TODAY)
    watched.look()

    [alert] = watched.later(DAY).look("budget")
    assert (alert.state, alert.subject) == ("resolved", "budget main of acme, 2026-11-22 at 50 %")
    watched.spent("j2", 60 * CENT, budgets=(("main", "2026-11-23", 0),))
    [alert] = watched.look("budget")
    assert (alert.state, alert.subject) == ("firing", "budget main of acme, 2026-11-23 at 50 %")


def test_a_budget_that_is_raised_is_no_longer_over_its_share():
    watched = Watched()
    budget(watched)
    watched.spent("j1", 60 * CENT, budgets=TODAY)
    watched.look()
    budget(watched, limit=200 * CENT)

    assert [alert.state for alert in watched.look("budget")] == ["resolved"]


def test_what_was_spent_before_the_log_that_is_read_counts_as_the_lane_that_reserves_says():
    watched = Watched()
    budget(watched)
    watched.spent("j1", 5 * CENT, budgets=(("main", "2026-11-22", 46 * CENT),))

    [alert] = watched.look("budget")
    assert alert.detail["spent_nanousd"] == 51 * CENT


def test_an_end_that_is_read_before_its_decision_or_twice_counts_once():
    watched = Watched()
    budget(watched)
    for _ in range(2):
        watched.ended("j1", 55 * CENT)
        watched.decided("j1", 55 * CENT, budgets=TODAY)

    [alert] = watched.look("budget")
    assert (alert.threshold, alert.detail["spent_nanousd"], alert.detail["reserved_nanousd"]) == (50, 55 * CENT, 0)


def test_a_budget_of_one_model_counts_the_charges_of_that_model_alone():
    watched = Watched()
    budget(watched, model="qwen")
    watched.spent("j1", 90 * CENT, budgets=TODAY)
    assert watched.look("budget") == []
    watched.decided("j2", 60 * CENT, budgets=TODAY)
    watched.ended("j2", 60 * CENT, model="qwen")
    assert [alert.threshold for alert in watched.look("budget")] == [50.0]


def test_a_call_that_may_have_been_paid_counts_as_its_tenant_has_it_count():
    watched = Watched()
    watched.account("tenant", tenant="acme", ambiguous="nothing")
    budget(watched)
    watched.decided("j1", 60 * CENT, budgets=TODAY)
    watched.ended("j1", 60 * CENT, ambiguous=True)
    assert watched.look("budget") == []
    watched.decided("j2", 60 * CENT, budgets=TODAY)
    watched.ended("j2", 60 * CENT)
    assert [alert.detail["spent_nanousd"] for alert in watched.look("budget")] == [60 * CENT]


def test_an_organisation_over_half_its_soft_limit_is_told_of_and_below_it_is_not():
    watched = Watched()
    watched.account("organisation", organisation="hive", soft_nanousd_per_month=100 * CENT)
    watched.account("tenant", tenant="acme", organisation="hive")
    watched.ended("j1", 49 * CENT)
    assert watched.look("budget") == []
    watched.ended("j2", 2 * CENT)
    assert [alert.subject for alert in watched.look("budget")] == ["organisation hive, 2026-11 at 50 %"]


# money that is not as it should be


def test_a_charge_above_the_reserve_is_told_of_and_one_below_it_is_not():
    watched = Watched()
    watched.ended("j1", CENT, reserved=2 * CENT)
    assert watched.look("overcharge") == []
    watched.ended("j2", 3 * CENT, reserved=2 * CENT)
    [alert] = watched.look("overcharge")
    assert (alert.subject, alert.value, alert.unit) == ("llama at together", CENT, "nanousd")


def test_a_reservation_ten_minutes_after_its_deadline_is_told_of_until_it_ends():
    watched = Watched()
    watched.decided("j1", CENT, deadline=watched.now + MINUTE)
    watched.decided("j2", CENT, deadline=watched.now + HOUR)
    assert watched.later(10 * MINUTE).look("reservation_open") == []
    [alert] = watched.later(2 * MINUTE).look("reservation_open")
    assert (alert.subject, alert.value, alert.detail["jobs"]) == ("reservations of acme", 1, ["j1/1"])
    watched.ended("j1", 0, reserved=CENT)
    assert [alert.state for alert in watched.look("reservation_open")] == ["resolved"]
