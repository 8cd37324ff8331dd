"""The decision within a tenant's terms: rate, approval, licence, residency, breakers, deadline, unknown price."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from price_world import GROQ, MODEL, NOON, NOVITA, book_of, catalogue, event, tokens
from rulings import LLAMA, NOW, catalogue_of, chat, job, offer, ruled, view

from router.catalogue import Catalogue
from router.ruling import Ruling
from router.terms import Terms, Turn
from router.view import View
from schemas.failure import FailureKind as K

EU = {"regions": ["eu-west"]}
OWN = {"base": "http://127.0.0.1:7", "dialect": "openai-compatible", "provider": "own"}


def within(catalogue: Catalogue | None = None, **terms: Any) -> View:
    return replace(view(catalogue), terms=Terms(tenant="acme", **terms))


def reasons(ruling: Ruling) -> dict[str, K]:
    return {one.model: one.reason for one in ruling.exclusions if not one.model.startswith("(")}


def models(ruling: Ruling) -> list[str]:
    return [one.model for one in ruling.candidates]


def test_an_unknown_tenant_of_a_closed_installation_is_refused() -> None:
    refused = ruled(job(), within(known=False))
    assert (refused.verdict, refused.kind) == ("rejected", K.TENANT_UNKNOWN)


def test_over_its_rate_a_tenants_job_waits_for_its_turn() -> None:
    turn = Turn(allowed=False, at=NOW + timedelta(seconds=3), limit="10000 requests a minute (tier standard)")
    waiting = ruled(job(), replace(within(), turn=turn))
    assert (waiting.verdict, waiting.kind, waiting.until) == ("waiting", K.OVER_RATE, turn.at)


@pytest.mark.parametrize(("over_limit", "timeout_s"), [("refuse", 600), ("wait", 2)])
def test_over_its_rate_a_job_is_refused_where_the_tenant_chose_so_or_the_turn_comes_too_late(
    over_limit: Any, timeout_s: int
) -> None:
    turn = Turn(allowed=False, at=NOW + timedelta(seconds=3), limit="10000 requests a minute (tier standard)")
    refused = ruled(job(timeout_s=timeout_s), replace(within(over_limit=over_limit), turn=turn))
    assert (refused.verdict, refused.kind) == ("rejected", K.OVER_RATE)
    assert refused.message == (
        "over 10000 requests a minute (tier standard); the next is allowed at 2026-11-22T12:00:03+00:00"
    )


def test_models_that_are_not_approved_are_excluded() -> None:
    ruling = ruled(job(), within(models=frozenset({LLAMA})))
    assert models(ruling) == [LLAMA]
    assert set(reasons(ruling).values()) == {K.NOT_APPROVED}
    assert ruled(job(model="openai/gpt-oss-120b"), within(models=frozenset({LLAMA}))).kind == K.NOT_APPROVED


def test_a_licence_that_is_not_listed_or_not_known_is_refused() -> None:
    rows = catalogue_of(offer("a/mit", licence="mit"), offer("b/other", licence="other"), offer("c/unknown"))
    ruling = ruled(job(), within(rows, licences=frozenset({"mit"})))
    assert models(ruling) == ["a/mit"]
    assert reasons(ruling) == {"b/other": K.LICENCE_REFUSED, "c/unknown": K.LICENCE_REFUSED}
    assert ruled(job(), within(rows, licences=frozenset({"bsd"}))).kind == K.LICENCE_REFUSED


ROWS = catalogue_of(
    offer("a/eu", **EU), offer("b/both", regions=["eu-west", "us-east"]), offer("c/unknown"),
    offer("d/dedicated", dedicated=True, **EU), offer("e/own", **OWN, **EU), offer("f/own-anywhere", **OWN),
)  # fmt: skip


MANY = catalogue_of(
    *(
        offer(f"m/{at}{'d' if own else ''}{licence}", price=10**8 + at, licence=licence, dedicated=own, regions=regions)
        for at, regions in enumerate(([], ["eu-west"], ["us-east"], ["eu-west", "us-east"]))
        for own in (False, True)
        for licence in ("mit", "other", None)
    )
)


@pytest.mark.parametrize(
    ("residency", "regions", "kept"),
    [
        ("global", (), {"a/eu", "b/both", "c/unknown", "d/dedicated", "e/own", "f/own-anywhere"}),
        ("regional", ("eu-west",), {"a/eu", "d/dedicated", "e/own"}),
        ("regional", ("eu-west", "us-east"), {"a/eu", "b/both", "d/dedicated", "e/own"}),
        ("regional", (), set()),
        ("regional", ("ap-south",), set()),
        ("sovereign", ("eu-west",), {"d/dedicated", "e/own"}),
        ("sovereign", (), set()),
    ],
)
def test_data_stays_where_it_may_be_and_what_is_not_known_is_not_allowed(
    residency: Any, regions: tuple[str, ...], kept: set[str]
) -> None:
    """A109, A110, A111: one model asked for after the other, so that no ranking hides it."""
    here = within(ROWS, residency=residency, regions=frozenset(regions))
    rulings = {name: ruled(job(model=name), here) for name in ROWS.by_model}
    assert {name for name, one in rulings.items() if one.verdict == "assigned"} == kept
    assert {one.kind for one in rulings.values()} <= {None, K.RESIDENCY_REFUSED}


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["global", "regional", "sovereign"]), st.frozensets(st.sampled_from(["eu-west", "us-east"])),
    st.none() | st.frozensets(st.sampled_from(["mit", "other"]), min_size=1), st.booleans(),
    st.none() | st.frozensets(st.sampled_from(sorted(MANY.by_model)), min_size=1),
    st.frozensets(st.sampled_from([(one.provider, one.model) for one in MANY.offers]), max_size=3),
)  # fmt: skip
def test_no_candidate_is_beyond_its_tenants_terms_not_even_a_fallback(
    residency: Any, regions: frozenset[str], licences: frozenset[str] | None, dedicated: bool,
    models: frozenset[str] | None, shut: frozenset[tuple[str, str]],
) -> None:  # fmt: skip
    """B225."""
    terms = {"residency": residency, "regions": regions, "licences": licences, "models": models}
    ruling = ruled(job(), replace(within(MANY, dedicated=dedicated, **terms), shut=shut))
    assert (ruling.verdict == "assigned") == bool(ruling.candidates)
    open_now = [(one.provider, one.model) in shut for one in ruling.candidates]
    assert all(open_now) or not any(open_now)
    for one in ruling.candidates:
        (offered,) = MANY.by_model[one.model]
        assert models is None or one.model in models
        assert licences is None or offered.licence in licences
        assert dedicated or not offered.dedicated
        if residency != "global":
            assert offered.regions
            assert offered.regions <= regions
        assert residency != "sovereign" or offered.dedicated or offered.local


def test_a_tier_without_dedicated_endpoints_never_reaches_one() -> None:
    """A115."""
    ruling = ruled(job(), within(ROWS, dedicated=False, tier="standard"))
    assert reasons(ruling)["d/dedicated"] == K.NOT_APPROVED
    assert ruled(job(model="d/dedicated"), within(ROWS, dedicated=False)).kind == K.NOT_APPROVED
    assert ruled(job(model="d/dedicated"), within(ROWS)).verdict == "assigned"


def test_an_open_breaker_excludes_an_offer_while_another_one_fits() -> None:
    rows = catalogue_of(offer("a/a", price=1), offer("b/b", price=2))
    ruling = ruled(job(), replace(view(rows), shut=frozenset({("acme", "a/a"), ("x", "y")})))
    assert (models(ruling), reasons(ruling)) == (["b/b"], {"a/a": K.BREAKER_OPEN})
    assert ruling.held == {"shut": [("acme", "a/a")]}
    both = ruled(job(), replace(view(rows), shut=frozenset({("acme", "a/a"), ("acme", "b/b")})))
    assert models(both) == ["a/a", "b/b"], "workers wait for a half-open breaker"


def test_what_is_too_slow_for_the_deadline_is_excluded_and_what_is_not_known_is_not() -> None:
    rows = catalogue_of(
        offer("a/slow", price=1, first_token_ms=500, tokens_per_s=10.0), offer("b/unknown", price=3),
        offer("c/fast", price=2, first_token_ms=300, tokens_per_s=200.0),
    )  # fmt: skip
    ruling = ruled(job(timeout_s=20), view(rows))
    assert (models(ruling), reasons(ruling)) == (["c/fast", "b/unknown"], {"a/slow": K.TOO_SLOW})
    assert models(ruled(job(timeout_s=60), view(rows))) == ["a/slow", "c/fast", "b/unknown"]
    late = ruled(job(timeout_s=20, model="a/slow"), view(rows))
    assert late.kind == K.TOO_SLOW
    assert "26100 ms, and 20000 ms are left" in (late.message or "")


def test_an_offer_that_is_not_served_now_is_excluded() -> None:
    (row,) = catalogue_of(offer()).offers
    rows = Catalogue((replace(row, live=False),), {}, {}, "v")
    assert "does not serve it now" in (ruled(job(), view(rows)).message or "")


def test_the_price_book_tells_a_decision_who_is_served_now_and_how_fast() -> None:
    rows = catalogue((NOVITA, tokens(1, 1)), (GROQ, tokens(2, 2)))
    here = view(book_of(event(tokens(3, 3), first_token_ms=500, tokens_per_s=10.0)).priced(rows, NOON))
    assert reasons(ruled(job(timeout_s=20), here)) == {MODEL: K.TOO_SLOW}
    assert [one.provider for one in ruled(job(timeout_s=20), here).candidates] == [GROQ]
    away = view(book_of(event(tokens(3, 3), is_live=False)).priced(rows, NOON))
    assert [one.provider for one in ruled(job(), away).candidates] == [GROQ]
    assert "does not serve it now" in ruled(job(), away).exclusions[0].detail


def test_an_unknown_price_is_refused_or_counts_with_the_stated_cap_and_is_never_zero() -> None:
    rows = catalogue_of(offer("a/a", price=None), offer("b/b", price=10**9))
    assert models(ruled(job(), within(rows))) == ["b/b"]
    assert reasons(ruled(job(), within(rows))) == {"a/a": K.UNKNOWN_PRICE}
    capped = ruled(job(), within(rows, unknown_price_cap_nanousd=5_000))
    assert models(capped) == ["a/a", "b/b"]
    first = capped.candidates[0]
    assert (first.estimate_nanousd, first.ceiling_nanousd, first.price.source) == (5_000, 5_000, "novix-cap")
    assert first.price.is_known
    beyond = ruled(job(max_cost_nanousd=4_999, model="a/a"), within(rows, unknown_price_cap_nanousd=5_000))
    assert beyond.kind == K.PRICE_CEILING


def test_a_refusal_names_the_reason_of_the_offers_that_came_furthest() -> None:
    rows = catalogue_of(offer("a/a", licence="x"), offer("b/b", licence="mit"), offer("c/c", licence="mit", **EU))
    here = within(rows, licences=frozenset({"mit"}), residency="regional", regions=frozenset({"us-east"}))
    refused = ruled(job(task_input=chat()), here)
    assert refused.kind == K.RESIDENCY_REFUSED
    assert "2 of 3 offers" in (refused.message or "")
