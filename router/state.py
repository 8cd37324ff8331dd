"""What a router decides from that changes while it runs, and is no money: prices, rules, accounts, breakers, and the
registry."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from router.accounts import AccountFault, Accounts
from router.catalogue import Catalogue
from router.feedback import NO_LESSONS, Lessons, Observations
from router.governance import governance_of
from router.health import Health
from router.prices.book import PriceBook
from router.rules import Fault, Rules
from router.terms import Terms, terms_of
from router.view import View, view_of
from runtime.follow import Follower
from runtime.registry import Fault as RegistryFault
from runtime.registry import Registry
from runtime.settings import Settings
from schemas.ledger import LedgerEntry
from schemas.topics import BREAKERS, BUDGETS, POLICIES, PRICES, REGISTRY, Topic

MOST_TOLD = 10
MOST_VIEWS = 10_000
"""Tenants whose views are kept ready."""


class State:
    """The folds of the histories, as all lanes of one process see them. One owner: the process's loop.

    Between two records of a history it says the same; the versions of all of them stand in every decision.
    """

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self.accounts = Accounts()
        self.rules = Rules(settings)
        self.prices = PriceBook()
        self.registry = Registry()
        self.health = Health()
        self.observations = Observations() if settings.adaptive else None
        """What calls were like; None: routing does not learn."""
        self._settings = settings
        self._catalogue = catalogue
        self._views: dict[str, View] = {}
        self._made_of: tuple[object, ...] = ()
        self._priced = catalogue
        self.view("")  # raises for settings that cannot work

    def followers(self) -> list[AbstractAsyncContextManager[Any]]:
        """What keeps the folds at the end of their topics; caught up once they are entered."""
        folds = {
            PRICES: self.prices.fold,
            POLICIES: self.rules.fold,
            BUDGETS: self.accounts.fold,
            REGISTRY: self.registry.fold,
            BREAKERS: self.health.fold,
        }
        return [Follower(self._settings, topic, fold) for topic, fold in folds.items()]

    @property
    def stopped(self) -> str:
        """Why nothing may be decided now; empty: it may. A registry that is another one than before may have forgotten
        what was withdrawn."""
        return f"the registry: {self.registry.other}" if self.registry.other else ""

    def offer(self, catalogue: Catalogue) -> None:
        """Decide from this catalogue from now on; it stands in the history of offers."""
        self._catalogue = catalogue

    def terms(self, tenant: str) -> Terms:
        """What a tenant may have now."""
        return self.view(tenant).terms

    def view(self, tenant: str, now: datetime | None = None) -> View:
        """What a job of this tenant is decided from at `now` (None: at the last such instant), but for what belongs to
        the one job: its budgets, its turn, the breakers (`View.at`)."""
        if now is not None:
            self._priced = self.prices.priced(self._catalogue, now)
        made_of = (self._priced, *self.versions.values())
        if made_of != self._made_of or len(self._views) >= MOST_VIEWS:
            self._views.clear()
            self._made_of = made_of
        view = self._views.get(tenant)
        if view is None:
            terms = terms_of(tenant, self.accounts, self.rules, self._settings)
            policy = self.rules.policy_of(tenant)
            governance = governance_of(self.registry.now(), tenant)
            view = view_of(
                self._settings, self._priced, policy, terms=terms, governance=governance, state=self.versions
            )
            self._views[tenant] = view
        return view

    def lessons(self, task: str, decision_id: str, now: datetime) -> Lessons:
        """What one decision may use of what was observed."""
        return NO_LESSONS if self.observations is None else self.observations.lessons(task, decision_id, now)

    def learn(self, entry: LedgerEntry, expected: Mapping[tuple[str, str], int]) -> None:
        """A job ended; `expected` is what a call of each of its candidates had been expected to cost."""
        if self.observations is None or entry.task is None:
            return
        paid = {one.attempt: one.nanousd for one in entry.charges}
        for attempt, call in enumerate(entry.calls, 1):
            key = call.provider, call.model
            self.observations.note(
                entry.task, key, wait_ms=call.duration_ms, is_good=call.kind is None, paid_nanousd=paid.get(attempt, 0),
                expected_nanousd=expected.get(key, 0), at=entry.at,
            )  # fmt: skip

    def refused(self) -> list[dict[str, object]]:
        """Records of the histories that were passed over, the newest `MOST_TOLD` of each: what they meant to change
        stays as it was."""
        of: dict[Topic, Iterable[AccountFault | Fault | RegistryFault]] = {
            BUDGETS: self.accounts.faults, POLICIES: self.rules.faults, REGISTRY: self.registry.faults
        }  # fmt: skip
        return [
            {"topic": topic.name, "offset": one.offset, "reason": one.reason}
            for topic, faults in of.items()
            for one in list(faults)[-MOST_TOLD:]
        ]

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the histories, as decisions name them."""
        return {
            "prices": self.prices.version,
            "policies": self.rules.version,
            "accounts": self.accounts.version,
            "registry": self.registry.version,
        }
