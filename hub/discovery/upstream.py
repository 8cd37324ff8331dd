"""The same criteria as each other source understands them. What a source cannot be asked, its answer is sifted by."""

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
    the answer is sifted. A licence is asked as the Hub writes it, in small letters.
    """
    found: list[tuple[str, str]] = []
    if criteria.text.strip():
        found.append(("search", " ".join(criteria.text.split())[:256]))
    if len(criteria.authors) == 1:
        found.append(("author", criteria.authors[0]))
    if criteria.kind == "model" and len(criteria.tasks) == 1:
        found.append(("pipeline_tag", criteria.tasks[0].lower()))
    if len(criteria.libraries) == 1:
        found.append(("filter", criteria.libraries[0].lower()))
    if len(criteria.languages) == 1:
        found.append(("filter", criteria.languages[0].lower()))
    if len(criteria.licenses) == 1:
        found.append(("filter", f"license:{criteria.licenses[0].lower()}"))
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
    found = [("task", task) for task in criteria.tasks]
    found += [("region", region) for region in criteria.regions]
    return (*found, *((("state", "running"),) if criteria.served else ()))
