"""Models to be compared, each with as much as a test says of it."""

from datetime import UTC, datetime

from hub.compare.compare import compare
from hub.compare.subject import Subject
from schemas.catalog import CatalogEntry
from schemas.comparison import ComparisonCriteria, Costs, Performance
from schemas.discovery import Interval
from schemas.evals import EvalRun, Score

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(model, value, *, low=None, high=None, metric="accuracy", dataset="reviews", digest="d", ended=NOON, **more):
    low, high = (value - 0.02 if low is None else low), (value + 0.02 if high is None else high)
    score = Score(metric=metric, value=value, low=low, high=high, method="wilson", n=100)
    told = {"run_id": f"r-{model}-{ended.timestamp():.0f}", "task": "text-classification", "tenant": "t", "asked": 100}
    return EvalRun.model_validate({
        **told, "model": model, "dataset": dataset, "dataset_digest": digest, "answered": 100, "scores": (score,),
        "started_at": ended, "ended_at": ended, **more,
    })  # fmt: skip


def subject(model, *, p95=None, nanousd=None, quality=None, n=100, allowed=None, runs=None, **entry):
    speed = Performance(model=model)
    if p95 is not None:
        speed = Performance(model=model, p50_ms=p95 / 2, p95_ms=p95, n=n, window_s=3600)
    costs = Costs(model=model, why_not="no price of it is known")
    if nanousd is not None:
        told = Interval(value=nanousd, low=nanousd, high=nanousd, unit="nanousd", source="predicted", n=5)
        costs = Costs(model=model, provider="groq", nanousd=told)
    evals = runs if runs is not None else ([] if quality is None else [run(model, quality)])
    return Subject(CatalogEntry(id=model, **entry), speed, costs, evals, allowed, "")


def compared(*subjects, **criteria):
    asked = ComparisonCriteria(models=tuple(one.id for one in subjects), **criteria)
    return compare(asked, subjects, mix={}, now=NOON)


def cell(found, row, model):
    table = found.comparison
    return next(one for one in table.rows if one.name == row).cells[table.models.index(model)]
