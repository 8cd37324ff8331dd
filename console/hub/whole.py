"""All that is known of a model, as one document: `novix hub show --json` prints it, `/api/hub/models/{id}` answers it.

Blocks: the explorer's memory may be asked.
"""

from datetime import UTC, datetime
from typing import Any

from console.hub.known import World
from hub.catalog.ages import ages
from hub.catalog.scores import community_rating, popularity
from hub.discovery.found import cost, latency
from schemas import codec
from schemas.catalog import CatalogEntry


def document(entry: CatalogEntry, world: World, tenant: str | None, now: datetime) -> dict[str, Any]:
    """JSON. `tenant`: for whom, None for everybody. What nobody knows is null."""
    known = world.of(tenant)
    with world.lock:
        states = dict(world.sources)
    allowed, why = known.allowed(entry.id, tenant)
    took, costs = latency(entry, known), cost(entry, known)
    sources = [
        {
            "source": one.said.source, "since": one.said.since, "as_of": one.as_of, "counted": one.counted,
            "fault": one.fault, "fields": one.said.fields,
        }
        for one in ages(entry, states)
    ]  # fmt: skip
    return {
        "entry": entry.model_dump(mode="json"),
        "latency": None if took is None else took.model_dump(mode="json"),
        "cost": None if costs is None else costs.model_dump(mode="json"),
        "quality": known.quality(entry.id, None), "approved": allowed, "why_not": why,
        "analytics": _analytics(entry, world, now), "sources": codec.decode(codec.encode(sources)),
    }  # fmt: skip


def _analytics(entry: CatalogEntry, world: World, now: datetime) -> dict[str, Any]:
    """What the Hub's counts amount to, and how much it has been used through Novix. None: not known."""
    used = None if world.observed is None or entry.kind != "model" else world.observed.use(entry.id)
    return {
        "popularity": popularity(entry, now),
        "community_rating": community_rating(entry),
        "usage": None if used is None else {
            "jobs": used.jobs, "exact": used.exact, "cost_nanousd": used.cost_nanousd,
            "last": None if used.last_ms is None else datetime.fromtimestamp(used.last_ms / 1_000, UTC).isoformat(),
        },
    }  # fmt: skip
