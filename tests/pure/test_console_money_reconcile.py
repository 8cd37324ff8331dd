"""A provider's bill: how it is read, and which differences there are."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from money_log import LARGE, NOON, SMALL, charge, decided, ended

from console.money.bill import BadBill, Bill, Billed, columns_of, read_bill
from console.money.cells import BadCell, amount, span
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


def test_columns_are_found_by_their_names_and_a_column_may_be_named():
    lines = ["Call;When;Model;Amount due\n", "r-1;2026-11-22T13:00:00+01:00;org/small;$0.0000012\n", "\n"]

    bill = read_bill(lines, columns_of("request_id=Call, time=When,cost=amount due"))

    assert bill.rows == (Billed(2, 1_200, "r-1", NOON, NOON, "org/small"),)
    assert (bill.unit_nanousd, dict(bill.columns)["cost"]) == (100, "Amount due")


def test_integer_nano_dollars_are_exact_and_win_over_a_rounded_column():
    bill = read_bill(["cost_usd,cost_nanousd,id\n", "0.00,1234,r-1\n"])

    assert (bill.rows[0].nanousd, bill.unit_nanousd) == (1_234, 1)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-22", "2026-11-22T00:00:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("2026-11-22 12:00:00", "2026-11-22T12:00:00+00:00", None),
        ("2026-11-22 12:00:00 UTC", "2026-11-22T12:00:00+00:00", None),
        ("1795348800", "2026-11-22T12:00:00+00:00", None),
        ("1795348800000", "2026-11-22T12:00:00+00:00", None),
        ("", None, None),
    ],
)
def test_times_are_instants_or_whole_days_in_utc(text, first, last):
    [found] = read_bill([f"{HEADING}\n", f"r,{text},m,p,1\n"]).rows

    told = [None if moment is None else moment.isoformat() for moment in (found.since, found.until)]
    assert told == [first, last or first]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "the bill is empty"),
        (["colour,taste"], "no column for cost.*the bill has: colour, taste"),
        (["cost,colour"], "no column by which a call is known"),
        (["cost,cost,id"], "column 'cost' stands there twice"),
        ([HEADING, "r,,m,p,1.0", "r,,m,p,a lot"], "line 3, column 'cost': 'a lot' is no amount"),
        ([HEADING, "r,,m,p,NaN"], "line 2, column 'cost': 'NaN'"),
        ([HEADING, "r,,m,p,1000000001"], "line 2, column 'cost'.*more than 1,000,000,000"),
        ([HEADING, "r,,m,p,"], "line 2, column 'cost': '' is no amount"),
        ([HEADING, 'r,,m,p,"1,234"'], "line 2, column 'cost': '1,234': its comma may be"),
        ([HEADING + ",currency", "r,,m,p,1,usd", "r,,m,p,1,EUR"], "line 3, column 'currency': 'EUR' is not USD"),
        (["x" * 70_000], "line 1 has 70,001 characters"),
        ([HEADING, "r,yesterday,m,p,1"], "line 2, column 'time': 'yesterday' is no time"),
        ([HEADING, "", "r,m,p,1"], "line 3: 4 fields; the heading has 5"),
        ([HEADING, 'r,"2026'], "line 2: "),
        ([HEADING, "r,,m,p," + "1" * 5_000], "line 2, column 'cost': has 5000 characters; 4096 are allowed"),
        (["id,cost_nanousd", "r,1;5"], "line 2, column 'cost_nanousd': '1;5' is no amount"),
        (["", "", "id,cost_nanousd", "r,-"], "line 4, column 'cost_nanousd'"),
    ],
)
def test_what_is_no_bill_is_refused_by_line_and_column(lines, reason):
    with pytest.raises(BadBill, match=reason):
        read_bill([line + "\n" for line in lines])


@pytest.mark.parametrize(
    ("text", "reason"),
    [("cost", "MEANING=HEADING"), ("price=x", "MEANING=HEADING"), ("cost=Due", "no column 'Due' for cost")],
)
def test_columns_that_there_are_not_are_refused(text, reason):
    with pytest.raises(BadBill, match=reason):
        read_bill([f"{HEADING}\n"], columns_of(text))


@pytest.mark.parametrize(
    ("text", "digits", "sign", "nanousd", "decimals"),
    [
        ("1,234.56", 9, None, 1_234_560_000_000, 2),
        ("12,345,678", 9, None, 12_345_678_000_000_000, 0),
        ("1'234.5", 9, None, 1_234_500_000_000, 1),
        ("1,234", 9, "point", 1_234_000_000_000, 0),
        ("1.234,56", 9, "comma", 1_234_560_000_000, 2),
        ("0,000125", 9, "comma", 125_000, 6),
        ("123.45", 7, None, 1_234_500_000, 4),
        ("17", 3, None, 17_000, 6),
        ("1234.0", 0, None, 1_234, 9),
        ("1.25e-05", 9, None, 12_500, 7),
        ("(1.5)", 9, None, -1_500_000_000, 1),
        ("$-1.5", 9, None, -1_500_000_000, 1),
        ("1.50 USD", 9, None, 1_500_000_000, 2),
        ("\N{MINUS SIGN}0.5", 9, None, -500_000_000, 1),
        ("0.00001234567890123456", 9, None, 12_346, 10),
        ("0.0000000005", 9, None, 0, 10),
        ("0.0000000015", 9, None, 2, 10),
        ("-0.0000000000000000000000000000000000000001", 9, None, 0, 10),
        ("123456789.12345678900000000000000000000000000001", 9, None, 123_456_789_123_456_789, 10),
    ],
)
def test_amounts_are_read_as_strangers_write_them(text, digits, sign, nanousd, decimals):
    assert amount(text, digits, sign) == (nanousd, decimals)


@pytest.mark.parametrize(
    "text", ["", "-", "()", "--5", "NaN", "1e999", "1,2345.6", "1.234,56", "\u0663", "5 EUR", "1,5"]
)
def test_what_is_no_amount_or_two_is_refused(text):
    with pytest.raises(BadCell, match=r"amount|more than|comma"):
        amount(text, 9)


def test_a_day_is_a_day_however_iso_writes_it():
    assert span("20261122") == span("2026-11-22")


def test_headings_are_known_by_their_letters_and_a_named_one_is_nobody_elses():
    bill = read_bill(["Request-ID,Total Cost (USD),cost_nano_usd,Created At\n", "r-1,0.01,10000001,\n"])
    named = read_bill(["id,amount,total\n", "r-1,5,7\n"], {"cost": "total"})
    unused = read_bill(["id,cost,time\n", "r-1,5,at noon\n"], columns_of("time=-"))

    assert (bill.rows, bill.unit_nanousd) == ((Billed(2, 10_000_001, "r-1"),), 1)
    assert [one.rows[0].nanousd for one in (named, unused)] == [7_000_000_000, 5_000_000_000]


def test_a_bill_finer_than_a_nano_dollar_is_rounded_and_says_so():
    bill = read_bill(["id,cost\n", "a,0.0000000124\n", "b,0.000000012\n"])

    assert ([one.nanousd for one in bill.rows], bill.unit_nanousd) == ([12, 12], 2)
    assert kinds(reconciled(bill.rows, [ours(13, "a"), ours(12, "b")], 2)) == [("rounding", -1)]


def test_rows_that_nobody_asked_for_are_counted_and_not_held():
    lines = ["id,provider,cost_nanousd\n", "a,groq,1\n", "b,other,20\n", "c,other,-5\n"]

    bill = read_bill(lines, asked=lambda row: row.provider == "groq")

    assert (len(bill.rows), bill.left_out, bill.left_out_nanousd) == (1, 2, 15)


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_text_is_a_bill_or_is_refused(lines):
    try:
        bill = read_bill([line + "\n" for line in lines])
    except BadBill as error:
        assert 0 < len(str(error)) < 1_000  # noqa: PT017 - either may happen
    else:
        assert len(bill.rows) <= len(lines)


# matching


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


def test_a_heading_may_have_commas():
    assert columns_of("cost=Amount, net (USD) , request_id=Call") == {"cost": "Amount, net (USD)", "request_id": "Call"}
