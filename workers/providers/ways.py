"""Through Hugging Face's router, or straight to the provider with a key of one's own: which address, which header."""

from collections.abc import Iterable

from schemas.assignment import Candidate
from schemas.values import frozen
from workers.providers.common import refused
from workers.providers.dialect import Spoken, host_of
from workers.providers.table import ROUTED

_BY_NAME = {spoken.name: spoken for spoken in ROUTED}
_DIRECT = {name: spoken.direct() for name, spoken in _BY_NAME.items()}


@frozen
class Way:
    """How a call to one candidate goes out."""

    dialect: Spoken
    candidate: Candidate
    """With the base address that the call goes below."""
    scheme: str
    """Of the `authorization` header: `{scheme} {credential}`."""

    def authorization(self, credential: str) -> str:
        """The header's value."""
        return f"{self.scheme} {credential}"


def takes_own_key(candidate: Candidate) -> bool:
    """Whether a key of one's own can be used for `candidate`: its dialect is a provider's own."""
    return candidate.dialect in _BY_NAME


def is_at_home(candidate: Candidate) -> bool:
    """Whether its calls go to its provider's own host already, without Hugging Face's router."""
    spoken = _BY_NAME.get(candidate.dialect)
    return spoken is not None and host_of(candidate.base_url) in spoken.hosts


def direct(candidate: Candidate, task: str) -> Way:
    """The way of a call to the provider's own host, with a key of one's own, in the form that this wants.

    Raises `ProviderError` (`request_refused`) for a dialect that is no provider's, and for a task that it does not do.
    """
    spoken = _DIRECT.get(candidate.dialect)
    if spoken is None:
        raise refused(f"{candidate.dialect} takes no key of your own; these do: {', '.join(_BY_NAME)}")
    route = spoken.routes.get(task)
    if route is None:
        raise refused(f"{spoken.name} does not do {task}; it does {', '.join(sorted(spoken.routes))}")
    return Way(spoken, candidate.model_copy(update={"base_url": route.host or spoken.host}), spoken.scheme)


def addresses(spoken: Spoken) -> list[tuple[str, str, str]]:
    """Each task of a provider with its address below the router and at its own host; `{model}` is the model's name."""
    told = []
    for task, route in sorted(spoken.routes.items()):
        path = route.address("", "MODEL").replace("MODEL", "{model}")
        told.append((task, f"{spoken.prefix}{path}{route.query}", f"{route.host or spoken.host}{path}"))
    return told


def own_hosts(providers: Iterable[str]) -> tuple[str, ...]:
    """The origins that calls with keys of one's own at `providers` go to: egress has to allow them."""
    found: list[str] = []
    for name in providers:
        if spoken := _BY_NAME.get(name):
            found += [spoken.host, *(route.host for route in spoken.routes.values() if route.host)]
    return tuple(dict.fromkeys(found))
