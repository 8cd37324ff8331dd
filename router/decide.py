"""The decision about one job: who shall do it, at what price, within which limits; or why nobody may.

`decide` is pure and total: a job, a view of the world and an instant give one `Ruling`, always the same. The steps are
tried in this order, and the first that refuses decides: tenant, task, input, payloads, deadline, rate, model, provider,
offers (`router/table.py`, `router/offers.py`), budgets (`router/funds.py`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from router import complexity, estimate, funds, limits
from router.catalogue import ANY_PROVIDER
from router.feedback import reranked
from router.held import to_held
from router.load import EXPECTED_OUTPUT_TOKENS, GENERATIVE, load_of
from router.offers import MOST_ALONE, SLOW_PERCENT, Fit, Judged, Wish, judged, most_of, quote, short
from router.policies import Field
from router.ruling import Ruling
from router.table import Key, Table, summary, table_of, told
from router.view import View
from schemas import codec
from schemas.assignment import Candidate
from schemas.decision import Exclusion, Verdict
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.payload import payload_fault
from schemas.result import Resolved
from schemas.tasks import MODALITIES, input_fault, modality_of
from schemas.values import frozen

__all__ = ["INTERCHANGEABLE", "MOST_CANDIDATES", "Ruling", "decide"]

MOST_CANDIDATES = 3
"""Offers that a worker may ask, one after the other."""

DEEPEST_INPUT = codec.MAX_DEPTH - 2
"""A worker reads the input inside the job inside its assignment, with the same limit on nesting."""

INTERCHANGEABLE = frozenset(
    {
        "automatic-speech-recognition", "chat-completion", "document-question-answering", "image-text-to-image",
        "image-text-to-video", "image-to-image", "image-to-video", "question-answering", "summarization",
        "table-question-answering", "text-generation", "text-to-audio", "text-to-image", "text-to-speech",
        "text-to-video", "visual-question-answering", "zero-shot-classification", "zero-shot-image-classification",
        "zero-shot-object-detection",
    }
)  # fmt: skip
"""Tasks where another model gives another answer to the same question, so that a job which leaves the model to us may
fall back to another one. Elsewhere it answers another question: vectors of two models do not compare, labels of two
classifiers differ, one translator knows one pair of languages, a mask is written in the model's own sign, one model
reads the words of an image and the next describes it. There a fallback keeps the model."""


HAVE_A_DEFAULT = GENERATIVE | {"text-to-image"}
"""Tasks for which an installation may name the model of jobs that ask for `auto`."""


def decide(job: InferenceJob, view: View, *, published: datetime, now: datetime) -> Ruling:
    """Rule on one job that was published at `published`. Never raises on account of the job's content."""
    ceiling = view.limits.default_max_cost_nanousd if job.max_cost_nanousd is None else job.max_cost_nanousd
    frame = _Frame(job, view, job.deadline_at(published), ceiling, now)
    fault = _fault(job, view)
    if fault is not None:
        return frame.refuse(*fault)
    if frame.deadline <= now:
        late = int((now - frame.deadline).total_seconds() * 1000)
        return frame.refuse(
            FailureKind.DEADLINE_PASSED, f"the deadline passed {late} ms before the decision", "expired"
        )
    if not view.turn.allowed:
        return frame.over_rate()
    return _choose(frame)


def _fault(job: InferenceJob, view: View) -> tuple[FailureKind, str] | None:
    """What is wrong with a job whoever does it; None: nothing."""
    if not view.terms.known:
        return FailureKind.TENANT_UNKNOWN, "this installation is closed, and the tenant has no record"
    if job.task not in MODALITIES:
        return FailureKind.UNKNOWN_TASK, f"task {job.task!r} is none of Hugging Face's"
    fault = input_fault(job.task, job.input)
    if fault is not None:
        return FailureKind.INVALID_INPUT, f"input.{fault}"
    fault = payload_fault(
        job.task, job.input, max_bytes=view.limits.max_payload_bytes, http_origins=view.limits.http_origins
    )
    if fault is not None:
        return FailureKind.INVALID_MEDIA, f"input.{fault}"
    depth = codec.depth_of(job.input)
    if depth > DEEPEST_INPUT:
        return FailureKind.INVALID_INPUT, f"input: nested {depth} levels deep; {DEEPEST_INPUT} are allowed"
    return None


@frozen
class _Frame:
    job: InferenceJob
    view: View
    deadline: datetime
    ceiling: int
    now: datetime
    considered: frozenset[Key] = frozenset()
    scored: float | None = None
    resolved: Resolved | None = None

    def refuse(
        self, kind: FailureKind, message: str, verdict: Verdict = "rejected", exclusions: Sequence[Exclusion] = ()
    ) -> Ruling:
        return Ruling(
            verdict,
            self.deadline,
            self.ceiling,
            kind,
            message[:1000],
            self.modality,
            self.scored,
            exclusions=told(exclusions),
            held=to_held(self.view, self.considered),
            resolved=self.resolved,
        )

    def wait(
        self, kind: FailureKind, message: str, until: datetime | None, exclusions: Sequence[Exclusion] = ()
    ) -> Ruling:
        return replace(self.refuse(kind, message, exclusions=exclusions), verdict="waiting", until=until)

    def over_rate(self) -> Ruling:
        """It waits for its turn, if its tenant's jobs wait and the turn comes before the deadline."""
        turn = self.view.turn
        comes = turn.at is not None and turn.at < self.deadline
        if self.view.terms.over_limit == "wait" and comes:
            return self.wait(FailureKind.OVER_RATE, f"over {turn.limit}", turn.at)
        when = "" if turn.at is None else f"; the next is allowed at {turn.at.isoformat()}"
        return self.refuse(FailureKind.OVER_RATE, f"over {turn.limit}{when}")

    @property
    def modality(self) -> str | None:
        """Whose worker does it; None for a task that nobody knows."""
        return modality_of(self.job.task, self.job.input) if self.job.task in MODALITIES else None


def _choose(frame: _Frame) -> Ruling:
    job, view, catalogue = frame.job, frame.view, frame.view.catalogue
    model, resolved = _model(job, view)
    frame = replace(frame, resolved=resolved) if resolved is not None else frame
    if model is not None and model not in catalogue.by_model:
        of = f", for which alias {resolved.alias!r} stands," if resolved is not None else ""
        return frame.refuse(FailureKind.UNKNOWN_MODEL, f"model {model!r}{of} is not in the catalogue")
    if job.provider != ANY_PROVIDER and job.provider not in catalogue.providers:
        known = ", ".join(sorted(catalogue.providers))
        return frame.refuse(FailureKind.UNKNOWN_PROVIDER, f"provider {job.provider!r} is unknown; known are: {known}")

    wish = Wish.of(job, frame.ceiling, view, frame.deadline, frame.now)
    images = bool(wish.load.images)
    table = table_of(catalogue, job.task, model, job.provider, view.terms, view.governance, images=images)
    frame = replace(frame, considered=table.all_keys, scored=complexity.score(job.task, job.input))
    result = judged(table, wish, view)
    answer = _assigned(frame, result, model)
    if isinstance(answer, Ruling):
        return answer
    return _short_of_money(frame, table, wish, model, answer)


@frozen
class _Short:
    """The budgets have not enough left for the answer that is wanted."""

    needs: int
    exclusions: list[Exclusion]


def _assigned(frame: _Frame, result: Judged, model: str | None) -> Ruling | _Short:
    """The assignment to the best of the offers that fit; a refusal where none does."""
    view, wish, table = frame.view, result.wish, result.table
    exclusions = [one.exclusion() for one in result.refused]
    if result.beyond:
        exclusions.append(summary(result.beyond, FailureKind.PRICE_CEILING, "further ones, dearer still"))
    exclusions += table.exclusions
    if not result.places:
        over = [one.needs for one in result.refused if one.reason == FailureKind.OVER_BUDGET]
        if over:
            return _Short(min(over), exclusions)
        kind, message = _nobody(result, model)
        return frame.refuse(kind, message, exclusions=exclusions)
    ranked = _ranked(view, result, frame.scored or 0.0)
    if len(ranked) < len(result.places):
        left = len(result.places) - len(ranked)
        exclusions.append(summary(left, FailureKind.NO_CANDIDATE, f"policy {view.policy.name} names others"))
    if not ranked:
        message = f"policy {view.policy.name} takes none of the {len(result.places)} offers that fit"
        return frame.refuse(FailureKind.NO_CANDIDATE, message, exclusions=exclusions)

    first = result.fit(ranked[0])
    tokens = first.clamped.max_tokens
    room = funds.spare(view, wish.ceiling, first.own_room)
    needs = most_of(first.offer, wish.load, tokens, room if wish.squeezed else wish.ceiling, view)
    if needs > room:
        return _Short(needs, exclusions)
    share = funds.Share(view, wish.ceiling, room, needs)
    kept, left_out = _followers(first, ranked[1:], result, share)
    candidates = tuple(_candidate(one, wish, tokens, most) for one, most in ((first, needs), *kept))
    warmth = view.policy.temperature(frame.scored or 0.0) if model is None else None
    # A model that somebody named was not the policy's choice, and its temperature goes with its choice.
    reserve = share.reserve(frame.job, candidates)
    return Ruling(
        "assigned",
        frame.deadline,
        reserve.nanousd,
        modality=frame.modality,
        complexity=frame.scored,
        candidates=candidates,
        exclusions=told([*left_out, *exclusions]),
        parameters=limits.parameters(frame.job.task, frame.job.input, tokens, warmth, view.limits),
        adapted=limits.adapted(wish.asked, first.clamped, view.limits),
        bound_by=first.clamped.bound_by,
        reserve=reserve,
        held=to_held(view, frame.considered),
        resolved=frame.resolved,
        sure_until=_sure_until(frame, table, wish),
    )


def _sure_until(frame: _Frame, table: Table, wish: Wish) -> datetime | None:
    """Until when time alone changes nothing: the deadline is ahead, and nobody is too slow for it. What was observed
    changes with time as well."""
    if not frame.considered.isdisjoint(frame.view.lessons.seen):
        return None
    output = min(wish.wanted.max_tokens, EXPECTED_OUTPUT_TOKENS)
    slowest_ms = table.slowest_ms(output) * SLOW_PERCENT // 100 if table.some_known else 0
    return frame.deadline - timedelta(milliseconds=slowest_ms + 2)  # both are rounded down to a millisecond


def _short_of_money(frame: _Frame, table: Table, wish: Wish, model: str | None, lacking: _Short) -> Ruling:
    """What becomes of a job whose budgets have not enough left.

    While reservations are open some of their money may come back, and the job waits for it rather than get less. Then
    it gets what the rest pays for, if that is of any use; else it waits for the next window, or is refused.
    """
    view = frame.view
    waits = view.terms.over_limit == "wait"
    lines = funds.binding(view.purse, lacking.needs, table.keys)
    message = short(lines[0], lacking.needs)
    if any(line.reserved_nanousd for line in lines):
        if waits:
            return frame.wait(FailureKind.OVER_BUDGET, message, funds.resets(lines), lacking.exclusions)
        return frame.refuse(FailureKind.OVER_BUDGET, message + funds.when(lines), exclusions=lacking.exclusions)
    answer = _assigned(frame, judged(table, replace(wish, squeezed=True), view), model)
    if isinstance(answer, Ruling):
        return answer
    lines = funds.binding(view.purse, answer.needs, table.keys)
    message, again = short(lines[0], answer.needs), funds.resets(lines)
    if waits and again is not None and again < frame.deadline:
        return frame.wait(FailureKind.OVER_BUDGET, message, again, answer.exclusions)
    return frame.refuse(FailureKind.OVER_BUDGET, message + funds.when(lines), exclusions=answer.exclusions)


def _ranked(view: View, result: Judged, scored: float) -> list[int]:
    """Places of the table in the policy's order, and what was observed of them heeded."""
    table, places = result.table, result.places
    if len(places) == len(table.offers):
        field = Field(table.models, table.providers, table.tiers, result.in_full, result.waits_ms)
    else:
        columns = (table.models, table.providers, table.tiers, result.in_full, result.waits_ms)
        field = Field(*([column[at] for at in places] for column in columns))  # type: ignore[arg-type]
    order = view.policy.rank(field, scored)
    ranked = order if len(places) == len(table.offers) else [places[at] for at in order]
    if not ranked or not view.lessons.seen:
        return ranked
    return reranked(
        ranked, view.policy.alike(field, order, scored), table.keys, result.in_full, result.waits_ms, view.lessons,
        nanousd_per_ms=view.policy.nanousd_per_ms,
    )  # fmt: skip


def _model(job: InferenceJob, view: View) -> tuple[str | None, Resolved | None]:
    """The catalogue's name of the model that was asked for, and how it was found behind an alias of the registry.
    None: the policy may choose."""
    if job.model != "auto":
        resolved = _behind(job.model, job, view)
        if resolved is not None:
            return resolved.model, resolved
        return view.catalogue.resolve(job.model, job.task) or job.model, None
    default = view.limits.text_model if job.task in GENERATIVE else view.limits.image_model
    if default == "auto" or job.task not in HAVE_A_DEFAULT:
        return None, None
    resolved = _behind(default, job, view)
    model = resolved.model if resolved is not None else view.catalogue.resolve(default, job.task)
    served = any(one.model == model for one in view.catalogue.by_task.get(job.task, ()))
    return (model, resolved) if served else (None, None)


def _behind(name: str, job: InferenceJob, view: View) -> Resolved | None:
    """What a name stands for in the registry. A model's own name stands for itself; the registry's aliases go before
    the catalogue's. Of several models the first is taken that the tenant may have for such a job."""
    catalogue = view.catalogue
    if name in catalogue.by_model or not view.governance.standing.aliases:
        return None
    images = bool(load_of(job.task, job.input).images)

    def usable(model: str) -> bool:
        if model not in catalogue.by_model:
            return False
        return bool(
            table_of(catalogue, job.task, model, job.provider, view.terms, view.governance, images=images).offers
        )

    return view.governance.resolved(name, usable, catalogue.by_model.__contains__)


def _followers(
    first: Fit, others: Sequence[int], result: Judged, share: funds.Share
) -> tuple[list[tuple[Fit, int]], list[Exclusion]]:
    """The fallbacks behind `first`, each with the most that one attempt may cost, and why others are none.

    All candidates get the same parameters, so a fallback must have room for them, in its context, under the ceiling and
    in the budgets. Behind the last that is kept nobody is looked at.
    """
    wish, table, tokens = result.wish, result.table, first.clamped.max_tokens
    kept: list[tuple[Fit, int]] = []
    left: list[Exclusion] = []
    further = 0
    for at, place in enumerate(others):
        if len(kept) + 1 == MOST_CANDIDATES:
            behind = len(others) - at
            left.append(summary(behind, FailureKind.NO_CANDIDATE, f"ranked behind the first {MOST_CANDIDATES}"))
            break
        reason, detail = FailureKind.NO_CANDIDATE, ""
        if table.models[place] != first.offer.model and wish.job.task not in INTERCHANGEABLE:
            detail = f"answers of {wish.job.task} do not compare with those of {first.offer.model}"
        elif result.tokens(place) < tokens:
            if len(left) < MOST_ALONE:
                reason = _BOUND.get(result.fit(place).clamped.bound_by or "", FailureKind.PRICE_CEILING)
            detail = f"has room for {result.tokens(place)} tokens of output, the first choice for {tokens}"
        else:
            one = result.fit(place)
            most = most_of(one.offer, wish.load, tokens, wish.ceiling, share.view)
            if share.takes(most, one.own_room):
                kept.append((one, most))
                continue
            reason = FailureKind.OVER_BUDGET
            detail = f"may cost {most} nano-dollars, more than the budgets have left for it"
        if len(left) < MOST_ALONE:
            left.append(result.fit(place).exclude(reason, detail))
        else:
            further += 1
    if further:
        left.append(summary(further, FailureKind.NO_CANDIDATE, "further ones that could not take its place"))
    return kept, left


_BOUND = {"context": FailureKind.CONTEXT_EXCEEDED, "budget": FailureKind.OVER_BUDGET}


def _candidate(one: Fit, wish: Wish, max_tokens: int, most: int) -> Candidate:
    expected = one.expected
    if one.clamped.max_tokens != max_tokens:
        expected = estimate.expected_cost(one.offer.rates, wish.load, max_tokens)
    return Candidate.made(
        model=one.offer.model,
        provider=one.provider,
        provider_model=one.offer.provider_model,
        adapter_weights_path="",
        dialect=one.offer.dialect,
        base_url=one.offer.base_url or "",
        price=one.price,
        max_in_flight=one.offer.max_in_flight,
        context_tokens=one.offer.context_tokens,
        estimate_nanousd=min(expected, most),
        ceiling_nanousd=most,
    )


def _nobody(result: Judged, model: str | None) -> tuple[FailureKind, str]:
    """The one reason that is told when no offer is left: the one that stopped the offers which came furthest."""
    job, refused = result.wish.job, [*result.table.refused, *result.refused]
    what = f"{job.task} by {model or 'any model'}" + (f" at {job.provider}" if job.provider != ANY_PROVIDER else "")
    closest = max(refused, key=lambda one: one.reached, default=None)
    if closest is None:
        return FailureKind.NO_CANDIDATE, f"no model of the catalogue that is served here does {job.task}"
    alike = [one for one in refused if one.reason == closest.reason]
    if closest.reason == FailureKind.PRICE_CEILING:
        return closest.reason, quote(alike, result.beyond, result.wish)
    return closest.reason, f"{what}: {len(alike)} of {len(refused) + result.beyond} offers: {closest.detail}"
