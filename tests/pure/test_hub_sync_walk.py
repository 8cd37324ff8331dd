"""Where a reading begins and ends, and at what pace: decided without a network."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.sync.sides import newest_catalogue, registry_in
from hub.sync.walk import OVERLAP, Pace, Strange, begin, enough, ids_of, is_full, next_page, pace_of, youngest
from schemas.catalog import Security, SourceState
from schemas.registry import Admission, Alias, Facts, RegistryRecord
from schemas.snapshot import CatalogueSnapshot

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HUB = "https://hub.test"
DAY = timedelta(days=1)


def state(**more: object) -> SourceState:
    return SourceState.model_validate({"source": "hub", "state": "complete", "at": NOW, **more})


def at(hours: float) -> dict[str, str]:
    return {"lastModified": (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")}


def test_a_first_reading_is_full_and_later_ones_only_when_it_is_time():
    assert is_full(None, NOW, DAY)
    assert is_full(state(newest=NOW), NOW, DAY)
    assert not is_full(state(newest=NOW, full_at=NOW - timedelta(hours=23)), NOW, DAY)
    assert is_full(state(newest=NOW, full_at=NOW - timedelta(hours=25)), NOW, DAY)
    unfinished = state(newest=NOW, full_at=NOW, state="failed", full=True, cursor=f"{HUB}/api/models?cursor=x")
    assert is_full(unfinished, NOW, DAY)


def test_a_full_reading_goes_by_creation_and_an_incremental_one_by_change():
    full, some = (parse_qs(urlsplit(begin(HUB, "model", None, full=one)).query) for one in (True, False))

    assert full["sort"] == ["createdAt"]
    assert some["sort"] == ["lastModified"]
    assert {"inferenceProviderMapping", "cardData", "gated", "safetensors"} <= set(full["expand[]"])


def test_an_unfinished_reading_goes_on_where_it_was_but_never_at_a_strangers():
    there = f"{HUB}/api/models?sort=createdAt&cursor=abc"

    assert begin(HUB, "model", state(state="failed", full=True, cursor=there), full=True) == there
    assert begin(HUB, "model", state(state="failed", full=True, cursor=there), full=False) != there
    strange = state(state="failed", full=True, cursor="https://evil.test/api/models?cursor=abc")
    assert begin(HUB, "model", strange, full=True).startswith(HUB)


def test_an_incremental_reading_ends_behind_the_newest_known_change():
    known = state(newest=NOW - timedelta(hours=2))

    assert not enough([at(0), at(1)], known)
    assert not enough([at(0), {"lastModified": "nonsense"}, None], known)
    assert not enough([at(2)], known)
    assert enough([at(0), at(3)], known)
    assert not enough([at(3)], None)
    assert timedelta() < OVERLAP < timedelta(hours=1)


def test_a_date_from_the_future_hides_nothing_that_comes_before_it():
    rows = [at(-500), at(1), at(2), {"lastModified": 5}]

    assert youngest(rows, NOW) == NOW - timedelta(hours=1)
    assert youngest([at(-1)], NOW) is None


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ('<https://hub.test/api/models?a=1,2&cursor=x>; rel="next"', "https://hub.test/api/models?a=1,2&cursor=x"),
        (
            '</api/models?cursor=x>; rel="prev", </api/models?cursor=y>; rel="next"',
            "https://hub.test/api/models?cursor=y",
        ),
        ("</api/models?cursor=y>; REL = NEXT", "https://hub.test/api/models?cursor=y"),
        ('</api/models?cursor=y>; title="a"; rel="last next"', "https://hub.test/api/models?cursor=y"),
        ("</api/models?cursor=y>;rel=next", "https://hub.test/api/models?cursor=y"),
        ('</api/models?cursor=x>; rel="prev"', None),
        ('</api/models?cursor=x>; rel="next-archive"', None),
        ('</api/models?cursor=x>; nextrel="next"', None),
        (None, None),
        (" ", None),
    ],
)
def test_a_next_page_is_followed_as_it_is_told(link: str | None, found: str | None):
    assert next_page(HUB, link) == found


@pytest.mark.parametrize(
    "address",
    ["https://evil.test/api/models?cursor=x", "http://hub.test/api", "https://hub.test:444/api", "/api?" + "x" * 5_000],
)
def test_a_next_page_of_another_origin_is_no_end_of_the_list(address: str):
    """Taken for the last page, it would have what was not read taken for gone."""
    with pytest.raises(Strange):
        next_page(HUB, f'<{address}>; rel="next"')


@pytest.mark.parametrize("link", ["nonsense", "<" * 20_000, "x" * 20_000 + "</y>; rel=next", "/api/models?cursor=y"])
def test_a_header_that_names_no_link_is_no_end_of_the_list(link: str):
    with pytest.raises(Strange, match=f"{len(link)} characters"):
        next_page(HUB, link)


def test_ids_are_those_that_a_repository_may_have():
    assert ids_of([{"id": "a/b"}, {"id": None, "modelId": "a/c"}, {"id": 7}, {"id": "../x"}, None, 5, {}]) == (
        "a/b", "a/c",
    )  # fmt: skip


@pytest.mark.parametrize("field", ["newest", "full_at"])
def test_what_is_known_of_the_future_is_not_believed(field: str):
    """A clock was wrong for an hour: nothing would be read in full until then."""
    known = state(**{"newest": NOW, "full_at": NOW, field: NOW + 365 * DAY})

    assert is_full(known, NOW, DAY)


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "1601-01-01T00:00:00.000Z"])
def test_a_date_of_old_amid_the_young_ends_no_reading(odd: str):
    known = state(newest=NOW - timedelta(hours=2))

    assert not enough([at(0), {"lastModified": odd}, at(1)], known)
    assert not enough([at(0), at(1), {"lastModified": odd}], known)
    assert enough([at(0), at(3), {"lastModified": odd}], known)


@pytest.mark.parametrize(
    ("headers", "pace"),
    [
        ({"ratelimit": '"api";r=3;t=9, "resolvers";r=2999;t=300'}, Pace(3, 9.0)),
        ({"ratelimit": '"pages";r=90;t=300, "api";r=0;t=12'}, Pace(0, 12.0)),
        ({"ratelimit": '"api";r=0;t=12', "retry-after": "0"}, Pace(0, 12.0)),
        ({"ratelimit": '"api";r=5;t=12', "retry-after": "0"}, Pace(5, 0.0)),
        ({"ratelimit": '"api";r=٣;t=12'}, Pace(None, 12.0)),
        ({}, Pace()),
        ({"ratelimit": '"api";r=999;t=295'}, Pace(999, 295.0)),
        ({"ratelimit": '"api";r=0;t=12', "retry-after": "7"}, Pace(0, 7.0)),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, Pace(None, 30.0)),
        ({"retry-after": "soon"}, Pace()),
        ({"ratelimit": '"api";r=many;t=-5'}, Pace()),
    ],
)
def test_a_pace_is_read_from_both_headers(headers: dict[str, str], pace: Pace):
    assert pace_of(headers, NOW) == pace


def test_the_newest_whole_catalogue_counts():
    def part(version: str, number: int, parts: int) -> bytes:
        told = CatalogueSnapshot(version=version, part=number, parts=parts, offers=[], aliases={}, providers={}, at=NOW)
        return told.encode()

    rows = [("1", part("1", 0, 1), 0), ("2", part("2", 0, 2), 1), ("2", part("2", 1, 2), 2), ("3", part("3", 0, 2), 3)]

    assert [one.version for one in newest_catalogue(rows)] == ["2", "2"]
    assert newest_catalogue([("3", part("3", 0, 2), 3), ("x", b"no", 4)]) == []


def test_facts_are_told_again_only_when_they_changed():
    seen = Security(scans_done=True, level="safe", at=NOW)
    facts = Facts(model="a/b", license="MIT", gated="no", security=seen, at=NOW)
    events = (
        Admission(model="a/c", state="admitted", at=NOW),
        Alias(alias="fast", targets=(("a/d", None),), at=NOW),
        facts,
        Facts(model="a/b", security=Security(level="unsafe", source="novix"), at=NOW),
    )
    known = registry_in([(str(n), RegistryRecord(event=event).encode(), n) for n, event in enumerate(events)])

    assert known.models == {"a/c", "a/d"}
    later = seen.model_copy(update={"at": NOW + DAY})
    assert known.says(facts.model_copy(update={"at": NOW + DAY, "by": "x", "security": later}))
    assert not known.says(facts.model_copy(update={"license": None}))
    assert not known.says(facts.model_copy(update={"model": "a/x"}))
