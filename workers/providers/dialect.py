"""A provider as data: a name, a host of its own, and for each task a path, a body map and an answer's form."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from schemas.assignment import Candidate
from schemas.values import frozen
from workers.exchange import Ask, Binary, Call, Got, Media, Next, Reply
from workers.providers.bodies import Body, Form
from workers.providers.common import FETCH, Headers, refused, usage_of, with_content_type
from workers.providers.later import Reader, Site, fetched
from workers.providers.pieces import form_body, json_body

SCALE_UP = (("x-scale-up-timeout", "600"),)
"""Without it a dedicated endpoint's proxy answers 503 at once while a machine starts, which takes minutes. The caller
shortens it to the time that it has (`workers.sending`)."""
ENDPOINTS = ".endpoints.huggingface.cloud"
"""Where dedicated endpoints are, unless they have a domain of their own."""
BEARER, KEY = "Bearer", "Key"
"""Forms of the `authorization` header; fal takes a key of one's own as `Key`."""
Address = Callable[[str, str], str]
"""A task's address, from the root of the provider's paths and its name for the model."""


def as_they_are(payload: Binary) -> Any:
    """The bytes alone: the whole document."""
    return payload


@frozen
class Route:
    """How one task is asked of one provider."""

    address: Address
    body: Body
    read: Reader
    host: str = ""
    """The provider's own for this task, if it is not the one for all."""
    query: str = ""
    """What an address gets on its way through the router, with its question mark."""
    accept: str = "application/json"
    headers: Headers = ()
    of_bytes: Callable[[Binary], Any] = as_they_are
    """What the task's document is where the answer was bytes, in the body or at an address that was fetched."""


@frozen
class Spoken:
    """One provider's dialect. The maps of `Dialect`, from the rows of a table.

    Through the router its paths begin below `{base_url}/{name}`; `direct` (with a key of one's own) below its own host.
    """

    name: str
    routes: Mapping[str, Route]
    host: str = ""
    """Its own, for keys of one's own; empty: there is none."""
    prefix: str = ""
    """Below the candidate's base address, where its paths begin."""
    headers: Headers = ()
    scheme: str = BEARER
    """The form in which its own host wants a key."""
    routed: bool = True
    """Whether Hugging Face's router reaches it."""
    names_model: bool = True
    """Whether a call cannot do without `candidate.provider_model`."""
    sleeps: bool = False
    """Whether it is a dedicated endpoint, wherever: one that is scaled to zero wakes at a request."""
    hosts: frozenset[str] = field(default_factory=frozenset)
    """Its own hosts by name: addresses in answers may name them."""

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it can carry."""
        return frozenset(self.routes)

    def direct(self) -> "Spoken":
        """The same at its own host, which a candidate's base address then names."""
        routes = {task: replace(route, query="") for task, route in self.routes.items()}
        return replace(self, prefix="", routed=True, routes=routes)

    def request(self, ask: Ask, candidate: Candidate, headers: Headers) -> Call:
        """The request for `ask`, as `Dialect.request` promises it."""
        route = self._route(ask.task)
        if not self.routed:
            raise refused(f"{self.name} is not reached through Hugging Face's router; it needs a key of your own")
        if self.names_model and not candidate.provider_model:
            raise refused(f"nobody has told what {self.name} calls the model")
        url = route.address(self._root(candidate), candidate.provider_model) + route.query
        accept = "text/event-stream" if ask.stream else route.accept
        headers = (*headers, ("accept", accept), *self.headers, *route.headers)
        if self.sleeps or host_of(candidate.base_url).endswith(ENDPOINTS):
            headers += SCALE_UP
        document = route.body(ask, candidate)
        if isinstance(document, Media):
            return Call("POST", url, with_content_type(headers, document.media_type), document.data)
        if isinstance(document, Form):
            content_type, body = form_body(document.file, document.fields)
            return Call("POST", url, with_content_type(headers, content_type), body)
        return Call("POST", url, headers, json_body(document))

    def read(self, ask: Ask, candidate: Candidate, got: Got) -> Reply | Next:
        """The reply, or the call that leads on to it, as `Dialect.read` promises it."""
        route = self._route(ask.task)
        if got.stage == FETCH:
            return Reply(route.of_bytes(fetched(got)), usage_of(got))
        step = route.read(ask, Site(self.name, self._root(candidate), route.query, self.headers, self.hosts), got)
        if isinstance(step, Reply) and isinstance(step.document, Binary):
            return Reply(route.of_bytes(step.document), step.usage)
        return step

    def _route(self, task: str) -> Route:
        if task not in self.routes:
            raise refused(f"{self.name} does not do {task}; it does {', '.join(sorted(self.routes))}")
        return self.routes[task]

    def _root(self, candidate: Candidate) -> str:
        return candidate.base_url.rstrip("/") + self.prefix if self.prefix else candidate.base_url


def path(template: str) -> Address:
    """An address below the root; `{model}` is the provider's name for the model."""
    if "{model}" not in template:
        return lambda root, model: root.rstrip("/") + template
    return lambda root, model: root.rstrip("/") + template.replace("{model}", in_path(model))


def in_path(model: str) -> str:
    """A model's name as part of a path that it cannot leave. Raises `ProviderError` (`request_refused`)."""
    if any(step in ("", ".", "..") for step in model.split("/")):
        raise refused(f"a model's name of {len(model)} characters that cannot stand in a path")
    return quote(model, safe="/:@")


def predictions(root: str, model: str) -> str:
    """Replicate's: a version has no path of its own."""
    return f"{root}/v1/predictions" if ":" in model else f"{root}/v1/models/{in_path(model)}/predictions"


def whole(root: str, model: str) -> str:
    """The base address itself, as it is written: a dedicated endpoint."""
    return root


def below_v1(name: str) -> Address:
    """`{base}/v1/{name}` for a base address with or without `/v1`, with the path itself, or with a query.

    The rule of huggingface_hub 2.4.0 (`_build_chat_completion_url`), for every path of the OpenAI form.
    """

    def address(root: str, model: str) -> str:
        try:
            parts = urlsplit(root)
        except ValueError:
            raise refused(f"a base address of {len(root)} characters that is no address") from None
        here = parts.path.rstrip("/")
        if here.endswith(f"/{name}"):
            return root
        below = f"{here}/{name}" if here.endswith("/v1") else f"{here}/v1/{name}"
        return urlunsplit(parts._replace(path=below))

    return address


@functools.lru_cache(maxsize=1_024)
def host_of(url: str) -> str:
    """The host in an address, in lower case; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
