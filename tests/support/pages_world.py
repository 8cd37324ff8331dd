"""The pages over an index of one's own, asked as a browser or a script asks, without a socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from console_world import NOON, Story, ms
from starlette.testclient import TestClient

from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from console.pages.app import create_app
from console.pages.context import Context

NOW_MS = ms(NOON) + 60_000


@dataclass
class PagesWorld:
    """A store that a test fills, the index over it, and a client of its pages."""

    store: Store
    index: Index
    client: TestClient
    told: dict[str, Any] = field(default_factory=lambda: {"process": "console", "healthy": True})

    def fill(self, *stories: Story) -> None:
        """Everything that these jobs leave on the topics."""
        self.records(*(record for story in stories for record in story.records))

    def records(self, *records: tuple[Any, ...]) -> None:
        """Records: topic, partition, offset, timestamp in ms, value; maybe key and headers."""
        self.store.add(facts_of(*record, capture=self.store.capture) for record in records)


@contextmanager
def pages_world(folder: Path, *, capture: bool = False, **context: Any) -> Iterator[PagesWorld]:
    """For the length of a block, at the instant `NOW_MS`."""
    store = Store(folder / "index.sqlite", capture=capture, now_ms=lambda: NOW_MS)
    index = Index(folder / "index.sqlite")
    told: dict[str, Any] = {"process": "console", "healthy": True}
    app = create_app(Context(index=index, describe=lambda: told, capture=capture, now_ms=lambda: NOW_MS, **context))
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    try:
        yield PagesWorld(store, index, client, told)
    finally:
        index.close()
        store.close()


class Seen(HTMLParser):
    """A page as a browser reads it: its tags, its links, its text; `scripts` are the addresses of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str | None] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it."""
        told = dict(attrs)
        self.tags.append(tag)
        self.attributes += told
        self.links += [value for name, value in attrs if name == "href" and value is not None]
        self.ids += [value for name, value in attrs if name == "id" and value is not None]
        if tag == "script":
            self.scripts.append(told.get("src"))

    def handle_data(self, data: str) -> None:
        """Add it to the text."""
        self.text += data

    @property
    def is_clean(self) -> bool:
        """No script but from our own files, no style and no handler of its own, nothing from elsewhere."""
        ours = all(src is not None and src.startswith("/static/") for src in self.scripts)
        inline = [name for name in self.attributes if name.startswith("on") or name == "style"]
        strange = {"img": 1, "iframe": 0, "object": 0, "embed": 0, "style": 0, "base": 0}
        return ours and not inline and all(self.tags.count(tag) <= most for tag, most in strange.items())
