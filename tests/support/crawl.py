"""Every address that pages lead to, asked as a script asks: all that follows from a first page, and routes left out."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from html.parser import HTMLParser
from typing import Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from starlette.routing import BaseRoute, Mount, Route

LEADING = ("href", "src", "action", "hx-get", "sse-connect", "hx-sse:connect", "data-url", "data-source", "data-href")
"""Attributes whose value is an address that is asked with GET."""
MOST = 400


class Answered(Protocol):
    """What an address answers."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


A = TypeVar("A", bound=Answered)


class _Leads(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "form" and (told.get("method") or "get").lower() != "get":
            return
        self.found += [value for name in LEADING if (value := told.get(name))]


def crawled(get: Callable[[str], A], starts: Iterable[str]) -> dict[str, A]:
    """Ask for these paths and for all that they lead to on the same machine, at most `MOST`; the answers by path."""
    answers: dict[str, A] = {}
    waiting = deque(starts)
    while waiting and len(answers) < MOST:
        path = waiting.popleft()
        if path in answers:
            continue
        answers[path] = answer = get(path)
        if "text/html" in answer.headers.get("content-type", ""):
            leads = _Leads(answer.body.decode(errors="replace")).found
        else:
            leads = [answer.headers["location"]] if "location" in answer.headers else []
        for lead in leads:
            whole = urlsplit(urljoin(f"http://here{path}", lead))
            if whole.netloc == "here" and not whole.path.startswith("/static/"):
                waiting.append(whole.path + (f"?{whole.query}" if whole.query else ""))
    return answers


def missed(routes: Iterable[BaseRoute], paths: Iterable[str]) -> list[str]:
    """The routes that answer GET and that none of these paths leads to."""
    seen = [urlsplit(path).path for path in paths]
    left = []
    for route in routes:
        if isinstance(route, Mount) or not isinstance(route, Route) or "GET" not in (route.methods or {"GET"}):
            continue
        if not any(re.fullmatch(route.path_regex, path) for path in seen):
            left.append(route.path)
    return left
