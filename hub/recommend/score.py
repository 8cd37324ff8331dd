"""How good a candidate is, in factors that add up. Pure; every formula stands here with its constants.

`score = sum(weight * value)`, the weights summing to 1. A factor that nobody asked for (language, field, words) has no
weight. An unknown value counts `UNKNOWN`, below what a middling known one has, and says so: not 0, which would rank a
model that nobody has measured below one that was measured to be bad.
"""

import math
from collections.abc import Mapping
from datetime import datetime

from hub.discovery.lexicon import RELATED, lexicon
from hub.discovery.phrases import tokens
from hub.recommend.candidates import Candidate
from hub.recommend.constraints import dollars, speaks, spoken
from hub.recommend.constraints import weights as weight_of
from schemas.discovery import Part
from schemas.recommendation import Factor, Preference, TaskAnalysis

UNKNOWN = 0.3
USUAL: Mapping[Factor, float] = {
    "task": 0.25, "language": 0.12, "domain": 0.1, "relevance": 0.15, "quality": 0.12, "speed": 0.06, "cost": 0.06,
    "popularity": 0.14, "size": 0.0, "recent": 0.0,
}  # fmt: skip
"""Before the sentence moves them."""
MOVES: Mapping[Preference, Mapping[Factor, float]] = {
    "cheap": {"cost": 0.3},
    "fast": {"speed": 0.3},
    "best": {"quality": 0.25, "popularity": 0.05},
    "small": {"size": 0.3},
    "popular": {"popularity": 0.25},
    "recent": {"recent": 0.25},
}
"""What a preference adds to the usual weights, before they are divided by their sum."""
HALF_COST_NANOUSD = 200_000
"""The price of a request at which the factor is a half: $0.0002, a usual job at $0.25 a million tokens."""
HALF_SPEED_MS = 1_000
HALF_SIZE_BYTES = 2_000_000_000
HALF_AGE_DAYS = 365
MOST_DOWNLOADS = 8
"""The decimal logarithm of downloads at which popularity is 1."""
RELATED_TASK = 0.6
"""The task factor of a model whose task is only near (`hub.discovery.lexicon.RELATED`)."""


def weights(analysis: TaskAnalysis, own: Mapping[Factor, float]) -> dict[Factor, float]:
    """The weights of one answer, summing to 1. `own` replaces the usual ones, and nothing moves those."""
    raw: dict[Factor, float] = dict(USUAL)
    for preference in analysis.preferences:
        for factor, more in MOVES[preference].items():
            raw[factor] += more
    raw.update(own)
    for factor, asked in (
        ("task", analysis.task),
        ("language", analysis.languages),
        ("domain", analysis.domains),
        ("relevance", analysis.topic),
    ):
        if not asked:
            raw[factor] = 0.0
    total = sum(raw.values())
    if total <= 0:
        return {"popularity": 1.0}
    return {factor: raw[factor] / total for factor in USUAL if raw[factor] > 0}


def parts(one: Candidate, analysis: TaskAnalysis, given: Mapping[Factor, float], *, at: datetime) -> tuple[Part, ...]:
    """The addends of a candidate's score."""
    found = []
    for factor, weight in given.items():
        value, says = _value(factor, one, analysis, at)
        if value is None:
            value, says = UNKNOWN, f"{says or 'unknown'}; counted as {UNKNOWN}"
        found.append(Part(name=factor, value=round(value, 6), weight=round(weight, 6), says=says))
    return tuple(found)


def total(addends: tuple[Part, ...]) -> float:
    """The score: exactly the sum of what the parts say."""
    return math.fsum(part.value * part.weight for part in addends)


Value = tuple[float | None, str]
WHOLE_NAME = 6
"""Letters from which on a word is looked for in a name without its signs: "bioclinicalbert" is Bio_ClinicalBERT."""


def _domain(one: Candidate, analysis: TaskAnalysis) -> Value:
    have = fields_of(one)
    hit = [domain for domain in analysis.domains if domain in have]
    return len(hit) / len(analysis.domains), f"for {', '.join(hit)}" if hit else "its tags name none of them"


def _quality(one: Candidate) -> Value:
    return (None, "never measured") if one.quality is None else (one.quality, f"measured {one.quality:.3f}")


def _speed(one: Candidate) -> Value:
    if one.latency is None:
        return None, "latency unknown"
    ms = one.latency.value
    return HALF_SPEED_MS / (HALF_SPEED_MS + ms), f"{ms:,.0f} ms {one.latency.source}"


def _cost(one: Candidate) -> Value:
    if one.cost is None:
        return None, "price unknown"
    return HALF_COST_NANOUSD / (HALF_COST_NANOUSD + one.cost.value), f"{dollars(round(one.cost.value))} a request"


def _popularity(one: Candidate) -> Value:
    pulled = one.entry.downloads
    if pulled is None:
        return None, "downloads unknown"
    return min(1.0, math.log10(1 + pulled) / MOST_DOWNLOADS), f"{pulled:,} downloads in 30 days"


def _size(one: Candidate) -> Value:
    size = weight_of(one.entry)
    if size is None:
        return None, "size unknown"
    return HALF_SIZE_BYTES / (HALF_SIZE_BYTES + size), f"{size / 1e9:,.2f} GB of weights"


def _recent(one: Candidate, at: datetime) -> Value:
    if one.entry.created_at is None:
        return None, "age unknown"
    days = max(0.0, (at - one.entry.created_at).total_seconds() / 86_400)
    return HALF_AGE_DAYS / (HALF_AGE_DAYS + days), f"made {days:,.0f} days ago"


def _value(factor: Factor, one: Candidate, analysis: TaskAnalysis, at: datetime) -> Value:
    asked = {"task": _task, "language": _language, "domain": _domain, "relevance": _relevance}
    known = {"quality": _quality, "speed": _speed, "cost": _cost, "popularity": _popularity, "size": _size}
    if factor in asked:
        return asked[factor](one, analysis)
    return _recent(one, at) if factor == "recent" else known[factor](one)


def _task(one: Candidate, analysis: TaskAnalysis) -> tuple[float, str]:
    entry, task = one.entry, analysis.task or ""
    if entry.task == task or task in entry.tasks:
        return 1.0, f"does {task}"
    if entry.task in RELATED.get(task, ()):
        return RELATED_TASK, f"does {entry.task}, which is near"
    return 0.0, f"does {entry.task or 'nobody knows what'}"


def _language(one: Candidate, analysis: TaskAnalysis) -> tuple[float | None, str]:
    languages = spoken(one.entry)
    wanted = [code for code in analysis.languages if code != "mul"]
    if not languages:
        return None, "its languages are not told"
    if not wanted:
        return (1.0, "for many languages") if "mul" in languages or len(languages) > 2 else (0.0, "for few languages")
    exact = all(speaks(languages - {"mul"}, code) for code in wanted)
    if exact and len(languages) <= len(wanted) + 1:
        return 1.0, f"made for {', '.join(wanted)}"
    return (0.85, f"knows {', '.join(wanted)} among others") if exact else (0.6, "multilingual")


def fields_of(one: Candidate) -> frozenset[str]:
    """The fields of work that its entry, its tags or the words of its name tell."""
    said = {word.lower() for word in (*one.entry.domains, *one.entry.tags)}
    words = {token.word for token in tokens(one.entry.id.replace("_", " "))}
    return frozenset(
        domain
        for domain, names in lexicon().domains.items()
        if domain in said or any(_named(name, words) for name in names)
    )


def _named(name: str, words: set[str]) -> bool:
    return any(word.startswith(name[:-1]) if name.endswith("*") else word == name for word in words)


def _relevance(one: Candidate, analysis: TaskAnalysis) -> tuple[float, str]:
    """The share of the words searched by that stand in its name, tags or description; a word's first five letters will
    do, so that "summaries" finds "summary"."""
    entry = one.entry
    said = tokens(" ".join((entry.id.replace("_", " "), *entry.tags, entry.description or "")))
    have = {token.word[:5] for token in said}
    asked = analysis.topic.split()
    joined = "".join(token.word for token in tokens(entry.id.rpartition("/")[2].replace("_", " ")))
    hit = [word for word in asked if word[:5] in have or (len(word) >= WHOLE_NAME and word in joined)]
    return len(hit) / len(asked), f"has {', '.join(hit)}" if hit else "has none of the words"
