"""Double entry: whatever happens, what goes out of one account comes into another."""

from books_world import NOON, TENANT, charge, entry
from hypothesis import given
from hypothesis import strategies as st

from router.money.postings import (
    UNNAMED,
    Posting,
    allotted,
    budget,
    of_end,
    of_reserve,
    of_transfer,
    payable,
    reserved,
    trial_balance,
)
from schemas.accounts import Transfer

AMOUNTS = st.integers(0, 10**14)
CHARGES = st.lists(
    st.builds(
        lambda nanousd, provider, ambiguous: charge(nanousd, ("m", provider), ambiguous=ambiguous),
        AMOUNTS, st.sampled_from(["groq", "together"]), st.booleans(),
    ),
    max_size=4,
)  # fmt: skip


@given(AMOUNTS, CHARGES, AMOUNTS, st.integers(-(10**15), 10**15))
def test_the_postings_of_every_event_sum_to_nothing(held: int, charges: list[object], rest: int, moved: int):
    end = entry("a1", *charges, rest=rest if charges else 0)  # type: ignore[arg-type]
    transfer = Transfer(at=NOON, id="t", organisation="org", tenant=TENANT, budget="b", nanousd=moved)
    events = [of_reserve(TENANT, held), of_end(end, held), of_transfer(transfer)]

    for postings in events:
        assert sum(one.nanousd for one in postings) == 0
        assert all(one.nanousd for one in postings)
        assert len({one.account for one in postings}) == len(postings)
    balance = trial_balance([one for postings in events for one in postings])
    assert sum(balance.values()) == 0
    assert balance.get(reserved(TENANT), 0) == 0, "what is reserved comes back whole"
    owed = sum(nanousd for account, nanousd in balance.items() if account.startswith("provider/"))
    assert owed == max(end.cost_nanousd, 0)
    assert balance.get(budget(TENANT), 0) == moved - owed


def test_a_settle_gives_back_what_was_not_spent_and_owes_the_rest_to_the_provider():
    end = entry("a1", charge(30), charge(10, ("m", "together"), ambiguous=True), rest=5)

    assert of_end(end, 100) == [
        Posting(payable("groq"), 30),
        Posting(payable("together", ambiguous=True), 10),
        Posting(payable(UNNAMED), 5),
        Posting(budget(TENANT), 55),
        Posting(reserved(TENANT), -100),
    ]


def test_a_cost_that_comes_after_its_reservation_had_ended_is_owed_all_the_same():
    assert of_end(entry("a1", charge(30)), 0) == [Posting(payable("groq"), 30), Posting(budget(TENANT), -30)]


def test_a_release_leaves_no_trace_in_the_balance():
    postings = [*of_reserve(TENANT, 100), *of_end(entry("a1"), 100)]

    assert set(trial_balance(postings).values()) == {0}


def test_what_an_organisation_hands_over_is_missing_there():
    transfer = Transfer(at=NOON, id="t", organisation="org", tenant=TENANT, budget="b", nanousd=-7)

    assert of_transfer(transfer) == [Posting(allotted("org"), 7), Posting(budget(TENANT), -7)]
