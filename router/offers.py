"""May this offer do this job, and what would it cost? What the job itself brings, held against the offers of its table.

Of most jobs nothing binds, and where the ceiling does, it cuts tokens alone: the columns say so for all offers at once.
Where another limit may bind an offer, it is looked at alone (`_looked_at`); both ways give the same answer, and a test
holds them against each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from router import estimate, limits
from router.catalogue import Offer
from router.limits import Clamped
from router.load import EXPECTED_OUTPUT_TOKENS, GENERATIVE, Load, load_of
from router.purse import Line
from router.table import REACHED, Key, Refused, Table
from router.view import View
from schemas.assignment import Price
from schemas.decision import Exclusion
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.providers import LATER
from schemas.values import frozen

MOST_ALONE = 8
"""Offers beyond the ceiling, and offers that are no fallback, that are told one by one."""
SLOW_PERCENT = 125
"""Of its expected time an offer must have until the deadline: a queue and a slow day are not in the expectation."""


@frozen
class Fit:
    """An offer that may do the job."""

    place: int
    offer: Offer
    provider: str
    """Who is asked: the offer's provider, or where that is `auto`, the one that the job names."""
    price: Price
    clamped: Clamped
    expected_micro: int
    """What one attempt will probably cost, in millionths of a nano-dollar."""
    own_room: int | None = None
    """What the hard budgets of its model and provider have left; None: it has none."""

    @property
    def expected(self) -> int:
        """The same in nano-dollars, a started one counted whole."""
        return -(-self.expected_micro // estimate.MICRO)

    def exclude(self, reason: FailureKind, detail: str) -> Exclusion:
        """It fits, and is not taken all the same."""
        return Exclusion.made(model=self.offer.model, provider=self.provider, reason=reason, detail=detail)


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
    wanted: Clamped
    """The tokens of output where neither context nor money binds."""
    left_ms: int
    """Until the deadline."""
    squeezed: bool = False
    """The budgets bound the tokens: what is left of them is the ceiling."""

    @classmethod
    def of(cls, job: InferenceJob, ceiling: int, view: View, deadline: datetime, now: datetime) -> "Wish":
        """Count what `job` brings with it."""
        generates = job.task in GENERATIVE
        asked = estimate.asked_tokens(job.task, job.input)
        least = limits.least_tokens(asked) if generates else 0
        wanted = limits.unbound(asked, view.limits) if generates else Clamped(0, None)
        left_ms = int((deadline - now).total_seconds() * 1_000)
        return cls(job, load_of(job.task, job.input), asked, least, generates, ceiling, wanted, left_ms)


@dataclass(slots=True)
class Judged:
    """The offers of a table, judged: those that fit, with the columns that a policy ranks by."""

    table: Table
    wish: Wish
    costs: Sequence[int]
    """Of each place, what one attempt will probably cost, in millionths of a nano-dollar."""
    in_full: Sequence[int]
    """The same for all the tokens of output that are wanted: what policies rank by, or an offer whose answer money cuts
    shortest would be the cheapest."""
    waits_ms: Sequence[int | None]
    places: Sequence[int] = ()
    """Those that fit."""
    refused: list[Refused] = field(default_factory=list)
    beyond: int = 0
    """More that were refused for their price, and dearer than all that are in `refused`."""
    own_rooms: Mapping[int, int] = field(default_factory=dict)
    """Of each place whose model or provider has hard budgets, what these have left."""
    cut: dict[int, int] = field(default_factory=dict)
    """The tokens of output of those that the ceiling alone cuts."""
    looked_at: dict[int, Fit] = field(default_factory=dict)

    def tokens(self, place: int) -> int:
        """The tokens of output of one that fits."""
        known = self.looked_at.get(place)
        return self.cut.get(place, self.wish.wanted.max_tokens) if known is None else known.clamped.max_tokens

    def fit(self, place: int) -> Fit:
        """One that fits."""
        known = self.looked_at.get(place)
        if known is not None:
            return known
        offer, tokens = self.table.offers[place], self.cut.get(place)
        clamped = self.wish.wanted if tokens is None else Clamped(tokens, "money")
        return Fit(
            place, offer, self.table.providers[place], _price(offer), clamped, self.costs[place],
            self.own_rooms.get(place),
        )  # fmt: skip


def judged(table: Table, wish: Wish, view: View) -> Judged:
    """Judge every offer of a table: context, price ceiling, budgets of its model and provider, deadline, breaker.

    An open breaker excludes an offer only while another one fits whose breaker is not open.
    """
    tokens, load = wish.wanted.max_tokens, wish.load
    output = min(tokens, EXPECTED_OUTPUT_TOKENS)
    costs = table.micro(load.expected, output, estimate.expected_compute_ms(load, output))
    asks = view.policy.heeds_time or bool(view.lessons.seen)
    late = table.some_known and _is_late(table.slowest_ms(output), wish)
    waits = _waits(table, output, view) if asks or late else table.no_waits
    lines = _own_budgets(table, view)
    rooms = {at: min([line.available_nanousd for line in own]) for at, own in lines.items()}
    result = Judged(table, wish, costs, costs, waits, table.places, own_rooms=rooms)
    if wish.squeezed:
        alone = set(table.places)
    else:
        alone = _tight(result, asks=asks or late) | {at for at, room in rooms.items() if room < wish.ceiling}
        _hold_to_ceiling(result, alone)
    for place in sorted(alone):
        answer = _looked_at(result, place, lines.get(place, ()), view)
        if isinstance(answer, Fit):
            result.looked_at[place] = answer
        else:
            result.refused.append(answer)
    if alone:
        result.places = [at for at in result.places if at not in alone or at in result.looked_at]
        result.costs = costs = list(result.costs)
        for place, one in result.looked_at.items():
            costs[place] = one.expected_micro
    if view.shut and not view.shut.isdisjoint(table.all_keys):
        _without_shut(result, view.shut)
    return result


def _tight(result: Judged, *, asks: bool) -> set[int]:
    """Places at which the context or the deadline might bind the offer."""
    table, wish = result.table, result.wish
    tight: set[int] = set()
    if wish.generates and table.least_context is not None:
        context = wish.load.context_tokens + max(wish.wanted.max_tokens, 1)
        if table.least_context < context:
            tight.update(at for at, one in enumerate(table.offers) if (one.context_tokens or context) < context)
    if asks:
        tight.update(at for at, wait in enumerate(result.waits_ms) if _is_late(wait, wish))
    return tight


def _hold_to_ceiling(result: Judged, alone: set[int]) -> None:
    """Refuse the offers that the ceiling cannot pay, and cut the tokens of those that it pays in part, but for those
    that are looked at alone. What a call costs is linear in its tokens of output."""
    table, wish, load = result.table, result.wish, result.wish.load
    tokens, ceiling = wish.wanted.max_tokens, wish.ceiling * estimate.MICRO
    most = (load.least, tokens, estimate.expected_compute_ms(load, tokens))
    if table.dearest_micro(*most) <= ceiling:
        return
    full = table.micro(*most)
    each, fewer = table.of_a_token, tokens - wish.least
    least = [needs - fewer * one for needs, one in zip(full, each, strict=True)]
    over = [at for at, needs in enumerate(full) if needs > ceiling and at not in alone]
    beyond = [at for at in over if least[at] > ceiling]
    if beyond:
        _price_out(result, sorted(beyond, key=least.__getitem__), least)
    if len(beyond) < len(over):
        expected, costs = min(tokens, EXPECTED_OUTPUT_TOKENS), list(result.costs)
        for at in over:
            if least[at] <= ceiling:
                given = result.cut[at] = (ceiling - full[at]) // each[at] + tokens
                costs[at] -= max(0, expected - given) * each[at]
        result.costs = costs


def _price_out(result: Judged, places: Sequence[int], least: Sequence[int]) -> None:
    """Refuse these places for their price, the cheapest first, and tell most of them one by one."""
    for place in places[:MOST_ALONE]:
        needs = -(-least[place] // estimate.MICRO)
        result.refused.append(_too_dear(result.table.offers[place], needs, result.wish))
    result.beyond = max(0, len(places) - MOST_ALONE)
    gone = set(places)
    result.places = [at for at in result.places if at not in gone]


def _too_dear(offer: Offer, needs: int, wish: Wish) -> Refused:
    detail = f"needs a ceiling of {needs} nano-dollars{_for_output(wish)}; it is {wish.ceiling}"
    return Refused(offer, FailureKind.PRICE_CEILING, detail, REACHED + 1, needs=needs)


def _for_output(wish: Wish) -> str:
    return f" for {wish.least} tokens of output" if wish.generates else ""


def _looked_at(result: Judged, place: int, own: Sequence[Line], view: View) -> Fit | Refused:
    """One offer alone. Where nothing is generated no context is judged: such models cut each text themselves."""
    wish, load = result.wish, result.wish.load
    offer = result.table.offers[place]
    room = None if offer.context_tokens is None else offer.context_tokens - load.context_tokens
    if wish.generates and room is not None and room < max(1, wish.least):
        detail = f"its context has {offer.context_tokens} tokens; the input takes about {load.context_tokens}"
        return Refused(offer, FailureKind.CONTEXT_EXCEEDED, detail, REACHED)
    needs = estimate.least_ceiling(offer.rates, load, wish.least)
    if needs > wish.ceiling:
        return _too_dear(offer, needs, wish)
    own_room = result.own_rooms.get(place)
    spare = wish.ceiling
    if wish.squeezed:
        rooms = (one for one in (view.purse.room_nanousd, own_room) if one is not None)
        spare = min((wish.ceiling, *rooms))
    clamped = Clamped(0, None)
    if wish.generates:
        clamped = limits.clamp(wish.asked, offer, load, spare, view.limits)
        if clamped.bound_by == "money" and spare < wish.ceiling:
            clamped = Clamped(clamped.max_tokens, "budget")
    least = needs
    if wish.squeezed:
        most = needs if wish.generates else most_of(offer, load, 0, wish.ceiling, view)
        if most < wish.ceiling:  # bounded, and no tokens to cut: the budgets pay for all of it, or it is not done
            least = max(needs, most)
    elif own_room is not None:
        least = most_of(offer, load, clamped.max_tokens, wish.ceiling, view)
        spare = min(spare, own_room)
    if least > spare:
        line = min([*own, *view.purse.of_the_job()], key=lambda one: one.available_nanousd)
        return Refused(offer, FailureKind.OVER_BUDGET, short(line, least), REACHED + 2, needs=least)
    if _is_late(result.waits_ms[place], wish):
        detail = f"takes about {result.waits_ms[place]} ms, and {wish.left_ms} ms are left"
        return Refused(offer, FailureKind.TOO_SLOW, detail, REACHED + 3)
    expected = estimate.expected_micro(offer.rates, load, clamped.max_tokens)
    price = _price(offer)
    return Fit(place, offer, result.table.providers[place], price, clamped, expected, own_room)


def _price(offer: Offer) -> Price:
    if offer.price is None:
        raise ValueError("an offer of a table has a price")
    return offer.price


def most_of(offer: Offer, load: Load, max_tokens: int, ceiling: int, view: View) -> int:
    """The most that one attempt at this offer is taken to cost under a ceiling, in nano-dollars."""
    silent_ms = None if offer.dialect in LATER else view.limits.read_timeout_ms
    return estimate.most_cost(offer.rates, load, max_tokens, ceiling=ceiling, silent_ms=silent_ms)


def _waits(table: Table, output_tokens: int, view: View) -> Sequence[int | None]:
    """How long each offer probably takes: as it was seen, else as it was told. A dedicated endpoint that has to start
    takes its start at least, whatever its calls took while it was there."""
    waits = table.waits_ms(output_tokens)
    seen = view.lessons.seen
    if not seen:
        return waits
    return [
        told if key not in seen else max(seen[key].wait_ms, told) if told is not None and offer.dedicated
        else seen[key].wait_ms
        for key, told, offer in zip(table.keys, waits, table.offers, strict=True)
    ]  # fmt: skip


def _is_late(wait_ms: int | None, wish: Wish) -> bool:
    return wait_ms is not None and wait_ms * SLOW_PERCENT > wish.left_ms * 100


def _own_budgets(table: Table, view: View) -> Mapping[int, list[Line]]:
    """By place, the hard budgets of that model or provider alone."""
    found: dict[int, list[Line]] = {}
    for line in view.purse.lines:
        if line.hard and not (line.model is None and line.provider is None):
            for at, (provider, model) in enumerate(table.keys):
                if line.holds_for(model, provider):
                    found.setdefault(at, []).append(line)
    return found


def _without_shut(result: Judged, shut: frozenset[Key]) -> None:
    """Take those out whose breaker is open, if anybody is left."""
    keys = result.table.keys
    left = [at for at in result.places if keys[at] not in shut]
    if left:
        for at in result.places:
            if keys[at] in shut:
                offer = result.table.offers[at]
                result.refused.append(Refused(offer, FailureKind.BREAKER_OPEN, "its breaker is open", REACHED + 4))
        result.places = left


def short(line: Line, needs: int) -> str:
    """What a budget lacks, in words."""
    return (
        f"budget {line.id} of {line.window} has {line.available_nanousd} of {line.limit_nanousd} nano-dollars left "
        f"({line.spent_nanousd} spent, {line.reserved_nanousd} reserved); {needs} are needed"
    )


def quote(refused: Sequence[Refused], beyond: int, wish: Wish) -> str:
    """The cheapest ceiling under which the job would be taken, in words; `beyond` more offers are dearer."""
    cheapest = min(refused, key=lambda one: (one.needs, one.offer.model, one.offer.provider))
    output = f" for the input and {wish.least} tokens of output" if wish.generates else ""
    return (
        f"max_cost_nanousd is {wish.ceiling}; the cheapest of {len(refused) + beyond} offers, {cheapest.offer.model} "
        f"at {cheapest.offer.provider}, needs {cheapest.needs} nano-dollars{output}"
    )
