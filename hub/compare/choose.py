"""Who is best for what, and the sums behind it. Pure, and the same for the same facts in any order of the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.compare.pairs import LEVEL, NO_PAIRS, Pairs, adjusted
from hub.compare.subject import BETTER_LOW
from schemas.comparison import (
    DIMENSIONS,
    Best,
    Costs,
    Dimension,
    PairedTest,
    Performance,
    Quality,
    Ranked,
    Weights,
)

FEW = 20
"""Calls below which a 95th percentile is little more than the slowest of them."""
NAMES: dict[Dimension, str] = {"speed": "observed speed", "quality": "measured quality", "cost": "predicted cost"}


@dataclass(frozen=True, slots=True)
class Known:
    """The three numbers that models are judged by; None: unknown."""

    model: str
    p95_ms: float | None
    n: int
    nanousd: float | None
    quality: Quality
    allowed: bool | None

    @property
    def good(self) -> float | None:
        """Quality such that more is better: of an error rate, what is left of 1."""
        value = self.quality.value
        return 1 - value if value is not None and self.quality.metric in BETTER_LOW else value

    @property
    def point(self) -> dict[Dimension, float | None]:
        """Less is better."""
        good = self.good
        return {"speed": self.p95_ms, "quality": None if good is None else -good, "cost": self.nanousd}


def known_of(performance: Performance, costs: Costs, quality: Quality, allowed: bool | None) -> Known:
    """What of a model's facts is judged."""
    nanousd = None if costs.nanousd is None else costs.nanousd.value
    return Known(performance.model, performance.p95_ms, performance.n, nanousd, quality, allowed)


def allowed_ones(known: Sequence[Known]) -> list[Known]:
    """Those that may be used, as far as anybody has said: who is forbidden is best for nothing."""
    return [one for one in known if one.allowed is not False]


def for_speed(known: Sequence[Known]) -> Best:
    """The lowest 95th percentile of observed calls."""
    measured = [one for one in known if one.p95_ms is not None]
    if not measured:
        return Best(why="no call of any of them has been observed")
    least = min(one.p95_ms for one in measured if one.p95_ms is not None)
    best = sorted((one for one in measured if one.p95_ms == least), key=lambda one: one.model)
    few = "; few calls: a guess" if any(one.n < FEW for one in best) else ""
    missing = _missing(len(known) - len(measured))
    why = f"p95 of {least:,.0f} ms over {_numbers([one.n for one in best])} calls{few}{missing}"
    return Best(models=_names(best), tie=len(best) > 1, why=why)


def for_cost(known: Sequence[Known]) -> Best:
    """The lowest predicted cost of one job of the mix."""
    priced = [one for one in known if one.nanousd is not None]
    if not priced:
        return Best(why="the cost of none of them is known")
    least = min(one.nanousd for one in priced if one.nanousd is not None)
    best = [one for one in priced if one.nanousd == least]
    why = f"{dollars(least)} a job of the mix{_missing(len(known) - len(priced))}"
    return Best(models=_names(best), tie=len(best) > 1, why=why)


def for_quality(known: Sequence[Known], pairs: Pairs = NO_PAIRS) -> Best:
    """The best measured value; with it all that cannot be told apart from it.

    Who answered the same examples is tested in pairs, at 5 % over all these tests together; of others the 95 %
    intervals overlap.
    """
    measured = [one for one in known if one.good is not None]
    if not measured:
        return Best(why="none of them has an evaluation run on a set that others share")
    top = _top(measured)
    tests = {one.other: one for one in paired(known, pairs)}
    ties = [one for one in measured if one is not top and _cannot_tell(one, top, tests.get(one.model))]
    best, quality = [top, *ties], top.quality
    why = (
        f"{quality.metric} {quality.value:.3f} ({quality.low:.3f} to {quality.high:.3f}) "
        f"on {quality.dataset}, {quality.n} examples"
    )
    by = [tests[one.model] for one in ties if one.model in tests]
    if by:
        why += f"; tested in pairs, {_tested(by)}: not told apart"
    if len(by) < len(ties):
        why += "; their 95 % intervals overlap, so these runs do not tell them apart"
    near = [tests[one.model] for one in measured if one not in best and one.model in tests]
    overlapping = [one for one in near if overlap(_quality_of(measured, one.other), quality)]
    if overlapping:
        why += f"; better than others although their intervals overlap: tested in pairs, {_tested(overlapping)}"
    return Best(models=_names(best), tie=len(best) > 1, why=why + _missing(len(known) - len(measured)))


def paired(known: Sequence[Known], pairs: Pairs) -> list[PairedTest]:
    """The best against each other one that answered the same examples."""
    measured = [one for one in known if one.good is not None]
    if not measured:
        return []
    top = _top(measured)
    others = sorted(one.model for one in measured if one is not top)
    return adjusted([found for other in others if (found := pairs.test(top.model, other)) is not None])


def _top(measured: Sequence[Known]) -> Known:
    return max(measured, key=lambda one: (one.good if one.good is not None else 0.0, _negative(one.model)))


def _cannot_tell(one: Known, top: Known, test: PairedTest | None) -> bool:
    if test is None:
        return overlap(one.quality, top.quality)
    return (test.p if test.p_adjusted is None else test.p_adjusted) >= LEVEL


def _tested(tests: Sequence[PairedTest]) -> str:
    """The tests in words; of many the least sure one."""
    told = max(tests, key=lambda one: (one.p_adjusted or 0.0, one.other))
    p = told.p if told.p_adjusted is None else told.p_adjusted
    chance = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    if told.only_model is not None:
        return (
            f"{told.only_model} examples right for {told.model} alone and {told.only_other} for {told.other} ({chance})"
        )
    return f"{told.difference:+.3f} of {told.model} to {told.other} ({chance})"


def _quality_of(known: Sequence[Known], model: str) -> Quality:
    return next(one.quality for one in known if one.model == model)


def overlap(one: Quality, other: Quality) -> bool:
    """Whether two intervals have a value in common."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low <= other.high and other.low <= one.high


def used_weights(known: Sequence[Known], weights: Weights) -> dict[Dimension, float]:
    """The weights of the dimensions of which anything is known, so that they sum to 1; none if there is nothing."""
    told: dict[Dimension, float] = {
        one: float(getattr(weights, one)) for one in DIMENSIONS if any(k.point[one] is not None for k in known)
    }
    total = sum(told.values())
    return {one: weight / total for one, weight in told.items() if weight > 0} if total else {}


def ranking(known: Sequence[Known], weights: Mapping[Dimension, float]) -> tuple[Ranked, ...]:
    """Weighted sums, the best first; equal ones by name. A model of which a weighted dimension is unknown has no sum:
    a guess must not win, nor a 0 lose."""
    best = {one: min((v for k in known if (v := k.point[one]) is not None), default=None) for one in weights}
    rows = [_ranked(one, best, weights) for one in known]
    return tuple(sorted(rows, key=lambda row: (row.score is None, -(row.score or 0.0), row.model)))


def _ranked(one: Known, best: Mapping[Dimension, float | None], weights: Mapping[Dimension, float]) -> Ranked:
    missing = [NAMES[name] for name in weights if one.point[name] is None]
    if not weights:
        return Ranked(model=one.model, score=None, why="nothing is known that weights are given for")
    if missing:
        return Ranked(model=one.model, score=None, why=f"not ranked: {', '.join(missing)} unknown")
    parts = {name: _part(one.point[name], best[name], name) for name in weights}
    score = sum(parts[name] * weight for name, weight in weights.items())
    says = ", ".join(f"{name} {parts[name]:.2f} x {weight:.2f}" for name, weight in weights.items())
    return Ranked(model=one.model, score=score, parts={str(name): value for name, value in parts.items()}, why=says)


def _part(value: float | None, best: float | None, name: Dimension) -> float:
    """From 0 to 1. Of time and money `best / value`: half as fast, or twice as dear, is 0.5. Of quality its own value
    over the best one's."""
    if value is None or best is None:
        return 0.0
    if name == "quality":
        return value / best if best else 1.0
    if value <= best:
        return 1.0
    return best / value


def overall(ranked: Sequence[Ranked]) -> Best:
    """Whoever leads the ranking; several with the same sum are a tie."""
    scored = [row for row in ranked if row.score is not None]
    if not scored:
        return Best(why="no model is known well enough to be ranked")
    top = scored[0].score or 0.0
    best = [row for row in scored if abs((row.score or 0.0) - top) < 1e-9]
    why = f"score {top:.3f}: {best[0].why}"
    left = len(ranked) - len(scored)
    if left:
        why += f"; {left} not ranked for want of measurements"
    return Best(models=tuple(sorted(row.model for row in best)), tie=len(best) > 1, why=why)


def dollars(nanousd: float) -> str:
    """`$0.000012345`; a fraction of a nano-dollar is kept to three digits."""
    text = f"{nanousd / 1e9:.12f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals.ljust(2, '0')}"


def _names(best: Sequence[Known]) -> tuple[str, ...]:
    return tuple(sorted(one.model for one in best))


def _numbers(numbers: Sequence[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)


def _missing(number: int) -> str:
    return f"; unknown of {number} of them" if number else ""


def _negative(text: str) -> tuple[int, ...]:
    """Of equal ones `max` takes the first by name."""
    return tuple(-ord(char) for char in text)
