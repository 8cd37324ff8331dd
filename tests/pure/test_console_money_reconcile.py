"""A provider's bill against the ledger: which differences there are, and how each is named."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from money_log import LARGE, NOON, SMALL, charge, decided, ended

from console.money.bill import Bill, Billed, read_bill
from console.money.joined import Ended
from console.money.reconcile import Ours, Reconciler, ours_of
from console.money.summed import Sums, is_summed

HEADING = "request_id,time,model,provider,cost"


def row(line, nanousd, request_id="", *, at=NOON, model="org/small", provider="groq", job=""):
    return Billed(line, nanousd, request_id, at, at, model, provider, job)


def ours(nanousd, request_id="", *, job="acme/a1/1", at=NOON, model="org/small", ambiguous=False, provider="groq"):
    return Ours(job, nanousd, model, provider, request_id, ambiguous, at, at + timedelta(seconds=2))


def reconciled(rows, charges, unit=1):
    reconciler = Reconciler(Bill(tuple(rows), unit, ()))
    for one in charges:
        reconciler.add(one)
    return reconciler.finish()


def kinds(found):
    return [(one.kind, one.nanousd) for one in found.differences]


# reading


def test_a_bill_that_says_the_same_has_no_difference():
    found = reconciled(
        [row(2, 1_200, "r-1"), row(3, 900, "r-2"), row(4, 0, "r-9")], [ours(900, "r-2"), ours(1_200, "r-1")]
    )

    assert (found.agrees(), found.differences, found.free, found.matched["request_id"]) == (True, [], 1, 2)


@pytest.mark.parametrize(
    ("rows", "charges", "unit", "expected"),
    [
        ([row(2, 500, "x")], [], 1, [("billed_not_ours", 500)]),
        ([], [ours(500, "x")], 1, [("ours_not_billed", -500)]),
        ([row(2, 700, "x")], [ours(500, "x")], 1, [("other_amount", 200)]),
        ([row(2, 500, "x"), row(3, 500, "x")], [ours(500, "x")], 1, [("billed_twice", 500)]),
        ([row(2, -500, "x")], [], 1, [("credit", -500)]),
        ([row(2, 1_000, "x")], [ours(1_400, "x")], 1_000, [("rounding", -400)]),
        ([row(2, 1_000, "x")], [ours(2_000, "x")], 1_000, [("other_amount", -1_000)]),
        ([Billed(2, 900)], [], 1, [("no_call", 900)]),
        (
            [row(2, 900, "y", at=NOON - timedelta(days=40))],
            [ours(0, "x")],
            1,
            [("other_time", 900), ("ours_not_billed", 0)],
        ),
        ([row(2, 300, "x"), row(3, 250, "x"), row(4, -50, "x")], [ours(500, "x")], 1, []),
        (
            [row(2, 300, "x"), row(3, 100, "x")],
            [ours(900, "x", ambiguous=True)],
            1,
            [("billed_twice", 100), ("ambiguous_billed", -600)],
        ),
        ([], [ours(500, ambiguous=True)], 1, [("ambiguous_not_billed", -500)]),
        ([row(2, 300, "x")], [ours(500, ambiguous=True)], 1, [("ambiguous_billed", -200)]),
        ([row(2, 500, "x")], [ours(500, "x", ambiguous=True)], 1, [("ambiguous_billed", 0)]),
    ],
)
def test_every_difference_has_its_name(rows, charges, unit, expected):
    found = reconciled(rows, charges, unit)

    assert kinds(found) == expected
    assert found.agrees() == (not any(amount for _, amount in expected))
    assert found.agrees([kind for kind, _ in expected])


def test_without_a_request_id_a_call_is_known_by_its_job_then_by_time_model_and_amount():
    late = NOON + timedelta(hours=1)
    found = reconciled(
        [row(2, 10, job="acme/a1", at=late), row(3, 20, job="b7"), row(4, 30), row(5, 30, at=late)],
        [ours(30, at=late), ours(30), ours(20, job="acme/b7/2"), ours(10)],
    )

    assert (found.differences, found.matched) == ([], {"request_id": 0, "job": 2, "time": 2})


def test_ids_that_differ_tell_calls_apart_once_the_bills_ids_are_known_to_be_ours():
    known, other = (row(2, 10, "r-1"), ours(10, "r-1")), (row(3, 20, "r-2"), ours(20, "r-3", job="acme/b/1"))

    assert kinds(reconciled([known[0], other[0]], [known[1], other[1]])) == [
        ("billed_not_ours", 20),
        ("ours_not_billed", -20),
    ]
    assert kinds(reconciled([other[0]], [other[1]])) == []


@pytest.mark.parametrize("more", [{"at": NOON + timedelta(minutes=5)}, {"model": "org/large"}, {"provider": "nebius"}])
def test_another_time_model_or_provider_is_another_call(more):
    assert len(reconciled([row(2, 10, **more)], [ours(10)]).differences) == 2


def test_attempts_of_one_job_with_the_same_id_are_paired_by_their_amounts():
    found = reconciled([row(2, 10, "t"), row(3, 20, "t")], [ours(20, "t"), ours(10, "t")])

    assert found.differences == []


def test_a_doubtful_call_takes_a_row_that_is_no_other_calls():
    rows = [row(2, 400, at=NOON), row(3, 500, at=NOON)]
    found = reconciled(rows, [ours(900, ambiguous=True, job="acme/x/1"), ours(500)])

    assert [(one.kind, one.line, one.job) for one in found.differences] == [("ambiguous_billed", 2, "acme/x/1")]


ROWS = st.lists(
    st.tuples(st.integers(-50, 3_000), st.sampled_from(["", "r1", "r2", "r3"]), st.sampled_from(["", "acme/a1", "b2"]),
              st.integers(0, 200), st.sampled_from([SMALL, LARGE])),
    max_size=8,
)  # fmt: skip
OURS = st.lists(
    st.tuples(st.integers(0, 3_000), st.sampled_from(["", "r1", "r2", "r9"]), st.sampled_from(["acme/a1/1", "x/b2/1"]),
              st.integers(0, 200), st.sampled_from([SMALL, LARGE]), st.booleans()),
    max_size=8,
)  # fmt: skip


@given(ROWS, OURS, st.sampled_from([1, 1_000]))
def test_the_differences_are_what_the_bill_has_more_than_the_ledger_and_nothing_counts_twice(rows, charges, unit):
    found = reconciled(
        [
            row(2 + number, amount, name, job=job, at=NOON + timedelta(seconds=at), model=place[0], provider=place[1])
            for number, (amount, name, job, at, place) in enumerate(rows)
        ],
        [
            ours(
                amount,
                name,
                job=job,
                at=NOON + timedelta(seconds=at),
                model=place[0],
                provider=place[1],
                ambiguous=unsure,
            )
            for amount, name, job, at, place, unsure in charges
        ],
        unit,
    )

    assert found.billed_nanousd - found.ours_nanousd == sum(one.nanousd for one in found.differences)
    alone = [one for one in found.differences if one.line is None]
    assert len(charges) == sum(found.matched.values()) + len(alone)
    lines = [one.line for one in found.differences if one.line is not None]
    assert len(lines) == len(set(lines))
    assert found.agrees() == (not any(one.nanousd for one in found.differences))


@given(ROWS)
def test_a_bill_that_is_made_of_the_ledger_agrees_with_it(rows):
    charges = [
        ours(
            abs(amount),
            name,
            job=f"acme/j{number}/1",
            at=NOON + timedelta(seconds=at),
            model=place[0],
            provider=place[1],
        )
        for number, (amount, name, _, at, place) in enumerate(rows)
    ]
    bill = [
        row(
            2 + number,
            one.nanousd,
            one.request_id,
            at=one.began,
            model=one.model,
            provider=one.provider,
            job=f"acme/j{number}",
        )
        for number, one in enumerate(charges)
    ]

    assert reconciled(reversed(bill), charges).agrees()


def test_what_is_compared_are_the_charges_of_an_end():
    one = Ended(ended(decided(), charge(7, request_id="r"), charge(8, LARGE)), None)

    assert [(part.nanousd, part.request_id, part.model, part.job) for part in ours_of(one)] == [
        (7, "r", "org/small", "acme/a1/1"),
        (8, "", "org/large", "acme/a1/1"),
    ]
    assert ours_of(one)[0].began == NOON + timedelta(seconds=1.7)


# bills of sums


def summed(lines, charges):
    bill = read_bill([line + "\n" for line in lines])
    assert is_summed(bill)
    sums = Sums(bill)
    for one in charges:
        sums.add(one)
    return sums.finish()


def test_a_bill_of_sums_is_compared_by_day_or_month_and_model():
    lines = [
        "date,model,provider,cost_nanousd",
        "2026-11-22,org/small,groq,30",
        "2026-11,org/large,groq,7",
        "2026-11-21,org/small,groq,0",
    ]
    charges = [
        ours(10),
        ours(20, at=NOON + timedelta(hours=11)),
        ours(7, model="org/large", at=NOON - timedelta(days=20)),
    ]

    found = summed(lines, charges)

    assert (found.agrees(), found.differences, found.matched) == (True, [], {"sum": 3})


@pytest.mark.parametrize(
    ("cost", "charges", "expected"),
    [
        ("0.000000030", [ours(10)], [("other_amount", 20)]),
        ("0.000000030", [], [("billed_not_ours", 30)]),
        ("-0.000000030", [], [("credit", -30)]),
        ("0.00", [ours(10)], [("rounding", -10)]),
        ("0.000000010", [ours(10), ours(5, at=NOON + timedelta(days=1))], [("ours_not_billed", -5)]),
        ("0.000000010", [ours(10), ours(5, provider="together")], [("ours_not_billed", -5)]),
        ("0.000000010", [ours(10), ours(5, ambiguous=True)], [("ambiguous_not_billed", -5)]),
        ("0.000000013", [ours(10), ours(5, ambiguous=True)], [("ambiguous_billed", -2)]),
        ("0.000000009", [ours(10), ours(5, ambiguous=True)], [("other_amount", -6)]),
    ],
)
def test_every_difference_of_a_sum_has_its_name(cost, charges, expected):
    assert kinds(summed(["date,model,provider,cost", f"2026-11-22,org/small,groq,{cost}"], charges)) == expected


@pytest.mark.parametrize("row", ["2026-11-22T12:00:00Z,m,,1", ",m,,1", "2026-11-22,m,r-1,1"])
def test_a_bill_that_names_calls_is_none_of_sums(row):
    assert not is_summed(read_bill(["time,model,request_id,cost\n", "2026-11-22,m,,1\n", row + "\n"]))


@given(ROWS, OURS, st.sampled_from(["", ",groq", ",together"]))
def test_the_differences_of_sums_are_what_the_bill_has_more_than_the_ledger(rows, charges, provider):
    lines = [f"date,model{',provider' if provider else ''},cost_nanousd", f"2026-11,org/small{provider},5"]
    lines += [f"2026-11-{22 + at % 3},{place[0]}{provider},{amount}" for amount, _, _, at, place in rows]
    found = summed(
        lines,
        [
            ours(amount, job=job, at=NOON + timedelta(hours=at), model=place[0], provider=place[1], ambiguous=unsure)
            for amount, _, job, at, place, unsure in charges
        ],
    )

    assert found.billed_nanousd - found.ours_nanousd == sum(one.nanousd for one in found.differences)
    assert found.ours_nanousd == sum(amount for amount, *_ in charges)


def test_a_bill_finer_than_a_nano_dollar_is_rounded_and_says_so():
    bill = read_bill(["id,cost\n", "a,0.0000000124\n", "b,0.000000012\n"])

    assert ([one.nanousd for one in bill.rows], bill.unit_nanousd) == ([12, 12], 2)
    assert kinds(reconciled(bill.rows, [ours(13, "a"), ours(12, "b")], 2)) == [("rounding", -1)]
