"""Catalogues as events: what was told is what rules again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import NOW, VIEWS, chat, job

from router.catalogue import merge, parse
from router.decide import decide
from router.snapshot import Catalogues, catalogue_records
from runtime.ports import Outgoing, Record
from schemas import codec
from schemas.assignment import Candidate
from schemas.topics import OFFERS


def folded(outs: list[Outgoing]) -> Catalogues:
    """The history after these records."""
    catalogues = Catalogues()
    for offset, out in enumerate(outs):
        catalogues.fold(Record(OFFERS.name, 0, offset, out.key, out.value, out.headers, 0))
    return catalogues


def bare(candidate: Candidate) -> Candidate:
    """Without the address, which is not told."""
    return Candidate.model_validate({**candidate.model_dump(), "base_url": ""})


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200), st.integers(0, 10**7), st.sampled_from(["hosted", "sandbox"]),
    st.sampled_from(["auto", "groq", "fal-ai", "nobody"]), st.sampled_from(["chat-completion", "text-to-image"]),
)  # fmt: skip
def test_a_catalogue_read_back_rules_as_the_one_that_was_told(
    text: str, ceiling: int, where: str, provider: str, task: str
) -> None:
    view = VIEWS[where]
    again = folded(catalogue_records(view.catalogue, NOW)).of(view.catalogue.version)
    assert again is not None
    task_input = chat(text=text) if task == "chat-completion" else {"inputs": text}
    asked = job(task, task_input, provider=provider, max_cost_nanousd=ceiling)

    first = decide(asked, view, published=NOW, now=NOW)
    second = decide(asked, replace(view, catalogue=again), published=NOW, now=NOW)

    assert [bare(one) for one in first.candidates] == [bare(one) for one in second.candidates]
    assert replace(first, candidates=()) == replace(second, candidates=())


NAMES = st.text(st.characters(codec="utf-8"), max_size=5)
PRICES = st.fixed_dictionaries(
    {"source": NAMES, "as_of": NAMES},
    optional={
        "nanousd_per_call": st.integers(0, 10**15), "input_nanousd_per_million_tokens": st.integers(0, 10**15),
        "service_tier": NAMES, "is_free": st.booleans(),
    },
)  # fmt: skip
OFFER_ROWS = st.fixed_dictionaries(
    {"dialect": st.just("openai-compatible"), "base": st.sampled_from(["sandbox", "huggingface", "https://a.example"]),
     "tasks": st.lists(st.sampled_from(["chat-completion", "text-to-image"]), min_size=1, unique=True),
     "max_in_flight": st.integers(1, 10_000)},
    optional={
        "price": st.none() | PRICES, "licence": st.none() | NAMES, "context_tokens": st.none() | st.integers(1, 10**9),
        "regions": st.lists(NAMES.filter(bool), max_size=3), "dedicated": st.booleans(), "provider_model": NAMES,
        "first_token_ms": st.none() | st.integers(0, 3_600_000), "reads": st.just(["image", "text"]),
        "tokens_per_s": st.none() | st.floats(0.001, 10**6),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, "small", "large"]), OFFER_ROWS), max_size=4))
def test_whatever_a_catalogue_file_says_is_read_back(rows: list[tuple[str | None, dict[str, Any]]]) -> None:
    """Also a price without a day or a source: these are free text."""
    models = [
        {"model": f"m{at}", "tier": tier, "offers": [{**offer, "provider": f"p{at}"}]}
        for at, (tier, offer) in enumerate(rows)
    ]
    file = parse("f.json", codec.encode({"origin": "x", "models": models}))
    catalogue = merge([file], {"sandbox": "http://127.0.0.1:9", "huggingface": None})

    again = folded(catalogue_records(catalogue, NOW)).of(catalogue.version)

    assert again is not None
    for one, told in zip(again.offers, catalogue.offers, strict=True):
        assert (one.base_url is None) == (told.base_url is None)
        assert (one.price and one.price.model_dump()) == (told.price and told.price.model_dump())
        assert replace(one, base_url=None, price=None) == replace(told, base_url=None, price=None)


def test_no_address_is_told() -> None:
    told = b"".join(one.value or b"" for one in catalogue_records(VIEWS["sandbox"].catalogue, NOW))
    assert b"127.0.0.1" not in told
    assert b"http" not in told


@pytest.mark.parametrize("limit", [1, 5_000, 10**9])
def test_a_large_catalogue_is_told_in_parts_and_read_back_whole(limit: int) -> None:
    catalogue = VIEWS["hosted"].catalogue
    outs = catalogue_records(catalogue, NOW, limit)

    again = folded(outs).of(catalogue.version)

    assert again is not None
    assert [one.model for one in again.offers] == [one.model for one in catalogue.offers]
    assert [one.rates for one in again.offers] == [one.rates for one in catalogue.offers]
    assert again.aliases == catalogue.aliases
    assert again.providers == catalogue.providers
    if len(outs) > 1:
        assert folded(outs[1:]).of(catalogue.version) is None, "a part is missing"


def test_what_is_unreadable_is_passed_over_and_what_was_told_first_stands() -> None:
    catalogue = VIEWS["hosted"].catalogue
    outs = catalogue_records(catalogue, NOW)
    forged = [replace(one, value=(one.value or b"").replace(b'"served":true', b'"served":false')) for one in outs]
    noise = Outgoing(OFFERS.name, b"x", b"\xff")

    again = folded([noise, *outs, *forged, noise]).of(catalogue.version)

    assert again is not None
    assert any(one.base_url for one in again.offers)
    assert folded([noise]).of("x") is None
