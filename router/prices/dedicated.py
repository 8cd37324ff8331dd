"""Dedicated endpoints as offers beside the catalogue's: which are offered, at what price, and how soon they answer.

An endpoint's state changes what a decision may choose, so a decision must name it. The catalogue with the endpoints in
it is a catalogue of its own: its version is a digest of what is offered, and it is told whole on `novix.offers.v1`
before anything is decided from it, as the installation's own is. States that offer alike have one version, so an
endpoint that sleeps and wakes every hour makes two of them and no more.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import structlog
from pydantic import ValidationError

from router.catalogue import Catalogue, Offer
from router.estimate import rates
from router.prices.replicas import price_of
from router.snapshot import catalogue_records, told_of
from runtime.bus import Bus
from runtime.ending import end
from runtime.follow import Follower
from runtime.ports import Clock, Outgoing, Record
from runtime.settings import Settings
from schemas import codec
from schemas.endpoints import EndpointSpec, EndpointState
from schemas.snapshot import CatalogueSnapshot
from schemas.tasks import MODALITIES
from schemas.topics import ENDPOINTS, OFFERS

log = structlog.get_logger("novix.router")

PROVIDER = "endpoint."
"""Begins the provider's name of an endpoint: `endpoint.{name}`."""
IN_FLIGHT = 8
"""Calls to one replica at a time, where its spec does not say how many it batches."""
ROUND_S = 10
"""Starts are told in steps of so many seconds, so that not every start makes another version."""
CHATS = frozenset({"chat-completion", "text-generation"})
TASKS: Mapping[str, frozenset[str]] = {
    "text-generation": CHATS,
    "conversational": frozenset({"chat-completion"}),
    "sentence-embeddings": frozenset({"feature-extraction"}),
}
"""What an endpoint of a task does, where that is not the task alone."""
DIALECTS: Mapping[str, str] = {"tei": "tei", "vLLM": "openai-compatible", "sGLang": "openai-compatible"}
"""How a container is spoken to, where it is not by Hugging Face's own form."""
CHAT_ONLY = frozenset({"openai-compatible"})
OFFERED = frozenset({"pending", "initializing", "running", "updating", "updateFailed", "scaledToZero"})
THERE = OFFERED | {"paused", "failed"}
MOST_KEPT = 16
"""Catalogues that are kept ready."""
AGAIN_S = 2.0

WhyNot = Callable[[str], str | None]


def provider_of(spec: EndpointSpec) -> str:
    """The provider's name under which it is offered."""
    return PROVIDER + spec.name


def offer_of(state: EndpointState, like: Iterable[Offer] = ()) -> Offer:
    """An endpoint as an offer. `like`: offers of the same model, whose tier, context and licence are its own."""
    spec = state.spec
    known = next(iter(like), None)
    dialect = next((DIALECTS[image] for image in spec.custom.image if image in DIALECTS), "endpoint")
    tasks = frozenset({"chat-completion"}) if dialect in CHAT_ONLY else TASKS.get(spec.task, frozenset({spec.task}))
    price = price_of(
        state.costs.nanousd_per_hour, state.costs.total_nanousd, state.measured.succeeded, as_of=""
    )  # fmt: skip
    starts = state.status in OFFERED and not state.serves
    return Offer(
        model=spec.model, tier=None if known is None else known.tier, provider=provider_of(spec),
        provider_model=spec.model, dialect=dialect, base_url=state.url and state.url.rstrip("/"),
        tasks=frozenset(tasks & MODALITIES.keys()), reads=frozenset({"text"}) if known is None else known.reads,
        context_tokens=None if known is None else known.context_tokens,
        max_in_flight=min(10_000, (spec.optimization.max_batch or IN_FLIGHT) * spec.scaling.max_replicas),
        licence=None if known is None else known.licence, price=price, rates=rates(price) if price else (),
        regions=frozenset({spec.security.region}), dedicated=True, local=False, live=state.status in OFFERED,
        first_token_ms=_start_ms(state.cold_start_s) if starts else None,
        revision=revision_of(state), tenants=frozenset(spec.tenants),
    )  # fmt: skip


def revision_of(state: EndpointState) -> str | None:
    """The commit that it serves, as the management API shows it, else as it was asked for; None where that is the main
    branch, which is what is taken for an offer that says nothing. Another name that is no commit stands as it is: it is
    no admitted commit either."""
    told = state.running_revision or state.spec.revision
    return None if told in (None, "main") else told


def with_endpoints(base: Catalogue, states: Iterable[EndpointState], why_not: WhyNot) -> Catalogue:
    """The catalogue with every endpoint in it that may be called; `base` itself where there is none.

    Of two endpoints of one name, in two namespaces, the first by namespace is offered: a provider's name is one
    endpoint.
    """
    offers, taken = list[Offer](), set[str]()
    for state in sorted(states, key=lambda one: one.spec.key):
        if state.status not in THERE or state.url is None or state.spec.name in taken:
            continue
        if why_not(state.url) is not None:
            continue
        taken.add(state.spec.name)
        offers.append(offer_of(state, base.by_model.get(state.spec.model, ())))
    if not offers:
        return base
    providers = {**base.providers, **{offer.provider: offer.tasks for offer in offers}}
    told = [base.version, *(told_of(offer) for offer in offers), sorted(offer.base_url or "" for offer in offers)]
    version = hashlib.sha256(codec.canonical(told)).hexdigest()[:16]
    return replace(base, offers=(*base.offers, *offers), providers=providers, version=version)


def _start_ms(seconds: float) -> int:
    """A start's length, rounded up to whole steps."""
    return max(1, -int(-seconds // ROUND_S)) * ROUND_S * 1_000


class Versions:
    """Which catalogues stand whole in the history; a fold of `novix.offers.v1` that keeps numbers alone."""

    def __init__(self) -> None:
        self._parts: dict[str, set[int]] = {}

    def fold(self, record: Record) -> None:
        """Take in one record. What is unreadable is passed over."""
        try:
            told = CatalogueSnapshot.model_validate_json(record.value or b"")
        except ValidationError:
            return
        left = self._parts.setdefault(told.version, set(range(told.parts)))
        left.discard(told.part)

    def __contains__(self, version: str) -> bool:
        return self._parts.get(version) == set()


class Dedicated(AbstractAsyncContextManager["Dedicated"]):
    """`async with Dedicated(settings, base, take, clock):` keeps `take` told of the catalogue as it is now.

    Entered, the topic is known as it was and what follows from it stands in the history. A catalogue is taken only once
    it is told: while Kafka does not take it, the last one holds.
    """

    def __init__(
        self, settings: Settings, base: Catalogue, take: Callable[[Catalogue], None], clock: Clock, *,
        why_not: WhyNot | None = None, publish: Callable[[list[Outgoing]], Awaitable[object]] | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._base = base
        self._take = take
        self._clock = clock
        self._why_not = why_not or egress(settings)
        self._bus = Bus(settings)
        self._publish = publish or self._bus.publish
        self.states: dict[str, EndpointState] = {}
        self._told = Versions()
        self._made: dict[str, Catalogue] = {base.version: base}
        self._now = base.version
        self._changed = asyncio.Event()
        self._followers = [Follower(settings, ENDPOINTS, self.fold), Follower(settings, OFFERS, self._told.fold)]
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Dedicated":
        for follower in self._followers:
            await follower.__aenter__()
        await self.renew()
        self._task = asyncio.create_task(self._run(), name="endpoints")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            await end(self._task)
        for follower in reversed(self._followers):
            await follower.__aexit__(None, None, None)
        await self._bus.close()

    def fold(self, record: Record) -> None:
        """Take in one record of `novix.endpoints.v1`."""
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self.states.pop(key, None)
        else:
            state = EndpointState.model_validate_json(record.value)
            self.states[state.spec.key] = state
        self._changed.set()

    async def renew(self) -> None:
        """Tell and take the catalogue that follows from the endpoints as they are. Raises Kafka's errors."""
        made = with_endpoints(self._base, self.states.values(), self._why_not)
        if made.version == self._now:
            return
        if made.version not in self._told and made.version not in self._made:
            await self._publish(catalogue_records(made, self._clock.now()))
        made = self._made.setdefault(made.version, made)
        while len(self._made) > MOST_KEPT:
            del self._made[next(one for one in self._made if one not in (made.version, self._base.version))]
        self._now = made.version
        self._take(made)
        log.info("router.endpoints", offered=len(made.offers) - len(self._base.offers), catalogue=made.version)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.renew()
            except Exception as error:  # of Kafka: what held before holds on
                log.warning("router.endpoints_not_told", error=type(error).__name__)
                self._changed.set()
                await self._clock.sleep(AGAIN_S)


def egress(settings: Settings) -> WhyNot:
    """Why no call may go to an address, by these settings."""
    from router.catalogue import why_no_call

    return lambda url: why_no_call(url, settings)
