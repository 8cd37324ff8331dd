"""The router's price list, read exactly and believed nothing."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from price_world import NOON

from router.prices.listing import NoListing, parse, read_models
from router.prices.money import BadPrice, nanousd
from schemas.base import MAX_NANOUSD


def entry(pricing: str, **more: Any) -> dict[str, Any]:
    body = (
        f'{{"data": [{{"id": "org/m", "providers": [{{"provider": "p", "status": "live", "pricing": {pricing}}}]}}]}}'
    )
    document = parse(body.encode())
    document["data"][0]["providers"][0].update(more)
    return document


def read(pricing: str, **more: Any) -> Any:
    [found] = read_models(entry(pricing, **more), NOON)
    return found


@given(st.decimals(0, 1_000_000, allow_nan=False, allow_infinity=False, places=12))
def test_dollars_are_exact_to_the_nano_dollar_and_a_started_one_counts(dollars: Decimal) -> None:
    exact = Fraction(dollars) * 10**9
    assert exact <= nanousd(dollars) < exact + 1
    assert nanousd(str(dollars)) == nanousd(dollars)


def test_a_price_is_its_text_and_not_the_nearest_binary_fraction() -> None:
    found = read('{"input": 0.1, "output": 1.0399999999999998}')
    assert found.price.input_nanousd_per_million_tokens == 100_000_000
    assert found.price.output_nanousd_per_million_tokens == 1_040_000_000
    assert nanousd(0.1) == 100_000_000
    assert read('{"input": 4.35, "output": 2}').price.input_nanousd_per_million_tokens == 4_350_000_000


@pytest.mark.parametrize(
    "pricing", ["null", "{}", "[]", '{"input": 1}', '{"output": 1}', '{"input": 1, "output": null}']
)
def test_what_names_no_price_is_unknown_and_not_zero(pricing: str) -> None:
    found = read(pricing)
    assert (found.price, found.state) == (None, "accepted")


@pytest.mark.parametrize(
    ("pricing", "reason"),
    [
        ('{"input": -0.5, "output": 1}', "negative"),
        ('{"input": 1, "output": 1e999999999}', "it may be"),
        ('{"input": 10000000, "output": 1}', "it may be"),
        ('{"input": "cheap", "output": 1}', "no number"),
        ('{"input": true, "output": 1}', "no number"),
        ('{"input": [1], "output": 1}', "no number"),
        (f'{{"input": {"9" * 4000}, "output": 1}}', "bits"),
        (f'{{"input": "{"9" * 4000}", "output": 1}}', "characters"),
        ('{"input": "NaN", "output": 1}', "finite"),
    ],
)
def test_what_cannot_be_a_price_is_held_with_its_reason_and_no_number_of_ours(pricing: str, reason: str) -> None:
    found = read(pricing)
    assert (found.price, found.state) == (None, "held")
    assert reason in found.reason
    assert len(found.reason) < 200


@pytest.mark.parametrize(
    "amount", ["NaN", "-Infinity", "1e99999999999999999999", "1e-99999999999999999999", "9" * 5_000]
)
def test_a_number_that_is_none_spoils_its_own_entry_and_not_the_list(amount: str) -> None:
    """One provider's broken price must not freeze the prices of all others."""
    entries = [
        f'{{"provider": "{name}", "status": "live", "pricing": {{"input": {price}, "output": 1}}}}'
        for name, price in (("bad", amount), ("good", "0.5"))
    ]
    body = f'{{"data": [{{"id": "org/m", "providers": [{", ".join(entries)}]}}]}}'
    bad, good = read_models(parse(body.encode()), NOON)
    assert (bad.provider, bad.price, bad.state) == ("bad", None, "held")
    assert good.price is not None
    assert good.price.input_nanousd_per_million_tokens == 500_000_000


@pytest.mark.parametrize("text", ["1_0", "\u0661"])
def test_digits_are_those_of_json(text: str) -> None:
    with pytest.raises(BadPrice, match="no number"):
        nanousd(text)


def test_the_smallest_price_is_a_nano_dollar_and_no_zero() -> None:
    assert read('{"input": 1e-300, "output": 0.0000000001}').price.input_nanousd_per_million_tokens == 1
    assert nanousd(Decimal("1e-99999999")) == 1
    assert nanousd(Decimal("0e-99999999")) == 0


def test_the_largest_price_is_one_and_a_nano_dollar_more_is_none() -> None:
    most = Decimal(MAX_NANOUSD) / 10**9
    assert nanousd(most) == MAX_NANOUSD
    with pytest.raises(BadPrice, match="it may be"):
        nanousd(most + Decimal("1e-9"))


def test_free_is_said_by_the_provider_and_only_of_a_price_of_nothing() -> None:
    assert read('{"input": 0, "output": 0}', is_free=True).price.is_free
    assert not read('{"input": 0, "output": 0}').price.is_free
    assert not read('{"input": 0, "output": 1}', is_free=True).price.is_free


def test_what_stands_beside_the_price_is_read_where_it_is_sound() -> None:
    found = read('{"input": 1, "output": 1}', context_length=131_072, first_token_latency_ms=588.4, throughput=45.4)
    assert (found.context_tokens, found.first_token_ms, found.tokens_per_s) == (131_072, 588, 45.4)
    assert found.is_live
    odd = read(
        '{"input": 1, "output": 1}', context_length=-1, first_token_latency_ms="fast", throughput=float("inf"),
        status="error",
    )  # fmt: skip
    assert (odd.context_tokens, odd.first_token_ms, odd.tokens_per_s, odd.is_live) == (None, None, None, False)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([("live", 6, 1), ("live", 5, 100)], (5, 100)),
        ([("live", 5, 100), ("live", 6, 1)], (5, 100)),
        ([("error", 9, 9), ("live", 1, 1)], (1, 1)),
        ([("live", 1, 1), ("error", 9, 9)], (1, 1)),
        ([("live", None, None), ("error", 9, 9)], (9, 9)),
        ([("error", 9, 9), ("live", None, None)], (9, 9)),
    ],
)
def test_of_two_rows_about_the_same_the_priced_one_counts_then_the_served_one_and_then_the_dearer(
    rows: Any, counts: Any
) -> None:
    entries = [
        {"provider": "p", "status": status, "pricing": {"input": inp, "output": out}} for status, inp, out in rows
    ]
    [found] = read_models({"data": [{"id": "org/m", "providers": entries}]}, NOON)
    assert found.price is not None
    each = found.price.input_nanousd_per_million_tokens, found.price.output_nanousd_per_million_tokens
    assert each == (counts[0] * 10**9, counts[1] * 10**9)


def test_of_two_rows_about_the_same_the_dearer_counts() -> None:
    rows = [entry(f'{{"input": {dollars}, "output": 1}}')["data"][0] for dollars in (1, 3, 2)]
    [found] = read_models({"data": rows}, NOON)
    assert found.price is not None
    assert found.price.input_nanousd_per_million_tokens == 3 * 10**9


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"data": {}}', b'{"data": []}', b'{"data": [1, null, {"id": 7}]}', b"[" * 100_000,
     b'{"data": NaN}', b"\xff\xfe", b'{"data": [{"id": "m", "providers": [{"provider": ""}, 3, {"status": "live"}]}]}'],
)  # fmt: skip
def test_what_is_no_list_is_refused_by_its_size_and_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(NoListing) as refused:
        read_models(parse(body), NOON)
    assert "html" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "id", "providers", "provider", "status", "pricing", "input", "output", "is_free"])
            | st.sampled_from(["context_length", "first_token_latency_ms", "throughput"]),
            inner, max_size=5,
        )
    ),
    max_leaves=15,
)  # fmt: skip
ENTRIES = st.fixed_dictionaries(
    {"provider": JSON | st.just("p"), "pricing": st.fixed_dictionaries({"input": JSON, "output": JSON}) | JSON},
    optional=dict.fromkeys(("status", "is_free", "context_length", "first_token_latency_ms", "throughput"), JSON),
)
ROWS = st.fixed_dictionaries({"id": JSON | st.just("m"), "providers": st.lists(ENTRIES | JSON, max_size=3) | JSON})


@given(st.fixed_dictionaries({"data": st.lists(ROWS | JSON, max_size=3) | JSON}) | JSON)
def test_any_document_is_a_list_of_sound_statements_or_is_refused(document: Any) -> None:
    try:
        told = read_models(document, NOON)
    except NoListing:
        return
    assert told
    for one in told:
        assert one.state == "held" or one.reason == ""
        numbers = (
            []
            if one.price is None
            else list(one.price.model_dump(exclude={"source", "as_of", "service_tier"}).values())
        )
        assert all(type(number) in (int, bool) and 0 <= number <= MAX_NANOUSD for number in numbers)
        assert type(one).model_validate_json(one.encode()) == one


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_are_refused_by_their_size(body: bytes) -> None:
    try:
        json.loads(body, parse_constant=int)  # NaN is no JSON
    except (ValueError, RecursionError):
        with pytest.raises(NoListing, match=f"^{len(body)} bytes"):
            parse(body)
    else:
        parse(body)


@given(JSON)
def test_anything_is_an_amount_of_nano_dollars_or_a_bad_price(value: Any) -> None:
    try:
        amount = nanousd(value)
    except BadPrice as error:
        told = str(error)
    else:
        told = str(amount)
        assert type(amount) is int
        assert 0 <= amount <= MAX_NANOUSD
    assert len(told) < 200
