"""What the catalogue knows of a model, as the registry is told it: only what may decide whether it is used. Pure."""

from datetime import datetime

from hub.licenses import named
from schemas.catalog import CatalogEntry, Security
from schemas.registry import Facts


def facts_of(entry: CatalogEntry, *, at: datetime, by: str) -> Facts:
    """An entry's facts. A licence that SPDX does not list has a name of its own (`LicenseRef-`)."""
    return Facts(
        at=at, by=by, model=entry.id, revision=entry.revision, license=entry.license or named(entry.license_raw),
        gated=entry.gated, security=entry.security, formerly=entry.formerly,
    )  # fmt: skip


def facts_of_look(model: str, revision: str | None, security: Security, *, at: datetime, by: str) -> Facts:
    """What our own look found; it says nothing else of the model."""
    return Facts(at=at, by=by, model=model, revision=revision, security=security)


def says_the_same(one: Facts, other: Facts | None) -> bool:
    """Whether the registry knows it already: when it was found, and by whom, is no news."""
    if other is None:
        return False
    fields = ("model", "revision", "license", "gated")
    return all(getattr(one, name) == getattr(other, name) for name in fields) and _bare(one) == _bare(other)


def _bare(facts: Facts) -> object:
    return None if facts.security is None else facts.security.model_dump(exclude={"at"})
