"""A Model Hub in memory behind the pages' port: entries that a test lists, searched by substring; the comparison is the
real one, over figures that are told here."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

from hostile_texts import TEXTS

from console.hub.port import BadQuestion, Card, Governance, NotThere, Verdict
from hub.catalog.ages import Age, ages
from hub.compare.compare import UnknownModel, near
from hub.compare.compare import compare as compared
from hub.compare.subject import Subject
from runtime.registry import Named
from schemas.catalog import CatalogEntry, Issue, Said, Security, Serving, SourceState, StatedResult
from schemas.comparison import ComparisonCriteria, Costs, ModelComparison, Performance
from schemas.discovery import (
    Criteria,
    Discovery,
    Facet,
    FacetValue,
    Found,
    Insights,
    Interval,
    Part,
    SourceNote,
)
from schemas.endpoints import CostMetrics, EndpointSpec, EndpointState
from schemas.evals import EvalRun, Score
from schemas.recommendation import (
    Alternative,
    Alternatives,
    Applied,
    Condition,
    Excluded,
    ModelRecommendation,
    Reasoning,
    RecommendationContext,
    Recommended,
    TaskAnalysis,
    TaskDescription,
)
from schemas.registry import Admission, Rules

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BERT, ROBERTA, DISTILBERT, ALBERT = (
    "google-bert/bert-base-uncased", "FacebookAI/roberta-base", "distilbert/distilbert-base-uncased",
    "albert/albert-base-v2",
)  # fmt: skip
CARD = """---
license: apache-2.0
---
# BERT base model (uncased)

Pretrained on English. [Paper](https://example.org/paper) ![a logo](https://example.org/logo.png)

## Intended uses

Sentiment, entities, questions. See [the code](./run.py).

## Limitations and bias

Its answers are *biased* as its texts are.

<script>alert(1)</script><img src=x onerror=alert(2)>
"""


def entry(model: str, **more: Any) -> CatalogEntry:
    """One model."""
    said = (Said(source="hub", fields=("downloads", "likes", "license", "task", "parameters"), since=NOON),)
    fields: dict[str, Any] = {
        "id": model, "task": "fill-mask", "tasks": ("fill-mask",), "modality": "text", "library": "transformers",
        "languages": ("en",), "license": "Apache-2.0", "downloads": 2_100_000, "likes": 847, "parameters": 110_000_000,
        "size_bytes": 440_000_000, "gated": "no", "last_modified": NOON - timedelta(days=90), "said": said,
        "dtypes": {"F32": 110_000_000}, "author": model.partition("/")[0], "revision": "a" * 40,
    }  # fmt: skip
    return CatalogEntry.model_validate({**fields, **more})


def famous() -> list[CatalogEntry]:
    """The brief's four and some of other kinds."""
    served = Serving(provider="groq", task="chat-completion", input_nanousd_per_mtok=50_000_000,
                     output_nanousd_per_mtok=80_000_000, regions=("us",))  # fmt: skip
    tasks = ("fill-mask", "text-classification", "token-classification", "question-answering")
    issue = Issue(path="pytorch_model.bin", level="suspicious", detail="imports os.system")
    return [
        entry(BERT, tasks=tasks, stated_results=(StatedResult(dataset="glue", metric="accuracy", value=0.83),)),
        entry(ROBERTA, license="MIT", parameters=125_000_000, downloads=1_500_000, tasks=tasks[:2]),
        entry(DISTILBERT, parameters=67_000_000, downloads=1_200_000, task="text-classification",
              tasks=("text-classification",), base_models=(BERT,), size_bytes=268_000_000),
        entry(ALBERT, parameters=11_800_000, downloads=400_000, size_bytes=47_000_000),
        entry("acme/small", task="chat-completion", tasks=("chat-completion", "text-generation"), license="MIT",
              parameters=1_200_000_000, downloads=90_000, served=(served,), languages=("en", "de"), dtypes={}),
        entry("openai-community/gpt2", task="text-generation", tasks=("text-generation",), license="MIT",
              parameters=124_000_000),
        entry("google/vit-base", task="image-classification", tasks=("image-classification",), modality="image",
              languages=(), parameters=86_000_000),
        entry("openai/whisper-small", task="automatic-speech-recognition", tasks=("automatic-speech-recognition",),
              modality="audio", languages=("en", "de", "fr")),
        entry("llava-hf/llava", task="visual-question-answering", tasks=("visual-question-answering",),
              modality="multimodal", license=None, license_raw="llama2", parameters=None, size_bytes=None, dtypes={},
              gated="manual", security=Security(scans_done=True, level="suspicious", issues=(issue,),
                                                custom_code=True)),
    ]  # fmt: skip


def hostile() -> list[CatalogEntry]:
    """Models whose every text is of a stranger who means harm."""
    told = []
    for place, text in enumerate(text for text in TEXTS.values() if text):
        short, words = text[:200], (text[:100],)
        told.append(
            entry(
                f"{text[:100] or 'x'}/{place}", name=short, author=short, description=text[:2_000], library=short,
                languages=words * 3, license=None, license_raw=short, tags=words, formerly=words, domains=words,
                task=short if place % 2 else "text-classification", tasks=(*words, "text-classification"),
                base_models=words, revision=short,
                served=(Serving(provider=short, provider_model=short, status=short, regions=words),),
                stated_results=(StatedResult(dataset=short, metric=short, value=1e300),),
                security=Security(level="unsafe", issues=(Issue(path=short, level="unsafe", detail=text[:500]),)),
                said=(Said(source="card", fields=words, since=NOON),),
            )
        )  # fmt: skip
    return told


def eval_run(model: str, value: float = 0.941, n: int = 200, **more: Any) -> EvalRun:
    """One evaluation with four scores."""
    scores = tuple(
        Score(
            metric=metric,
            value=value - place / 100,
            low=value - 0.05,
            high=min(1.0, value + 0.03),
            method="wilson",
            n=n,
        )
        for place, metric in enumerate(("accuracy", "f1", "precision", "recall"))
    )
    fields: dict[str, Any] = {
        "run_id": "run-1", "model": model, "task": "text-classification", "tenant": "default", "dataset": "films",
        "asked": n + 2, "answered": n, "scores": scores, "started_at": NOON, "ended_at": NOON,
    }  # fmt: skip
    return EvalRun.model_validate({**fields, **more})


def endpoint(name: str = "bert-eu", model: str = BERT, **more: Any) -> EndpointState:
    """One dedicated endpoint."""
    spec = EndpointSpec(namespace="acme", name=name, tenant="default", model=model, task="text-classification",
                        instance_type="nvidia-t4")  # fmt: skip
    fields: dict[str, Any] = {
        "spec": spec, "status": "running", "ready": True, "ready_replicas": 1, "target_replicas": 1, "at": NOON,
        "since": NOON, "costs": CostMetrics(nanousd_per_hour=500_000_000, billed_s=120, total_nanousd=16_666_667),
    }  # fmt: skip
    return EndpointState.model_validate({**fields, **more})


@dataclass
class MemoryHub:
    """`console.hub.port.Hub` over lists."""

    entries: list[CatalogEntry] = field(default_factory=famous)
    all_runs: list[EvalRun] = field(default_factory=list)
    all_endpoints: list[EndpointState] = field(default_factory=list)
    told: Governance = field(default_factory=lambda: Governance("3", (), (), ()))
    text: str | None = CARD
    down: str = ""
    """Why nothing is there."""
    partial: bool = False
    removed: dict[str, Any] = field(default_factory=dict)
    asked: list[Criteria] = field(default_factory=list)
    states: dict[str, SourceState] = field(default_factory=dict)
    expectations: dict[str, tuple[Interval | None, Interval | None]] = field(default_factory=dict)

    def _up(self) -> None:
        if self.down:
            raise NotThere(self.down)

    def search(self, criteria: Criteria) -> Discovery:
        """By substring and the plain filters; a score of two parts."""
        self._up()
        self.asked.append(criteria)
        if criteria.text.startswith("refuse"):
            raise BadQuestion(f"text has {len(criteria.text)} characters that nobody likes")
        hits = [one for one in self.entries if _fits(one, criteria)]
        hits.sort(key=lambda one: -(one.downloads or 0))
        shown = hits[criteria.offset : criteria.offset + criteria.limit]
        down = "no answer within 2 s" if self.partial else ""
        router = SourceNote(source="router", ok=not self.partial, detail=down)
        sources = (SourceNote(source="index", ok=True, as_of=NOON), router)
        return Discovery(
            criteria=criteria, total=len(self.entries), filtered=len(hits), models=tuple(map(self._hit, shown)),
            facets=_facets(hits), related=("bert large",) if criteria.text == "bert" else (),
            insights=Insights(popular_tasks=_count(one.task for one in hits),
                              trending=tuple(one.id for one in hits[:3]), recommendations=("few of them are served",)),
            weights={"bm25": 0.6, "popularity": 0.4}, sources=sources, partial=self.partial, took_ms=3.2,
            removed=self.removed,
        )  # fmt: skip

    async def discover(self, criteria: Criteria) -> Discovery:
        """With one more, whom only the Hub knows."""
        found = self.search(criteria)
        hit = self._hit(entry("far/away", task="text-classification"))
        told = (*found.sources, SourceNote(source="hub", ok=True, as_of=NOON))
        return found.model_copy(
            update={"models": (*found.models, hit), "sources": told, "filtered": found.filtered + 1}
        )

    def _hit(self, one: CatalogEntry) -> Found:
        latency, cost = self.expectations.get(one.id, (None, None))
        parts = (Part(name="bm25", value=0.5, weight=0.6, says="in its name"),
                 Part(name="popularity", value=0.25, weight=0.4, says=f"{one.downloads} downloads"))  # fmt: skip
        return Found(entry=one, score=0.4, parts=parts, latency=latency, cost=cost)

    def model(self, model: str) -> CatalogEntry | None:
        """By its id."""
        self._up()
        return next((one for one in self.entries if one.id == model), None)

    def ages(self, entry: CatalogEntry) -> list[Age]:
        """By the states that the test told."""
        self._up()
        return ages(entry, self.states)

    def expected(self, model: str, tenant: str) -> tuple[Interval | None, Interval | None]:
        """As the test told."""
        return self.expectations.get(model, (None, None))

    def whole(self, entry: CatalogEntry, tenant: str) -> dict[str, Any]:
        """The entry alone."""
        self._up()
        return {"entry": entry.model_dump(mode="json"), "tenant": tenant}

    def compare(self, criteria: ComparisonCriteria) -> ModelComparison:
        """With the real comparison."""
        subjects = []
        for name in criteria.models:
            found = self.model(name)
            if found is None:
                raise BadQuestion(str(UnknownModel(name, near(name, (one.id for one in self.entries)))))
            latency, cost = self.expectations.get(name, (None, None))
            speed = Performance(model=name)
            if latency is not None:
                told = {"p50_ms": latency.value, "p95_ms": latency.high, "n": latency.n, "window_s": latency.window_s}
                speed = speed.model_copy(update=told)
            subjects.append(Subject(found, speed, Costs(model=name, nanousd=cost), self.runs(name)))
        return compared(criteria, subjects, mix={}, now=NOON)

    def recommend(self, sentence: str, tenant: str, top: int) -> ModelRecommendation:
        """The first models, whatever is asked."""
        self._up()
        parts = (Part(name="quality", value=0.5, weight=1.0, says="measured"),)
        chosen = tuple(
            Recommended(model=one.id, rank=place, score=0.5, parts=parts, why=("it does the task",), task=one.task,
                        license=one.license, parameters=one.parameters)
            for place, one in enumerate(self.entries[:2], 1)
        )  # fmt: skip
        words = sentence[:60]
        analysis = TaskAnalysis(task="text-classification", understood=(
            Condition(name="task", value="text-classification", words=words),), not_understood=(words,))  # fmt: skip
        out = (Excluded(model=self.entries[-1].id, reasons=(Condition(name="license", value="unknown licence"),)),)
        return ModelRecommendation(
            task=TaskDescription(sentence=sentence), context=RecommendationContext(tenant=tenant, at=NOON),
            recommendations=chosen, alternatives=Alternatives(lower_cost=(
                Alternative(model=self.entries[2].id, says="half the price", score=0.4),)),
            reasoning=Reasoning(task_analysis=analysis, considered=9, excluded=out, constraints=(
                Applied(name="license", value="commercial use", removed=4),)),
            notes=("prices are unknown",),
        )  # fmt: skip

    def runs(self, model: str) -> Sequence[EvalRun]:
        """Of that model."""
        return [run for run in self.all_runs if run.model == model]

    def verdict(self, model: str, tenant: str) -> Verdict:
        """A tenant `refused` may not."""
        self._up()
        return (
            Verdict(False, "its licence is none of yours")
            if tenant == "refused"
            else Verdict(True, "no rule refuses it")
        )

    def governance(self) -> Governance:
        """As the test told."""
        self._up()
        return self.told

    def endpoints(self) -> Sequence[EndpointState]:
        """As the test told."""
        self._up()
        return self.all_endpoints

    async def card(self, one: CatalogEntry) -> Card | None:
        """The same for all."""
        self._up()
        return None if self.text is None else Card(self.text, one.revision or "main")


def ruled(text: str = "Ada") -> Governance:
    """An admission, rules and an alias, all said by `text`."""
    name = text[:100] or "x"
    return Governance(
        "7",
        (Admission(at=NOON, by=name, model=f"{name}/m", state="admitted", approvers=(name,), reason=text[:500]),),
        (Rules(at=NOON, by=name, tenant="*", licenses=(name,), denied_licenses=(name,)),),
        (Named("fast", 2, ((f"{name}/m", "b" * 40),), NOON, name),),
    )


def _fits(one: CatalogEntry, criteria: Criteria) -> bool:
    words = criteria.text.casefold().split()
    told = " ".join((one.id, one.task or "", *one.tags)).casefold()
    lists = (
        (criteria.tasks, one.tasks), (criteria.modalities, (one.modality or "",)), (criteria.languages, one.languages),
        (criteria.libraries, (one.library or "",)), (criteria.licenses, (one.license or "",)),
        (criteria.authors, (one.author or "",)), (criteria.providers, [offer.provider for offer in one.served]),
    )  # fmt: skip
    for wanted, has in lists:
        if wanted and not {value.casefold() for value in wanted} & {value.casefold() for value in has}:
            return False
    if criteria.max_bytes is not None and (one.size_bytes is None or one.size_bytes > criteria.max_bytes):
        return criteria.unknown_size and one.size_bytes is None
    if criteria.served is not None and criteria.served != bool(one.served):
        return False
    if criteria.popular and (one.downloads or 0) < 1_000_000:
        return False
    return all(word in told for word in words)


def _facets(hits: list[CatalogEntry]) -> tuple[Facet, ...]:
    return (
        Facet(name="modality", values=_count(one.modality for one in hits)),
        Facet(name="task", values=_count(one.task for one in hits)),
        Facet(name="license", values=_count(one.license or "unknown" for one in hits), estimated=True),
    )


def _count(values: Any) -> tuple[FacetValue, ...]:
    return tuple(FacetValue(value=value, count=count) for value, count in Counter(map(str, values)).most_common())


def words(page: Any) -> str:
    """A page's text in one line, with a space between blocks."""
    inline = re.sub(r"</?(?:bdi|a|b|small|span|strong|em|code)(?:\s[^>]*)?>", "", page.html)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", inline)).split())


def about(value: float, unit: str) -> Interval:
    """An observation around a value."""
    told = {"value": value, "low": value / 2, "high": value * 2, "unit": unit, "source": "observed", "n": 9}
    return Interval.model_validate({**told, "window_s": 7_200})
