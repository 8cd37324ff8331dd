"""A decision is made again from what its record names and holds; and the short way gives what the long way gives."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulings import NOW, SANDBOX, VIEWS, catalogue_of, chat, job, offer, ruled, view

from router import offers
from router.catalogue import load
from router.feedback import Lessons, Observed
from router.held import from_held, seen_again
from router.offers import Fit, Judged, Wish, judged
from router.policies import made
from router.purse import Line, Purse
from router.ruled import Ruled
from router.table import table_of
from router.terms import FREE, Terms, Turn
from router.view import Limits, View, view_of
from schemas import codec
from schemas.failure import FailureKind

MODELS = ["a/a", "b/b", "c/c", "d/d"]
ROWS = catalogue_of(
    offer("a/a", price=10**8, context_tokens=2_000), offer("b/b", price=2 * 10**8, tier="large"),
    offer("c/c", price=3 * 10**8, first_token_ms=900, tokens_per_s=40.0), offer("d/d", price=None),
)  # fmt: skip
KEYS = st.tuples(st.just("acme"), st.sampled_from([*MODELS, "x/x"]))
LINES = st.lists(
    st.builds(
        Line, st.sampled_from(["day", "a:b"]), st.just("2026-11"), st.integers(0, 10**6), st.integers(0, 10**6),
        st.sampled_from([0, 10]), st.booleans(), st.none() | st.sampled_from(MODELS), st.sampled_from([None, "acme"]),
        st.sampled_from([None, NOW + timedelta(microseconds=1), NOW + timedelta(hours=1)]),
    ),
    max_size=3,
)  # fmt: skip
TURNS = st.just(FREE) | st.just(Turn(allowed=False, at=NOW + timedelta(seconds=1.5), limit="9 a minute"))
OBSERVED = st.builds(
    Observed, st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**6), st.integers(0, 10**7)
)
LESSONS = st.builds(Lessons, st.dictionaries(KEYS, OBSERVED, max_size=4), st.floats(0, 1))
ASKED = st.fixed_dictionaries(
    {"text": st.text(max_size=200) | st.just("long " * 1_000)},
    optional={"max_tokens": st.integers(0, 9_000)},
)
POLICIES = st.sampled_from(["brief/1", "cheapest/1", "fastest/1", "balanced/1"])


PLAIN = view(ROWS)


def the_world(policy: str, cap: int) -> View:
    return View(
        PLAIN.catalogue, made(policy, {}), PLAIN.limits, Terms(tenant="t", unknown_price_cap_nanousd=cap),
        state={"prices": "7", "policies": "2", "accounts": "0"},
    )  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    ASKED, POLICIES, st.sampled_from([0, 5_000]), LINES, TURNS, st.frozensets(KEYS, max_size=3), LESSONS,
    st.sampled_from([1, 20, 600]), st.sampled_from([None, 50_000]),
)  # fmt: skip
def test_a_ruling_is_the_same_from_what_its_record_holds(
    asked: dict[str, Any], policy: str, cap: int, lines: list[Line], turn: Turn, shut: frozenset[tuple[str, str]],
    lessons: Lessons, timeout_s: int, ceiling: int | None,
) -> None:  # fmt: skip
    wanted = job(task_input=chat(**asked), timeout_s=timeout_s, max_cost_nanousd=ceiling)
    world = the_world(policy, cap)
    ruling = ruled(wanted, world.at(Purse(tuple(lines)), turn, shut, lessons))
    held = json.loads(codec.encode(ruling.held))
    again = ruled(wanted, seen_again(the_world(policy, cap), held))
    assert codec.encode(again.held) == codec.encode(ruling.held)
    assert again == replace(ruling, held=again.held)


@settings(deadline=None, max_examples=150)
@given(
    ASKED, POLICIES, LINES, st.frozensets(KEYS, max_size=2), LESSONS, st.sampled_from([1, 2, 20]),
    st.integers(0, 2_500_000), st.booleans(),
)  # fmt: skip
def test_a_ruling_that_still_holds_is_what_would_be_decided_now(
    asked: dict[str, Any], policy: str, lines: list[Line], shut: frozenset[tuple[str, str]], lessons: Lessons,
    timeout_s: int, later_us: int, spent: bool,
) -> None:  # fmt: skip
    """A job that waits for its turn alone is not decided twice: to the last byte that would change nothing."""
    wanted, world = job(task_input=chat(**asked), timeout_s=timeout_s), the_world("brief/1", 0)
    world = replace(world, policy=made(policy, {}))
    before = world.at(Purse(tuple(lines)), FREE, shut, lessons)
    poorer = [replace(line, reserved_nanousd=line.reserved_nanousd + 1) for line in lines] if spent else lines
    now, later = world.at(Purse(tuple(poorer)), FREE, shut, lessons), NOW + timedelta(microseconds=later_us)
    kept = Ruled(cast(Any, None), ruled(wanted, before), before)

    if kept.still_holds(now, later):
        assert ruled(wanted, now, now=later) == kept.ruling


def test_a_plain_days_ruling_holds_until_time_is_short_for_somebody() -> None:
    """`c/c` takes 0.9 s, and 25 ms for each of 256 tokens: 7,300 ms and a quarter. Of 20 s 10,873 ms are left."""
    world = the_world("brief/1", 0)
    kept = Ruled(cast(Any, None), ruled(job(timeout_s=20), world), world)

    assert kept.still_holds(world.at(), NOW + timedelta(milliseconds=10_872))
    assert not kept.still_holds(world.at(), NOW + timedelta(milliseconds=10_873))
    assert not kept.still_holds(world.at(shut=frozenset({("acme", "x/x")})), NOW)
    assert not kept.still_holds(the_world("brief/1", 0), NOW + timedelta(seconds=20))


def test_a_plain_day_holds_nothing() -> None:
    assert ruled(job()).held == {}
    assert from_held({}) == from_held({"published": "2026-11-22T12:00:00Z"})


@pytest.mark.parametrize("held", [{"turn": 1}, {"purse": [[1]]}, {"purse": 7}, {"shut": [[1, 2, 3]]}, {"lessons": {}}])
def test_what_no_decision_of_ours_holds_is_refused(held: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the promise
        from_held(held)


def test_limits_are_read_back_as_they_were_told() -> None:
    limits = view_of(SANDBOX, load(SANDBOX)).limits
    assert limits.http_origins
    assert Limits.read(limits.told) == limits
    assert Limits.read(limits.told).told == limits.told
    with pytest.raises(ValueError, match="no limits"):
        Limits.read("max_tokens=1")


def test_a_view_keeps_its_versions_at_every_moment() -> None:
    world = the_world("brief/1", 0)
    there = world.at(Purse((Line("a", "b", 1, 2, 3),)))
    assert there.versions is world.versions
    assert set(there.versions) == {"catalogue", "scorer", "policy", "limits", "prices", "policies", "accounts"}
    assert there.purse.lines
    assert not world.purse.lines


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["hosted", "sandbox", "rows"]), ASKED, st.integers(0, 10**7), st.integers(1, 100_000),
)  # fmt: skip
def test_the_columns_say_of_every_offer_what_a_look_at_it_says(
    where: str, asked: dict[str, Any], ceiling: int, left_ms: int
) -> None:
    here = the_world("brief/1", 3_000) if where == "rows" else VIEWS[where]
    wanted = job(task_input=chat(**asked), max_cost_nanousd=ceiling)
    wish = Wish.of(wanted, ceiling, here, NOW + timedelta(milliseconds=left_ms), NOW)
    table = table_of(here.catalogue, wanted.task, None, "auto", here.terms, images=False)
    short = judged(table, wish, here)
    alone = Judged(table, wish, short.costs, short.in_full, short.waits_ms)
    for place in table.places:
        looked = offers._looked_at(alone, place, (), here)
        assert (place in short.places) == isinstance(looked, Fit)
        if isinstance(looked, Fit):
            assert short.fit(place) == looked
            assert short.tokens(place) == looked.clamped.max_tokens
            assert short.costs[place] == looked.expected_micro


def test_what_one_tenants_job_is_told_depends_on_no_other_tenant_before_it() -> None:
    """The offers of a kind of job are kept for all tenants of equal terms: replay may see them in another order."""
    rows = catalogue_of(offer("d/d", dedicated=True), offer("a/a"))
    terms = [Terms(tenant=tier, tier=tier, dedicated=False) for tier in ("standard", "bronze")]
    there = [ruled(job(), replace(view(rows), terms=one)) for one in terms]
    again = [ruled(job(), replace(view(replace(rows)), terms=one)) for one in reversed(terms)]
    assert there == again[::-1]


def test_what_is_kept_of_a_catalogue_is_bounded_however_many_tenants_have_terms_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("router.table.MOST_OFFERS", 100)
    rows = catalogue_of(*(offer(f"m/{at}") for at in range(20)))
    for number in range(50):
        ruled(job(), replace(view(rows), terms=Terms(models=frozenset({"m/1", f"x/{number}"}))))
        assert 0 < sum(table.size for table in rows.tables.values()) <= 100


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(10, 8_192), LINES, st.integers(0, 60))
def test_every_offer_is_told_once_however_it_was_judged(
    ceiling: int, tokens: int, lines: list[Line], unpriced: int
) -> None:
    """By name or in a number; with ceilings, budgets and terms that leave some out."""
    rows = catalogue_of(
        *(offer(f"m/{at:02}", price=10**7 * (1 + at * at)) for at in range(50)),
        *(offer(f"u/{at:02}", price=None) for at in range(unpriced)),
    )
    ruling = ruled(
        job(task_input=chat(max_tokens=tokens), max_cost_nanousd=ceiling), view(rows).at(Purse(tuple(lines)))
    )
    told = [one.model for one in ruling.exclusions] + [one.model for one in ruling.candidates]
    named = [one for one in told if not one.startswith("(")]
    assert len(named) == len(set(named)) <= 35
    if ruling.kind == FailureKind.OVER_BUDGET:
        return  # those that fit and could not be paid are not left out
    assert len(named) + sum(int(one[1:].split()[0]) for one in told if one.startswith("(")) == len(rows.offers)
