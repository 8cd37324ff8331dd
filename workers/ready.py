"""What one call needs before it is made: who exactly is asked, with what, and whether it may cost that much.

Whatever fails here is no attempt: nobody was called, nothing is paid.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from runtime.ports import Clock
from runtime.settings import Settings
from schemas import media
from schemas.assignment import Candidate
from schemas.failure import FailureKind
from schemas.values import frozen
from workers import mapping
from workers.access import Access, Doors
from workers.cost import charge
from workers.errors import ProviderError
from workers.exchange import Answer, Ask, Call, Media
from workers.mapping import Mappings
from workers.modalities import TASKS
from workers.providers.common import call_headers
from workers.turn import Turn

K = FailureKind
OF_THE_JOB = frozenset({K.INVALID_INPUT, K.INVALID_MEDIA, K.PAYLOAD_MISSING, K.TOO_LARGE, K.DEADLINE_PASSED})
"""Refusals that would be the same whoever were asked; any other is this candidate's, or passes."""
HEAVY_BYTES = 1_048_576
"""Payloads above this are encoded in a thread: base64 takes 1 ms a megabyte."""
STORE_S = 60.0
"""For storing an output, however near the deadline is: it has been paid. Its slot is held that long, so that a store
that is away is soon not paid for any more."""


class Payloads(Protocol):
    """Fetches, loads and stores what travels by reference (`workers.payloads`). Each raises `ProviderError`."""

    async def gathered(self, task: str, task_input: Mapping[str, Any], *, total_s: float) -> Mapping[str, Any]:
        """The input with references where addresses stood."""
        ...

    def loaded(
        self, task: str, task_input: Mapping[str, Any], *, total_s: float
    ) -> contextlib.AbstractAsyncContextManager[Mapping[str, Any]]:
        """The input with `Media` in its places, in memory until the block ends."""
        ...

    async def stored(self, task: str, output: Any, *, total_s: float, answer_bytes: int = 0) -> Any:
        """The output as it goes into a result: JSON, with references where `Media` stood."""
        ...

    async def storable(self, task: str) -> None:
        """Raise while an output of `task` would be lost: the last one was, and the store is as it was."""
        ...


@frozen
class Ready:
    """One call, worked out."""

    access: Access
    """Its candidate has everything that its dialect needs to name the model."""
    ask: Ask
    call: Call
    headers: tuple[tuple[str, str], ...]
    """Of every request of the call."""


class NotReady(Exception):
    """No call can be made now, and none was. `of_the_job`: nor at any other candidate."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.message)
        self.error = error
        self.of_the_job = error.kind in OF_THE_JOB


class Readiness:
    """Makes calls ready, and outputs fit to be published. `payloads` None: this process takes and makes none."""

    def __init__(
        self, settings: Settings, doors: Doors, mappings: Mappings, payloads: Payloads | None, clock: Clock,
        *, store_s: float = STORE_S,
    ) -> None:  # fmt: skip
        """`store_s`: for storing one output."""
        self._store_s = store_s
        self._settings = settings
        self._doors = doors
        self._mappings = mappings
        self._payloads = payloads
        self._clock = clock

    async def gathered(self, turn: Turn) -> None:
        """Have what the input's addresses name at hand, before a slot is taken: a stranger's server may be slow.

        The turn's input has references afterwards. Raises `NotReady`.
        """
        task = turn.job.job.task
        if self._payloads is None or turn.progress.gathered is not None or not _names_addresses(task, turn.input):
            return
        since = self._clock.now()
        try:
            with turn.waiting():
                async with asyncio.timeout(self._left_s(turn)):
                    gathered = await self._payloads.gathered(task, turn.input, total_s=self._settings.fetch_s)
        except TimeoutError:
            failure = ProviderError(K.DEADLINE_PASSED, "the payloads were not here before the deadline")
        except ProviderError as error:
            failure = error.with_traceback(None)
        else:
            turn.progress = replace(turn.progress, gathered=gathered)
            return
        finally:
            turn.progress = turn.progress.waited("ready", since, self._clock.now())
        raise NotReady(failure)

    def call(self, turn: Turn) -> contextlib.AbstractAsyncContextManager[Ready]:
        """The call that the turn's candidate is to be asked with; its payloads are in memory until the block ends.

        Entering raises `NotReady`, and `CredentialError`.
        """
        return _Making(self, turn)

    async def _made(self, turn: Turn, stack: contextlib.AsyncExitStack | None) -> Ready:
        """`stack` takes what is loaded; None: there is nothing to load."""
        task = turn.job.job.task
        candidate = await self._mappings.named(turn.candidate, task)
        access = self._doors.of(candidate, task)
        if self._payloads is not None and task in media.OUTPUTS:
            await self._payloads.storable(task)
        if stack is None:
            return self._worked_out(turn, access, turn.input)
        if self._payloads is None:
            raise ProviderError(K.PAYLOAD_MISSING, "this process loads no payloads", nothing_sent=True)
        loading = self._payloads.loaded(task, turn.input, total_s=self._left_s(turn))
        loaded = await stack.enter_async_context(loading)
        work = partial(self._worked_out, turn, access, loaded)
        return await asyncio.to_thread(work) if _size_of(task, loaded) > HEAVY_BYTES else work()

    async def stored(self, turn: Turn, answer: Answer, size: int) -> Any:
        """The output of an answer of `size` bytes as the result carries it. Raises `ProviderError`."""
        task = turn.job.job.task
        if self._payloads is None:
            return answer.output
        return await self._payloads.stored(task, answer.output, total_s=self._store_s, answer_bytes=size)

    async def has_moved(self, turn: Turn, asked: Candidate) -> bool:
        """Whether a model that its provider just said not to serve (404, 410) has another name there by now."""
        candidate = turn.candidate
        if not mapping.is_needed(candidate):
            return False
        self._mappings.forget(candidate.model)
        try:
            now = await self._mappings.named(candidate, turn.job.job.task)
        except ProviderError:
            return False
        return now.provider_model != asked.provider_model

    def redact(self, text: str) -> str:
        """`text` without token and keys."""
        return self._doors.redact(text)

    def _worked_out(self, turn: Turn, access: Access, task_input: Mapping[str, Any]) -> Ready:
        job, candidate = turn.job.job, access.candidate
        task = TASKS[job.task]
        if job.stream and task.streams:
            task_input = {**task_input, "stream": True}
        ask = task.ask(task_input, turn.job.assignment.parameters, candidate)
        if job.stream and not task.streams:
            ignored = {"stream": {"asked": True, "given": False, "bound_by": "the task does not stream"}}
            ask = replace(ask, adapted={**ask.adapted, **ignored})
        if fault := too_dear(ask, candidate):
            raise ProviderError(K.PRICE_CEILING, fault, nothing_sent=True)
        headers = call_headers(job.tenant, job.id, turn.job.assignment.bill_to or self._settings.hf_bill_to)
        call = access.dialect.request(ask, candidate, headers)
        return Ready(access, ask, call, headers)

    def _left_s(self, turn: Turn) -> float:
        return max(0.0, (turn.deadline - self._clock.now()).total_seconds())


class _Making:
    """`Readiness.call`. Nearly every job has no payload, and then nothing is to be let go of."""

    __slots__ = ("_readiness", "_stack", "_turn")

    def __init__(self, readiness: Readiness, turn: Turn) -> None:
        self._readiness = readiness
        self._turn = turn
        self._stack = contextlib.AsyncExitStack() if has_payloads(turn.job.job.task, turn.input) else None

    async def __aenter__(self) -> Ready:
        try:
            return await self._readiness._made(self._turn, self._stack)
        except ProviderError as error:
            failure = NotReady(_fetched_again(self._turn, error.with_traceback(None)))
        except BaseException:
            await self.__aexit__()
            raise
        await self.__aexit__()
        raise failure

    async def __aexit__(self, *_: object) -> None:
        if self._stack is not None:
            await self._stack.aclose()


def _fetched_again(turn: Turn, error: ProviderError) -> ProviderError:
    """A copy of what an address names is no producer's: no topic names it. Where it expired, its turn fetches anew."""
    if error.kind is not K.PAYLOAD_MISSING or turn.progress.gathered is None:
        return error
    turn.progress = replace(turn.progress, gathered=None)
    return ProviderError(K.PAYLOAD_UNREACHABLE, error.message, nothing_sent=True)


def too_dear(ask: Ask, candidate: Candidate) -> str | None:
    """Why the call must not be made: what is known of its units costs more than the candidate's ceiling already."""
    least = charge(ask.units, candidate.price).nanousd
    if least <= candidate.ceiling_nanousd:
        return None
    units = ", ".join(f"{name} {count}" for name, count in sorted(ask.units.items()))
    return (
        f"{units} cost {least} nano-dollars at {candidate.provider}; the call's ceiling is {candidate.ceiling_nanousd}"
    )


def _size_of(task: str, task_input: Any) -> int:
    """Bytes of the payloads in a loaded input."""
    standing = media.found(media.INPUTS.get(task, ()), task_input)
    return sum(len(one.data) for _, one in standing if isinstance(one, Media))


def has_payloads(task: str, task_input: Any) -> bool:
    """Whether anything stands where a payload may."""
    places = media.INPUTS.get(task)
    return places is not None and bool(media.found(places, task_input))


def _names_addresses(task: str, task_input: Any) -> bool:
    """Whether a payload is given as an address, plain or in a reference. A chat's goes to the provider as it is."""
    for _, value in media.found(media.INPUTS.get(task, ()), task_input):
        address = value[media.REF].get("uri") if media.is_ref(value) and isinstance(value[media.REF], dict) else value
        if isinstance(address, str) and address[:8].lower().startswith(("https://", "http://")):
            return True
    return False
