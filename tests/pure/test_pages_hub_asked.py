"""An address of the Model Hub and the criteria that it means, both ways."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hostile_texts import TEXTS
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from console.pages.hub_asked import _BYTES as BYTES
from console.pages.hub_asked import ORDERS, PER_PAGE, Asked, asked, measure


def of(query: str) -> Asked:
    return asked(QueryParams(query))


def again(one: Asked, **changed: object) -> Asked:
    return of(urlsplit(one.address(**changed)).query)


def test_every_condition_of_an_address_becomes_a_criterion():
    found = of(
        "q=film+reviews&task=text-classification&modality=text&library=transformers&language=en,de&license=mit"
        "&author=acme&tag=a&tag=b&provider=groq&region=eu&min_params=100M&max_params=7B&max_size=1GB&max_price=0.50"
        "&max_latency=1.5s&trending=1&popular=on&approved=true&unknown_size=1&recent=7&served=1&gated=0&tenant=acme"
        "&order=cheapest&page=3"
    )

    wanted = found.criteria
    assert found.error == ""
    assert (wanted.text, wanted.tasks, wanted.modalities) == ("film reviews", ("text-classification",), ("text",))
    assert (wanted.libraries, wanted.languages, wanted.licenses) == (("transformers",), ("en", "de"), ("mit",))
    assert (wanted.authors, wanted.tags, wanted.providers, wanted.regions) == (
        ("acme",),
        ("a", "b"),
        ("groq",),
        ("eu",),
    )
    assert (wanted.min_parameters, wanted.max_parameters) == (100_000_000, 7_000_000_000)
    assert (wanted.max_bytes, wanted.max_nanousd_per_mtok, wanted.max_latency_ms) == (10**9, 500_000_000, 1_500)
    assert (wanted.trending, wanted.popular, wanted.approved, wanted.unknown_size) == (True,) * 4
    assert (wanted.recent_days, wanted.served, wanted.gated) == (7, True, False)
    assert (wanted.tenant, wanted.order, wanted.offset, wanted.limit) == ("acme", "cheapest", 2 * PER_PAGE, PER_PAGE)


@pytest.mark.parametrize("name", ["trending", "popular", "approved", "unknown_size"])
def test_a_switch_that_is_off_is_no_condition(name: str):
    assert getattr(of(f"{name}=").criteria, name) is False
    assert getattr(of(f"{name}=0").criteria, name) is False


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("max_size=big", "max_size=big"),
        ("min_params=7X", "7X"),
        ("order=best", "order=best"),
        ("recent=never", "recent=never"),
        ("q=" + "x" * 10_000, "10000 characters; it may have 1000"),
        ("tag=" + "y" * 200, "200 characters"),
        ("task=" + ",".join(f"t{place}" for place in range(40)), "40 values; it may have 32"),
        ("tenant=a/b", "tenant"),
    ],
)
def test_what_cannot_be_read_is_named_and_left_out(query: str, told: str):
    found = of(query)
    assert told in found.error


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_whatever_a_stranger_writes_gives_criteria_and_an_address(text: str):
    names = ("q", "task", "language", "max_size", "recent", "order", "tenant", "model", "m", "page", "served")
    given_ = QueryParams([(name, text[:5_000]) for name in names])

    found = asked(given_)

    assert again(found).criteria == found.criteria
    assert found.address().startswith("/hub")


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(words, st.lists(words, max_size=3), st.sampled_from(ORDERS), st.booleans(), st.integers(1, 40))
def test_an_address_says_the_same_search_again(text: str, tasks: list[str], order: str, trending: bool, page: int):
    pairs = [("q", text), ("order", order), ("page", str(page)), *(("task", task) for task in tasks)]
    first = asked(QueryParams([*pairs, ("trending", "1" if trending else "")]))

    assert again(first, page=first.page).criteria == first.criteria


def test_a_change_begins_at_the_first_page_and_keeps_the_rest():
    changed = again(of("q=bert&page=4&task=a"), task="b")
    assert (changed.criteria.text, changed.criteria.tasks, changed.page) == ("bert", ("b",), 1)


def test_a_value_of_a_facet_is_added_and_taken_away():
    found = of("task=a")
    both = of(urlsplit(found.toggled("task", "b")).query)
    assert both.criteria.tasks == ("a", "b")
    assert of(urlsplit(both.toggled("task", "A")).query).criteria.tasks == ("b",)


def test_an_address_is_short_where_nothing_is_asked():
    assert of("q=&task=&order=relevance&max_size=&trending=").address() == "/hub"


def test_the_tray_keeps_each_model_once():
    assert of("m=a/b&m=a/b,c/d").marked == ("a/b", "c/d")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1GB", 10**9), ("1 gb", 10**9), ("1.5MB", 1_500_000), ("2GiB", 2**31), ("7", 7), ("1,5kB", 1_500), ("-1", None),
     ("1e9", None), ("", None), ("1PB", None), ("9" * 15 + "TB", None), ("١GB", 10**9)],
)  # fmt: skip
def test_a_size_is_read_with_its_unit(text: str, value: int | None):
    assert measure(text, BYTES) == value


def test_pairs_with_the_same_meaning_have_the_same_address():
    one, other = of("language=en&language=de"), of("language=en,+de")
    assert dict(parse_qsl(urlsplit(one.address()).query)) == dict(parse_qsl(urlsplit(other.address()).query))
