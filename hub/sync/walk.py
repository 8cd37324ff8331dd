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

from hub.catalog.fields import OLDEST, instant
from hub.catalog.rows import is_repository
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
MOST_LEFT = 10**10
MOST_LINK_CHARS = 16_384
_LINKS = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r"""\brel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;,"']+))""", re.IGNORECASE)
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
    """Whether the next reading is a full one: the first, one that was not finished, and one after so long. Also where
    what is known is of the future."""
    if state is None or state.newest is None or state.full_at is None:
        return True
    if state.cursor and state.full:
        return True
    if max(state.newest, state.full_at) > now:  # a clock was wrong: believed, it would hide all that comes until then
        return True
    return now - state.full_at >= every


def enough(rows: Iterable[Any], state: SourceState | None) -> bool:
    """Whether an incremental reading has come to what is known: the last dated row of the page is old enough. One date
    of 1601 amid the young ends nothing."""
    if state is None or state.newest is None:
        return False
    times = [found for row in rows if isinstance(row, dict) and (found := instant(row.get("lastModified")))]
    plausible = [found for found in times if found >= OLDEST]
    return bool(plausible) and plausible[-1] < state.newest - OVERLAP


def youngest(rows: Iterable[Any], latest: datetime) -> datetime | None:
    """The youngest change of a page, as far as it is not later than `latest`: a date from the future must not hide what
    comes until then."""
    times = [found for row in rows if isinstance(row, dict) and (found := instant(row.get("lastModified")))]
    known = [found for found in times if found <= latest]
    return max(known, default=None)


def _bucket(told: str) -> dict[str, int]:
    found = {}
    for part in told.split(";"):
        name, _, number = part.strip().partition("=")
        if name in ("r", "t") and number.isascii() and number.isdecimal() and len(number) < 10:
            found[name] = int(number)
    return found


class Strange(ValueError):
    """A next page that is not followed: a reading that ended there would take what it has not read for gone."""


def ids_of(rows: Iterable[Any]) -> tuple[str, ...]:
    """The ids of those rows of a page that have one."""
    told = (row.get("id") or row.get("modelId") for row in rows if isinstance(row, dict))
    return tuple(str(one) for one in told if is_repository(one))


def next_page(asked: str, link: str | None) -> str | None:
    """The address of the next page as the `Link` header of the answer to `asked` has it; None: this was the last one.

    Raises `Strange` for one of another origin: it would lead our calls wherever somebody likes; and for a header that
    names no link at all: taken for the end of the list, it would have what was not read taken for gone.
    """
    told = link or ""
    links = _LINKS.findall(told[:MOST_LINK_CHARS])
    if told.strip() and (not links or len(told) > MOST_LINK_CHARS):
        raise Strange(f"its Link header of {len(told)} characters names no link that can be read")
    for address, rest in links:
        rels = " ".join("".join(found) for found in _REL.findall(rest)).lower().split()
        if "next" in rels:
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
    """`RateLimit: "api";r=999;t=295` and `Retry-After`, which is seconds or a date. Nonsense says nothing.

    Of several buckets the one counts that has the least left, and of those the one that fills last. A pause of no time
    beside a bucket that is empty is none.
    """
    buckets = [one for told in headers.get("ratelimit", "")[:4_096].split(",") if (one := _bucket(told))]
    found = min(buckets, key=lambda one: (one.get("r", MOST_LEFT), -one.get("t", 0)), default={})
    wait = found.get("t")
    told = headers.get("retry-after", "").strip()
    if found.get("r") == 0 and wait and not told.strip("0"):
        told = ""
    if told.isdecimal() and len(told) < 10:
        return Pace(found.get("r"), float(told))
    if told:
        try:
            return Pace(found.get("r"), max(0.0, (parsedate_to_datetime(told) - now).total_seconds()))
        except (ValueError, TypeError, OverflowError):
            pass
    return Pace(found.get("r"), None if wait is None else float(wait))
