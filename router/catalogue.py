"""The catalogue: which model is offered by whom, for which tasks, at what price. JSON files, read once at start."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources, util
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from router.estimate import Rates, rates
from runtime.settings import BadSettings, Settings, is_plain_address
from schemas import codec
from schemas.assignment import Price
from schemas.base import Contract
from schemas.providers import DIALECTS, OWN_DIALECTS, PROVIDERS, ROUTER_DIALECT
from schemas.tasks import MODALITIES

Tier = Literal["small", "large"]
Reads = Literal["text", "image"]
HOSTED_BASE = "huggingface"
NAMED_BASES = (HOSTED_BASE, "sandbox")
SPOKEN_WITH_OUR_NAMES = OWN_DIALECTS | {ROUTER_DIALECT, "hf-inference"}
"""Dialects in which a model has its Hugging Face name on the wire unless a row says otherwise."""
BUILT_IN = ("huggingface.json", "sandbox.json")
ANY_PROVIDER = "auto"


class BadCatalogue(BadSettings):
    """A catalogue cannot be used. The message names the file, the row and the field."""


class _Row(Contract):
    model_config = ConfigDict(extra="forbid")


class PriceRow(Price):
    """A price as a catalogue file writes it: a misspelt unit would be a price of nothing, so it is refused."""

    model_config = ConfigDict(extra="forbid")


class OfferRow(_Row):
    """One provider's offer of a model."""

    provider: StrictStr = Field(min_length=1, max_length=64)
    """A provider's name; `auto`: Hugging Face's router chooses, or takes the one that a job names."""
    provider_model: StrictStr = Field(default="", max_length=256)
    """The model's name on the wire; empty: its Hugging Face name where that is spoken, else as Hugging Face's mapping
    has it for this provider when the job is done."""
    dialect: StrictStr
    """One of `schemas.providers.DIALECTS`."""
    base: StrictStr
    """Where its calls go: `huggingface`, `sandbox`, or the address of a server of one's own (http or https), whose host
    must be one of `NOVIX_EGRESS_HOSTS`."""
    tasks: tuple[StrictStr, ...] = Field(min_length=1)
    reads: tuple[Reads, ...] = ("text",)
    """What a chat may show it. Other tasks say themselves what they read."""
    context_tokens: StrictInt | None = Field(default=None, ge=1)
    """Tokens of input and output together; None: not stated, nothing is clamped by it."""
    needs: StrictStr = ""
    """A Python package without which it is not served: one that Novix's extras do not install."""
    max_in_flight: StrictInt = Field(ge=1, le=10_000)
    licence: StrictStr | None = None
    """The model's licence as its page names it; None: not looked up."""
    price: PriceRow | None = None
    """None: unknown. Such an offer is taken by tenants alone that state a cap for it."""
    regions: tuple[Annotated[StrictStr, Field(min_length=1, max_length=64)], ...] = ()
    """Every region in which its work may be done; empty: nobody has said, and no tenant that asks for one takes it."""
    dedicated: StrictBool = False
    """An endpoint of one's own, for tenants whose tier may use such."""
    first_token_ms: StrictInt | None = Field(default=None, ge=0, le=3_600_000)
    """How long it takes to begin its answer, as somebody measured it; None: not known, and excludes it from nothing."""
    tokens_per_s: float | None = Field(default=None, gt=0, le=1_000_000)
    """How fast it writes then."""

    @field_validator("tasks")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for task in value:
            if task not in MODALITIES:
                raise ValueError(f"{task[:64]!r} is no Hugging Face task")
        return value

    @field_validator("dialect")
    @classmethod
    def _spoken(cls, value: str) -> str:
        if value not in DIALECTS:
            raise ValueError(f"{value[:64]!r} is no dialect; there are: {', '.join(sorted(DIALECTS))}")
        return value

    @field_validator("base")
    @classmethod
    def _address(cls, value: str) -> str:
        if value in NAMED_BASES:
            return value
        if not is_plain_address(value):
            raise ValueError("must be huggingface, sandbox, or http(s)://host[:port][/path] without user or query")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _does_them(self) -> Self:
        """A provider's dialect is spoken to it alone, for the tasks that it does; the router's own door is for chat."""
        if self.dialect in PROVIDERS and self.provider != self.dialect:
            raise ValueError(f"dialect {self.dialect!r} is spoken to {self.dialect}, not to {self.provider!r}")
        does = frozenset({"chat-completion"}) if self.dialect == ROUTER_DIALECT else PROVIDERS.get(self.dialect)
        if stray := [task for task in self.tasks if does is not None and task not in does]:
            raise ValueError(f"{self.dialect} does no {stray[0]}")
        return self


class ModelRow(_Row):
    """One model with its offers."""

    model: StrictStr = Field(min_length=1, max_length=256)
    tier: Tier | None
    """What the routing policy takes it for; None: tiers mean nothing for its tasks."""
    offers: tuple[OfferRow, ...] = Field(min_length=1)


class CatalogueFile(_Row):
    """One catalogue file. Several are merged: offers of one model stand beside each other, aliases are appended."""

    origin: StrictStr
    """Where the rows come from, for whoever reads the file."""
    models: tuple[ModelRow, ...]
    aliases: dict[StrictStr, tuple[StrictStr, ...]] = Field(default_factory=dict)
    """Other names of models: the first of the list that is served here for the task is taken."""
    providers: dict[StrictStr, tuple[StrictStr, ...]] = Field(default_factory=dict)
    """Providers that a job may name where an offer's provider is `auto`, with the tasks that they take."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer of the merged catalogue, with the address of its calls."""

    model: str
    tier: Tier | None
    provider: str
    provider_model: str
    """Empty: as the mapping has it."""
    dialect: str
    base_url: str | None
    """Without a trailing slash; None: it is not served here."""
    tasks: frozenset[str]
    reads: frozenset[str]
    context_tokens: int | None
    max_in_flight: int
    licence: str | None
    price: Price | None
    rates: Rates = ()
    """Of its price, as sums are made with it."""
    regions: frozenset[str] = frozenset()
    """Every region in which its work may be done; empty: not known."""
    dedicated: bool = False
    local: bool = False
    """Its calls go to a server of the operator's own, or to the sandbox."""
    live: bool = True
    """False: the provider does not serve it now, as the price book's source says."""
    first_token_ms: int | None = None
    tokens_per_s: float | None = None
    revision: str | None = None
    """The commit that it serves, where that is known: of an endpoint; None: the provider serves what it has."""
    tenants: frozenset[str] = frozenset()
    """Whose jobs alone it takes: of an endpoint that is bound; empty: everybody's."""

    def never(self, task: str) -> str | None:
        """Why this offer takes no job of a task whatever the job says; None: it may."""
        if task not in self.tasks:
            return "does other tasks"
        return None if self.base_url else "not served by this installation"


@dataclass(frozen=True)
class Catalogue:
    """All offers, frozen. `version` is a digest of the files and of which bases are served."""

    offers: tuple[Offer, ...]
    aliases: Mapping[str, tuple[str, ...]]
    providers: Mapping[str, frozenset[str]]
    """Every provider that a job may name, with the tasks that it takes."""
    version: str
    by_model: Mapping[str, tuple[Offer, ...]] = field(init=False)
    by_task: Mapping[str, tuple[Offer, ...]] = field(init=False)
    """Offers that do a task and are served here."""
    bound: frozenset[str] = field(init=False)
    """Tenants that an offer is bound to: what they may have differs from what all others may."""
    tables: dict[Any, Any] = field(init=False, repr=False, compare=False, default_factory=dict)
    """What `router.table` has worked out from these offers, for its own use."""

    def __post_init__(self) -> None:
        models: dict[str, list[Offer]] = {}
        tasks: dict[str, list[Offer]] = {}
        for offer in self.offers:
            models.setdefault(offer.model, []).append(offer)
            for task in offer.tasks:
                if offer.never(task) is None:
                    tasks.setdefault(task, []).append(offer)
        object.__setattr__(self, "by_model", {name: tuple(rows) for name, rows in models.items()})
        object.__setattr__(self, "by_task", {name: tuple(rows) for name, rows in tasks.items()})
        object.__setattr__(self, "bound", frozenset().union(*(offer.tenants for offer in self.offers)))

    def resolve(self, name: str, task: str) -> str | None:
        """The catalogue's model behind `name`: itself, or an alias's first model that is served for the task.

        An alias of which none is served gives its first model, so that its exclusion tells why. None: unknown.
        """
        if name in self.by_model:
            return name
        choices = [model for model in self.aliases.get(name, ()) if model in self.by_model]
        served = (model for model in choices if any(offer.model == model for offer in self.by_task.get(task, ())))
        return next(served, choices[0] if choices else None)


def load(settings: Settings) -> Catalogue:
    """This installation's catalogue: `settings.catalogue` alone, else the built-in files.

    Raises `BadCatalogue`, also for an offer at a host that no call may go to.
    """
    if settings.catalogue:
        path = Path(settings.catalogue).expanduser()
        try:
            files = [parse(path.name, path.read_bytes())]
        except OSError as error:
            raise BadCatalogue(f"NOVIX_CATALOGUE={settings.catalogue!r}: {error.strerror}") from None
    else:
        folder = resources.files("router").joinpath("data")
        files = [parse(name, folder.joinpath(name).read_bytes()) for name in BUILT_IN]
    own = {offer.base for file in files for row in file.models for offer in row.offers} - set(NAMED_BASES)
    for base in sorted(own):
        if reason := why_no_call(base, settings):
            raise BadCatalogue(f"base {base!r}: {reason}; list its host in NOVIX_EGRESS_HOSTS")
    return merge(files, addresses(settings), installed=lambda package: util.find_spec(package) is not None)


def why_no_call(base: str, settings: Settings) -> str | None:
    """Why no call may go to an address of the operator's own; None if one may."""
    from runtime.http import URL, Egress  # only where there is such an address: a router needs no HTTP client

    listed = [host.strip() for host in settings.egress_hosts.split(",") if host.strip()]
    origins = [settings.hf_router_url, settings.sandbox_url]
    origins += [host if "://" in host else f"https://{host}" for host in listed]
    return Egress([origin for origin in origins if origin]).why_not(URL(base), credentials=True)


def addresses(settings: Settings) -> dict[str, str | None]:
    """Where each named base's calls go. Where Hugging Face is the sandbox, the hosted offers are not served."""
    only_sandbox = bool(settings.sandbox_url) and settings.sandbox_url == settings.hf_router_url
    return {
        "huggingface": None if only_sandbox else settings.hf_router_url or None,
        "sandbox": settings.sandbox_url or None,
    }


def parse(name: str, data: bytes) -> CatalogueFile:
    """Read one file, named `name` in errors. Raises `BadCatalogue` naming row and field."""
    try:
        document = codec.decode(data)
    except codec.Undecodable as error:
        raise BadCatalogue(f"{name}: {error}") from None
    try:
        return CatalogueFile.model_validate(document)
    except ValidationError as error:
        faults = [f"{name}: {_where(fault['loc'], document)}: {fault['msg']}" for fault in error.errors()[:5]]
        raise BadCatalogue("\n".join(faults)) from None


def merge(
    files: Sequence[CatalogueFile],
    bases: Mapping[str, str | None],
    *,
    installed: Callable[[str], bool] = lambda _: True,
) -> Catalogue:
    """One catalogue from several files. Raises `BadCatalogue` where two rows contradict each other."""
    tiers: dict[str, Tier | None] = {}
    offers: list[Offer] = []
    aliases: dict[str, tuple[str, ...]] = {}
    providers: dict[str, frozenset[str]] = {}
    for file in files:
        for row in file.models:
            if tiers.setdefault(row.model, row.tier) != row.tier:
                raise BadCatalogue(f"model {row.model!r}: tier is {row.tier} here and {tiers[row.model]} elsewhere")
            for told in row.offers:
                here = not told.needs or installed(told.needs)
                offers.append(_offer(row, told, bases.get(told.base, told.base) if here else None))
        for alias, models in file.aliases.items():
            aliases[alias] = (*aliases.get(alias, ()), *models)
        for provider, tasks in file.providers.items():
            providers[provider] = providers.get(provider, frozenset()) | frozenset(tasks)
    for offer in offers:
        if offer.provider != ANY_PROVIDER:
            providers[offer.provider] = providers.get(offer.provider, frozenset()) | offer.tasks
    for alias, models in aliases.items():
        if stray := [model for model in models if model not in tiers]:
            raise BadCatalogue(f"aliases.{alias}: {stray[0]!r} is no model of the catalogue")
        if alias in tiers:
            raise BadCatalogue(f"aliases.{alias}: a model of the catalogue has this name already")
    _no_twins(offers)
    written = [file.model_dump(mode="json") for file in files]
    served = [{base: bool(url) for base, url in bases.items()}, [offer.base_url is not None for offer in offers]]
    version = hashlib.sha256(codec.canonical([written, *served])).hexdigest()[:16]
    return Catalogue(tuple(offers), aliases, providers, version)


def _offer(row: ModelRow, offer: OfferRow, base_url: str | None) -> Offer:
    ours = row.model if offer.dialect in SPOKEN_WITH_OUR_NAMES else ""
    return Offer(
        row.model, row.tier, offer.provider, offer.provider_model or ours, offer.dialect, base_url,
        frozenset(offer.tasks), frozenset(offer.reads), offer.context_tokens, offer.max_in_flight, offer.licence,
        offer.price, rates(offer.price) if offer.price else (), frozenset(offer.regions), offer.dedicated,
        offer.base != HOSTED_BASE, True, offer.first_token_ms, offer.tokens_per_s,
    )  # fmt: skip


def _no_twins(offers: Sequence[Offer]) -> None:
    """A task of a model at a provider and an address stands once: two prices for one call would be a coin toss."""
    seen: set[tuple[str, str, str | None, str]] = set()
    for offer in offers:
        for task in offer.tasks if offer.base_url else ():
            key = (offer.model, offer.provider, offer.base_url, task)
            if key in seen:
                raise BadCatalogue(f"model {offer.model!r}: {offer.provider} offers {task} twice")
            seen.add(key)


def _where(location: tuple[int | str, ...], document: Any) -> str:
    """A fault's place in words: `models.3 ('org/name').offers.0.price.source`."""
    told = ".".join(str(part) for part in location) or "(whole)"
    if len(location) >= 2 and location[0] == "models" and isinstance(location[1], int):
        row = document["models"][location[1]]
        name = row.get("model") if isinstance(row, dict) else None
        return told.replace(f"models.{location[1]}", f"models.{location[1]} ({name!r})", 1)
    return told
