"""How old what an entry says is: when each of its sources was last read to its end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.catalog.merging import OF_THE_HUB
from schemas.catalog import CatalogEntry, Said, SourceState

COUNTERS = ("downloads", "downloads_all_time", "likes", "trending_score")
"""They move without a commit, so an incremental reading of the Hub does not meet them: a full one does."""


@dataclass(frozen=True, slots=True)
class Age:
    """One source of an entry."""

    said: Said
    as_of: datetime | None
    """When it was last read to its end, or this was read of it, whichever is later. None: nobody has told."""
    counted: datetime | None = None
    """The same of its counters, where it has any; None: it has none, or nobody has told."""
    fault: str = ""
    """Why it could not be read the last time."""


def key_of(source: str, kind: str) -> str:
    """Under which key of `novix.sources.v1` a source of an entry is told: the Hub's lists by kind, card and mapping
    with them; models of this machine with the installation's own catalogue."""
    if source in OF_THE_HUB:
        return f"hub/{kind}"
    return f"{'novix' if source == 'local' else source}/model"


def ages(entry: CatalogEntry, states: Mapping[str, SourceState]) -> list[Age]:
    """Of each source that says something of an entry, in its order; `states` by key of `novix.sources.v1`."""
    found = []
    for said in entry.said:
        state = states.get(key_of(said.source, entry.kind))
        if state is None:
            found.append(Age(said, None))
            continue
        counts = said.source == "hub" and any(name in said.fields for name in COUNTERS)
        found.append(
            Age(
                said,
                _later(state.complete_at, said.since),
                _later(state.full_at, said.since) if counts else None,
                state.error or "it could not be read" if state.state == "failed" else "",
            )
        )
    return found


def _later(read: datetime | None, since: datetime) -> datetime:
    return since if read is None else max(read, since)
