"""What Hugging Face says each provider calls a model: `inferenceProviderMapping`, asked once and kept for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from runtime.http import DEADLINE, MAX_BYTES, URL, AsyncBaseTransport, HTTPError, InvalidURL, Request
from runtime.ports import Clock
from schemas import codec, providers
from schemas.assignment import Candidate
from schemas.failure import FailureKind
from schemas.values import frozen
from workers import errors
from workers.errors import ProviderError

STATUSES = frozenset({"live", "staging", "error"})
"""What a mapping's `status` may be; `error` came in 2025 and broke strict readers (huggingface_hub#3141)."""
HUB_TASKS = {"chat-completion": "conversational"}
"""Tasks that the mapping calls by another name than the published schemas."""
NAMED_AS_THEY_ARE = frozenset({"hf-inference", "openai", providers.ROUTER_DIALECT})
"""Dialects that take the model's own name. Those of the operator's own servers take the catalogue's, or none."""
GONE_S = 300.0
"""How long it is believed that there is no such model."""
FAILED_S = 5.0
"""How long the Hub is left alone after it did not answer; longer, up to `GONE_S`, if it asks for that."""
FORGOTTEN_S = 60.0
"""How often a mapping may be forgotten: a provider that has left a model says 404 to each of its jobs."""
REQUEST_S = 10.0
MOST_BYTES = 262_144
"""Of an answer. The longest mappings seen have 1 kB."""
MOST_MODELS = 4_096
MOST_REDIRECTS = 3
MAX_ID_CHARS = 1_024
_ABSENT = frozenset({FailureKind.NOT_FOUND, FailureKind.GONE, FailureKind.UNAUTHORIZED})
"""A private model that the token may not see and one that does not exist both answer 401."""
_OF_THE_CREDENTIAL = "Invalid credentials"
"""In a 401 that is about the token itself (huggingface_hub 2.4.0, `hf_raise_for_status`)."""


@frozen
class ProviderModel:
    """What one provider calls a model, and what it does with it."""

    provider_id: str
    task: str
    """By the Hub's name: `conversational` for chats."""
    status: str
    """One of `STATUSES`. `error`: the Hub's last test failed; a call may work all the same."""
    adapter_weights_path: str = ""
    """Set for an adapter (LoRA): the weights' file in the model's repository."""


def mapping_in(document: Any) -> dict[str, ProviderModel]:
    """The mapping in a model's description, by provider, in the order in which it is told.

    A dict by provider (a single model) or a list whose rows name theirs (a search). Total: rows of another form, of
    another status or of a provider that we do not know are left out, for new ones appear any day (#3064).
    """
    told = document.get("inferenceProviderMapping") if isinstance(document, dict) else None
    if isinstance(told, dict):
        rows = list(told.items())
    elif isinstance(told, list):
        rows = [(row.get("provider"), row) for row in told if isinstance(row, dict)]
    else:
        rows = []
    found = ((name, _row(row)) for name, row in rows if isinstance(name, str) and name in providers.PROVIDERS)
    return {name: model for name, model in found if model is not None}


def _row(row: Any) -> ProviderModel | None:
    if not isinstance(row, dict):
        return None
    provider_id, task, status = row.get("providerId"), row.get("task"), row.get("status")
    if not isinstance(provider_id, str) or not 0 < len(provider_id) <= 256:
        return None
    if not isinstance(task, str) or status not in STATUSES:
        return None
    path = row.get("adapterWeightsPath")
    return ProviderModel(provider_id, task, status, path if isinstance(path, str) and len(path) <= 1_024 else "")


def is_needed(candidate: Candidate) -> bool:
    """Whether a call to `candidate` needs the mapping: nobody has told what its provider calls the model."""
    return (
        not candidate.provider_model
        and candidate.dialect in providers.PROVIDERS
        and candidate.dialect not in NAMED_AS_THEY_ARE
    )


def named(candidate: Candidate, task: str, mapping: Mapping[str, ProviderModel]) -> Candidate:
    """`candidate` with the name, and the adapter, that `mapping` has for its provider.

    Raises `ProviderError` (`not_found`, `nothing_sent`) if its provider does not do `task` with this model; the message
    names those that do.
    """
    wanted = HUB_TASKS.get(task, task)
    found = mapping.get(candidate.dialect)
    if found is not None and found.task == wanted:
        change = {"provider_model": found.provider_id, "adapter_weights_path": found.adapter_weights_path}
        return candidate.model_copy(update=change)
    others = ", ".join(name for name, model in mapping.items() if model.task == wanted) or "none"
    message = f"{candidate.dialect} does not serve the model for {wanted}; these do: {others}"
    raise ProviderError(FailureKind.NOT_FOUND, message, nothing_sent=True)


def as_called(candidate: Candidate) -> Candidate:
    """`candidate` with its model's own name where the wire takes that and the catalogue told none."""
    if candidate.provider_model or candidate.dialect not in NAMED_AS_THEY_ARE:
        return candidate
    return candidate.model_copy(update={"provider_model": candidate.model})


@frozen
class _Kept:
    until: float
    """By the monotonic clock."""
    found: Mapping[str, ProviderModel] | ProviderError
    forgotten: float
    """When it was, the last time, by the monotonic clock."""
    is_stale: bool = False
    """The Hub was asked again and did not answer."""


class Mappings:
    """The mapping of each model, from the Hub at `hub_url`, believed for `max_age_s`.

    Many who ask for one model at once make one request. When the Hub does not answer, what is known is used however old
    it is, and nobody waits for the Hub until it has answered again. At most `most` models are kept; those asked for
    longest ago go first. An async context manager: its end cancels what is still being asked. `token` gives the
    credential as it is now, or None.
    """

    def __init__(
        self,
        http: AsyncBaseTransport,
        hub_url: str,
        clock: Clock,
        *,
        max_age_s: float = 3_600.0,
        token: Callable[[], str | None] = lambda: None,
        most: int = MOST_MODELS,
    ) -> None:
        self._http = http
        self._hub = hub_url.rstrip("/")
        self._clock = clock
        self._max_age_s = max_age_s
        self._token = token
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Kept]] = {}

    async def __aenter__(self) -> "Mappings":
        return self

    async def __aexit__(self, *_: object) -> None:
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def of(self, model: str) -> Mapping[str, ProviderModel]:
        """What each provider calls `model`, a Hugging Face id.

        Raises `ProviderError` with `nothing_sent`: `not_found` for a model that the Hub does not know (or does not show
        to us), else what kept the Hub from answering. Cancelling one who asks leaves the request to the others.
        """
        kept = self._kept.get(model)
        if kept is None or kept.until <= self._clock.monotonic():
            asked = self._asked(model)
            if kept is None or not kept.is_stale:
                kept = await asyncio.shield(asked)
        else:
            self._kept.move_to_end(model)
        if isinstance(kept.found, ProviderError):
            raise _again(kept.found)
        return kept.found

    async def named(self, candidate: Candidate, task: str) -> Candidate:
        """`candidate` with everything a dialect needs to name its model. Raises `ProviderError` as `of` and `named`."""
        if not is_needed(candidate):
            return as_called(candidate)
        return named(candidate, task, await self.of(candidate.model))

    def forget(self, model: str) -> None:
        """Ask anew when the model is needed next: its provider has just said that it does not serve it (404, 410).

        At most once in `FORGOTTEN_S`. Until the Hub has answered, what it said before stays of use to other providers.
        """
        kept, now = self._kept.get(model), self._clock.monotonic()
        if kept is not None and now - kept.forgotten >= FORGOTTEN_S:
            self._kept[model] = replace(kept, until=min(kept.until, now), forgotten=now)

    def _asked(self, model: str) -> asyncio.Task[_Kept]:
        task = self._asking.get(model)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(model))
            self._asking[model] = task
            task.add_done_callback(lambda _: self._asking.pop(model, None))
        return task

    async def _ask(self, model: str) -> _Kept:
        try:
            found: Mapping[str, ProviderModel] | ProviderError = await self._fetched(model)
        except ProviderError as error:
            found = error.with_traceback(None)
        now, known = self._clock.monotonic(), self._kept.get(model)
        forgotten = now - FORGOTTEN_S if known is None else known.forgotten
        if not isinstance(found, ProviderError):
            kept = _Kept(now + self._max_age_s, found, forgotten)
        elif found.kind is FailureKind.NOT_FOUND:
            kept = _Kept(now + GONE_S, found, forgotten)
        else:
            pause_s = min(GONE_S, max(FAILED_S, (found.retry_after or timedelta()).total_seconds()))
            kept = _Kept(now + pause_s, found, forgotten)
            if known is not None and not isinstance(known.found, ProviderError):
                kept = replace(known, until=now + pause_s, is_stale=True)
        self._kept[model] = kept
        self._kept.move_to_end(model)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept

    async def _fetched(self, model: str) -> dict[str, ProviderModel]:
        """One question, and those that its redirects lead to. A renamed model answers 307 with its new address."""
        if not model or len(model) > MAX_ID_CHARS or any(part in ("", ".", "..") for part in model.split("/")):
            raise _absent(f"a model id of {len(model)} characters that is none")
        url = f"{self._hub}/api/models/{quote(model, safe='/')}?expand[]=inferenceProviderMapping"
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, body = await self._answer(url)
            if status in (301, 302, 307, 308):
                url = self._moved(url, headers.get("location", ""))
                continue
            if not 200 <= status < 300:
                raise self._read_error(status, headers, body)
            try:
                return mapping_in(codec.decode(body))
            except codec.Undecodable as error:
                message = f"the Hub's answer of {len(body)} bytes is {error}"
                raise _strange(message) from None
        raise _strange(f"the Hub redirects more than {MOST_REDIRECTS} times")

    def _moved(self, url: str, location: str) -> str:
        """Where a redirect leads, on the Hub alone: the request carries its token."""
        try:
            target = str(URL(url).join(location)) if location and len(location) <= 2_048 else ""
            here, there = urlsplit(self._hub), urlsplit(target)
        except (InvalidURL, ValueError):
            raise _strange(f"the Hub redirects to {len(location)} characters that are no address") from None
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise _strange("the Hub redirects to another host")
        return target if there.query else f"{target}?expand[]=inferenceProviderMapping"

    def _read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        error = errors.read_error(status, headers, body, now=self._clock.now())
        if error.kind in _ABSENT and _OF_THE_CREDENTIAL not in error.message:
            return _absent("the Hub knows no such model, or does not show it to this token", status)
        why = "it refuses the token" if error.kind is FailureKind.UNAUTHORIZED else f"status {status}"
        message = f"the Hub did not tell what providers call the model: {why}"
        return ProviderError(
            error.kind, message, upstream_status=status, retry_after=error.retry_after, nothing_sent=True
        )

    async def _answer(self, url: str) -> tuple[int, dict[str, str], bytes]:
        token = self._token()
        headers = [("accept", "application/json"), ("user-agent", "novix")]
        headers += [("authorization", f"Bearer {token}")] if token else []
        try:
            timeout = {"connect": REQUEST_S, "read": REQUEST_S, "write": REQUEST_S, "pool": REQUEST_S}
            extensions = {"timeout": timeout, DEADLINE: REQUEST_S, MAX_BYTES: MOST_BYTES}
            response = await self._http.handle_async_request(
                Request("GET", url, headers=headers, extensions=extensions)
            )
            try:
                fields = {name.lower(): text for name, text in response.headers.items()}
                return response.status_code, fields, await response.aread()
            finally:
                await response.aclose()
        except (HTTPError, InvalidURL) as error:
            failure = errors.of_exception(error)
        message = f"the Hub did not tell what providers call the model: {failure.message}"
        raise ProviderError(failure.kind, message, nothing_sent=True)  # outside the handler: the original holds a token


def _absent(message: str, status: int | None = None) -> ProviderError:
    return ProviderError(FailureKind.NOT_FOUND, message, upstream_status=status, nothing_sent=True)


def _strange(message: str) -> ProviderError:
    return ProviderError(FailureKind.INVALID_OUTPUT, message, nothing_sent=True)


def _again(error: ProviderError) -> ProviderError:
    """A new one for each who asks: an exception that is raised twice grows its traceback."""
    return ProviderError(error.kind, error.message, upstream_status=error.upstream_status, nothing_sent=True)
