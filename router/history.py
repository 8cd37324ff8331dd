"""Prices, rules, accounts and catalogues as they stood at the versions that a decision names.

A version is an offset: whoever folds the same history up to it has the same state. Pure; reading the topics is the
caller's part.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from router.accounts import Accounts
from router.catalogue import Catalogue
from router.governance import UNGOVERNED, governance_of
from router.policies import POLICIES
from router.prices.book import PriceBook
from router.rules import Rules
from router.snapshot import Catalogues
from router.terms import terms_of
from router.view import Limits, View
from runtime.ports import Record
from runtime.registry import Registry
from runtime.settings import BadSettings

MOST_VIEWS = 10_000
"""Tenants whose views are kept ready between two changes of a history."""
NEEDED = ("catalogue", "scorer", "policy", "limits", "prices", "policies", "accounts")
"""Versions without which a decision is older than this."""
REGISTRY_VERSION = "registry"
"""Named by decisions since there is a registry: an older one was made without."""


class NotReplayable(Exception):
    """A decision cannot be decided again. The message is one of few, so that they can be counted."""


class Damaged(NotReplayable):
    """The record is none that a lane writes. The message is one field of it."""


class Fold(Protocol):
    """A state that records make."""

    def fold(self, record: Record) -> None:
        """Take in one record. Total."""
        ...


F = TypeVar("F", bound=Fold)


class Timeline(Generic[F]):
    """The states of one history, asked for one at a time.

    Asked in the order of the log each record is folded once; for an earlier state the fold begins anew.
    """

    def __init__(self, name: str, records: Sequence[Record], begin: Callable[[], F]) -> None:
        self._name = name
        self._records = records
        self._begin = begin
        self._state = begin()
        self._at = 0
        self._done = 0
        self.passes = 1
        """How often the fold was begun."""

    def at(self, version: str) -> F:
        """The state that has every record below this offset. Valid until the next call. Raises `NotReplayable`."""
        if not (version.isascii() and version.isdigit()) or len(version) > 18:
            raise Damaged("versions")
        wanted = int(version)
        end = self._records[-1].offset + 1 if self._records else 0
        if wanted > end:
            raise NotReplayable(f"the history of {self._name} ends before the decision's version")
        if wanted < self._at:
            self._state, self._done, self._at = self._begin(), 0, 0
            self.passes += 1
        while self._done < len(self._records) and self._records[self._done].offset < wanted:
            self._state.fold(self._records[self._done])
            self._done += 1
        self._at = max(self._at, wanted)
        return self._state


@dataclass(frozen=True, slots=True)
class Told:
    """The records of the five histories, each from its beginning on."""

    prices: Sequence[Record] = ()
    policies: Sequence[Record] = ()
    accounts: Sequence[Record] = ()
    catalogues: Sequence[Record] = ()
    registry: Sequence[Record] = ()


class History:
    """What decisions were made from, but for what they hold themselves. One owner; ask in the order of a lane's log."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._catalogues = Catalogues()
        for record in told.catalogues:
            self._catalogues.fold(record)
        self._prices = Timeline("prices", told.prices, PriceBook)
        self._accounts = Timeline("accounts", told.accounts, Accounts)
        self._registry = Timeline("the registry", told.registry, Registry)
        self._rules: dict[str, Timeline[Rules]] = {}
        self._views: dict[str, View] = {}
        self._catalogue: Catalogue | None = None
        self._made_of: tuple[str | None, ...] = ()

    @property
    def passes(self) -> int:
        """How often a fold was begun, of the history that was begun most often."""
        histories = (self._prices.passes, self._accounts.passes, self._registry.passes)
        return max(*histories, *(one.passes for one in self._rules.values()))

    def prices(self, version: str) -> PriceBook:
        """The price book of that version. Raises `NotReplayable`."""
        return self._prices.at(version)

    def view(self, tenant: str, versions: Mapping[str, str], now: datetime) -> View:
        """What a tenant's jobs were decided from at `now`, without what each decision holds itself. All of `NEEDED` is
        in `versions`.

        The policy is the one that the rules name, also where `versions` name another one of this program's. Raises
        `NotReplayable` where a version names nothing that is known here.
        """
        catalogue = self._priced(versions, now)
        made_of = tuple(versions.get(name) for name in (*NEEDED, REGISTRY_VERSION) if name != "policy")
        if catalogue is not self._catalogue or made_of != self._made_of or len(self._views) >= MOST_VIEWS:
            self._views.clear()
            self._catalogue, self._made_of = catalogue, made_of
        view = self._views.get(tenant)
        if view is None:
            view = self._views[tenant] = self._view(tenant, versions, catalogue)
        if view.versions != versions:
            other = sorted(
                name for name in {*view.versions, *versions} if view.versions.get(name) != versions.get(name)
            )
            if other != ["policy"] or versions["policy"] not in POLICIES:
                raise NotReplayable(f"made by another {', '.join(other)[:100]} than this program has")
        return view

    def _priced(self, versions: Mapping[str, str], now: datetime) -> Catalogue:
        catalogue = self._catalogues.of(versions["catalogue"])
        if catalogue is None:
            raise NotReplayable("the catalogue of this version was not told")
        return self._prices.at(versions["prices"]).priced(catalogue, now)

    def _view(self, tenant: str, versions: Mapping[str, str], catalogue: Catalogue) -> View:
        limits = limits_read(versions["limits"])
        if versions["limits"] not in self._rules:
            try:
                self._rules[versions["limits"]] = Timeline("policies", self._told.policies, lambda: Rules(limits))
            except BadSettings:
                raise NotReplayable("made by another policy than this program has") from None
        rules = self._rules[versions["limits"]].at(versions["policies"])
        terms = terms_of(tenant, self._accounts.at(versions["accounts"]), rules, limits)
        state = {name: versions[name] for name in ("prices", "policies", "accounts")}
        governance = UNGOVERNED
        if REGISTRY_VERSION in versions:
            state[REGISTRY_VERSION] = versions[REGISTRY_VERSION]
            governance = governance_of(self._registry.at(versions[REGISTRY_VERSION]).now(), tenant)
        return View(catalogue, rules.policy_of(tenant), limits, terms, governance=governance, state=state)


@functools.lru_cache(maxsize=64)
def limits_read(told: str) -> Limits:
    """The limits that a decision names. Raises `NotReplayable`."""
    try:
        return Limits.read(told)
    except ValueError:
        raise NotReplayable("its limits are of another form") from None
