"""Advice on what to change, each line with the saving that its replay gave. Pure. Without data there is no advice.

| advice | how its saving is found |
|---|---|
| another policy | every job decided again under it (`study.py`) |
| any provider | jobs that named their provider, decided again as if they had left it open |
| any model | jobs that named their model, decided again as if they had left it open; their answers may differ |
| repeats | jobs of the same tenant whose task and input were answered before: what was paid for the later ones |
| batch | jobs with a day or more until their deadline, at the provider's `batch` price of that moment |
| cached input | what repeated beginnings of prompts cost more than the price for cached tokens |
| over-asking | no money: what would not have been reserved, had jobs asked for the tokens that such jobs use |
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from router.history import History, NotReplayable
from router.policies import POLICIES, Policy, made
from router.replay import seen_again
from router.whatif.past import Observed, Past, Used, repriced
from router.whatif.study import Alternative, Study
from schemas import codec
from schemas.job import InferenceJob, ReadableJob
from schemas.values import frozen

BATCH_WITHIN = timedelta(hours=24)
"""Turnaround that providers promise for their batch tier."""
BATCH_TIER = "batch"
LEAST_PREFIX_BYTES = 4_096
"""About 1,024 tokens: the shortest beginning of a prompt that providers keep."""
BYTES_PER_TOKEN = 4
MOST_PREFIXES = 100_000
MOST_INPUTS = 1_000_000
CACHED_WITHIN = timedelta(minutes=5)
"""How long a beginning stays with a provider: the shortest that is promised."""
AMPLE = 2
"""Asking for more than so many times the tokens that 95 of 100 answers of that task use is asking too much."""


@frozen
class Advice:
    """One line."""

    advice: str
    jobs: int
    """That it would change."""
    saved_nanousd: int
    """By its replay, over the whole span."""
    caution: str = ""
    """What it gives up, or what was assumed."""
    freed_nanousd: int = 0
    """Of reservations: money that would have been free for others meanwhile."""


def _open_provider(job: InferenceJob) -> InferenceJob:
    return job if job.provider == "auto" else job.model_copy(update={"provider": "auto"})


def _open_model(job: InferenceJob) -> InferenceJob:
    return job if job.model == "auto" else job.model_copy(update={"model": "auto", "provider": "auto"})


def alternatives() -> list[Alternative]:
    """The other policies with their own defaults, and jobs that leave the choice to the router."""
    policies = [_under(name) for name in sorted(POLICIES) if _free_standing(name)]
    return [
        *policies,
        Alternative("any provider", job=_open_provider),
        Alternative("any model", job=_open_model),
    ]


def _free_standing(name: str) -> bool:
    """Whether a policy means anything without parameters."""
    return not any(one.is_required() for one in POLICIES[name].model_fields.values()) and not name.startswith("pinned/")


def _under(name: str) -> Alternative:
    @functools.lru_cache(maxsize=64)
    def policy(cheap_below: float) -> Policy:
        return made(name, {}, cheap_below=cheap_below)

    return Alternative(f"policy {name}", lambda _, cheap_below: policy(cheap_below))


@dataclass(slots=True)
class _Sum:
    jobs: int = 0
    nanousd: int = 0

    def add(self, nanousd: int) -> None:
        self.jobs += 1
        self.nanousd += nanousd


@dataclass(slots=True)
class _Asked:
    """What jobs of one task asked for, and what they used."""

    used: Counter[int] = field(default_factory=Counter)
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    """Tokens that were asked for, reserved nano-dollars, and nano-dollars for one token of output."""


class SavingsStudy:
    """All advice at once. One owner; jobs in the order of the log."""

    def __init__(self, history: History, observed: Observed) -> None:
        self._history = history
        self._study = Study(history, alternatives(), observed)
        self._batch, self._cached, self._repeats = _Sum(), _Sum(), _Sum()
        self._inputs: set[bytes] = set()
        self._prefixes: dict[bytes, datetime] = {}
        self._asked: dict[str, _Asked] = {}
        self.jobs = 0
        """That were paid for."""

    @property
    def skipped(self) -> Counter[str]:
        """Decisions that could not be looked at, by reason."""
        return self._study.skipped

    def note(self, past: Past) -> None:
        """Look at one job."""
        self._study.note(past)
        used, reading = past.used, past.arrival.reading
        if used is None or not isinstance(reading, ReadableJob):
            return
        self.jobs += 1
        try:
            case, _ = seen_again(past.stored, past.arrival, self._history)
        except NotReplayable:
            return
        deadline = reading.job.deadline_at(case.arrival.published)
        self._note_repeat(reading.job, used)
        self._note_batch(past, used, deadline - case.decided_at)
        self._note_cached(past, reading.job, used, case.decided_at)
        self._note_asked(past, used)

    def advice(self) -> Sequence[Advice]:
        """What saves something, most first; what frees reservations alone comes last."""
        lines = [self._replayed(name) for name in self._study.reports]
        told = (
            ("answer repeats from what was answered before", self._repeats, "answers may be meant to differ"),
            ("use the batch tier where a day is left", self._batch, "answers within 24 hours"),
            ("let providers keep repeated beginnings of prompts", self._cached, "assumes that each is kept 5 minutes"),
        )
        lines += [Advice(text, one.jobs, one.nanousd, caution) for text, one, caution in told]
        found = sorted((one for one in lines if one.saved_nanousd > 0), key=lambda one: -one.saved_nanousd)
        return [*found, *self._over_asking()]

    def _replayed(self, name: str) -> Advice:
        tally = self._study.reports[name].whole
        cautions = [
            f"{tally.fates['refused']} jobs would be refused" if tally.fates["refused"] else "",
            f"{tally.slower} would be slower" if tally.slower else "",
            f"of {tally.unknown_ms} the time is not known" if tally.unknown_ms else "",
            "another model's answer differs" if tally.fates["moved"] and name != "any provider" else "",
        ]
        advice = {"any provider": "leave the provider open", "any model": "leave the model open"}.get(
            name, f"use {name}"
        )
        return Advice(advice, tally.fates["moved"], tally.saved_nanousd, "; ".join(filter(None, cautions)))

    def _note_repeat(self, job: InferenceJob, used: Used) -> None:
        content = codec.canonical([job.tenant, job.task, job.model, job.input])
        digest = hashlib.sha256(content).digest()[:16]
        if digest in self._inputs:
            self._repeats.add(used.paid_nanousd)
        elif len(self._inputs) < MOST_INPUTS:
            self._inputs.add(digest)

    def _note_batch(self, past: Past, used: Used, left: timedelta) -> None:
        if left < BATCH_WITHIN:
            return
        book = self._history.prices(past.stored["versions"]["prices"])
        decided_at = datetime.fromisoformat(past.stored["decided_at"])
        event = book.price_at(used.provider, used.model, decided_at, BATCH_TIER)
        if event is not None and event.price is not None and event.price.is_known:
            self._batch.add(max(0, used.paid_nanousd - repriced(event.price, used.usage)))

    def _note_cached(self, past: Past, job: InferenceJob, used: Used, at: datetime) -> None:
        """The beginning of a chat that the same model had read a moment ago, at the price for cached tokens."""
        price = _price(past, used)
        own, cached = (
            price.get("input_nanousd_per_million_tokens", 0),
            price.get("cached_input_nanousd_per_million_tokens"),
        )
        messages = job.input.get("messages")
        if cached is None or cached >= own or not isinstance(messages, list) or used.usage.get("cached_input_tokens"):
            return
        shared, rolling = 0, hashlib.sha256(f"{job.tenant}\0{used.provider}\0{used.model}".encode())
        read = 0
        for message in messages:
            told = codec.canonical(message)
            rolling.update(told)
            read += len(told)
            key = rolling.digest()[:16]
            before = self._prefixes.get(key)
            if before is not None and at - before <= CACHED_WITHIN:
                shared = read
            if before is not None or len(self._prefixes) < MOST_PREFIXES:
                self._prefixes[key] = at
        if shared >= LEAST_PREFIX_BYTES:
            tokens = min(shared // BYTES_PER_TOKEN, used.usage.get("input_tokens", 0))
            self._cached.add(tokens * (own - cached) // 1_000_000)

    def _note_asked(self, past: Past, used: Used) -> None:
        tokens, asked = used.usage.get("output_tokens"), (past.stored.get("parameters") or {}).get("max_tokens")
        if tokens is None or not isinstance(asked, int):
            return
        seen = self._asked.setdefault(str(past.stored.get("task")), _Asked())
        seen.used[tokens] += 1
        reserve = int((past.stored.get("reserve") or {}).get("nanousd") or 0)
        each = _price(past, used).get("output_nanousd_per_million_tokens", 0)
        if reserve:
            seen.asked.append((asked, reserve, each))

    def _over_asking(self) -> list[Advice]:
        lines = []
        for task, seen in sorted(self._asked.items()):
            enough = AMPLE * _quantile(seen.used, 0.95)
            over = [(asked, reserve, each) for asked, reserve, each in seen.asked if asked > enough]
            freed = sum(min(reserve, (asked - enough) * each // 1_000_000) for asked, reserve, each in over)
            if freed:
                told = f"ask {task} for {enough} tokens: 95 of 100 answers use at most {enough // AMPLE}"
                lines.append(Advice(told, len(over), 0, "longer answers would be cut", freed))
        return lines


def _price(past: Past, used: Used) -> dict[str, Any]:
    """The unit prices of who served, as the decision tells them."""
    for one in past.stored.get("candidates") or ():
        if (one.get("model"), one.get("provider")) == (used.model, used.provider):
            return dict(one.get("price") or {})
    return {}


def _quantile(seen: Counter[int], share: float) -> int:
    """The smallest value that so many of those seen do not pass."""
    left = share * seen.total()
    for value in sorted(seen):
        left -= seen[value]
        if left <= 0:
            return value
    return 0
