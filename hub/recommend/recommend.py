"""From a task and its context to a recommendation: analyse, search, hold to the conditions, score, explain.

Decides nothing by itself that its parts do not; the same task, context, index and observations give the same answer.
"""

from collections import Counter
from collections.abc import Iterable

from hub.discovery.known import Known
from hub.recommend.alternatives import Scored, alternatives
from hub.recommend.analyse import analyse
from hub.recommend.candidates import Candidate, Search, gather, searches
from hub.recommend.constraints import merged, reasons, said
from hub.recommend.score import parts, total, weights
from schemas.discovery import Part, SourceNote
from schemas.recommendation import (
    Applied,
    Condition,
    Constraints,
    Excluded,
    ModelRecommendation,
    Reasoning,
    RecommendationContext,
    Recommended,
    TaskAnalysis,
    TaskDescription,
)

LISTS = ("licenses", "regions", "providers", "authors", "libraries")
"""Of which any word will do: the sentence's and the context's hold each for itself."""


def recommend(
    task: TaskDescription, context: RecommendationContext, *, search: Search, known: Known
) -> ModelRecommendation:
    """Which models to use for `task`, and why those. `search` is `hub.index.store.Index.search` with its `known` bound.

    Raises what `search` raises. Without anything understood nothing is searched, and the answer says so.
    """
    analysis = analyse(task, at=context.at)
    asked = merged(analysis.constraints, context.constraints)
    apart = Constraints(**{name: getattr(context.constraints, name) for name in LISTS})
    if not _says_anything(analysis, asked):
        nothing = "the sentence names no task, no words and no condition that Novix knows: say what the model shall do"
        return ModelRecommendation(
            task=task, context=context, reasoning=Reasoning(task_analysis=analysis), notes=(nothing, *_lost(analysis))
        )
    candidates, searched, answers = gather(
        searches(analysis, asked, context.tenant), search, known, task=analysis.task, tenant=context.tenant
    )
    out = {one.entry.id: reasons(one, analysis, (asked, apart), at=context.at) for one in candidates}
    given = weights(analysis, context.weights)
    addends = {one.entry.id: parts(one, analysis, given, at=context.at) for one in candidates}
    for one in candidates:
        if analysis.task is not None and not _does(addends[one.entry.id]):
            out[one.entry.id].insert(0, Condition(name="task", value=f"does {one.entry.task or 'nobody knows what'}"))
    ranked = _ranked(candidates, out, addends)
    best = ranked[: context.top]
    applied = _applied(asked, analysis, out)
    sources, partial = (
        _sources(answer_sources for answer in answers for answer_sources in answer.sources),
        any(answer.partial for answer in answers),
    )
    return ModelRecommendation(
        task=task,
        context=context,
        recommendations=tuple(
            _recommended(one, place, addends[one.entry.id], applied) for place, (one, _) in enumerate(best, 1)
        ),
        reasoning=Reasoning(
            task_analysis=analysis,
            searches=tuple(searched),
            considered=len(candidates),
            excluded=_excluded(candidates, out, ranked, context.top),
            weights={factor: round(weight, 6) for factor, weight in given.items()},
            constraints=applied,
        ),
        alternatives=alternatives(ranked, analysis),
        notes=(*_lost(analysis), *_notes(best, candidates, partial=partial)),
        sources=sources,
        partial=partial,
    )


def _says_anything(analysis: TaskAnalysis, asked: Constraints) -> bool:
    return bool(
        analysis.task
        or analysis.modality
        or analysis.topic
        or analysis.languages
        or analysis.domains
        or analysis.preferences
        or asked != Constraints()
    )


def _does(addends: tuple[Part, ...]) -> bool:
    return all(part.value > 0 for part in addends if part.name == "task")


def _ranked(
    candidates: Iterable[Candidate], out: dict[str, list[Condition]], addends: dict[str, tuple[Part, ...]]
) -> list[Scored]:
    """Who keeps every condition, best first; of equals the more downloaded one, then by id."""
    kept = [(one, total(addends[one.entry.id])) for one in candidates if not out[one.entry.id]]
    return sorted(kept, key=lambda one: (-round(one[1], 9), -(one[0].entry.downloads or 0), one[0].entry.id))


def _recommended(one: Candidate, place: int, addends: tuple[Part, ...], applied: tuple[Applied, ...]) -> Recommended:
    entry = one.entry
    strong = sorted(addends, key=lambda part: (-part.value * part.weight, part.name))[:3]
    kept = (
        f"keeps {', '.join(dict.fromkeys(said(rule.name) for rule in applied))}" if applied else "no condition was set"
    )
    return Recommended(
        model=entry.id,
        rank=place,
        score=round(total(addends), 6),
        parts=addends,
        why=(*(f"{part.name}: {part.says}" for part in strong), kept),
        task=entry.task,
        license=entry.license,
        parameters=entry.parameters,
        revision=entry.revision,
        latency=one.latency,
        cost=one.cost,
        quality=one.quality,
        downloads=entry.downloads,
        approved=one.allowed,
    )


def _excluded(
    candidates: Iterable[Candidate], out: dict[str, list[Condition]], ranked: list[Scored], top: int
) -> tuple[Excluded, ...]:
    """Everybody who is not recommended: the near misses by rank first, then who fails a condition, by id."""
    beaten = tuple(
        Excluded(model=one.entry.id, reasons=(Condition(name="rank", value=f"place {place}, score {score:.4f}"),))
        for place, (one, score) in enumerate(ranked[top:], top + 1)
    )
    failing = tuple(
        Excluded(model=one.entry.id, reasons=tuple(out[one.entry.id])) for one in candidates if out[one.entry.id]
    )
    return beaten + failing


def _applied(asked: Constraints, analysis: TaskAnalysis, out: dict[str, list[Condition]]) -> tuple[Applied, ...]:
    """The conditions, and how many candidates fail each."""
    removed = Counter(name for told in out.values() for name in {reason.name for reason in told})
    values = {name: _shown(value) for name, value in asked.model_dump(exclude_defaults=True).items()}
    if analysis.task:
        values = {"task": analysis.task, **values}
    if analysis.languages:
        values["language"] = ", ".join(analysis.languages)
    extra = {name: "always" for name in ("allowed", "available", "security") if removed[name]}
    extra |= {"one_offer": "all of them by one offer"} if removed["one_offer"] else {}
    told = {**values, **extra}
    return tuple(Applied(name=name, value=value, removed=removed[name]) for name, value in told.items())


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _sources(notes: Iterable[SourceNote]) -> tuple[SourceNote, ...]:
    """Each source once; one that failed in any search counts as failed."""
    found: dict[str, SourceNote] = {}
    for note in notes:
        if note.source not in found or (found[note.source].ok and not note.ok):
            found[note.source] = note
    return tuple(found[name] for name in sorted(found))


def _lost(analysis: TaskAnalysis) -> tuple[str, ...]:
    return tuple(f"not understood, and not applied: {part}" for part in analysis.not_understood)


def _notes(best: list[Scored], candidates: list[Candidate], *, partial: bool) -> tuple[str, ...]:
    told = []
    if partial:
        told.append("a source of the catalogue did not answer: what only it knows is missing")
    if not best:
        told.append(
            "no candidate keeps every condition: see what each of them removed" if candidates else "no model was found"
        )
    priceless = [one.entry.id for one, _ in best if one.cost is None]
    if priceless:
        told.append(f"price unknown: {', '.join(priceless)}")
    timeless = [one.entry.id for one, _ in best if one.latency is None]
    if timeless:
        told.append(f"latency unknown: {', '.join(timeless)}")
    guessed = [one.entry.id for one, _ in best if one.latency is not None and one.latency.source == "predicted"]
    if guessed:
        told.append(f"latency is a guess from the size: {', '.join(guessed)}")
    return tuple(told)
