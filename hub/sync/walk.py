"""One reading of a list of the Hub's: where it begins, when it has read enough, where it goes on. Pure.

An incremental reading goes from the youngest change back to the youngest of the last complete one. A full one goes by
the day of creation, which never changes, so that nothing slips from one page to another while it reads; it alone tells
what is gone. What changes during a reading is younger than its beginning, and is read by the next.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from hub.catalog.fields import instant
from schemas.catalog import Kind, SourceState
from schemas.values import frozen

PAGE = 1_000
OVERLAP = timedelta(seconds=60)
"""An incremental reading goes so far behind what it knows: two commits of one second may come on two days."""
MODEL_FIELDS = (
    "author", "sha", "lastModified", "createdAt", "private", "gated", "disabled", "downloads", "downloadsAllTime",
    "likes",
    "trendingScore", "library_name", "pipeline_tag", "tags", "cardData", "safetensors", "gguf", "inference",
    "inferenceProviderMapping", "baseModels",
)  # fmt: skip
DATASET_FIELDS = (
    "author", "sha", "lastModified", "createdAt", "private", "gated", "disabled", "downloads", "downloadsAllTime",
    "likes",
    "trendingScore", "tags", "cardData", "description",
)  # fmt: skip
SPACE_FIELDS = (
    "author", "sha", "lastModified", "createdAt", "private", "disabled", "likes", "trendingScore", "tags", "cardData",
    "sdk",
)  # fmt: skip
_FIELDS: Mapping[Kind, tuple[str, ...]] = {"model": MODEL_FIELDS, "dataset": DATASET_FIELDS, "space": SPACE_FIELDS}
MOST_ADDRESS_CHARS = 4_096
_LINKS = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r"""rel\s*=\s*["']?next\b""")
KINDS: tuple[Kind, ...] = ("model", "dataset", "space")


@frozen
class Pace:
    """What an answer says of how fast one may ask."""

    left: int | None = None
    """Calls in the present window; None: it does not say."""
    wait_s: float | None = None
    """Until a new window, or as long as `Retry-After` asks."""


def begin(base: str, kind: Kind, state: SourceState | None, *, full: bool, page: int = PAGE) -> str:
    """The address at which a reading begins: where an unfinished one of its sort stopped, else the first page."""
    if state is not None and state.cursor and state.full == full and same_origin(base, state.cursor):
        return state.cursor
    sort = "createdAt" if full else "lastModified"
    pairs = [("sort", sort), ("limit", str(page)), *(("expand[]", name) for name in _FIELDS[kind])]
    return f"{base}/api/{kind}s?{urlencode(pairs)}"


def smaller(asked: str) -> str | None:
    """The same page with a tenth of its rows, where it is too large to be read; None: it has only one."""
    parts = urlsplit(asked)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    told = dict(pairs).get("limit", "")
    if not told.isdecimal() or len(told) > 6 or int(told) <= 1:
        return None
    fewer = str(max(1, int(told) // 10))
    return parts._replace(
        query=urlencode([(name, fewer if name == "limit" else value) for name, value in pairs])
    ).geturl()


def is_full(state: SourceState | None, now: datetime, every: timedelta) -> bool:
    """Whether the next reading is a full one: the first, one that was not finished, and one after so long."""
    if state is None or state.newest is None or state.full_at is None:
        return True
    if state.cursor and state.full:
        return True
    return now - state.full_at >= every


def enough(rows: Iterable[Any], state: SourceState | None) -> bool:
    """Whether an incremental reading has come to what is known: the page's last change is old enough."""
    if state is None or state.newest is None:
        return False
    times = [found for row in rows if isinstance(row, dict) and (found := instant(row.get("lastModified")))]
    return bool(times) and min(times) < state.newest - OVERLAP


def youngest(rows: Iterable[Any], latest: datetime) -> datetime | None:
    """The youngest change of a page, as far as it is not later than `latest`: a date from the future must not hide what
    comes until then."""
    times = [found for row in rows if isinstance(row, dict) and (found := instant(row.get("lastModified")))]
    known = [found for found in times if found <= latest]
    return max(known, default=None)


class Strange(ValueError):
    """A next page that is not followed: a reading that ended there would take what it has not read for gone."""


def next_page(asked: str, link: str | None) -> str | None:
    """The address of the next page as the `Link` header of the answer to `asked` has it; None: this was the last one.

    Raises `Strange` for one of another origin: it would lead our calls wherever somebody likes.
    """
    for address, rest in _LINKS.findall((link or "")[:16_384]):
        if _NEXT.search(rest):
            try:
                found: str = urljoin(asked, str(address))
            except ValueError:
                raise Strange(f"its next page has an address of {len(address)} characters that is none") from None
            if len(found) > MOST_ADDRESS_CHARS or not same_origin(asked, found):
                raise Strange(f"its next page is at another origin, or its address has {len(found)} characters")
            return found
    return None


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one scheme, host and port."""
    try:
        a, b = urlsplit(one), urlsplit(other)
        usual = {"http": 80, "https": 443}
        return (a.scheme, a.hostname, a.port or usual.get(a.scheme)) == (
            b.scheme, b.hostname, b.port or usual.get(b.scheme)
        )  # fmt: skip
    except ValueError:
        return False


def pace_of(headers: Mapping[str, str], now: datetime) -> Pace:
    """`RateLimit: "api";r=999;t=295` and `Retry-After`, which is seconds or a date. Nonsense says nothing."""
    found = {}
    for part in headers.get("ratelimit", "").split(";"):
        name, _, number = part.strip().partition("=")
        if name in ("r", "t") and number.isdecimal() and len(number) < 10:
            found[name] = int(number)
    wait = found.get("t")
    told = headers.get("retry-after", "").strip()
    if told.isdecimal() and len(told) < 10:
        return Pace(found.get("r"), float(told))
    if told:
        try:
            return Pace(found.get("r"), max(0.0, (parsedate_to_datetime(told) - now).total_seconds()))
        except (ValueError, TypeError, OverflowError):
            pass
    return Pace(found.get("r"), None if wait is None else float(wait))
