"""The decision about one job: who shall do it, at what price, within which limits; or why nobody may.

`decide` is pure and total: a job, a view of the world and an instant give one `Ruling`, always the same. The steps are
tried in this order, and the first that refuses decides: task, input, payloads, deadline, model, provider, offers.
"""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from router import complexity, estimate, limits
from router.catalogue import ANY_PROVIDER
from router.load import GENERATIVE
from router.offers import Fit, Refused, Wish, fitting, quote
from router.policies import Option
from router.view import View, summary
from schemas import codec
from schemas.assignment import Candidate
from schemas.decision import Exclusion, Reserve, Verdict
from schemas.failure import FailureKind
from schemas.job import InferenceJob
from schemas.payload import payload_fault
from schemas.tasks import MODALITIES, input_fault, modality_of
from schemas.values import frozen

MOST_CANDIDATES = 3
"""Offers that a worker may ask, one after the other."""

MOST_EXCLUSIONS = 32
"""Told one by one in the record; the rest is counted."""

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


@frozen
class Ruling:
    """What was decided, without the identity of the job."""

    verdict: Verdict | Literal["waiting"]
    """`waiting`: over a rate or a budget, and the tenant's jobs wait. Nothing is recorded; it is decided again."""
    deadline: datetime
    max_cost_nanousd: int
    kind: FailureKind | None = None
    """Why it was refused; None: it was not."""
    message: str | None = None
    modality: str | None = None
    complexity: float | None = None
    candidates: tuple[Candidate, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    adapted: dict[str, Any] | None = None
    bound_by: str | None = None
    reserve: Reserve | None = None
    """What is taken out of the budgets until the job ends; None where nothing is called."""
    held: dict[str, Any] = field(default_factory=dict)
    """What the ruling was made from and has no version (`Decision.held`)."""
    until: datetime | None = None
    """Of a `waiting` one: when to look again at the latest; None: when a reservation ends."""


def decide(job: InferenceJob, view: View, *, published: datetime, now: datetime) -> Ruling:
    """Rule on one job that was published at `published`. Never raises on account of the job's content."""
    ceiling = view.limits.default_max_cost_nanousd if job.max_cost_nanousd is None else job.max_cost_nanousd
    frame = _Frame(job, view, job.deadline_at(published), ceiling)
    if job.task not in MODALITIES:
        return frame.refuse(FailureKind.UNKNOWN_TASK, f"task {job.task!r} is none of Hugging Face's")
    fault = input_fault(job.task, job.input)
    if fault is not None:
        return frame.refuse(FailureKind.INVALID_INPUT, f"input.{fault}")
    fault = payload_fault(
        job.task, job.input, max_bytes=view.limits.max_payload_bytes, http_origins=view.limits.http_origins
    )
    if fault is not None:
        return frame.refuse(FailureKind.INVALID_MEDIA, f"input.{fault}")
    depth = codec.depth_of(job.input)
    if depth > DEEPEST_INPUT:
        return frame.refuse(
            FailureKind.INVALID_INPUT, f"input: nested {depth} levels deep; {DEEPEST_INPUT} are allowed"
        )
    if frame.deadline <= now:
        late = int((now - frame.deadline).total_seconds() * 1000)
        return frame.refuse(
            FailureKind.DEADLINE_PASSED, f"the deadline passed {late} ms before the decision", "expired"
        )
    return _choose(frame)


@frozen
class _Frame:
    job: InferenceJob
    view: View
    deadline: datetime
    ceiling: int

    def refuse(
        self,
        kind: FailureKind,
        message: str,
        verdict: Verdict = "rejected",
        exclusions: Sequence[Exclusion] = (),
        scored: float | None = None,
    ) -> Ruling:
        told, modality = _told(exclusions), self.modality
        return Ruling(verdict, self.deadline, self.ceiling, kind, message[:1000], modality, scored, exclusions=told)

    @property
    def modality(self) -> str | None:
        """Whose worker does it; None for a task that nobody knows."""
        return modality_of(self.job.task, self.job.input) if self.job.task in MODALITIES else None


def _choose(frame: _Frame) -> Ruling:
    job, view, catalogue = frame.job, frame.view, frame.view.catalogue
    model = _model(job, view)
    if model is not None and model not in catalogue.by_model:
        return frame.refuse(FailureKind.UNKNOWN_MODEL, f"model {model!r} is not in the catalogue")
    if job.provider != ANY_PROVIDER and job.provider not in catalogue.providers:
        known = ", ".join(sorted(catalogue.providers))
        return frame.refuse(FailureKind.UNKNOWN_PROVIDER, f"provider {job.provider!r} is unknown; known are: {known}")

    wish = Wish.of(job, frame.ceiling)
    offers = catalogue.by_task.get(job.task, ()) if model is None else catalogue.by_model[model]
    judged = [fitting(offer, wish, view) for offer in offers]
    fits = [one for one in judged if isinstance(one, Fit)]
    refused = [one for one in judged if isinstance(one, Refused)]
    exclusions = [one.exclusion() for one in refused]
    if model is None:
        exclusions += view.standing(job.task)
    scored = complexity.score(job.task, job.input)
    if not fits:
        kind, message = _nobody(wish, model, refused)
        return frame.refuse(kind, message, exclusions=exclusions, scored=scored)

    options = [
        Option(index, one.offer.model, one.provider, one.offer.tier, one.expected) for index, one in enumerate(fits)
    ]
    ranked = [fits[option.index] for option in view.policy.rank(options, scored)]
    first = ranked[0]
    kept, left = _followers(first, ranked[1:], wish)
    # A model that somebody named was not the policy's choice, and its temperature goes with its choice.
    warmth = view.policy.temperature(scored) if model is None else None
    return Ruling(
        "assigned",
        frame.deadline,
        frame.ceiling,
        modality=frame.modality,
        complexity=scored,
        candidates=tuple(_candidate(one, wish, first.clamped.max_tokens, view) for one in (first, *kept)),
        exclusions=_told([*exclusions, *left]),
        parameters=limits.parameters(job.task, job.input, first.clamped.max_tokens, warmth, view.limits),
        adapted=limits.adapted(wish.asked, first.clamped, view.limits),
        bound_by=first.clamped.bound_by,
    )


def _model(job: InferenceJob, view: View) -> str | None:
    """The catalogue's name of the model that was asked for; None: the policy may choose."""
    if job.model != "auto":
        return view.catalogue.resolve(job.model, job.task) or job.model
    default = view.limits.text_model if job.task in GENERATIVE else view.limits.image_model
    if default == "auto" or job.task not in HAVE_A_DEFAULT:
        return None
    model = view.catalogue.resolve(default, job.task)
    return model if any(one.model == model for one in view.catalogue.by_task.get(job.task, ())) else None


def _followers(first: Fit, others: Sequence[Fit], wish: Wish) -> tuple[list[Fit], list[Exclusion]]:
    """The fallbacks behind `first`, and why the others are none.

    All candidates get the same parameters, so a fallback must have room for them, in its context and under the ceiling.
    """
    kept: list[Fit] = []
    left: list[Exclusion] = []
    beyond = 0
    for one in others:
        if one.offer.model != first.offer.model and wish.job.task not in INTERCHANGEABLE:
            detail = f"answers of {wish.job.task} do not compare with those of {first.offer.model}"
            left.append(one.exclude(FailureKind.NO_CANDIDATE, detail))
        elif one.clamped.max_tokens < first.clamped.max_tokens:
            detail = f"allows {one.clamped.max_tokens} tokens of output, the first {first.clamped.max_tokens}"
            kind = FailureKind.CONTEXT_EXCEEDED if one.clamped.bound_by == "context" else FailureKind.PRICE_CEILING
            left.append(one.exclude(kind, detail))
        elif len(kept) + 1 < MOST_CANDIDATES:
            kept.append(one)
        else:
            beyond += 1
    if beyond:
        left.append(summary(beyond, FailureKind.NO_CANDIDATE, f"ranked behind the first {MOST_CANDIDATES}"))
    return kept, left


def _candidate(one: Fit, wish: Wish, max_tokens: int, view: View) -> Candidate:
    rates = one.offer.rates
    most = estimate.most_cost(
        rates, wish.load, max_tokens, ceiling=wish.ceiling, read_timeout_ms=view.limits.read_timeout_ms
    )
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
        estimate_nanousd=min(estimate.expected_cost(rates, wish.load, max_tokens), most),
        ceiling_nanousd=most,
    )


def _nobody(wish: Wish, model: str | None, refused: Sequence[Refused]) -> tuple[FailureKind, str]:
    """The one reason that is told when no offer is left: the one that stopped the offers which came furthest."""
    job = wish.job
    what = f"{job.task} by {model or 'any model'}" + (f" at {job.provider}" if job.provider != ANY_PROVIDER else "")
    closest = max(refused, key=lambda one: one.reached, default=None)
    if closest is None:
        return FailureKind.NO_CANDIDATE, f"no model of the catalogue that is served here does {job.task}"
    if closest.reason == FailureKind.PRICE_CEILING:
        return closest.reason, quote([one for one in refused if one.reason == closest.reason], wish)
    same = sum(one.reason == closest.reason for one in refused)
    return closest.reason, f"{what}: {same} of {len(refused)} offers: {closest.detail}"


def _told(exclusions: Sequence[Exclusion]) -> tuple[Exclusion, ...]:
    rest = len(exclusions) - MOST_EXCLUSIONS
    if rest <= 0:
        return tuple(exclusions)
    return (*exclusions[:MOST_EXCLUSIONS], summary(rest, FailureKind.NO_CANDIDATE, "further ones, not told here"))
