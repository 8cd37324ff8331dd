"""The grammar of the Hub's lists: what may be asked, and whether a row is what was asked for. Pure.

From `huggingface_hub` 2.4.0 and the Hub's documentation; the OpenAPI document has no list route.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.hf import wire
from schemas import codec

Kind = Literal["model", "dataset", "space"]
KINDS: tuple[Kind, ...] = ("model", "dataset", "space")
SORTS = ("trendingScore", "downloads", "likes", "lastModified", "createdAt")
USUAL_PAGE = 1_000
MOST_ON_PAGE = 1_000
EXPANDS: Mapping[Kind, tuple[str, ...]] = {
    "model": (
        "author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "downloads",
        "downloadsAllTime", "evalResults", "gated", "gguf", "inference", "inferenceProviderMapping", "lastModified",
        "library_name", "likes", "mask_token", "model-index", "pipeline_tag", "private", "resourceGroup", "safetensors",
        "sha", "siblings", "spaces", "tags", "transformersInfo", "trendingScore", "usedStorage", "widgetData",
    ),
    "dataset": (
        "author", "cardData", "citation", "createdAt", "description", "disabled", "downloads", "downloadsAllTime",
        "gated", "lastModified", "likes", "paperswithcode_id", "private", "resourceGroup", "sha", "siblings", "tags",
        "trendingScore", "usedStorage",
    ),
    "space": (
        "author", "cardData", "createdAt", "datasets", "disabled", "lastModified", "likes", "models", "private",
        "resourceGroup", "runtime", "sdk", "sha", "siblings", "subdomain", "tags", "trendingScore", "usedStorage",
    ),
}  # fmt: skip
"""What `expand` may name, of each kind."""
_BRIEF: Mapping[Kind, tuple[str, ...]] = {
    "model": ("likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt"),
    "dataset": (
        "author", "disabled", "gated", "lastModified", "likes", "trendingScore", "private", "sha", "description",
        "downloads", "tags", "createdAt",
    ),
    "space": ("likes", "trendingScore", "private", "tags", "createdAt", "sdk"),
}  # fmt: skip
_FULL = ("author", "disabled", "gated", "lastModified", "sha", "siblings")
_NUMBER = re.compile(r"(?P<digits>[0-9]+(\.[0-9]+)?)(?P<unit>[KMBT]?)")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class Query:
    """One question for a list."""

    kind: Kind
    search: tuple[str, ...] = ()
    author: str | None = None
    filters: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    least_parameters: int | None = None
    most_parameters: int | None = None
    warm: bool = False
    providers: tuple[str, ...] = ()
    """`all` for any."""
    gated: bool | None = None
    sort: str = "trendingScore"
    limit: int = USUAL_PAGE
    names: tuple[str, ...] = ()
    """What of a row is told, beside its ids."""
    after: tuple[int, int] | None = None
    """Value and number of the last row of the page before."""


def read_query(kind: Kind, pairs: list[tuple[str, str]]) -> Query:
    """What the parameters ask. Raises a refusal with status 400 for those that ask nothing sensible."""
    last = dict(pairs)
    expand = [name for key, told in pairs if key in ("expand", "expand[]") for name in told.split(",") if name]
    sort = last.get("sort") or "trendingScore"
    if sort not in SORTS:
        raise _refused(f'Invalid option in "sort": {sort[:100]}')
    least, most = _parameters(last.get("num_parameters", ""))
    return Query(
        kind=kind,
        search=tuple((last.get("search") or last.get("q") or "").lower().split()),
        author=last.get("author") or None,
        filters=tuple(one for key, told in pairs if key in ("filter", "tags") for one in told.split(",") if one)
        + tuple(f"dataset:{told}" for key, told in pairs if key == "trained_dataset" and told),
        pipeline_tag=last.get("pipeline_tag") or None,
        least_parameters=least,
        most_parameters=most,
        warm=last.get("inference") == "warm",
        providers=tuple(one for one in last.get("inference_provider", "").split(",") if one),
        gated={"true": True, "false": False}.get(last.get("gated", "")),
        sort=sort,
        limit=_limit(last.get("limit", "")),
        names=_names(kind, expand, last),
        after=read_cursor(last["cursor"]) if last.get("cursor") else None,
    )


def _names(kind: Kind, expand: list[str], last: Mapping[str, str]) -> tuple[str, ...]:
    if expand:
        if last.get("full") in ("true", "True", "1"):
            raise _refused('"expand" cannot be used with "full"')
        check_expand(kind, expand)
        return tuple(dict.fromkeys(expand))
    more = [name for name in ("cardData", "config") if last.get(name) in ("true", "True", "1")]
    full = _FULL if last.get("full") in ("true", "True", "1") else ()
    return tuple(dict.fromkeys((*_BRIEF[kind], *full, *more)))


def check_expand(kind: Kind, names: list[str]) -> None:
    """Raises a refusal with status 400 for a name that `expand` does not know."""
    unknown = [name for name in names if name not in EXPANDS[kind]]
    if unknown:
        raise _refused(f'Invalid option in "expand": {unknown[0][:100]}')


def shown(row: Mapping[str, Any], names: tuple[str, ...], kind: Kind) -> dict[str, Any]:
    """A row of an answer."""
    told: dict[str, Any] = {"_id": row["_id"], "id": row["id"]} if "_id" in row else {"id": row.get("id")}
    told |= {name: row[name] for name in names if name in row}
    return told | ({"modelId": row["id"]} if kind == "model" and "likes" in names and "tags" in names else {})


def fits(row: Mapping[str, Any], query: Query) -> bool:
    """Whether a row is what was asked for."""
    told = row.get("tags")
    tags = told if isinstance(told, list | tuple) else ()  # a test may have made the row hostile
    tests = (
        query.author is None or row.get("author") == query.author,
        query.pipeline_tag is None or row.get("pipeline_tag") == query.pipeline_tag,
        all(one in tags or one in (row.get("library_name"), row.get("pipeline_tag")) for one in query.filters),
        not query.search or all(word in str(row.get("id", "")).lower() for word in query.search),
        query.gated is None or bool(row.get("gated")) == query.gated,
        not query.warm or row.get("inference") == "warm",
        not query.providers or _is_served(row, query.providers),
    )
    return all(tests) and _is_sized(row, query)


def _is_served(row: Mapping[str, Any], wanted: tuple[str, ...]) -> bool:
    told = row.get("inferenceProviderMapping")
    rows = told if isinstance(told, list | tuple) else ()
    names = set(told) if isinstance(told, dict) else {str(one.get("provider")) for one in rows if isinstance(one, dict)}
    return bool(names) if "all" in wanted else bool(names & set(wanted))


def _is_sized(row: Mapping[str, Any], query: Query) -> bool:
    if query.least_parameters is None and query.most_parameters is None:
        return True
    sizes = row.get("safetensors") or row.get("gguf")
    count = sizes.get("total") if isinstance(sizes, dict) else None
    if not isinstance(count, int):
        return False
    return (query.least_parameters or 0) <= count <= (query.most_parameters or 10**30)


def _parameters(told: str) -> tuple[int | None, int | None]:
    least = most = None
    for part in [part for part in told.split(",") if part]:
        bound, _, number = part.partition(":")
        found = _NUMBER.fullmatch(number.upper())
        if bound not in ("min", "max") or found is None or len(number) > 18:
            raise _refused(f'Invalid option in "num_parameters": {told[:100]}')
        count = int(float(found["digits"]) * _UNITS[found["unit"]])
        least, most = (count, most) if bound == "min" else (least, count)
    return least, most


def _limit(told: str) -> int:
    if not told:
        return USUAL_PAGE
    if not told.isdecimal() or len(told) > 9 or int(told) < 1:
        raise _refused('Invalid option in "limit"')
    return min(int(told), MOST_ON_PAGE)


def cursor(value: int, number: int) -> str:
    """Where the next page begins. Opaque to clients, like the Hub's own."""
    return base64.urlsafe_b64encode(codec.encode([value, number])).decode()


def read_cursor(told: str) -> tuple[int, int]:
    """Value and number of the last row before. Raises a refusal with status 400 for what is no cursor of ours."""
    try:
        value, number = codec.decode(base64.b64decode(told.encode(), altchars=b"-_", validate=True))
        return int(value), int(number)
    except (ValueError, TypeError, OverflowError):
        raise _refused("Invalid cursor") from None


def _refused(text: str) -> wire.Refusal:
    return wire.Refusal(400, {"error": text})
