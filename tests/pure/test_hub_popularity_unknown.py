"""A model of which nobody knows a count is not popular, however lately it was changed."""

from datetime import UTC, datetime, timedelta

from hub.catalog.scores import lasting, popularity
from schemas.catalog import CatalogEntry

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_who_has_no_count_has_no_popularity() -> None:
    entry = CatalogEntry(id="acme/new", last_modified=NOW)

    assert popularity(entry, NOW) is None
    assert lasting(entry) is None


def test_one_count_is_enough_and_more_of_it_is_more_popular() -> None:
    few, many = (CatalogEntry(id="acme/m", likes=likes, last_modified=NOW - timedelta(days=365)) for likes in (3, 400))

    assert 0.0 < (popularity(few, NOW) or 0.0) < (popularity(many, NOW) or 0.0) < 1.0
