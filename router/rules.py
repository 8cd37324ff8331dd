"""Rules that are data, as they stand: policies, tiers, alert rules, value events; a fold of `novix.policies.v1`."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeVar

from pydantic import ValidationError

from router.policies import DEFAULT, BadPolicy, Policy, made
from runtime.ports import Record
from runtime.settings import BadSettings, variable
from schemas.job import describe
from schemas.policies import EVERYBODY, AlertRule, PolicyRecord, PolicySet, Tier, ValueEvent
from schemas.values import frozen

MOST_FAULTS = 100
MOST_VALUES = 100_000
BEGINNING = "1970-01-01T00:00:00Z"

K = TypeVar("K")
V = TypeVar("V")


def _tier(name: str, a_minute: int | None, residency: str, ppm: int | None, *, dedicated: bool) -> Tier:
    told = {"at": BEGINNING, "tier": name, "requests_per_minute": a_minute, "residency": residency}
    return Tier.model_validate({**told, "availability_ppm": ppm, "dedicated": dedicated})


TIERS = {
    one.tier: one
    for one in (
        _tier("default", None, "global", None, dedicated=True),
        _tier("standard", 10_000, "global", 999_000, dedicated=False),
        _tier("enterprise", 100_000, "regional", 999_500, dedicated=True),
        _tier("government", 500_000, "sovereign", 999_900, dedicated=True),
    )
}
"""The brief's tiers, and that of tenants of which nobody has said anything. An event of the same name replaces one."""


class Defaults(Protocol):
    """What an installation routes by where no rule says otherwise: `Settings`, or `Limits` of a stored decision."""

    @property
    def policy(self) -> str: ...
    @property
    def cheap_below(self) -> float: ...


@frozen
class Fault:
    """One event that was refused; what held before it still holds."""

    offset: int
    reason: str


class Rules:
    """The fold. `version` is the offset after the last folded record, as text: whoever folds as far knows the same.

    An event with an unknown policy, an unknown field or an impossible value is refused here, whoever wrote it: the old
    rule stays, and `faults` lists why. Raises `BadSettings` where the installation's own default is none.
    """

    def __init__(self, defaults: Defaults | None = None) -> None:
        name, self._cheap_below = (DEFAULT, 0.4) if defaults is None else (defaults.policy, defaults.cheap_below)
        try:
            self._default = made(name, {}, cheap_below=self._cheap_below)
        except BadPolicy as error:
            raise BadSettings(f"{variable('policy')}: {error}") from None
        self._policies: dict[str, Policy] = {}
        self._sets: dict[str, PolicySet] = {}
        self._tiers: dict[str, Tier] = {}
        self._alerts: dict[str, AlertRule] = {}
        self._values: dict[tuple[str, str | None, tuple[str, str] | None], ValueEvent] = {}
        self.faults: deque[Fault] = deque(maxlen=MOST_FAULTS)
        """The last events that were refused."""
        self.version = "0"

    def fold(self, record: Record) -> None:
        """Take in one record. Total: a bad one is listed in `faults` and moves the version all the same. A record that
        was folded before changes nothing: a version that went back would name less than what decisions are made from.
        """
        if record.offset < int(self.version):
            return
        self.version = str(record.offset + 1)
        if record.value is None:
            return
        try:
            self._take(PolicyRecord.model_validate_json(record.value).event)
        except ValidationError as error:
            self.faults.append(Fault(record.offset, describe(error)))
        except BadPolicy as error:
            self.faults.append(Fault(record.offset, str(error)))

    def policy_of(self, tenant: str) -> Policy:
        """The tenant's own policy, else everybody's, else the installation's."""
        return self._policies.get(tenant) or self._policies.get(EVERYBODY) or self._default

    def policy_set(self, tenant: str) -> PolicySet | None:
        """The event behind `policy_of`; None where the installation's default holds."""
        return self._sets.get(tenant) or self._sets.get(EVERYBODY)

    def tenants(self) -> Sequence[str]:
        """Tenants that have a policy of their own, by name."""
        return sorted(tenant for tenant in self._sets if tenant != EVERYBODY)

    def tier(self, name: str) -> Tier | None:
        """A tier by its name: as the last event says, else built in; None: nobody has described it."""
        return self._tiers.get(name) or TIERS.get(name)

    def tiers(self) -> Sequence[Tier]:
        """All tiers, by name."""
        return [tier for _, tier in sorted({**TIERS, **self._tiers}.items())]

    def alert_rules(self) -> Sequence[AlertRule]:
        """Those that hold, by id."""
        return [rule for _, rule in sorted(self._alerts.items())]

    def values(self) -> Sequence[ValueEvent]:
        """What work was worth: the last word about each job or tag, in the order in which they were first told."""
        return list(self._values.values())

    def _take(self, event: PolicySet | Tier | AlertRule | ValueEvent) -> None:
        if isinstance(event, PolicySet):
            policy = made(event.policy, event.parameters, cheap_below=self._cheap_below)
            _put(self._policies, event.tenant, policy, removed=event.removed)
            _put(self._sets, event.tenant, event, removed=event.removed)
        elif isinstance(event, Tier):
            _put(self._tiers, event.tier, event, removed=event.removed)
        elif isinstance(event, AlertRule):
            _put(self._alerts, event.id, event, removed=event.removed)
        else:
            key = event.tenant, event.job_id, event.tag
            if event.removed or key in self._values or len(self._values) < MOST_VALUES:
                _put(self._values, key, event, removed=event.removed)


def _put(known: dict[K, V], key: K, value: V, *, removed: bool) -> None:
    if removed:
        known.pop(key, None)
    else:
        known[key] = value
