"""May this offer do this job? Each offer either fits, or is refused for the first reason found."""

from collections.abc import Sequence

from router import estimate, limits
from router.catalogue import ANY_PROVIDER, Offer
from router.limits import Clamped
from router.load import GENERATIVE, Load, load_of
from router.view import View
from schemas.assignment import Price
from schemas.decision import Exclusion
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.values import frozen


@frozen
class Fit:
    """An offer that may do the job."""

    offer: Offer
    provider: str
    """Who is asked: the offer's provider, or where that is `auto`, the one that the job names."""
    price: Price
    clamped: Clamped
    expected: int
    """What one attempt will probably cost, in nano-dollars."""

    def exclude(self, reason: FailureKind, detail: str) -> Exclusion:
        """It fits, and is not taken all the same."""
        return Exclusion(model=self.offer.model, provider=self.provider, reason=reason, detail=detail)


@frozen
class Refused:
    """An offer that may not do the job, and why."""

    offer: Offer
    reason: FailureKind
    detail: str
    reached: int
    """How far it came, counted in checks passed: the furthest tells best what stands in the way."""
    needs: int = 0
    """The smallest ceiling that it could be taken under, if its price is the reason."""

    def exclusion(self) -> Exclusion:
        """For the decision's record."""
        return Exclusion(model=self.offer.model, provider=self.offer.provider, reason=self.reason, detail=self.detail)


@frozen
class Wish:
    """What a job wants of an offer, counted once for all offers."""

    job: InferenceJob
    load: Load
    asked: int | None
    """Tokens of output that the job itself asks for."""
    least: int
    """Tokens of output below which an offer is not taken."""
    generates: bool
    ceiling: int

    @classmethod
    def of(cls, job: InferenceJob, ceiling: int) -> "Wish":
        """Count what `job` brings with it."""
        generates = job.task in GENERATIVE
        asked = estimate.asked_tokens(job.task, job.input)
        least = limits.least_tokens(asked) if generates else 0
        return cls(job, load_of(job.task, job.input), asked, least, generates, ceiling)


def fitting(offer: Offer, wish: Wish, view: View) -> Fit | Refused:
    """Check one offer: task, served here, provider, image, price known, context, price ceiling; in that order."""
    reason = offer.never(wish.job.task)
    if reason is not None:
        return Refused(offer, FailureKind.NO_CANDIDATE, reason, 1 if offer.base_url is None else 0)
    provider, price = _provider(offer, wish.job, view), offer.price
    if provider is None:
        return Refused(offer, FailureKind.NO_CANDIDATE, f"the job names provider {wish.job.provider!r}", 2)
    if wish.load.images and "image" not in offer.reads:
        return Refused(offer, FailureKind.NO_CANDIDATE, "reads text alone; the input has an image", 3)
    if price is None or not price.is_known:
        return Refused(offer, FailureKind.UNKNOWN_PRICE, "no known price, and unknown is never zero", 4)
    return _priced(offer, provider, price, wish, view)


def _priced(offer: Offer, provider: str, price: Price, wish: Wish, view: View) -> Fit | Refused:
    """Context and ceiling. Where nothing is generated no context is judged: such models cut each text themselves."""
    room = None if offer.context_tokens is None else offer.context_tokens - wish.load.context_tokens
    if wish.generates and room is not None and room < max(1, wish.least):
        detail = f"its context has {offer.context_tokens} tokens; the input takes about {wish.load.context_tokens}"
        return Refused(offer, FailureKind.CONTEXT_EXCEEDED, detail, 5)
    needs = estimate.least_ceiling(offer.rates, wish.load, wish.least)
    if needs > wish.ceiling:
        output = f" for {wish.least} tokens of output" if wish.generates else ""
        detail = f"needs a ceiling of {needs} nano-dollars{output}; it is {wish.ceiling}"
        return Refused(offer, FailureKind.PRICE_CEILING, detail, 6, needs=needs)
    clamped = Clamped(0, None)
    if wish.generates:
        clamped = limits.clamp(wish.asked, offer, wish.load, wish.ceiling, view.limits)
    return Fit(offer, provider, price, clamped, estimate.expected_cost(offer.rates, wish.load, clamped.max_tokens))


def _provider(offer: Offer, job: InferenceJob, view: View) -> str | None:
    """Who would be asked; None: the job names another provider. A named one is never replaced.

    Where the offer leaves the choice to Hugging Face's router, that router takes the named one (`org/name:provider`),
    if it does the task and has no row of its own in the catalogue. The price stays the row's.
    """
    if job.provider in (ANY_PROVIDER, offer.provider):
        return offer.provider
    if offer.provider != ANY_PROVIDER or offer.dialect != "hf-router":
        return None
    if any(one.provider == job.provider and job.task in one.tasks for one in view.catalogue.by_model[offer.model]):
        return None
    return job.provider if job.task in view.catalogue.providers.get(job.provider, frozenset()) else None


def quote(refused: Sequence[Refused], wish: Wish) -> str:
    """The cheapest ceiling under which the job would be taken, in words."""
    cheapest = min(refused, key=lambda one: (one.needs, one.offer.model, one.offer.provider))
    output = f" for the input and {wish.least} tokens of output" if wish.generates else ""
    return (
        f"max_cost_nanousd is {wish.ceiling}; the cheapest of {len(refused)} offers, {cheapest.offer.model} at "
        f"{cheapest.offer.provider}, needs {cheapest.needs} nano-dollars{output}"
    )
