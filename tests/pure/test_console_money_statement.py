"""Decisions and ledger joined, and what is summed from them."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from money_log import LARGE, NOON, SMALL, charge, decided, ended

from console.money.balance import Balance
from console.money.joined import Join
from console.money.statement import BadDimension, Statement, dimensions
from router.accounts import Accounts
from router.money.windows import calendar
from schemas.decision import DecisionBatch
from schemas.ledger import LedgerBatch

CHARGES = st.lists(
    st.builds(
        charge,
        st.integers(0, 10**6),
        st.sampled_from([SMALL, LARGE]),
        ambiguous=st.booleans(),
        source=st.sampled_from(["provider", "computed", "estimated"]),
        service_tier=st.sampled_from(["standard", "batch"]),
    ),
    max_size=3,
)
JOBS = st.lists(
    st.tuples(
        CHARGES,
        st.sampled_from(["acme", "other"]),
        st.sampled_from([None, "red", "blue"]),
        st.sampled_from([{}, {"project": "x"}, {"project": True}]),
        st.integers(-400, 400).map(lambda hours: timedelta(hours=hours)),
        st.integers(-1_000, 1_000),
    ),
    max_size=12,
)
BY = st.lists(
    st.sampled_from(
        ["tenant", "team", "model", "provider", "tier", "source", "day", "month", "hour", "tag:project", "job"]
    ),
    max_size=3,
    unique=True,
)


def batch(*decisions):
    return {"decisions": [decision.model_dump(mode="json") for decision in decisions]}


def entries(*told):
    return LedgerBatch(lane="w", entries=list(told)).encode()


def joined(*steps):
    join = Join(Accounts())
    return join, [
        one for step in steps for one in (join.ledger(step) if isinstance(step, bytes) else join.decisions(step))
    ]


def story(jobs):
    """The ends of some jobs, joined; their costs need not be what their charges say."""
    decisions = [
        decided(f"j{number}", tenant=tenant, team=team, metadata=labels, at=NOON + at)
        for number, (_, tenant, team, labels, at, _) in enumerate(jobs)
    ]
    ends = [
        ended(one, *charges, cost_nanousd=max(0, sum(part.nanousd for part in charges) + off))
        for one, (charges, *_, off) in zip(decisions, jobs, strict=True)
    ]
    _, found = joined(batch(*decisions), entries(*ends))
    return ends, found


@given(JOBS, BY)
def test_the_groups_of_a_statement_sum_to_the_ledger_whatever_they_are_grouped_by(jobs, by):
    ends, found = story(jobs)
    statement = Statement(tuple(by), calendar("Europe/Berlin"))

    for one in found:
        statement.add(one)

    cost = sum(entry.cost_nanousd for entry in ends)
    assert statement.total.nanousd == cost
    assert sum(group.nanousd for group in statement.groups.values()) == cost
    assert statement.total.jobs == len(jobs)
    ambiguous = sum(part.nanousd for entry in ends for part in entry.charges if part.ambiguous)
    assert statement.total.ambiguous_nanousd == ambiguous


@given(JOBS)
def test_every_whole_event_leaves_the_accounts_at_zero_and_names_what_providers_are_owed(jobs):
    _, found = story([(charges, *rest[:-1], abs(rest[-1])) for charges, *rest in jobs if charges])
    balance = Balance()
    for one in found:
        balance.ended(one)
    balance.reserved(joined(batch(decided("open", 700)))[0].open.values())

    assert balance.faults() == []
    assert (balance.sum_nanousd, balance.reserved_nanousd) == (0, 700)


def test_an_entry_whose_cost_is_less_than_its_charges_does_not_balance_and_is_told():
    _, [one] = joined(batch(decided()), entries(ended(decided(), charge(1_200), cost_nanousd=1_000)))
    balance = Balance()

    balance.ended(one)

    assert balance.faults() == ["providers are owed 1200 nano-dollars; entries cost 1000"]


def test_an_entry_that_comes_before_its_decision_finds_it():
    entry = ended(decided(), charge())

    join, [one] = joined(entries(entry), batch(decided()))

    assert (one.entry, one.reservation.job, one.late, join.open) == (entry, "acme/a1/1", False, {})


def test_a_second_settle_counts_for_nothing_and_is_told():
    entry = ended(decided(), charge())

    join, found = joined(batch(decided()), entries(entry, entry))

    assert (len(found), join.repeated, join.open) == (1, [entry], {})


def test_a_submission_that_is_decided_anew_holds_what_its_last_decision_reserved():
    first, second = decided(nanousd=5_000), decided(nanousd=3_000).model_copy(update={"decision_id": "anew"})
    refused = second.model_copy(update={"verdict": "expired", "reserve": None})

    again, _ = joined(batch(first), batch(second))
    ended_first, counted = joined(
        batch(first), entries(ended(first, charge())), batch(first), entries(ended(first, charge()))
    )
    nothing, _ = joined(batch(first), batch(refused))

    assert [one.held.nanousd for one in again.open.values()] == [3_000]
    assert (len(counted), ended_first.repeated, ended_first.open) == (2, [], {})
    assert nothing.open == {}


def test_a_settle_after_a_release_counts_and_is_no_new_job():
    released, late = ended(decided()), ended(decided(), charge(900))
    _, found = joined(batch(decided()), entries(released, late, released, late))
    statement, balance = Statement(("model",)), Balance()
    for one in found:
        statement.add(one)
        balance.ended(one)

    assert [one.late for one in found] == [False, True]
    assert (statement.total.jobs, statement.total.nanousd) == (1, 900)
    assert (balance.faults(), balance.reserves) == ([], 1)


def test_an_end_whose_decision_is_gone_counts_when_it_was_written():
    entry = ended(decided(), charge(), after=timedelta(days=1))
    join, found = joined(entries(entry, entry))
    strangers = list(join.strangers())

    assert (found, [one.at for one in strangers], join.repeated) == ([], [NOON + timedelta(days=1)], [entry])


def test_a_job_counts_on_the_day_of_its_decision_in_the_given_time_zone():
    decision = decided(at=NOON.replace(hour=23, minute=30))
    _, [one] = joined(batch(decision), entries(ended(decision, charge(), after=timedelta(days=3))))
    berlin = Statement(("day",), calendar("Europe/Berlin"))

    berlin.add(one)

    assert list(berlin.groups) == [("2026-11-23",)]


def test_labels_and_parts_that_a_job_does_not_tell_stand_under_a_dash():
    _, found = story(
        [([charge(5)], "acme", "red", {"project": True}, timedelta(0), 0), ([], "acme", None, {}, timedelta(0), 0)]
    )
    statement = Statement(dimensions("team,tag:project, model,team"))
    for one in found:
        statement.add(one)

    assert {key: group.nanousd for key, group in statement.groups.items()} == {
        ("red", "true", "org/small"): 5,
        ("-", "-", "-"): 0,
    }


@pytest.mark.parametrize("name", ["colour", "tag:", "tag"])
def test_nothing_is_summed_by_what_there_is_not(name):
    with pytest.raises(BadDimension, match="sums are by tenant, task"):
        Statement((name,))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["decisions", "reserve", "verdict", "tenant", "decided_at"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_what_is_no_decision_is_counted_and_passed_over(document):
    join = Join(Accounts())
    whole = {"verdict": "assigned", "reserve": document, "decision_id": "x"}

    assert list(join.decisions({"decisions": [document, whole]})) == []
    assert (join.open, list(join.ledger(b"{}")), join.unreadable > 0) == ({}, [], True)


def test_a_batch_holds_what_the_contract_writes():
    decision = decided(metadata={"project": "x", "urgent": True})
    join, _ = joined({"decisions": DecisionBatch(lane="r", decisions=[decision]).model_dump(mode="json")["decisions"]})

    [one] = join.open.values()

    assert Counter(dict(one.labels)) == {"project": "x", "urgent": "true"}
    assert (one.held.nanousd, one.expected_nanousd, one.task) == (5_000, 900, "chat-completion")
