"""Where a recorded call would go today: below the router, whichever host it went to then. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LEGACY = re.compile(r"^/(?:api/inference-proxy/hf-inference/|hf-inference/)?(models|pipeline)/(.+)$")
PIPELINE = re.compile(r"^(?P<task>[a-z0-9-]+)/(?P<model>.+)$")
CHAT = "/v1/chat/completions"
ROUTED_PIPELINE = re.compile(r"^(?P<model>.+)/pipeline/(?P<task>[a-z0-9-]+)$")
PROXY = "/api/inference-proxy/"


@dataclass(frozen=True)
class Route:
    """A call's address without its host."""

    path: str
    """Below the router's address, with query."""
    model: str | None
    """What the address names, if it does."""


def today(provider: str, via: str, url: str) -> Route:
    """Where `url` is today: README of the recordings, "Replay by".

    A provider's own host becomes the router's `/{provider}`; hf-inference's `/models/{id}` and `/pipeline/{task}/{id}`
    become `/hf-inference/models/{id}[/pipeline/{task}]`.
    """
    parts = urlsplit(url)
    path = parts.path
    query = f"?{parts.query}" if parts.query else ""
    if provider == "hf-inference":
        return _hf_inference(path, query)
    if path.startswith(PROXY):
        path = "/" + path.removeprefix(PROXY)
    elif via == "direct":
        path = f"/{provider}{path}"
    return Route(path + query, None)


def _hf_inference(path: str, query: str) -> Route:
    found = LEGACY.match(path)
    if found is None:
        return Route(path + query, None)
    kind, rest = found.groups()
    if kind == "pipeline":
        named = PIPELINE.match(rest)
        if named is None:
            return Route(path + query, None)
        return Route(f"/hf-inference/models/{named['model']}/pipeline/{named['task']}{query}", named["model"])
    model = rest.removesuffix(CHAT)
    routed = ROUTED_PIPELINE.match(model)
    return Route(f"/hf-inference/models/{rest}{query}", routed["model"] if routed else model)
