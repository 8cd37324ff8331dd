"""All that a page shows of one model: what the catalogue says, what Novix has measured, and where it can be asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from console.answers import text_of
from console.hub import deploying, measure
from console.hub.port import Hub, NotThere, Verdict
from console.hub.tasks import FILE_PART, TEMPLATES, Form, Template, form_of
from console.hub.trying import DEFAULT_CEILING, Order
from console.hub.uploads import MOST_FILE_BYTES
from console.hub.ways import Way, ways
from console.index.answers import Statistics
from console.index.query import Query
from console.live.providers import ProviderNow, providers
from console.pages import hub_words
from console.pages.context import Context
from console.pages.render import quoted
from hub.catalog.ages import Age
from hub.compare.memory import Memory, memory
from schemas.catalog import CatalogEntry, Serving
from schemas.discovery import Interval
from schemas.endpoints import EndpointState
from schemas.evals import EvalRun
from schemas.job import DEFAULT_TENANT

NO_HUB = "these pages follow no catalogue: novix hub sync fills it, novix console shows it"
JOBS_SHOWN = 5
ANSWERS_SHOWN = 2
RUNS_SHOWN = 20
SERVED_SHOWN = 24
NO_SAMPLE = "https://example.org/film.mp4"
"""In a way in, where a form has no example."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """One model as its panels show it."""

    entry: CatalogEntry
    ages: Sequence[Age]
    """Of each source of the entry."""
    tenant: str
    verdict: Verdict
    memory: Memory | None
    observed: Statistics
    """Of its jobs that succeeded; publication to result."""
    jobs: Sequence[dict[str, Any]]
    """The newest of them: evidence."""
    paid: measure.Paid | None
    latency: Interval | None
    cost: Interval | None
    evals: Sequence[EvalRun]
    benches: Sequence[EvalRun]
    endpoints: Sequence[EndpointState]
    breakers: Sequence[ProviderNow]
    served: Sequence[Serving]
    forms: Sequence[Form]
    templates: Sequence[Template]
    ways: Sequence[Way]
    missing: Sequence[str]
    """Parts that are not there, each with why."""
    now_ms: int

    @property
    def cost_off(self) -> float | None:
        """How far the predicted cost is from what the ledger says that a job has cost."""
        if self.cost is None or self.paid is None:
            return None
        return measure.off(self.cost.value, self.paid.each_nanousd)

    def breaker_at(self, provider: str) -> ProviderNow | None:
        """The breaker of a provider for this model; None: no record speaks of it."""
        return next((one for one in self.breakers if one.provider == provider), None)

    @property
    def window_s(self) -> float:
        """From the oldest observed job to the newest."""
        oldest, newest = self.observed.oldest_ms, self.observed.newest_ms
        return 0.0 if oldest is None or newest is None else (newest - oldest) / 1_000

    @property
    def task(self) -> str:
        """The task that it is tried with; empty: none that Novix knows."""
        return self.forms[0].task if self.forms else ""


def model(context: Context, hub: Hub, entry: CatalogEntry, tenant: str, origin: str) -> Model:
    """Everything of a model. Blocks: call it in a thread. What is not there is told in `missing`."""
    missing: list[str] = []

    def asked(what: Callable[[], T], otherwise: T) -> T:
        try:
            return what()
        except NotThere as error:
            missing.append(str(error))
            return otherwise

    tenant = tenant or DEFAULT_TENANT
    index, name = context.index, entry.id
    succeeded = Query(model=name, status="succeeded")
    no_runs: Sequence[EvalRun] = ()
    no_endpoints: Sequence[EndpointState] = ()
    runs = asked(lambda: hub.runs(name), no_runs)
    none: tuple[Interval | None, Interval | None] = (None, None)
    latency, cost = asked(lambda: hub.expected(name, tenant), none)
    tried = [form for form in (form_of(task) for task in tasks_of(entry)) if form is not None]
    return Model(
        entry=entry,
        ages=asked(lambda: hub.ages(entry), [Age(said, None) for said in entry.said]),
        tenant=tenant,
        verdict=asked(lambda: hub.verdict(name, tenant), Verdict(None, "no registry is known here")),
        memory=memory(entry),
        observed=index.statistics(succeeded),
        jobs=_runs(context, succeeded),
        paid=measure.paid(index.costs(by="model", since_ms=None, until_ms=None, tenant=tenant), name),
        latency=latency,
        cost=cost,
        evals=[run for run in runs if run.kind == "eval"][:RUNS_SHOWN],
        benches=[run for run in runs if run.kind == "bench"][:RUNS_SHOWN],
        endpoints=[one for one in asked(hub.endpoints, no_endpoints) if one.spec.model == name],
        breakers=_breakers(context, name),
        served=entry.served[:SERVED_SHOWN],
        forms=tried,
        templates=[one for one in TEMPLATES if one.task in tasks_of(entry)],
        ways=ways(context.settings, _example(name, tenant, tried[0]), origin) if tried else (),
        missing=tuple(dict.fromkeys(missing)),
        now_ms=context.now_ms(),
    )


def tasks_of(entry: CatalogEntry) -> list[str]:
    """Its tasks, the main one first, each once."""
    return list(dict.fromkeys(task for task in (entry.task, *entry.tasks) if task))


def _example(name: str, tenant: str, form: Form) -> dict[str, Any]:
    made = form.make({field.name: field.example or NO_SAMPLE for field in form.fields})
    job = Order(form.task, name, tenant, 10_000_000, made).job()
    return {key: value for key, value in job.items() if key in ("task", "model", "tenant", "input", "max_cost_nanousd")}


def _runs(context: Context, query: Query) -> list[dict[str, Any]]:
    """The newest jobs; the last ones with what was answered, where outputs are kept."""
    rows = [dict(row) for row in context.index.jobs(query, limit=JOBS_SHOWN).rows]
    for row in rows[:ANSWERS_SHOWN] if context.capture else ():
        known = context.index.job(row["tenant"], row["job_id"])
        row["answer"] = next((text_of(one["result"]) for one in known if one.get("result")), "")
    return rows


def _breakers(context: Context, name: str) -> list[ProviderNow]:
    index = context.index
    now = datetime.fromtimestamp(context.now_ms() / 1_000, UTC)
    rows = providers(index.breakers(), (), index.prices(), {}, now)
    return [row for row in rows if row.model == name]


def static(context: Context) -> dict[str, Any]:
    """What the panels' templates need beside the model."""
    settings = context.settings
    sandbox = bool(settings.sandbox_url) and settings.hf_router_url == settings.sandbox_url
    return {"w": hub_words, "quoted": quoted, "ceiling": DEFAULT_CEILING, "capture": context.capture,
            "deployments": partial(deploying.ways, sandbox=sandbox), "sandbox": sandbox, "file_part": FILE_PART,
            "most_file_bytes": MOST_FILE_BYTES,
            "hub_page": partial(_hub_page, settings.hf_hub_url, sandbox)}  # fmt: skip


def _hub_page(hub_url: str, sandbox: bool, entry: CatalogEntry) -> str:
    """Where the Hub itself shows it. The sandbox has no pages: there it is what its API says."""
    name = quote(entry.id, safe="/")
    return f"{hub_url.rstrip('/')}/{'api/models/' if sandbox else ''}{name}"
