"""The same criteria as each other source understands them. What a source cannot be asked, its answer is sifted by."""

from hub.index.synonyms import CALLED, CATEGORIES, LANGUAGES, NOT_KNOWN
from hub.index.words import folded
from schemas.discovery import Criteria

EXPAND = (
    "author", "baseModels", "cardData", "createdAt", "disabled", "downloads", "downloadsAllTime", "gated", "gguf",
    "inference", "inferenceProviderMapping", "lastModified", "library_name", "likes", "pipeline_tag", "private",
    "safetensors", "sha", "tags", "trendingScore",
)  # fmt: skip
_SORTS = {"trending": "trendingScore", "downloads": "downloads", "likes": "likes", "recent": "lastModified"}
Params = tuple[tuple[str, str], ...]


def hub_params(criteria: Criteria) -> Params:
    """For `GET /api/models` (datasets, spaces) of the Hub, in the grammar of its client's source and its documentation.

    Several words of one list cannot be said there (`filter` holds together), but for providers: then none is, and
    the answer is sifted; `unknown` and a category of tasks cannot either. A licence is asked as the Hub writes it, in
    small letters; a task and a language that people call otherwise by the name that they have there.
    """
    tasks, languages = _tasks(criteria), [LANGUAGES.get(folded(one), one.lower()) for one in criteria.languages]
    found: list[tuple[str, str]] = []
    if criteria.text.strip():
        found.append(("search", " ".join(criteria.text.split())[:256]))
    if len(criteria.authors) == 1:
        found.append(("author", criteria.authors[0]))
    if criteria.kind == "model" and len(tasks) == 1:
        found.append(("pipeline_tag", tasks[0]))
    for values, prefix in ((criteria.libraries, ""), (languages, ""), (criteria.licenses, "license:")):
        if len(values) == 1 and values[0].lower() != NOT_KNOWN:
            found.append(("filter", prefix + values[0].lower()))
    found += [("filter", tag) for tag in criteria.tags]
    limits = (("min", criteria.min_parameters), ("max", criteria.max_parameters))
    sizes = [f"{name}:{value}" for name, value in limits if value is not None]
    if sizes and not criteria.unknown_size and criteria.kind == "model":
        found.append(("num_parameters", ",".join(sizes)))
    if criteria.kind == "model":
        if criteria.providers:
            found.append(("inference_provider", ",".join(criteria.providers)))
        elif criteria.served:
            found.append(("inference_provider", "all"))
        if criteria.gated is not None:
            found.append(("gated", str(criteria.gated).lower()))
    sort = _SORTS.get(criteria.order) or ("trendingScore" if criteria.trending else None)
    if sort:
        found.append(("sort", sort))
    found.append(("limit", str(min(100, criteria.offset + criteria.limit))))
    return (*found, *(("expand[]", name) for name in EXPAND))


def router_params(criteria: Criteria) -> Params:
    """For `GET /v1/models` of the router, which takes no question: its whole list is read and sifted."""
    return ()


def endpoint_params(criteria: Criteria) -> Params:
    """Of own endpoints (`novix.endpoints.v1`), which are few: what their states are sifted by first."""
    found = [("task", task) for task in _tasks(criteria)]
    found += [("region", region.lower()) for region in criteria.regions]
    return (*found, *((("state", "running"),) if criteria.served else ()))


def _tasks(criteria: Criteria) -> list[str]:
    """The tasks by their published names; none where one of them is a category, which stands for many."""
    said = [folded(task) for task in criteria.tasks]
    if any(one in CATEGORIES for one in said):
        return []
    return list(dict.fromkeys(CALLED.get(one.replace("-", " "), one.replace(" ", "-")) for one in said))
