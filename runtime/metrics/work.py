"""What a worker counts: calls as they end, jobs when their results are committed."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from runtime.metrics.registry import Metrics
from runtime.telemetry import OPERATIONS
from schemas.result import Attempt, Status
from schemas.units import INPUT_TOKENS, OUTPUT_TOKENS
from schemas.values import frozen

MS = timedelta(milliseconds=1)
TOKEN_TYPES = ((INPUT_TOKENS, "input"), (OUTPUT_TOKENS, "output"))
"""`gen_ai.token.type` of a unit."""


@frozen
class Ended:
    """A job whose result is committed."""

    tenant: str
    task: str
    """One that there is: it was assigned."""
    status: Status
    kind: str
    """Of the failure; empty for a success."""
    timing_ms: Mapping[str, int]
    """As in the result: `total`, `queued`, `routed`."""
    attempts: Sequence[Attempt]
    waits: Sequence[tuple[str, float]]
    """What was waited for, and for how many seconds."""
    usage: Mapping[str, int]
    cost_nanousd: int
    first_chunk_s: float | None = None
    interface: str = "huggingface"
    """`gen_ai.provider.name`, as on the span of the call."""


class WorkMeter:
    """What workers tell of their calls and jobs. This one counts nothing."""

    def called(self, provider: str, model: str, outcome: str) -> None:
        """A call has ended: `ok`, or the kind of its failure."""

    def held(self, provider: str, model: str) -> None:
        """A provider told to wait."""

    def moved(self, provider: str, model: str, state: str) -> None:
        """A breaker changed its state, by what was found here."""

    def ended(self, job: Ended) -> None:
        """A job's result is committed."""

    def released(self, nanousd: int) -> None:
        """So much of a job's reservation comes back."""


class CountedWork(WorkMeter):
    """Counts into a process's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        events, money = metrics.events, metrics.money
        self._metrics = metrics
        self._calls = events("novix_calls_total")
        self._holds = events("novix_limiter_holds_total")
        self._moves = events("novix_breaker_transitions_total")
        self._jobs = events("novix_jobs_ended_total")
        self._took = events("novix_job_duration_seconds")
        self._waits = events("novix_wait_seconds")
        self._usage = events("novix_usage_total")
        self._settled = money("novix_money_settled_usd_total")
        self._ambiguous = money("novix_money_ambiguous_usd_total")
        self._released = money("novix_money_released_usd_total")
        self._operation = events("gen_ai_client_operation_duration_seconds")
        self._tokens = events("gen_ai_client_token_usage")
        self._first = events("gen_ai_client_operation_time_to_first_chunk_seconds")
        if metrics.tells_tenants:
            self._tenant_jobs = events("novix_tenant_jobs_total")
            self._tenant_settled = money("novix_tenant_settled_usd_total")

    def called(self, provider: str, model: str, outcome: str) -> None:
        """See `WorkMeter`."""
        self._calls.of(*self._metrics.who(provider, model), outcome).inc()

    def held(self, provider: str, model: str) -> None:
        """See `WorkMeter`."""
        self._holds.of(*self._metrics.who(provider, model)).inc()

    def moved(self, provider: str, model: str, state: str) -> None:
        """See `WorkMeter`."""
        self._moves.of(*self._metrics.who(provider, model), state).inc()

    def ended(self, job: Ended) -> None:
        """See `WorkMeter`."""
        self._jobs.of(job.task, job.status, job.kind).inc()
        self._took.of(job.task, job.status).observe(job.timing_ms["total"] / 1_000)
        for topic in ("queued", "routed"):
            self._waits.of(topic).observe(job.timing_ms[topic] / 1_000)
        for name, seconds in job.waits:
            self._waits.of(self._metrics.words(name)).observe(seconds)
        for attempt in job.attempts:
            if attempt.cost_nanousd:
                who = self._metrics.who(attempt.provider, attempt.model)
                self._settled.add(attempt.cost_nanousd, *who)
                if attempt.ambiguous:
                    self._ambiguous.add(attempt.cost_nanousd, *who)
        if job.attempts:
            self._operated(job)
        if self._metrics.tells_tenants:
            tenant = self._metrics.tenants(job.tenant)
            self._tenant_jobs.of(tenant, job.status).inc()
            self._tenant_settled.add(job.cost_nanousd, tenant)

    def released(self, nanousd: int) -> None:
        """See `WorkMeter`."""
        self._released.add(nanousd)

    def _operated(self, job: Ended) -> None:
        """One `gen_ai` operation, as the job's span tells it: of the last who was asked, retries included."""
        first, last = job.attempts[0], job.attempts[-1]
        provider, model = self._metrics.who(last.provider, last.model)
        operation = OPERATIONS.get(job.task) or job.task.replace("-", "_")
        took = (last.started_at - first.started_at) / MS + last.duration_ms
        call = operation, job.interface, model, provider
        self._operation.of(*call, last.kind or "").observe(max(0.0, took / 1_000))
        for unit, amount in job.usage.items():
            self._usage.of(provider, model, self._metrics.words(unit)).inc(amount)
        for unit, kind in TOKEN_TYPES:
            if (tokens := job.usage.get(unit)) is not None:
                self._tokens.of(*call, kind).observe(tokens)
        if job.first_chunk_s is not None:
            self._first.of(*call).observe(job.first_chunk_s)
