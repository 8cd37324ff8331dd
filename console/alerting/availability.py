"""How a job's end counts, and what share of a tier's jobs ended well. Pure."""

from collections.abc import Mapping
from typing import Literal

from router.accounts import Accounts
from router.rules import Rules
from router.ruling import OWN_LIMITS
from router.terms import DEFAULT_TIER
from runtime.ports import Record
from schemas import codec
from schemas.failure import FAILURES, FailureKind
from schemas.values import frozen

Verdict = Literal["good", "bad", "uncounted"]
PPM = 1_000_000


def verdict_of(status: str, kind: str | None) -> Verdict:
    """How a job's end counts: `good` if it succeeded; `bad` if Novix, its accounts, a provider or the network failed an
    accepted job, or its time ran out; else not at all.

    | status | counts |
    |---|---|
    | succeeded | good |
    | cancelled | not |
    | expired | bad; not if it waited for its own rate or budget |
    | failed | bad, unless the fault is the producer's (`schemas.failure.FAILURES`) or its own budget's |
    | rejected | bad if the fault is Novix's; not if it is the producer's or its account's |
    """
    if status == "succeeded":
        return "good"
    if status == "cancelled" or kind in OWN_LIMITS:
        return "uncounted"
    if status == "expired":
        return "bad"
    fault = FAILURES[FailureKind(kind)].fault if kind in _KINDS else "novix"
    at_fault = {"novix", "provider", "network"} | ({"account"} if status == "failed" else set())
    return "bad" if fault in at_fault else "uncounted"


_KINDS = frozenset(kind.value for kind in FailureKind)


@frozen
class Ended:
    """One terminal record, as far as availability goes."""

    tenant: str
    verdict: Verdict


def ended_of(record: Record) -> Ended | None:
    """What a record of the results says; None for what is no result."""
    try:
        result = codec.decode(record.value or b"")
        error = result.get("error") or {}
        return Ended(str(result["tenant"]), verdict_of(str(result["status"]), error.get("kind")))
    except (codec.Undecodable, KeyError, AttributeError):
        return None


@frozen
class Availability:
    """What a tier, or a tenant, was given in some time."""

    name: str
    good: int
    bad: int
    uncounted: int
    objective_ppm: int | None
    """Of a million counted jobs, those that shall end well; None: nothing is promised."""

    @property
    def counted(self) -> int:
        """Jobs that say something about availability."""
        return self.good + self.bad

    @property
    def share(self) -> float | None:
        """Good among the counted, 0 to 1; None where there is none."""
        return self.good / self.counted if self.counted else None

    @property
    def burn(self) -> float | None:
        """Burn rate: the share of bad jobs over the share that the objective allows. 1 uses up the error budget just in
        time. None where nothing is promised or nothing counted."""
        return burn_rate(self.bad, self.counted, self.objective_ppm)

    @property
    def budget_left(self) -> float | None:
        """The share of the error budget that is left, as if these were all of its jobs; negative: overdrawn."""
        return None if self.burn is None else 1 - self.burn

    @property
    def missed(self) -> bool:
        """Whether fewer ended well than promised."""
        return self.burn is not None and self.burn > 1


def burn_rate(bad: int, counted: int, objective_ppm: int | None) -> float | None:
    """`(bad / counted) / (1 - objective)`: Google's SRE Workbook, chapter 5, "Alerting on Burn Rate"."""
    if not counted or objective_ppm is None:
        return None
    allowed = (PPM - objective_ppm) / PPM
    return (bad / counted) / allowed if allowed else (float(PPM) if bad else 0.0)


def tier_of(accounts: Accounts, tenant: str) -> str:
    """The tier of a tenant; `default` for one without a record."""
    known = accounts.tenant(tenant)
    return known.tier if known is not None else DEFAULT_TIER


def by_name(
    counted: Mapping[str, Mapping[str, int]], accounts: Accounts, rules: Rules, *, by_tenant: bool
) -> list[Availability]:
    """Ends by tenant and verdict as the availability of each tenant, or of each tier, by name."""
    sums: dict[str, dict[str, int]] = {}
    tiers: dict[str, str] = {}
    for tenant, verdicts in counted.items():
        tier = tier_of(accounts, tenant)
        name = tenant if by_tenant else tier
        tiers[name] = tier
        mine = sums.setdefault(name, {})
        for verdict, number in verdicts.items():
            mine[verdict] = mine.get(verdict, 0) + number
    found = []
    for name, mine in sorted(sums.items()):
        tier_now = rules.tier(tiers[name])
        objective = tier_now.availability_ppm if tier_now is not None else None
        good, bad, uncounted = (mine.get(one, 0) for one in ("good", "bad", "uncounted"))
        found.append(Availability(name, good, bad, uncounted, objective))
    return found
