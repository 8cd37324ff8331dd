"""What a home lane knows of its tenants' money, so that its successor need not read the whole log."""

from typing import Any

from schemas.base import Contract, UtcInstant


class Snapshot(Contract):
    """A part of the fold of decisions[p] and ledger[p], written in the lane's transaction.

    On `novix.snapshots.v1`, keyed `{partition}/{part}`, at the lane's own partition; all parts of one snapshot stand in
    one transaction. It holds every decision of batches up to `sequence`, and every ledger record before `ledger_next`.
    """

    lane: str
    snapshot_id: str
    part: int
    parts: int
    sequence: int
    """The last `DecisionBatch.sequence` that is in it."""
    decisions_from: int
    """Offset in decisions[p] at or below the first batch that is not in it."""
    ledger_next: int
    """The first offset in ledger[p] that is not in it."""
    taken_at: UtcInstant
    state: dict[str, Any]
    """As `router.money` writes it; another form is not read, and the log is folded from its beginning."""
    form: int = 1


class CatalogueSnapshot(Contract):
    """The catalogue that decisions of this version were made from. On `novix.offers.v1`, keyed by `version`."""

    version: str
    part: int = 0
    """A large catalogue is told in several records, counted from 0; aliases and providers stand in the first."""
    parts: int = 1
    offers: list[dict[str, Any]]
    """As `router.catalogue.Offer` has them, in the catalogue's order; of the addresses of servers only whether it is
    `served`."""
    aliases: dict[str, list[str]]
    providers: dict[str, list[str]]
    at: UtcInstant
