"""A row of the Hub's list as an entry of the catalogue, or why it is none.

Rows are written by half a million strangers. A row without a usable id is refused; any other field that is missing,
null, too large or of a wrong type is left out and counted, and the rest of the row stands. Nothing here raises.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from hub.catalog.fields import Fields, is_count, is_number, is_text
from hub.catalog.merging import in_order, merge
from hub.catalog.naming import domains_of, language_of, languages_of, modality_of, task_of, tasks_of, weight_bytes
from schemas.catalog import (
    MAX_TAGS,
    OTHER,
    CatalogEntry,
    Issue,
    Kind,
    Level,
    Said,
    Security,
    Serving,
    Source,
    StatedResult,
)  # fmt: skip

__all__ = ["Refused", "is_repository", "merge", "read_row", "security_of", "serving_of"]

MAX_SERVED = 64
MAX_RESULTS = 100
MAX_ISSUES = 100
MAX_BASES = 32
UNKNOWN = "unknown"
"""The status of an offer of which nobody says whether it answers."""
MAX_READ_TAGS = 10_000
"""Tags that are read for what they say: of a speech model that knows a thousand languages the licence and `custom_code`
stand behind what an entry keeps."""
_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,95})?")
"""What the Hub lets repositories be called. Two points in a row are for paths."""
_HEX = re.compile(r"[0-9a-f]{24}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LEVELS: tuple[Level, ...] = ("safe", "unscanned", "queued", "error", "caution", "suspicious", "unsafe")
"""From the best to the worst."""
_BY_CARD = ("license", "license_raw", "languages", "base_models", "stated_results")
"""Fields that are the author's word, not the Hub's finding."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is kept out."""

    reason: str
    """`not_an_object`, `no_id`, `bad_id`, `bad_row`."""
    detail: str = ""
    """Size and kind, never content."""


def read_row(kind: Kind, row: Any, at: datetime, *, dropped: Counter[str] | None = None) -> CatalogEntry | Refused:
    """One row of a list, or the answer to a single repository's info. `at`: when it was read.

    `dropped` counts fields that were left out because they were not of their kind, and under `other` models whose tag
    is no published task.
    """
    counts: Counter[str] = Counter() if dropped is None else dropped
    if not isinstance(row, dict):
        return Refused("not_an_object", f"a {type(row).__name__}")
    name = row.get("id") or row.get("modelId")
    if not name:
        return Refused("no_id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        return Refused(
            "bad_id", f"a {type(name).__name__} of {len(str(name)) if isinstance(name, str) else 0} characters"
        )
    told = _read(kind, name, Fields(row, at, counts))
    return _entry(told, at, counts)


def is_repository(name: Any) -> bool:
    """Whether this is an id that a repository of the Hub's may have."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def _entry(told: dict[str, Any], at: datetime, counts: Counter[str]) -> CatalogEntry | Refused:
    """What pydantic refuses all the same is left out too: the schema has the last word."""
    for _ in range(8):
        said = _said(told, at)
        try:
            return CatalogEntry(**told, said=said)
        except ValidationError as error:
            bad = {str(fault["loc"][0]) for fault in error.errors(include_url=False) if fault["loc"]}
            bad -= {"id", "kind"}
            if not bad & told.keys():
                break
            for field in bad & told.keys():
                counts[field] += 1
                del told[field]
    return Refused("bad_row", "it does not become an entry")


def _said(told: Mapping[str, Any], at: datetime) -> tuple[Said, ...]:
    """Who said which field. What has no value was said by nobody."""
    known = [field for field, value in told.items() if field not in ("kind", "id") and value not in (None, (), {})]
    card = tuple(field for field in known if field in _BY_CARD)
    listed = tuple(field for field in known if field not in _BY_CARD and field != "served")
    pairs: list[tuple[Source, tuple[str, ...]]] = [
        ("hub", listed), ("card", card), ("mapping", ("served",) if told.get("served") else ())
    ]  # fmt: skip
    # The Hub has listed it, even where it says nothing else of it.
    return tuple(Said(source=source, fields=fields, since=at) for source, fields in pairs if fields or source == "hub")


def _read(kind: Kind, name: str, fields: Fields) -> dict[str, Any]:
    card = fields.table("cardData")
    every_tag = fields.texts("tags", MAX_READ_TAGS)
    tags = every_tag[:MAX_TAGS]
    if len(every_tag) > MAX_TAGS:
        fields.drop("tags")
    pipeline_tag = fields.text("pipeline_tag")
    task = task_of(pipeline_tag)
    if task == OTHER:
        fields.drop(OTHER)
    dtypes, parameters, context = _size(fields)
    served = in_order(serving_of(fields.row.get("inferenceProviderMapping"), fields))
    license_raw = _license(card, every_tag, fields)
    told: dict[str, Any] = {
        "kind": kind,
        "id": name,
        "hub_id": _matching(fields, "_id", _HEX),
        "revision": _matching(fields, "sha", _SHA),
        "name": name.rpartition("/")[2],
        "author": fields.text("author") or name.rpartition("/")[0] or None,
        "description": fields.prose("description"),
        "task": task,
        "pipeline_tag": pipeline_tag,
        "tasks": tasks_of(pipeline_tag, every_tag, (one.task for one in served if one.task)),
        "modality": modality_of(pipeline_tag, task),
        "library": fields.text("library_name") or fields.text("sdk"),
        "languages": _languages(card, every_tag, fields)[:MAX_TAGS],
        "domains": domains_of(every_tag),
        "license": _spdx(license_raw),
        "license_raw": license_raw,
        "tags": tags,
        "downloads": fields.count("downloads"),
        "downloads_all_time": fields.count("downloadsAllTime"),
        "likes": fields.count("likes"),
        "trending_score": fields.number("trendingScore"),
        "created_at": fields.instant("createdAt"),
        "last_modified": fields.instant("lastModified"),
        "parameters": parameters,
        "size_bytes": weight_bytes(dtypes),
        "dtypes": dtypes,
        "context_tokens": context,
        "base_models": _base_models(card, fields),
        "gated": _gated(fields),
        "private": fields.flag("private"),
        "disabled": fields.flag("disabled"),
        "inference": fields.text("inference") if isinstance(fields.row.get("inference"), str) else None,
        "served": served,
        "security": security_of(fields, every_tag),
        "stated_results": tuple(_stated(fields, card)),
    }
    if kind == "dataset":
        listed = card.get("task_categories")
        wanted = [*listed] if isinstance(listed, list) else [listed]
        wanted += [tag.partition(":")[2] for tag in every_tag if tag.startswith("task_categories:")]
        told["tasks"] = tasks_of(None, (), (task_of(one) or "" for one in wanted if is_text(one)))
    return {field: value for field, value in told.items() if value not in (None, (), {})}


def _matching(fields: Fields, name: str, pattern: re.Pattern[str]) -> str | None:
    told = fields.text(name)
    if told is not None and not pattern.fullmatch(told):
        fields.drop(name)
        return None
    return told


def _size(fields: Fields) -> tuple[dict[str, int], int | None, int | None]:
    """Parameters by number type, together, and the longest input, as far as headers of weights tell them."""
    safetensors, gguf, config = fields.table("safetensors"), fields.table("gguf"), fields.table("config")
    told = safetensors.get("parameters")
    dtypes = {}
    if (
        isinstance(told, dict)
        and len(told) <= 32
        and all(is_text(name, 32) and is_count(n) for name, n in told.items())
    ):
        dtypes = dict(told)
    elif told is not None:
        fields.drop("safetensors")
    for name, table in (("safetensors", safetensors), ("gguf", gguf)):
        if table.get("total") is not None and not is_count(table["total"]):
            fields.drop(name)
    total = next((one for one in (safetensors.get("total"), gguf.get("total")) if is_count(one) and one), None)
    longest = (gguf.get("context_length"), config.get("max_position_embeddings"))
    return dtypes, total or sum(dtypes.values()) or None, next((one for one in longest if is_count(one) and one), None)


def _license(card: Mapping[str, Any], tags: tuple[str, ...], fields: Fields) -> str | None:
    """As the card or, without one, a tag has it; of several all; of `other` the name that the card gives it."""
    told = card.get("license")
    several = [one for one in told if is_text(one, 128)][:8] if isinstance(told, list) else []
    raw = ", ".join(several) if several else told if is_text(told, 128) else None
    if raw is None:
        if told not in (None, "", []):
            fields.drop("license")
        raw = next((tag[8:] for tag in tags if tag.startswith("license:") and len(tag) > 8), None)
    if raw == "other" and is_text(card.get("license_name"), 128):
        return str(card["license_name"])
    return raw[:256] if raw else None


def _spdx(raw: str | None) -> str | None:
    from hub.licenses import spdx_of

    return spdx_of(raw)


def _gated(fields: Fields) -> str | None:
    told = fields.row.get("gated")
    if told is None:
        return None
    if told is False:
        return "no"
    if told is True:  # older answers: somebody has to agree
        return "manual"
    if told in ("auto", "manual"):
        return str(told)
    fields.drop("gated")
    return None


def _languages(card: Mapping[str, Any], tags: tuple[str, ...], fields: Fields) -> tuple[str, ...]:
    """As many as an entry may have; some speech models know a thousand."""
    told = card.get("language")
    one_by_one = told if isinstance(told, list) else [told]
    if len(one_by_one) > MAX_TAGS or any(one is not None and not language_of(one) for one in one_by_one[:MAX_TAGS]):
        fields.drop("language")
    return languages_of(told, tags)


def _base_models(card: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    told = card.get("base_model")
    named = told if isinstance(told, list) else [told]
    if len(named) > MAX_BASES or not all(one is None or is_repository(one) for one in named):
        fields.drop("base_model")
    listed = fields.table("baseModels").get("models")
    if isinstance(listed, list):
        named = [*named, *(one.get("id") for one in listed[:MAX_BASES] if isinstance(one, dict))]
    return tuple(dict.fromkeys(str(one) for one in named[:MAX_BASES] if is_repository(one)))


def serving_of(told: Any, fields: Fields) -> Iterator[Serving]:
    """Providers of a mapping, which is a list in lists of models and a table by provider in the answer to one."""
    if told is None:
        return
    rows: list[Any]
    if isinstance(told, dict):
        rows = [{"provider": name, **row} if isinstance(row, dict) else row for name, row in told.items()]
    elif isinstance(told, list):
        rows = told
    else:
        fields.drop("inferenceProviderMapping")
        return
    seen: set[tuple[str, str | None]] = set()
    for row in rows:
        if not isinstance(row, dict) or not is_text(row.get("provider"), 64) or len(seen) == MAX_SERVED:
            fields.drop("inferenceProviderMapping")
            continue
        tag = row.get("task") if is_text(row.get("task"), 64) else None
        task = task_of(tag)
        if (row["provider"], task) in seen:
            continue
        seen.add((row["provider"], task))
        status = row.get("status")
        if not is_text(status, 32):  # nobody has said that it answers
            fields.drop("inferenceProviderMapping")
            status = UNKNOWN
        yield Serving(
            provider=row["provider"],
            provider_model=row["providerId"] if is_text(row.get("providerId")) else None,
            task=None if task == OTHER else task,
            status=status,
            source="mapping",
        )


def security_of(fields: Fields, tags: tuple[str, ...]) -> Security | None:
    """What the Hub's scanners said, and whether it wants `trust_remote_code`; None: nobody has said anything."""
    told = fields.table("securityRepoStatus")
    config = fields.table("config")
    custom: bool | None = None
    if "custom_code" in tags or isinstance(config.get("auto_map"), dict):
        custom = True
    elif "transformers" in tags:  # the Hub itself puts the tag on such repositories
        custom = False
    done = told.get("scansDone")
    if not told:
        return None if custom is None else Security(custom_code=custom)
    listed = told.get("filesWithIssues")
    is_told = isinstance(listed, list)  # a list in another form may name anything
    if not is_told or not (done is None or isinstance(done, bool)):
        fields.drop("securityRepoStatus")
    issues = []
    for one in listed if isinstance(listed, list) else []:
        level = one.get("level") if isinstance(one, dict) else None
        path = one.get("path") if isinstance(one, dict) else None
        if level not in _LEVELS or not is_text(path):
            fields.drop("securityRepoStatus")
            level, path = level if level in _LEVELS else "caution", path if is_text(path) else "?"
        issues.append(Issue(path=path, level=level))
    worst = max((issue.level for issue in issues), key=_LEVELS.index, default=None)
    level_: Level = worst or ("safe" if done is True and is_told else "unscanned")
    ranked = sorted(issues, key=lambda issue: -_LEVELS.index(issue.level))[:MAX_ISSUES]
    return Security(
        scans_done=done if isinstance(done, bool) and is_told else None,
        level=level_,
        issues=tuple(ranked),
        custom_code=custom,
    )


def _stated(fields: Fields, card: Mapping[str, Any]) -> Iterator[StatedResult]:
    """Evaluations that the card states, in the form of Papers with Code's model index."""
    told = fields.row.get("model-index") or card.get("model-index")
    if told is None:
        return
    if not isinstance(told, list):
        fields.drop("model-index")
        return
    left = MAX_RESULTS
    for index in told:
        for result in _tables(index, "results"):
            dataset, task = result.get("dataset"), result.get("task")
            named = next(
                (one for key in ("name", "type") if isinstance(dataset, dict) and is_text(one := dataset.get(key))),
                None,
            )
            for metric in _tables(result, "metrics"):
                value = metric.get("value")
                kind = metric.get("type") or metric.get("name")
                if named is None or not is_text(kind) or not is_number(value):
                    fields.drop("model-index")
                    continue
                if not left:
                    return
                left -= 1
                about = task.get("type") if isinstance(task, dict) else None
                yield StatedResult(
                    dataset=named, metric=str(kind), value=float(value), task=about if is_text(about) else None,
                    verified=metric.get("verified") is True,
                )  # fmt: skip


def _tables(told: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """The objects of a list that a table has under a name; nothing where there is none."""
    rows = told.get(name) if isinstance(told, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield row
