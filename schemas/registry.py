"""Which models may be used, since when, and who said so; short names and what they stand for; what is known of a model
that decides whether it may be used.

All travel on `novix.registry.v1`, in one partition, kept for ever: its offset is a version of all of them together,
which decisions name, and "what was allowed on 1 March?" is its fold up to that day.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictStr, TypeAdapter

from schemas.accounts import Names
from schemas.base import Contract, TenantId, UtcInstant, printable
from schemas.catalog import Security
from schemas.policies import EVERYBODY

RepoId = Annotated[StrictStr, Field(min_length=1, max_length=256), AfterValidator(printable)]
Revision = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[0-9a-zA-Z._-]+$")]


class _Event(Contract):
    at: UtcInstant
    by: str = Field(default="", max_length=128)
    """The name of who said it, as it was given: Novix has no sign-in yet, nobody has checked it."""


class Admission(_Event):
    """A model is admitted, or withdrawn, for a tenant or for everybody."""

    kind: Literal["admission"] = "admission"
    model: RepoId
    revision: Revision | None = None
    """The commit that was looked at; None: whatever its main branch has. Who serves a model without an endpoint of its
    own tells nobody which commit runs: a withdrawal holds for the model whatever commit it names, and an admission
    for it as long as its `Rules` let it (`moved`)."""
    tenant: TenantId | Literal["*"] = EVERYBODY
    state: Literal["admitted", "withdrawn"]
    approvers: Names = ()
    reason: str = Field(default="", max_length=500)
    accepts: Annotated[tuple[Literal["gated", "custom_code", "security", "license"], ...], Field(max_length=4)] = ()
    """What the approvers knew and took on: without it, such a finding refuses the model all the same. A withdrawal
    accepts nothing."""


class Rules(_Event):
    """What a tenant (or everybody who has no rules of its own) demands of a model."""

    kind: Literal["rules"] = "rules"
    tenant: TenantId | Literal["*"] = EVERYBODY
    admitted_only: StrictBool = False
    """Only models with an admission."""
    licenses: Names = ()
    """Licences that are allowed, as `Facts.license` names them; empty: any. An unknown licence is none of a list."""
    denied_licenses: Names = ()
    gated: Literal["allow", "refuse"] = "allow"
    custom_code: Literal["allow", "refuse"] = "allow"
    """Of models that want `trust_remote_code`. Not known counts as wanting it where this says refuse."""
    worst_level: Literal["safe", "caution", "suspicious", "any"] = "suspicious"
    """The worst scan that is let in; `safe` demands that scans are done. Where nobody has said anything a model that a
    scanner calls unsafe is refused, and nothing else is."""
    moved: Literal["tell", "refuse"] = "tell"
    """Of a model whose main branch is at another commit than the one that was admitted."""
    removed: StrictBool = False
    """They hold no longer: the tenant has everybody's again, everybody those that are built in."""


class Alias(_Event):
    """A short name, and the models it stands for at pinned commits; the newest event counts, so a rollback is one."""

    kind: Literal["alias"] = "alias"
    alias: Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
    targets: Annotated[tuple[tuple[RepoId, Revision | None], ...], Field(max_length=16)] = ()
    """(model, commit) in order of preference; empty: the alias is gone."""
    version: Annotated[int, Field(ge=1)] = 1
    """Counts its events, as whoever wrote it knew them. Readers count for themselves: two writers may have told the
    same."""


class Facts(_Event):
    """What the catalogue knows of a model that somebody may be refused for; written by the catalogue's sync for models
    that the router offers or the registry names, when it changed."""

    kind: Literal["facts"] = "facts"
    model: RepoId
    revision: Revision | None = None
    license: str | None = Field(default=None, max_length=256)
    """SPDX id, or `LicenseRef-` and the Hub's own name of one that SPDX does not list; None: unknown."""
    gated: Literal["no", "auto", "manual"] | None = None
    security: Security | None = None
    """Of the Hub's scanners, or (`source` is `novix`) of Novix's own look: then the event says nothing else of the
    model, and what was said before stays. None: this reading says nothing of them."""
    formerly: Names = ()
    """Names that the model had before; what is withdrawn under one of them is withdrawn."""


RegistryEvent = Annotated[Admission | Rules | Alias | Facts, Field(discriminator="kind")]
REGISTRY_EVENTS: TypeAdapter[Admission | Rules | Alias | Facts] = TypeAdapter(RegistryEvent)


class RegistryRecord(Contract):
    """One event about what may be used. On `novix.registry.v1`, keyed by what it speaks of."""

    event: RegistryEvent
