"""Which offers a tenant may have for a task at all: all that can be told before anybody has seen the job's input.

It is worked out once for each kind of job and each kind of terms, and kept with the catalogue that it was made from: a
job then looks at columns of numbers, not at two thousand offers one by one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from router.catalogue import ANY_PROVIDER, Catalogue, Offer, Tier
from router.estimate import of_a_token, rates
from router.governance import UNGOVERNED, Governance
from router.terms import Terms
from schemas.assignment import Price
from schemas.decision import Exclusion
from schemas.failure import FailureKind
from schemas.units import COMPUTE_MS, OUTPUT_TOKENS
from schemas.values import frozen

MOST_OFFERS = 200_000
"""In all tables that are kept with one catalogue; then all are forgotten, and made again as they are wanted."""
MOST_EXCLUSIONS = 32
"""Offers that are told one by one in a decision's record; the rest is counted."""
EVERY = "*"
"""In place of a provider: several offers that were excluded for one reason."""
CAP = "novix-cap"
"""Source of a price that nobody knows: each call counts with the cap that the tenant states for such."""

Key = tuple[str, str]
"""(provider, model), as breakers, budgets and observations know an offer."""


@frozen
class Refused:
    """An offer that may not do the job, and why."""

    offer: Offer
    reason: FailureKind
    detail: str
    reached: int
    """How far it came, counted in checks passed: the furthest tells best what stands in the way."""
    needs: int = 0
    """What it would cost at most, if that is the reason: the smallest ceiling, or room in a budget, that is enough."""

    def exclusion(self) -> Exclusion:
        """For the decision's record."""
        return Exclusion.made(
            model=self.offer.model, provider=self.offer.provider, reason=self.reason, detail=self.detail
        )


@dataclass(frozen=True)
class Table:
    """The offers that are left, as columns in the order of their names: one place is one offer."""

    offers: tuple[Offer, ...]
    """Those of unknown price with the cap as their price."""
    providers: tuple[str, ...]
    """Who is asked: the offer's provider, or where that is `auto`, the one that the job names."""
    refused: tuple[Refused, ...]
    exclusions: tuple[Exclusion, ...]
    """Of the refused, and of those that do other tasks, told once with their number (`told`)."""
    models: tuple[str, ...] = field(init=False)
    tiers: tuple[Tier | None, ...] = field(init=False)
    keys: tuple[Key, ...] = field(init=False)
    all_keys: frozenset[Key] = field(init=False)
    places: Sequence[int] = field(init=False)
    least_context: int | None = field(init=False)
    """The shortest context that is stated."""
    of_a_token: Sequence[int] = field(init=False)
    """What one more token of output adds, in millionths of a nano-dollar."""
    _columns: tuple[tuple[str, list[int], int], ...] = field(init=False)
    """Each unit that anybody here charges, with its rates and the highest of them."""
    _first_ms: list[int | None] = field(init=False)
    _a_token_us: list[int] = field(init=False)
    _slowest: tuple[int, int] = field(init=False)
    some_known: bool = field(init=False)
    """Of some offer somebody has told how long it takes."""
    no_waits: Sequence[None] = field(init=False)
    """A column for whoever does not ask."""

    def __post_init__(self) -> None:
        charged = [dict(offer.rates) for offer in self.offers]
        units = dict.fromkeys(unit for one in charged for unit in one)
        columns = {unit: [one.get(unit, 0) for one in charged] for unit in units}
        stated = [offer.context_tokens for offer in self.offers if offer.context_tokens is not None]
        first = [offer.first_token_ms for offer in self.offers]
        each = [round(1e6 / one.tokens_per_s) if one.tokens_per_s else 0 for one in self.offers]
        made = {
            "models": tuple(offer.model for offer in self.offers),
            "tiers": tuple(offer.tier for offer in self.offers),
            "keys": tuple(zip(self.providers, (offer.model for offer in self.offers), strict=True)),
            "places": range(len(self.offers)),
            "least_context": min(stated, default=None),
            "of_a_token": tuple(of_a_token(offer.rates) for offer in self.offers),
            "_columns": tuple((unit, column, max(column)) for unit, column in columns.items()),
            "_first_ms": first,
            "_a_token_us": each,
            "_slowest": (max((one for one in first if one is not None), default=0), max(each, default=0)),
            "some_known": any(one is not None for one in first),
            "no_waits": (None,) * len(first),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "all_keys", frozenset(self.keys))

    @property
    def size(self) -> int:
        """What it counts for against `MOST_OFFERS`: offers that are left, offers that are not, and something itself."""
        return len(self.offers) + len(self.refused) + 10

    def micro(self, units: Mapping[str, int], output_tokens: int, compute_ms: int) -> list[int]:
        """What each offer charges for these units, in millionths of a nano-dollar (`estimate.money` for all)."""
        total: list[int] | None = None
        for count, column, _ in self._counted(units, output_tokens, compute_ms):
            if total is None:
                total = [count * each for each in column]
            else:
                total = [so_far + count * each for so_far, each in zip(total, column, strict=True)]
        return [0] * len(self.offers) if total is None else total

    def dearest_micro(self, units: Mapping[str, int], output_tokens: int, compute_ms: int) -> int:
        """What nobody charges more than for these units: each at the highest rate of all offers."""
        return sum([count * most for count, _, most in self._counted(units, output_tokens, compute_ms)])

    def _counted(
        self, units: Mapping[str, int], output_tokens: int, compute_ms: int
    ) -> Iterator[tuple[int, list[int], int]]:
        for unit, column, most in self._columns:
            count = compute_ms if unit == COMPUTE_MS else units.get(unit, 0)
            if unit == OUTPUT_TOKENS:
                count += output_tokens
            if count:
                yield count, column, most

    def slowest_ms(self, output_tokens: int) -> int:
        """What no offer of which anything is known probably takes longer than."""
        first, each = self._slowest
        return first + each * output_tokens // 1_000

    def waits_ms(self, output_tokens: int) -> Sequence[int | None]:
        """How long each offer probably takes to write so many tokens; None: not known."""
        if not self.some_known:
            return self.no_waits
        return [
            None if first is None else first + each * output_tokens // 1_000
            for first, each in zip(self._first_ms, self._a_token_us, strict=True)
        ]


def table_of(
    catalogue: Catalogue, task: str, model: str | None, provider: str, terms: Terms,
    governance: Governance = UNGOVERNED, *, images: bool,
) -> Table:  # fmt: skip
    """The offers for a task: of one model, or of all (None); at one provider, or at any (`auto`)."""
    key = (
        task, model, provider, images, terms.models, terms.dedicated, terms.licences, terms.residency, terms.regions,
        terms.unknown_price_cap_nanousd, governance.key, terms.tenant if terms.tenant in catalogue.bound else None,
    )  # fmt: skip
    known: Table | None = catalogue.tables.get(key)
    if known is None:
        known = _made(catalogue, task, model, provider, terms, governance, images=images)
        kept = sum([table.size for table in catalogue.tables.values()])
        if kept + known.size > MOST_OFFERS:
            catalogue.tables.clear()
        catalogue.tables[key] = known
    return known


def _made(
    catalogue: Catalogue, task: str, model: str | None, provider: str, terms: Terms, governance: Governance, *,
    images: bool,
) -> Table:  # fmt: skip
    offers = catalogue.by_task.get(task, ()) if model is None else catalogue.by_model[model]
    kept: list[tuple[str, str, int, Offer]] = []
    refused: list[Refused] = []
    for at, offer in enumerate(offers):
        asked = _provider(offer, task, provider, catalogue)
        fault = _fault(offer, task, asked, terms, governance, images=images, named=provider)
        if fault is not None or asked is None:
            refused.append(fault or Refused(offer, FailureKind.NO_CANDIDATE, "", 0))
        else:
            kept.append((offer.model, asked, at, _with_price(offer, terms)))
    kept.sort(key=lambda one: one[:3])
    exclusions = [one.exclusion() for one in refused[:MOST_EXCLUSIONS]]
    if len(refused) > MOST_EXCLUSIONS:
        exclusions.append(_further(len(refused) - MOST_EXCLUSIONS))
    if model is None:
        counts = Counter(reason for offer in catalogue.offers if (reason := offer.never(task)))
        exclusions += [summary(count, FailureKind.NO_CANDIDATE, reason) for reason, count in sorted(counts.items())]
    return Table(tuple(one[3] for one in kept), tuple(one[1] for one in kept), tuple(refused), tuple(exclusions))


def _fault(
    offer: Offer, task: str, asked: str | None, terms: Terms, governance: Governance, *, images: bool, named: str
) -> Refused | None:
    """The first reason why this offer is none for such jobs."""
    checks = _checks(offer, task, asked, terms, governance, images=images, named=named)
    for reached, (reason, detail) in enumerate(checks):
        if detail:
            return Refused(offer, reason, detail, reached)
    return None


REACHED = 13
"""More than the checks of `_checks`: an offer that passed them all came further than any that did not."""


def _checks(
    offer: Offer, task: str, asked: str | None, terms: Terms, governance: Governance, *, images: bool, named: str
) -> Iterator[tuple[FailureKind, str]]:
    """Each check in its order, with the reason that it would give; an empty detail: it is passed."""
    none = FailureKind.NO_CANDIDATE
    yield none, "" if task in offer.tasks else "does other tasks"
    yield none, offer.never(task) or ""
    yield none, "" if asked is not None else f"the job names provider {named!r}"
    yield none, "reads text alone; the input has an image" if images and "image" not in offer.reads else ""
    yield none, "" if offer.live else "its provider does not serve it now"
    approved = terms.models is None or offer.model in terms.models
    yield FailureKind.NOT_APPROVED, "" if approved else "the model is none of the tenant's approved ones"
    allowed = terms.dedicated or not offer.dedicated
    yield FailureKind.NOT_APPROVED, "" if allowed else "a dedicated endpoint, and the tenant's tier has none of those"
    bound = offer.tenants and terms.tenant not in offer.tenants
    yield FailureKind.NOT_APPROVED, "a dedicated endpoint that is bound to other tenants" if bound else ""
    yield FailureKind.LICENCE_REFUSED, _licence(offer, terms)
    yield governance.refusal(offer)
    yield FailureKind.RESIDENCY_REFUSED, _residency(offer, terms)
    priced = (offer.price is not None and offer.price.is_known) or terms.unknown_price_cap_nanousd > 0
    yield FailureKind.UNKNOWN_PRICE, "" if priced else "no known price, and unknown is never zero"


def _licence(offer: Offer, terms: Terms) -> str:
    if terms.licences is None or offer.licence in terms.licences:
        return ""
    told = f"its licence is {offer.licence}" if offer.licence else "its licence is not known"
    return f"{told}, none of the tenant's"


def _residency(offer: Offer, terms: Terms) -> str:
    """Why an offer does not keep the tenant's data where it may be. What is not known is not allowed."""
    if terms.residency == "global":
        return ""
    if terms.residency == "sovereign" and not (offer.dedicated or offer.local):
        return "shared with others; sovereign work is done on endpoints and servers of one's own alone"
    if not terms.regions:
        return f"{terms.residency} residency, and the tenant lists no region"
    if not offer.regions:
        return "nobody has said in which region it works"
    beyond = sorted(offer.regions - terms.regions)
    return f"may work in {', '.join(beyond)}, none of the tenant's regions" if beyond else ""


def _provider(offer: Offer, task: str, named: str, catalogue: Catalogue) -> str | None:
    """Who would be asked; None: the job names another provider. A named one is never replaced.

    Where the offer leaves the choice to Hugging Face's router, that router takes the named one (`org/name:provider`),
    if it does the task and has no row of its own in the catalogue. The price stays the row's.
    """
    if named in (ANY_PROVIDER, offer.provider):
        return offer.provider
    if offer.provider != ANY_PROVIDER or offer.dialect != "hf-router":
        return None
    if any(one.provider == named and task in one.tasks for one in catalogue.by_model[offer.model]):
        return None
    return named if task in catalogue.providers.get(named, frozenset()) else None


def _with_price(offer: Offer, terms: Terms) -> Offer:
    if offer.price is not None and offer.price.is_known:
        return offer
    capped = Price(nanousd_per_call=terms.unknown_price_cap_nanousd, source=CAP, as_of="")
    return replace(offer, price=capped, rates=rates(capped))


def summary(count: int, reason: FailureKind, detail: str) -> Exclusion:
    """Several offers that were excluded for one reason."""
    return Exclusion.made(model=f"({count} offers)", provider=EVERY, reason=reason, detail=detail)


def told(exclusions: Sequence[Exclusion]) -> tuple[Exclusion, ...]:
    """As a record tells them: the first ones by name, the rest by number; who was counted before stays counted."""
    if len(exclusions) <= MOST_EXCLUSIONS:
        return tuple(exclusions)
    named = [one for one in exclusions if one.provider != EVERY]
    counted = [one for one in exclusions if one.provider == EVERY]
    rest = len(named) - MOST_EXCLUSIONS
    return (*named[:MOST_EXCLUSIONS], *([_further(rest)] if rest > 0 else []), *counted)


def _further(count: int) -> Exclusion:
    return summary(count, FailureKind.NO_CANDIDATE, "further ones, not told here")
