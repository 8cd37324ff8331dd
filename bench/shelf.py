"""The catalogue that relevance and recommendations are measured on: recorded, well-known and generated rows."""

from collections.abc import Iterator
from datetime import UTC, datetime

from hub.catalog.rows import read_row
from sandbox.hf.hub_known import famous, recorded
from sandbox.hf.hub_rows import row
from schemas.catalog import CatalogEntry

SEED = 9
ROWS = 6_000
"""Generated ones, beside the others."""
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def shelf(rows: int = ROWS) -> Iterator[tuple[str, CatalogEntry]]:
    """Keys and entries; a row that the catalogue refuses is not among them, of a repeated id the first one counts."""
    seen = set()
    for told in (*famous(), *recorded(), *(row(SEED, number) for number in range(rows))):
        entry = read_row("model", told, AT)
        if isinstance(entry, CatalogEntry) and entry.key not in seen:
            seen.add(entry.key)
            yield entry.key, entry
