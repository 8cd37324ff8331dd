"""One job tried from a page: published like any other, its result read from the results topic by whoever published it.

The pages keep no outputs (unless NOVIX_CAPTURE_CONTENT says otherwise), so the result of a try is read from the topic
when its token asks for it, and the token is known to its page alone.
"""

import asyncio
import secrets
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from console import answers
from console.hub.tasks import BadForm, input_of
from console.kafka import Log
from console.lines import outgoing_of
from console.money.amounts import BadAmount
from console.money.amounts import nanousd as amount
from schemas import codec
from schemas.base import MAX_TENANT_CHARS
from schemas.job import DEFAULT_TENANT, InferenceJob, describe
from schemas.tasks import MODALITIES, input_fault

MOST_KEPT = 500
"""Tries that are remembered; the oldest is forgotten first."""
MOST_WAITING = 8
"""Connections to Kafka that wait for results at once."""
DEFAULT_CEILING = "0.01"
TIMEOUT_S = 120.0
LABEL = "hub"
"""The label `from` of a job that was tried here, for budgets and sums."""


class Busy(Exception):
    """As many wait already as may."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a form asks for, checked."""

    task: str
    model: str
    tenant: str
    ceiling_nanousd: int
    input: dict[str, Any]
    provider: str = "auto"

    def job(self, job_id: str = "") -> dict[str, Any]:
        """The job as it is published; without an id it gets one."""
        job = {
            "id": job_id or fresh_id(), "task": self.task, "tenant": self.tenant, "input": self.input,
            "max_cost_nanousd": self.ceiling_nanousd, "timeout_s": TIMEOUT_S, "metadata": {"from": LABEL},
        }  # fmt: skip
        if self.model != "auto":
            job["model"] = self.model
        if self.provider != "auto":
            job["provider"] = self.provider
        return job


@dataclass(slots=True)
class Try:
    """One job that was published from a page."""

    token: str
    job: Mapping[str, Any] = field(repr=False)
    """As it was published."""
    place: tuple[int, int]
    """Partition and offset on the jobs topic."""
    since: dict[int, int]
    """Where the results topic ended before it was published."""
    at_ms: int
    result: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.job["id"])

    @property
    def tenant(self) -> str:
        """Who pays."""
        return str(self.job.get("tenant", DEFAULT_TENANT))

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.job.get("model", "auto"))


def order_of(fields: Mapping[str, Any]) -> Order:
    """Check a form, in which a file is a payload already. Raises `BadForm`."""
    task, model = fields.get("task", "").strip(), fields.get("model", "").strip() or "auto"
    tenant, ceiling = fields.get("tenant", "").strip() or "default", fields.get("ceiling", "").strip()
    provider = fields.get("provider", "").strip() or "auto"
    if len(model) > 256:
        raise BadForm(f"model has {len(model)} characters; it may have 256")
    if len(provider) > 64:
        raise BadForm(f"provider has {len(provider)} characters; it may have 64")
    if len(tenant) > MAX_TENANT_CHARS or "/" in tenant or " " in tenant or not tenant.isprintable():
        raise BadForm(
            f"tenant has {len(tenant)} characters; it may have {MAX_TENANT_CHARS}, no slash, space or control character"
        )
    return Order(task, model, tenant, nanousd(ceiling), input_of(task, fields), provider)


def nanousd(text: str) -> int:
    """A ceiling in dollars. Raises `BadForm`."""
    try:
        return amount(text or DEFAULT_CEILING)
    except BadAmount as error:
        raise BadForm(f"ceiling: {error}") from None


def fresh_id() -> str:
    """An id that no other job has."""
    return f"hub-{uuid.uuid4().hex[:16]}"


def job_in(document: Any) -> dict[str, Any]:
    """A job that a script sent, whole; without an id it gets one. Raises `BadForm`."""
    if not isinstance(document, dict):
        raise BadForm(f"a {type(document).__name__}; a job is a JSON object")
    job = {"id": fresh_id(), **document}
    try:
        read = InferenceJob.model_validate(job)
    except ValidationError as error:
        raise BadForm(describe(error)) from None
    if read.task not in MODALITIES:
        raise BadForm(f"task {read.task!r} is none that Novix knows: there are {len(MODALITIES)}, see docs/tasks.md")
    if fault := input_fault(read.task, read.input):
        raise BadForm(f"input.{fault}")
    return job


class Tries:
    """The tries of one process. One owner: the event loop."""

    def __init__(
        self, log: Callable[[], AbstractAsyncContextManager[Log]], now_ms: Callable[[], int], *, most: int = MOST_KEPT
    ) -> None:
        self._log = log
        self._now_ms = now_ms
        self._most = most
        self._kept: OrderedDict[str, Try] = OrderedDict()
        self._waiting = 0

    async def publish(self, job: Mapping[str, Any]) -> Try:
        """Publish a job. Raises what Kafka raises, `CommandError` where there are no topics, `BadForm`."""
        outgoing = outgoing_of(codec.encode(job))
        if isinstance(outgoing, str):
            raise BadForm(outgoing)
        async with self._log() as log:
            since = await answers.result_ends(log)
            ((partition, offset),) = await log.publish([outgoing])
        one = Try(secrets.token_urlsafe(18), job, (partition, offset), since, self._now_ms())
        self._kept[one.token] = one
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return one

    def get(self, token: str) -> Try | None:
        """The try of a token; None: unknown, or forgotten."""
        return self._kept.get(token)

    async def wait(self, one: Try, within_s: float) -> dict[str, Any] | None:
        """Its result, as soon as it is there; None: not within that time. Raises `Busy`, and what Kafka raises."""
        if one.result is not None:
            return one.result
        async with self._room(), self._log() as log:
            try:
                async with asyncio.timeout(within_s):
                    wanted = answers.of_job(one.tenant, one.job_id)
                    async for record in answers.results_after(log, one.since, wanted):
                        found = answers.document(record)
                        if answers.is_of(found, one.place):
                            one.result = found
                            return found
            except TimeoutError:
                return None
        return None

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise Busy(f"{self._waiting} tries wait for their results; {MOST_WAITING} may at once")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
