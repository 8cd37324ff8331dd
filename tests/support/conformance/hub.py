"""What the Hub says each provider calls a model: every recorded description is read."""

import json
from collections.abc import Iterable
from typing import Any

from schemas.providers import PROVIDERS
from workers.mapping import mapping_in

STATUSES = ("live", "staging", "error")


def mappings_read(rows: Iterable[dict[str, Any]]) -> tuple[int, list[str]]:
    """How many descriptions with a mapping were read, and a line for each that was not read as it is written."""
    read, wrong = 0, []
    for row in rows:
        document = _document(row)
        told = document.get("inferenceProviderMapping") if isinstance(document, dict) else None
        if not told:
            continue
        entries = told.items() if isinstance(told, dict) else ((one.get("provider"), one) for one in told)
        wanted = {
            (name, one.get("providerId"), one.get("task")) for name, one in entries
            if name in PROVIDERS and one.get("status") in STATUSES
        }  # fmt: skip
        found = {(name, one.provider_id, one.task) for name, one in mapping_in(document).items()}
        read += 1
        if found != wanted:
            wrong.append(f"{row['id']}: {len(found)} providers of {len(wanted)} are read as they are written")
    return read, wrong


def _document(row: dict[str, Any]) -> Any:
    try:
        return json.loads((row["response"]["body"] or {}).get("text", ""))
    except ValueError:
        return None
