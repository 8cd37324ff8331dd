"""Templates to answers. Everything that others wrote becomes visible, bounded text: no template can forget it."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, TypeGuard
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.filters import do_mark_safe
from starlette.responses import HTMLResponse

from console import words
from console.answers import text_of
from console.pages.sessions import session
from schemas import codec

TEXT_SHOWN_CHARS = 20_000
"""Of any one text on a page."""
_JOINERS = "\u200c\u200d\ufe0f"
"""Within words and emoji; they reorder nothing."""


_TO_BE_LOOKED_AT = re.compile(r"[^\n\t\x20-\x7e]")


def visible(text: str, most: int = TEXT_SHOWN_CHARS) -> str:
    """Text of others, cut to `most` characters, each of which can be seen.

    Newlines and tabs stay. Control characters become their pictures (ESC is `␛`); marks that turn the direction of
    what follows, and whatever else leaves no trace on a screen, become `[U+202E]`.
    """
    cut = text if len(text) <= most else text[: max(0, most - 1)] + "…"
    return cut if cut.isprintable() else _TO_BE_LOOKED_AT.sub(lambda found: _seen(found[0]), cut)


def _seen(char: str) -> str:
    if char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs":
        return char
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"[U+{code:04X}]"


def told(text: object, most: int = 120) -> str:
    """Text of others as an element of its own, so that right-to-left text leaves its neighbours in their places. Where
    it is cut, its tip tells more of it."""
    whole = str(text)
    shown = visible(whole, most)
    if len(whole) <= most:
        return do_mark_safe(f"<bdi>{escape(shown)}</bdi>")
    return do_mark_safe(f'<bdi title="{escape(visible(whole, 500))}">{escape(shown)}</bdi>')


def job_url(tenant: str, job_id: str) -> str:
    """The address of a job's page. An id may be anything: browsers resolve `..` even where it is encoded, proxies
    decode what is encoded twice, and no route takes a line break."""
    tenant, job_id = (part.encode(errors="replace").decode() for part in (tenant, job_id))
    segments = [tenant, *job_id.split("/")]
    if any(segment in ("", ".", "..") or "%" in segment or "\n" in segment for segment in segments):
        return "/job?" + urlencode({"tenant": tenant, "id": job_id})
    return f"/jobs/{quote(tenant, safe='')}/{quote(job_id)}"


def record_url(topic: str, partition: int, offset: int) -> str:
    """The address that leads from a record to its job."""
    return f"/records/{quote(topic, safe='')}/{partition}/{offset}"


def row_id(*identity: object) -> str:
    """An element's id by what it shows: the same thing keeps its element, and the focus in it, in a renewed list."""
    said = "\0".join(map(str, identity)).encode(errors="replace")
    return f"row-{hashlib.blake2b(said, digest_size=8).hexdigest()}"


def search_url(**wanted: str) -> str:
    """The list of the jobs that fit, `search_url(tenant="acme", status="failed")`."""
    return "/?" + urlencode({"q": " ".join(f"{name}={quoted(value)}" for name, value in wanted.items())})


def quoted(value: str) -> str:
    """A value of the search line, in quotation marks where it needs them."""
    plain = value and not any(char in "\"\\= '" or not char.isprintable() for char in value)
    return value if plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template."""
    html = _environment.get_template(template).render(**values)
    return HTMLResponse(html, status_code=status, headers={"cache-control": "no-store"})


def json_answer(document: Any, status: int = 200) -> HTMLResponse:
    """JSON, not to be kept by anybody's cache."""
    answer = HTMLResponse(codec.encode(document), status_code=status, headers={"cache-control": "no-store"})
    answer.headers["content-type"] = "application/json"
    return answer


def ago(then_ms: int | None, now_ms: int) -> str:
    """How long ago, in one unit: `3 s`, `12 min`, `5 h`, `8 d`; `in 3 s` for what is to come, a dash for none."""
    if then_ms is None:
        return "-"
    seconds = abs(now_ms - then_ms) // 1_000
    steps = ((60, 1, "s"), (3_600, 60, "min"), (172_800, 3_600, "h"))
    length = next((f"{seconds // unit} {name}" for below, unit, name in steps if seconds < below), None)
    length = length or f"{seconds // 86_400} d"
    return f"in {length}" if then_ms > now_ms + 999 else length


def iso(milliseconds: int | None) -> str:
    """An instant as `<time datetime>` wants it; empty for none, or for one that no calendar has."""
    try:
        return "" if milliseconds is None else datetime.fromtimestamp(milliseconds / 1_000, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def instant(milliseconds: int | None) -> str:
    """An instant in words; what no calendar has is told as its number."""
    return words.instant(milliseconds) if milliseconds is None or iso(milliseconds) else f"{milliseconds} ms"


def pretty(value: Any) -> str:
    """A document as indented JSON, cut."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def compact(value: Any) -> str:
    """A value of a document in one line: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def size(value: Any) -> int:
    """Bytes of a document as compact JSON."""
    return len(codec.encode(value))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def money(value: object) -> str:
    """Nano-dollars as dollars; what is no whole number, as the text that it is."""
    return words.money(value) if _is_number(value) and isinstance(value, int) else visible(str(value), 40)


def took(value: object) -> str:
    """Milliseconds in the unit that suits them, a dash for none; what is no number, as the text that it is."""
    return words.span(value) if value is None or _is_number(value) else visible(str(value), 40)


def grouped(value: object) -> str:
    """`1,200`; what is no number, as the text that it is."""
    return f"{value:,}" if _is_number(value) else visible(str(value), 40)


def pairs(value: object) -> list[tuple[str, Any]]:
    """Names and values of an object; none of anything else."""
    return list(value.items()) if isinstance(value, Mapping) else []


def _finalize(value: Any) -> Any:
    return value if hasattr(value, "__html__") or not isinstance(value, str) else visible(value)


_environment = Environment(
    loader=PackageLoader("console", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_finalize,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    job_url=job_url, record_url=record_url, row_id=row_id, search_url=search_url, session=session
)
_environment.filters.update(
    money=money,
    took=took,
    pairs=pairs,
    instant=instant,
    iso=iso,
    ago=ago,
    told=told,
    shortened=visible,
    pretty=pretty,
    answer=text_of,
    size=size,
    compact=compact,
    grouped=grouped,
)
