"""Budgets told apart: the same sums as a home lane's books, and why they are what they are."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from money_log import LARGE, NOON, SMALL, account, charge, decided, ended, outgoing_end

from console.money.joined import Join, reservation_of
from console.money.standing import Standings
from console.money.watch import why
from router.accounts import Accounts
from router.money.books import Books
from runtime.ports import Record
from schemas.accounts import Budget, Tenant, Transfer
from schemas.job import InferenceJob

BUDGETS = (
    {"id": "all"},
    {"id": "day", "window": "day", "team": "red"},
    {"id": "hour", "window": "hour", "funded": True},
    {"id": "ever", "window": "total", "tag": ("project", "x")},
    {"id": "large", "model": "org/large"},
    {"id": "groq", "provider": "groq", "key_id": "app", "window": "day"},
)
JOBS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 9_000), st.sampled_from([SMALL, LARGE]), st.booleans()), max_size=3),
        st.sampled_from([None, "red", "blue"]),
        st.sampled_from([None, "app"]),
        st.sampled_from([{}, {"project": "x"}, {"project": "y"}]),
        st.integers(0, 40 * 24),
        st.sampled_from(["open", "settle", "release", "released and settled", "settled twice", "decided anew"]),
        st.sampled_from([(SMALL,), (SMALL, LARGE)]),
    ),
    max_size=12,
)


def accounts_of(*events):
    found = Accounts()
    for offset, event in enumerate(events):
        out = account(event)
        found.fold(Record(out.topic, 0, offset, out.key, out.value, (), 0))
    return found


def world(ambiguous="ceiling", zone="Europe/Berlin"):
    tenant = Tenant(at=NOON, tenant="acme", time_zone=zone, ambiguous=ambiguous, organisation="org")
    budgets = [Budget(at=NOON, tenant="acme", limit_nanousd=50_000, **fields) for fields in BUDGETS]
    transfer = Transfer(at=NOON, id="t1", organisation="org", tenant="acme", budget="hour", nanousd=7_000)
    return accounts_of(tenant, *budgets, transfer)


def told(jobs, accounts):
    """Decisions and ends, the oldest decision first."""
    rows = []
    for number, (charges, team, key, labels, hours, how, places) in enumerate(sorted(jobs, key=lambda job: job[4])):
        at = NOON - timedelta(hours=40 * 24 - hours)
        decision = decided(
            f"j{number}", 5_000, team=team, key_id=key, metadata=labels, at=at, places=places,
            accounts=int(accounts.version),
        )  # fmt: skip
        parts = [charge(amount, place, ambiguous=unsure) for amount, place, unsure in charges]
        ends = {
            "open": [],
            "settle": [ended(decision, *parts)],
            "release": [ended(decision)],
            "released and settled": [ended(decision), ended(decision, *parts)],
            "settled twice": [ended(decision, *parts), ended(decision, *parts)],
            "decided anew": [ended(decision, *parts)],
        }[how]
        rows += [(decision, ends)] * (2 if how == "decided anew" else 1)
    return rows


@given(JOBS, st.sampled_from(["ceiling", "estimate", "nothing"]))
def test_a_budget_told_apart_sums_to_what_its_home_lanes_books_say(jobs, ambiguous):
    accounts = world(ambiguous)
    books, join, standings = Books(accounts), Join(accounts), Standings(accounts, ["acme"], NOON)
    offset = 0
    for sequence, (decision, ends) in enumerate(told(jobs, accounts), 1):
        document = {"sequence": sequence, "decisions": [decision.model_dump(mode="json")]}
        books.fold_decisions(document)
        assert list(join.decisions(document)) == []
        for entry in ends:
            out = outgoing_end(entry, 1)
            books.fold_ledger(Record(out.topic, 0, offset, out.key, out.value, (), 0))
            offset += 1
            for one in join.ledger(out.value):
                standings.spent(one)
    for reservation in join.open.values():
        standings.reserved(reservation)

    job = InferenceJob(id="x", task="t", input={}, tenant="acme", team="red", key_id="app", metadata={"project": "x"})
    lines = {line.id: line for line in books.purse(job, NOON).lines}

    assert len(lines) == len(BUDGETS) == len(standings.all)
    for one in standings.all:
        line = lines[one.budget.id]
        assert (one.window, one.limit_nanousd, one.ends) == (line.window, line.limit_nanousd, line.resets_at)
        assert (one.spent_nanousd, one.reserved_nanousd) == (line.spent_nanousd, line.reserved_nanousd)
        for part in one.parts.values():
            assert sum(part.values()) == one.spent_nanousd


def test_a_budget_of_a_model_counts_what_was_charged_there_and_reserves_of_jobs_that_may_go_there():
    accounts = accounts_of(Budget(at=NOON, tenant="acme", id="large", model="org/large", limit_nanousd=10_000))
    standings, join = Standings(accounts, ["acme"], NOON), Join(accounts)
    done, waiting, elsewhere = (
        decided("done", places=(SMALL, LARGE)), decided("waiting", places=(SMALL, LARGE)), decided("small"),
    )  # fmt: skip
    list(join.decisions({"decisions": [one.model_dump(mode="json") for one in (done, waiting, elsewhere)]}))
    for one in join.ledger(outgoing_end(ended(done, charge(300), charge(400, LARGE)), 1).value):
        standings.spent(one)
    for one in join.open.values():
        standings.reserved(one)

    [found] = standings.all

    assert (found.spent_nanousd, found.reserved_nanousd, found.jobs) == (400, 5_000, 1)
    assert (dict(found.parts["model"]), found.dearest) == ({"org/large": 400}, [("acme/done/1", 400)])


def test_a_charge_above_the_reserve_and_a_call_that_may_have_been_paid_are_told_by_their_job():
    accounts = world()
    standings, join = Standings(accounts, ["acme"], NOON), Join(accounts)
    decision = decided()
    list(join.decisions({"decisions": [decision.model_dump(mode="json")]}))
    for one in join.ledger(
        outgoing_end(ended(decision, charge(6_000), charge(100, ambiguous=True, attempt=2)), 1).value
    ):
        standings.spent(one)

    whole = next(one for one in standings.all if one.budget.id == "all")

    assert whole.over == [("acme/a1/1", 1_100)]
    assert [(job, part.attempt) for job, part in whole.ambiguous] == [("acme/a1/1", 2)]
    assert whole.ambiguous_nanousd == 100


def test_an_open_reservation_says_whether_it_waits_is_late_or_leaks():
    one = reservation_of(decided().model_dump(mode="json"), Accounts())
    due = NOON + timedelta(minutes=10)

    running = why(one, None, "waits in inference.retry.60s.v1 until noon (rate_limited)", NOON)
    late = why(one, None, None, due + timedelta(minutes=1))
    gone = why(one, None, None, due + timedelta(hours=1))
    waits = why(
        one, None, "in inference.text.v1 0/7, not ended by its workers (9 records behind)", due + timedelta(hours=1)
    )
    unsettled = why(one, "its result is written (succeeded)", None, NOON)

    assert [found.leaked for found in (running, late, gone, waits, unsettled)] == [False, False, True, False, True]
    assert running.why == "running: its deadline is in 600 s; waits in inference.retry.60s.v1 until noon (rate_limited)"
    assert late.why.startswith("late: its deadline passed 60 s ago")
    assert "9 records behind" in waits.why
    assert unsettled.why == "leaked: its result is written (succeeded), and no settle"
