"""The trial balance: every event of money posted in double entry, and what is left on each account. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from console.money.joined import Ended, Reservation
from router.accounts import Accounts
from router.money.postings import Posting, of_end, of_reserve, of_transfer


@dataclass(slots=True)
class Balance:
    """Reservations, their ends and transfers, posted one by one. In memory: one sum an account."""

    accounts: Counter[str] = field(default_factory=Counter)
    reserves: int = 0
    settles: int = 0
    releases: int = 0
    transfers: int = 0
    cost_nanousd: int = 0
    ambiguous: int = 0
    """Calls that may have been paid without an answer."""
    ambiguous_nanousd: int = 0
    above_reserve: int = 0
    """Jobs that cost more than was reserved for them."""
    above_reserve_nanousd: int = 0
    open: int = 0
    open_nanousd: int = 0

    def transferred(self, accounts: Accounts) -> None:
        """Post what organisations handed over."""
        for organisation in accounts.organisations():
            for one in accounts.transfers_of(organisation.organisation):
                self.transfers += 1
                self._post(of_transfer(one))

    def ended(self, ended: Ended) -> None:
        """Post a reservation and its end: both, for each is read once. Of one whose decision is gone only the end is
        known, and nothing of it was reserved as far as the log tells."""
        entry, reserved = ended.entry, 0
        if ended.reservation is not None and not ended.late:
            reserved = ended.reservation.held.nanousd
            self._reserve(ended.reservation)
        self._post(of_end(entry, reserved))
        if entry.kind == "release":
            self.releases += 1
            return
        self.settles += 1
        self.cost_nanousd += entry.cost_nanousd
        for charge in entry.charges:
            if charge.ambiguous:
                self.ambiguous += 1
                self.ambiguous_nanousd += charge.nanousd
        if ended.reservation is not None and entry.cost_nanousd > ended.reservation.held.nanousd:
            self.above_reserve += 1
            self.above_reserve_nanousd += entry.cost_nanousd - ended.reservation.held.nanousd

    def reserved(self, reservations: Iterable[Reservation]) -> None:
        """Post what is open."""
        for one in reservations:
            self.open += 1
            self.open_nanousd += one.held.nanousd
            self._reserve(one)

    @property
    def sum_nanousd(self) -> int:
        """Of all accounts: 0, or the books are wrong."""
        return sum(self.accounts.values())

    @property
    def reserved_nanousd(self) -> int:
        """On the accounts of what is reserved: what is open, or the books are wrong."""
        return sum(amount for name, amount in self.accounts.items() if name.endswith("/reserved"))

    @property
    def owed_nanousd(self) -> int:
        """To providers, what may have been paid among it: what the ledger's entries cost, or the books are wrong."""
        return sum(amount for name, amount in self.accounts.items() if name.startswith("provider/"))

    def faults(self) -> list[str]:
        """What does not balance, in words; nothing if all does."""
        pairs = (
            ("all accounts sum to", self.sum_nanousd, "must be", 0),
            ("reserved accounts hold", self.reserved_nanousd, "open reservations are", self.open_nanousd),
            ("providers are owed", self.owed_nanousd, "entries cost", self.cost_nanousd),
        )
        return [f"{name} {have} nano-dollars; {must} {want}" for name, have, must, want in pairs if have != want]

    def rows(self) -> list[tuple[str, int]]:
        """Accounts with something on them, by name."""
        return [(name, amount) for name, amount in sorted(self.accounts.items()) if amount]

    def _reserve(self, one: Reservation) -> None:
        self.reserves += 1
        self._post(of_reserve(one.held.tenant, one.held.nanousd))

    def _post(self, postings: Iterable[Posting]) -> None:
        for one in postings:
            self.accounts[one.account] += one.nanousd
