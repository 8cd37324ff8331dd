"""Money as double entry: every event moves it from accounts to accounts, and its postings sum to 0. Pure.

Account names: `organisation/NAME/allotted` (what it handed to its tenants, negative), `tenant/NAME/budget` (what was
handed to it, less what it spent and has reserved), `tenant/NAME/reserved`, `provider/NAME/payable` (what its bill must
say), `provider/NAME/ambiguous` (what its bill may say). A budget's limit is no money, but a permission: not posted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from schemas.accounts import Transfer
from schemas.ledger import LedgerEntry
from schemas.values import frozen

UNNAMED = "unnamed"
"""In place of a provider: for what an entry cost beyond its charges."""


@frozen
class Posting:
    """What one event adds to one account, in nano-dollars; negative: takes away."""

    account: str
    nanousd: int


def budget(tenant: str) -> str:
    """Account of what a tenant has left of what was handed to it."""
    return f"tenant/{tenant}/budget"


def reserved(tenant: str) -> str:
    """Account of what a tenant's open jobs may still spend."""
    return f"tenant/{tenant}/reserved"


def payable(provider: str, *, ambiguous: bool = False) -> str:
    """Account of what a provider's bill must say; `ambiguous`: may say."""
    return f"provider/{provider}/{'ambiguous' if ambiguous else 'payable'}"


def allotted(organisation: str) -> str:
    """Account of what an organisation handed to its tenants."""
    return f"organisation/{organisation}/allotted"


def of_reserve(tenant: str, nanousd: int) -> list[Posting]:
    """A decision reserves money."""
    return _told([(budget(tenant), -nanousd), (reserved(tenant), nanousd)])


def of_end(entry: LedgerEntry, reserved_nanousd: int) -> list[Posting]:
    """A settle or a release. `reserved_nanousd`: what was still reserved for it; 0 where its reservation had ended.

    What its charges do not name of its cost is owed to `UNNAMED`.
    """
    moves = [(reserved(entry.tenant), -reserved_nanousd), (budget(entry.tenant), reserved_nanousd)]
    if entry.kind == "settle":
        owed = [(payable(one.provider, ambiguous=one.ambiguous), one.nanousd) for one in entry.charges]
        rest = entry.cost_nanousd - sum(one.nanousd for one in entry.charges)
        if rest > 0:
            owed.append((payable(UNNAMED), rest))
        moves += [*owed, (budget(entry.tenant), -sum(nanousd for _, nanousd in owed))]
    return _told(moves)


def of_transfer(transfer: Transfer) -> list[Posting]:
    """An organisation hands money to a tenant, or takes it back."""
    return _told([(allotted(transfer.organisation), -transfer.nanousd), (budget(transfer.tenant), transfer.nanousd)])


def trial_balance(postings: Iterable[Posting]) -> Mapping[str, int]:
    """The balance of every account, by name. The values sum to 0 for whatever whole events were posted."""
    balance: Counter[str] = Counter()
    for one in postings:
        balance[one.account] += one.nanousd
    return dict(sorted(balance.items()))


def _told(moves: Sequence[tuple[str, int]]) -> list[Posting]:
    """One posting an account; those of nothing are left out."""
    return [Posting(account, nanousd) for account, nanousd in trial_balance(_posted(moves)).items() if nanousd]


def _posted(moves: Iterable[tuple[str, int]]) -> Iterable[Posting]:
    return (Posting(account, nanousd) for account, nanousd in moves)
