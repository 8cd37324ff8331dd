"""A provider's bill: how it is read, whatever form it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from money_log import NOON

from console.money.bill import BadBill, Billed, columns_of, read_bill
from console.money.cells import BadCell, amount, span

HEADING = "request_id,time,model,provider,cost"


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


def test_a_heading_may_have_commas():
    assert columns_of("cost=Amount, net (USD) , request_id=Call") == {"cost": "Amount, net (USD)", "request_id": "Call"}
