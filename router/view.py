"""What a decision is made from, beside the job: catalogue, policy, limits, terms, money, each with its version."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from router.catalogue import Catalogue
from router.complexity import SCORER
from router.feedback import NO_LESSONS, Lessons
from router.governance import UNGOVERNED, Governance
from router.policies import DEFAULT, BadPolicy, Policy, made
from router.purse import NO_PURSE, Purse
from router.terms import FREE, NO_TERMS, Terms, Turn
from runtime.settings import BadSettings, Settings, variable
from schemas import codec


@dataclass(frozen=True)
class Limits:
    """The installation's own numbers. They have no version: a decision names them in full."""

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
    policy: str = DEFAULT
    """Of tenants that have none of their own."""
    cheap_below: float = 0.4
    tenants: Literal["open", "closed"] = "open"
    unknown_price_cap_nanousd: int = 0
    reserve_attempts: int = 2
    """Calls at their full ceiling that a hard budget sets aside for one job."""

    @functools.cached_property
    def told(self) -> str:
        """All of them as text, for `Decision.versions`."""
        return codec.canonical(asdict(self)).decode()

    @classmethod
    def read(cls, told: str) -> Self:
        """The limits that `told` tells, numbers of a newer writer left out. Raises ValueError for another text."""
        try:
            return TypeAdapter(cls).validate_json(told)
        except ValidationError as error:
            raise ValueError(f"these are no limits: {error.error_count()} faults in {len(told)} characters") from None


@dataclass(frozen=True)
class View:
    """A frozen picture of the world: a decision made twice from the same view is the same decision."""

    catalogue: Catalogue
    """With the prices that hold now."""
    policy: Policy
    limits: Limits
    terms: Terms = NO_TERMS
    purse: Purse = NO_PURSE
    turn: Turn = FREE
    shut: frozenset[tuple[str, str]] = frozenset()
    """(provider, model) whose breaker is open now."""
    lessons: Lessons = NO_LESSONS
    """What was observed of offers; nothing where routing does not learn."""
    governance: Governance = UNGOVERNED
    """What the registry says for the job's tenant."""
    state: Mapping[str, str] = field(default_factory=dict)
    """Versions of what changes while the process runs: `prices`, `policies`, `accounts`, `registry`."""

    @functools.cached_property
    def versions(self) -> dict[str, str]:
        """What the decision record names: versions, and in full what has none."""
        return {
            "catalogue": self.catalogue.version,
            "scorer": SCORER,
            "policy": self.policy.name,
            "limits": self.limits.told,
            **self.state,
        }

    def at(
        self,
        purse: Purse = NO_PURSE,
        turn: Turn = FREE,
        shut: frozenset[tuple[str, str]] = frozenset(),
        lessons: Lessons = NO_LESSONS,
    ) -> "View":
        """The same view at the moment of one job: with its budgets, its turn, the open breakers, what was observed."""
        _ = self.versions  # worked out once, for all of them
        if purse is self.purse and turn is self.turn and not (shut or self.shut) and lessons is self.lessons:
            return self  # most jobs have no budget, and are decided on a plain day
        here = object.__new__(View)
        told: dict[str, Any] = {"purse": purse, "turn": turn, "shut": shut, "lessons": lessons}
        here.__dict__.update(self.__dict__ | told)
        return here

    def decides_as(self, other: "View") -> bool:
        """Whether nothing that is decided from differs. A catalogue is compared by identity: it may be large."""
        return self is other or (self.catalogue is other.catalogue and self == other)


def limits_of(settings: Settings) -> Limits:
    """The numbers of an installation."""
    return Limits(
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
        policy=settings.policy,
        cheap_below=settings.cheap_below,
        tenants=settings.tenants,
        unknown_price_cap_nanousd=settings.unknown_price_cap_nanousd,
        reserve_attempts=settings.reserve_attempts,
    )


def view_of(
    settings: Settings,
    catalogue: Catalogue,
    policy: Policy | None = None,
    *,
    terms: Terms = NO_TERMS,
    governance: Governance = UNGOVERNED,
    state: Mapping[str, str] | None = None,
) -> View:
    """The view of an installation; `policy` None: its own. Raises `BadSettings` where that is none. A default model
    that nobody has is none: the policy chooses (`governance.unknown_defaults` warns of it)."""
    if policy is None:
        try:
            policy = made(settings.policy, {}, cheap_below=settings.cheap_below)
        except BadPolicy as error:
            raise BadSettings(f"{variable('policy')}: {error}") from None
    return View(catalogue, policy, limits_of(settings), terms, governance=governance, state=dict(state or {}))


def _http_origins(settings: Settings) -> tuple[str, ...]:
    listed = (host.strip() for host in settings.egress_hosts.split(","))
    named = {settings.hf_router_url, settings.sandbox_url, *listed}
    return tuple(sorted(one.rstrip("/") for one in named if one.startswith("http://")))
