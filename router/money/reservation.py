"""A reservation: what one decision takes out of its tenant's budgets until the job ends. Read from decisions. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.accounts import Accounts, Name
from router.money.scope import Payer, Place, tag_text
from router.money.windows import calendar
from schemas.ledger import Charge
from schemas.values import frozen

Document = Mapping[str, Any]
"""A decision (`schemas.decision.Decision`) as `router.facts` makes it, or as it was read from its topic."""


@frozen
class Reservation:
    """The windows are those of the decision's own time, in the zone that its tenant had for the decision."""

    decision_id: str
    tenant: str
    job_id: str
    submission: int
    nanousd: int
    payer: Payer
    places: tuple[Place, ...]
    """Where the job may be done."""
    estimates: tuple[int, ...]
    """What the router expected a call at each of them to cost."""
    labels: tuple[str, ...]
    """Of its hour, day, month and total."""
    decided_at: datetime
    deadline: datetime | None
    version: int | None
    """Of the accounts, as the decision names it; None: it names none."""

    @property
    def identity(self) -> str:
        """`tenant/id`; a tenant has no slash."""
        return f"{self.tenant}/{self.job_id}"


def reservation_of(decision: Document, accounts: Accounts) -> Reservation | None:
    """What the decision reserved; None if nothing. Raises KeyError, TypeError or ValueError for what is no decision."""
    reserve = decision.get("reserve")
    if reserve is None or decision["verdict"] != "assigned":
        return None
    tenant, version = decision["tenant"], version_of(decision)
    decided_at, deadline = decision["decided_at"], decision.get("deadline")
    if not isinstance(decided_at, datetime):
        decided_at = datetime.fromisoformat(decided_at)
    if deadline is not None and not isinstance(deadline, datetime):
        deadline = datetime.fromisoformat(deadline)
    candidates = decision.get("candidates") or ()
    tags, metadata = accounts.tags(tenant), decision.get("metadata")
    return Reservation(
        decision["decision_id"],
        tenant,
        decision["job_id"],
        decision["submission"],
        reserve["nanousd"] if isinstance(reserve, Mapping) else reserve.nanousd,
        Payer(
            decision.get("team"), decision.get("key_id"), _tags(metadata, tags, version) if tags and metadata else ()
        ),
        tuple([(one["model"], one["provider"]) for one in candidates]),
        tuple([one["estimate_nanousd"] for one in candidates]),
        calendar(accounts.customs(tenant, version).time_zone).labels(decided_at),
        decided_at,
        deadline,
        version,
    )


def version_of(decision: Document) -> int | None:
    """The accounts' version that the decision was made from; None: it names none that can be one."""
    told = (decision.get("versions") or {}).get("accounts")
    return int(told) if isinstance(told, str) and told.isdecimal() else None


def is_known(name: Name, names: Mapping[Name, int], version: int | None) -> bool:
    """Whether a budget had picked jobs by this name when the decision was made."""
    since = names.get(name)
    return since is not None and (version is None or since <= version)


def counted(charge: Charge, ambiguous: str, reservation: Reservation | None) -> int:
    """What a charge takes out of the budgets: all of it, unless it is `ambiguous` and its tenant counts such otherwise.

    `estimate` is what the router expected the call to cost, and never more than the charge.
    """
    if not charge.ambiguous or ambiguous == "ceiling":
        return charge.nanousd
    if ambiguous == "nothing":
        return 0
    if reservation is not None:
        for place, estimate in zip(reservation.places, reservation.estimates, strict=True):
            if place == (charge.model, charge.provider):
                return min(estimate, charge.nanousd)
    return charge.nanousd


def _tags(
    metadata: Mapping[str, Any], tags: Mapping[str, Mapping[str, int]], version: int | None
) -> tuple[tuple[str, str], ...]:
    """Those of the job's labels that a budget picked jobs by when the decision was made."""
    found: list[tuple[str, str]] = []
    for label, values in tags.items():
        if label in metadata:
            value = tag_text(metadata[label])
            since = values.get(value)
            if since is not None and (version is None or since <= version):
                found.append((label, value))
    return tuple(sorted(found))
