"""Fields of strangers' records as cells of a table: typed, capped, and None where they are something else. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

from console.index.chunks import MAX_SUBMISSION
from console.index.rows import Key
from schemas import codec
from schemas.base import MAX_ID_CHARS, MAX_TENANT_CHARS
from schemas.headers import Headers

SHOWN_CHARS = 256
"""Characters of a stranger's field that a list shows."""
MAX_SHOWN_HEADERS = 64
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
SECRET_WORDS = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "api_key")
"""In a header's name: its value is not kept."""


def named(tenant: object, job_id: object, submission: int) -> Key | None:
    """An identity; None for what cannot be one."""
    if not (isinstance(tenant, str) and isinstance(job_id, str)):
        return None
    if not (0 < len(tenant) <= MAX_TENANT_CHARS and 0 < len(job_id) <= MAX_ID_CHARS):
        return None
    return tenant, job_id, min(submission, MAX_SUBMISSION)


def submission(told: dict[str, Any]) -> int:
    """1 where it is not told."""
    return max(1, whole(told.get("submission")) or 1)


def shown_headers(some: Headers) -> list[list[str]]:
    """Names and shown values; what names a secret shows none."""
    told = []
    for name, value in some[:MAX_SHOWN_HEADERS]:
        secret = any(word in name.lower() for word in SECRET_WORDS)
        told.append([cut(name), "(hidden)" if secret else shown(value)])
    return told


def headers_json(some: Headers) -> str:
    """The same as JSON."""
    return codec.encode(shown_headers(some)).decode()


def shown(value: bytes | None) -> str:
    """Bytes as text, cut; those that are none by their number."""
    if value is None:
        return "(none)"
    try:
        return cut(value.decode())
    except UnicodeDecodeError:
        return f"({len(value)} bytes)"


def cut(text: str) -> str:
    """At most `SHOWN_CHARS` of it."""
    # A lone surrogate, in a header's name for one, is no text that a file takes.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def mapping(value: Any) -> dict[str, Any]:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """The beginning of a text; None for an empty one."""
    return value[:SHOWN_CHARS] if isinstance(value, str) and value else None


def whole(value: Any) -> int | None:
    """An integer that a file takes."""
    usable = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if usable else None


def milliseconds(instant: Any) -> int | None:
    """ISO 8601 with its offset from UTC as milliseconds since 1970."""
    try:
        return (datetime.fromisoformat(instant) - _EPOCH) // _MS
    except (TypeError, ValueError, OverflowError):
        return None
