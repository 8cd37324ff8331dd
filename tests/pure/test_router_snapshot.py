"""Catalogues as events: what was told is what rules again."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import NOW, VIEWS, chat, job

from router.decide import decide
from router.snapshot import Catalogues, catalogue_records
from runtime.ports import Outgoing, Record
from schemas.assignment import Candidate
from schemas.topics import CATALOG


def folded(outs: list[Outgoing]) -> Catalogues:
    """The history after these records."""
    catalogues = Catalogues()
    for offset, out in enumerate(outs):
        catalogues.fold(Record(CATALOG.name, 0, offset, out.key, out.value, out.headers, 0))
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
    noise = Outgoing(CATALOG.name, b"x", b"\xff")

    again = folded([noise, *outs, *forged, noise]).of(catalogue.version)

    assert again is not None
    assert any(one.base_url for one in again.offers)
    assert folded([noise]).of("x") is None
