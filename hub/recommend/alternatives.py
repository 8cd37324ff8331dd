"""What else keeps every condition and is better in one thing than the first one recommended. Pure."""

from collections.abc import Iterable, Sequence

from hub.recommend.candidates import Candidate
from hub.recommend.constraints import dollars, spoken
from hub.recommend.score import fields_of
from schemas.recommendation import Alternative, Alternatives, TaskAnalysis

MOST = 3
"""Of each sort."""
CLEARLY = 0.01
"""How much better a quality must be, of 1."""
Scored = tuple[Candidate, float]


def alternatives(ranked: Sequence[Scored], analysis: TaskAnalysis) -> Alternatives:
    """Of all who keep every condition, best first. A gain counts only where both values are known."""
    if not ranked:
        return Alternatives()
    first, others = ranked[0][0], ranked[1:]
    better = [one for one in others if _more(one[0].quality, first.quality, CLEARLY)]
    cheaper = [one for one in others if _less(_cost(one[0]), _cost(first))]
    faster = [one for one in others if _less(_latency(one[0]), _latency(first))]
    return Alternatives(
        higher_quality=_told(sorted(better, key=lambda one: (-(one[0].quality or 0.0), one[0].entry.id)), first),
        lower_cost=_told(sorted(cheaper, key=lambda one: (_cost(one[0]) or 0.0, -one[1], one[0].entry.id)), first),
        faster_inference=_told(
            sorted(faster, key=lambda one: (_latency(one[0]) or 0.0, -one[1], one[0].entry.id)), first
        ),
        specialized=_specialised(others, first, analysis),
    )


def _told(found: Iterable[Scored], first: Candidate) -> tuple[Alternative, ...]:
    return tuple(_alternative(one, score, first, "") for one, score in list(found)[:MOST])


def _alternative(one: Candidate, score: float, first: Candidate, why: str) -> Alternative:
    cost, latency = _delta(_cost(one), _cost(first)), _delta(_latency(one), _latency(first))
    quality = _delta(one.quality, first.quality)
    says = [
        why,
        f"quality {quality:+.3f}" if quality is not None else "quality not comparable",
        f"{'costs' if cost >= 0 else 'saves'} {dollars(round(abs(cost)))} a request"
        if cost is not None
        else "price difference unknown",
        f"{abs(latency):,.0f} ms {'slower' if latency >= 0 else 'faster'}"
        if latency is not None
        else "time difference unknown",
    ]
    return Alternative(
        model=one.entry.id,
        says="; ".join(part for part in says if part),
        score=round(score, 6),
        latency=one.latency,
        cost=one.cost,
        cost_delta_nanousd=cost,
        latency_delta_ms=latency,
        quality=one.quality,
        quality_delta=quality,
    )


def _specialised(others: Sequence[Scored], first: Candidate, analysis: TaskAnalysis) -> tuple[Alternative, ...]:
    """Narrower ones: of a field that was asked for and the first is not of, or for fewer languages than it."""
    found = []
    mine, tongues = fields_of(first), spoken(first.entry)
    for one, score in others:
        if one.entry.task != (analysis.task or one.entry.task):
            continue
        fields = [name for name in analysis.domains if name in fields_of(one) and name not in mine]
        languages = spoken(one.entry)
        wanted = {code for code in analysis.languages if code != "mul"}
        narrower = (
            bool(wanted)
            and wanted <= languages
            and "mul" not in languages
            and ("mul" in tongues or not tongues or len(languages) < len(tongues))
        )
        if fields or narrower:
            why = f"made for {', '.join(fields)}" if fields else f"for {', '.join(sorted(languages))} alone"
            found.append((not fields, -score, one.entry.id, one, score, why))
    found.sort(key=lambda row: row[:3])
    return tuple(_alternative(one, score, first, why) for _, _, _, one, score, why in found[:MOST])


def _cost(one: Candidate) -> float | None:
    return None if one.cost is None else one.cost.value


def _latency(one: Candidate) -> float | None:
    return None if one.latency is None else one.latency.value


def _delta(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None else round(value - base, 6)


def _less(value: float | None, base: float | None) -> bool:
    return value is not None and base is not None and value < base


def _more(value: float | None, base: float | None, by: float) -> bool:
    """A measured quality where the first one's is unknown is told as well: it is the only one to be checked."""
    return value is not None and (base is None or value >= base + by)
