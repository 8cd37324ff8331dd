"""What a decision is made from, beside the job: catalogue, policy and limits, each with its version."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from router.catalogue import Catalogue
from router.complexity import SCORER
from router.policies import DEFAULT, POLICIES, Policy
from router.purse import NO_PURSE, Purse
from router.terms import FREE, NO_TERMS, Terms, Turn
from runtime.settings import BadSettings, Settings, variable
from schemas.decision import Exclusion
from schemas.failure import FailureKind


@dataclass(frozen=True, slots=True)
class Limits:
    """The installation's own numbers."""

    text_model: str = "auto"
    """Model of generating text jobs that ask for `auto`; `auto`: the policy chooses."""
    image_model: str = "auto"
    """Model of text-to-image jobs that ask for `auto`; `auto`: the policy chooses."""
    max_tokens: int = 8192
    default_max_tokens: int = 1024
    temperature: float = 0.7
    top_p: float = 0.95
    default_max_cost_nanousd: int = 10_000_000
    read_timeout_ms: int = 30_000
    max_payload_bytes: int = 33_554_432
    http_origins: tuple[str, ...] = ()
    """Of the operator's own servers that are spoken to in clear: a payload may lie there."""


@dataclass(frozen=True)
class View:
    """A frozen picture of the world: a decision made twice from the same view is the same decision."""

    catalogue: Catalogue
    """With the prices that hold now."""
    policy: Policy
    limits: Limits
    cheap_below: float = 0.4
    terms: Terms = NO_TERMS
    purse: Purse = NO_PURSE
    turn: Turn = FREE
    shut: frozenset[tuple[str, str]] = frozenset()
    """(provider, model) whose breaker is open now."""
    reserve_attempts: int = 2
    state: Mapping[str, str] = field(default_factory=dict)
    """Versions of what changes while the process runs: `prices`, `policies`, `accounts`."""
    versions: dict[str, str] = field(init=False)
    """What the decision record names: versions, and in full what has none."""
    _standing: dict[str, tuple[Exclusion, ...]] = field(init=False, repr=False, default_factory=dict)
    """Worked out once per task: of the published ones, so bounded."""

    def __post_init__(self) -> None:
        limits = ",".join(f"{name}={getattr(self.limits, name)}" for name in Limits.__slots__)
        versions = {
            "catalogue": self.catalogue.version,
            "scorer": SCORER,
            "policy": self.policy.name,
            "limits": f"{limits},cheap_below={self.cheap_below}",
            **self.state,
        }
        object.__setattr__(self, "versions", versions)

    def standing(self, task: str) -> tuple[Exclusion, ...]:
        """The offers that are no choice for any job of `task`, told once with their number, not row by row."""
        known = self._standing.get(task)
        if known is None:
            counts = Counter(reason for offer in self.catalogue.offers if (reason := offer.never(task)))
            rows = (summary(count, FailureKind.NO_CANDIDATE, reason) for reason, count in sorted(counts.items()))
            known = self._standing[task] = tuple(rows)
        return known


def summary(count: int, reason: FailureKind, detail: str) -> Exclusion:
    """Several offers that were excluded for one reason."""
    return Exclusion(model=f"({count} offers)", provider="*", reason=reason, detail=detail)


def view_of(settings: Settings, catalogue: Catalogue, policy: str = DEFAULT) -> View:
    """The view of an installation. Raises `BadSettings` where a default model is none of the catalogue's."""
    for name in ("text_model", "image_model"):
        model = getattr(settings, name)
        if model != "auto" and model not in catalogue.by_model and model not in catalogue.aliases:
            raise BadSettings(f"{variable(name)}={model[:200]!r}: must be `auto` or a model of the catalogue")
    limits = Limits(
        text_model=settings.text_model,
        image_model=settings.image_model,
        max_tokens=settings.max_tokens,
        default_max_tokens=settings.default_max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        default_max_cost_nanousd=settings.default_max_cost_nanousd,
        read_timeout_ms=int(settings.read_timeout_s * 1000),
        max_payload_bytes=settings.max_payload_bytes,
        http_origins=_http_origins(settings),
    )
    return View(catalogue, POLICIES[policy](settings), limits, settings.cheap_below)


def _http_origins(settings: Settings) -> tuple[str, ...]:
    listed = (host.strip() for host in settings.egress_hosts.split(","))
    named = {settings.hf_router_url, settings.sandbox_url, *listed}
    return tuple(sorted(one.rstrip("/") for one in named if one.startswith("http://")))
