"""One page of a list of the Hub's: asked for, smaller where it is too large, and where the list goes on."""

from dataclasses import dataclass

from hub.sync import walk
from hub.sync.client import Asker, TooLarge
from hub.sync.pages import Page
from schemas.catalog import Kind


@dataclass(frozen=True, slots=True)
class Read:
    """A page, and the address of the next; `strange`: there is a next one, and nobody can say where."""

    page: Page
    after: str | None
    strange: str = ""


async def read(asker: Asker, kind: Kind, url: str) -> Read:
    """A page, with fewer rows where it is too large. Raises `SourceDown`."""
    while True:
        try:
            page, headers = await asker.page(url)
            break
        except TooLarge:
            fewer = walk.smaller(url)
            if fewer is None:
                raise
            url = fewer
    try:
        after = walk.next_page(url, headers.get("link"))
    except walk.Strange as error:
        return Read(page, None, str(error))
    if after is None and not page.whole:
        return Read(page, None, f"a page of {kind}s breaks off, and none is said to follow")
    return Read(page, after)
