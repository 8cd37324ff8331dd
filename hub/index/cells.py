"""An entry as numbers: the words of its fields, and its row of the columns. Pure."""

import math
import zlib
from collections.abc import Mapping

from hub.catalog.scores import lasting
from hub.index.columns import CUSTOM_CODE, DISABLED, GATED, KINDS, PRIVATE, SCANNED_BAD, SERVED, UNKNOWN, Cells
from hub.index.offers import latency_of, nan_if_none, offered, priced
from hub.index.words import folded
from schemas.catalog import CatalogEntry
from schemas.tasks import MODALITIES

Word = tuple[str, str]
"""Field and folded text."""
SINGLE = ("task", "modality", "library", "license", "author")
"""Fields of one value: a column each, in this order."""
LISTS = ("tasks", "language", "tag", "domain", "provider", "region")
FIELDS = {field: number for number, field in enumerate((*SINGLE, *LISTS), 1)}
FIELD_BITS = 27
"""A word's number has its field's above these bits: what a number is of can be told without looking it up."""
MAX_CELL = 2**62


def told(entry: CatalogEntry) -> dict[Word, str]:
    """Every word of an entry's fields, and how it is shown: as it is written."""
    task = entry.task or entry.pipeline_tag
    shown = {
        "task": (entry.pipeline_tag if task == "other" and entry.pipeline_tag else task,),
        "modality": (entry.modality or (MODALITIES.get(task) if task else None),),
        "library": (entry.library,),
        "license": (entry.license or entry.license_raw,),
        "author": (entry.id.rpartition("/")[0] or entry.author,),
        "tasks": tuple(dict.fromkeys(filter(None, (entry.task, entry.pipeline_tag, *entry.tasks)))),
        "language": entry.languages,
        "tag": entry.tags,
        "domain": entry.domains,
        "provider": tuple(one.provider for one in entry.served),
        "region": tuple(region for one in entry.served for region in one.regions),
    }
    found: dict[Word, str] = {}
    for field, values in shown.items():
        for value in values:
            if value and (word := (field, folded(value)))[1]:
                found.setdefault(word, value)
    return found


def tier_of(entry: CatalogEntry) -> int:
    """How much it is used, 0 to 15: half the number of binary digits of its downloads."""
    return min(15, (entry.downloads or 0).bit_length() // 2)


def stated_quality(entry: CatalogEntry) -> float | None:
    """The median of the accuracies and the like that its card states, 0 to 1; None where it states none.

    Nobody has checked them, and of one set to another they mean different things: they weigh little.
    """
    values = sorted(
        value
        for one in entry.stated_results
        if folded(one.metric) in _OF_QUALITY and 0 <= (value := one.value / 100 if one.value > 1 else one.value) <= 1
    )
    return values[len(values) // 2] if values else None


_OF_QUALITY = frozenset(
    {"accuracy", "acc", "f1", "exact_match", "precision", "recall", "map", "ndcg_at_10", "spearman"}
)


def cells(entry: CatalogEntry, numbers: Mapping[Word, int]) -> Cells:
    """An entry's row; `numbers` knows all of its words."""
    by_field: dict[str, list[int]] = {}
    for word in told(entry):
        by_field.setdefault(word[0], []).append(numbers[word])
    single = [by_field.get(field, [0])[0] for field in SINGLE]
    offers = offered(entry)
    live = [one for one in entry.served if one.status == "live"]
    prices = [price for one in live if (price := priced(one)) is not None]
    latency = latency_of(entry)
    security = entry.security
    flags = (
        PRIVATE * bool(entry.private)
        + DISABLED * bool(entry.disabled)
        + SERVED * bool(live)
        + CUSTOM_CODE * bool(security and security.custom_code)
        + SCANNED_BAD * bool(security and security.level in ("suspicious", "unsafe"))
    )
    record = (
        KINDS[entry.kind],
        tier_of(entry),
        GATED[entry.gated],
        flags,
        *single,
        _whole(entry.parameters),
        _whole(entry.size_bytes),
        _whole(entry.downloads),
        _whole(entry.likes),
        nan_if_none(entry.trending_score),
        *(lasting(entry) or (math.nan, math.nan)),
        nan_if_none(stated_quality(entry)),
        nan_if_none(latency.value if latency else None),
        min(prices, default=UNKNOWN),
        UNKNOWN if entry.created_at is None else int(entry.created_at.timestamp()),
        UNKNOWN if entry.last_modified is None else int(entry.last_modified.timestamp()),
        zlib.crc32(entry.key.encode()),
    )
    rows = tuple(
        (
            numbers["provider", folded(one.provider)],
            numbers["region", folded(one.region)] if folded(one.region) else 0,
            int(one.live),
            UNKNOWN if one.nanousd_per_mtok is None else one.nanousd_per_mtok,
            nan_if_none(one.latency_ms),
        )
        for one in offers
        if folded(one.provider)
    )
    bag = tuple(number for field in LISTS for number in by_field.get(field, ()))
    return Cells(record, bag, rows)


GONE = Cells((0,) * 22, ())
"""The row of an entry that is not there any more."""


def _whole(value: int | None) -> int:
    return UNKNOWN if value is None else min(value, MAX_CELL)
