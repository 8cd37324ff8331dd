"""Templates to answers. Everything that others wrote becomes a text node: Jinja2 escapes all of it."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from console import words
from console.answers import text_of
from schemas import codec

LABEL_X, BAR_X, BAR_WIDTH, ROW_HEIGHT, WIDTH = 8, 300, 520, 24, 1100
"""Of the waterfall's picture, in its own units."""
OUTPUT_SHOWN_CHARS = 20_000


def job_url(tenant: str, job_id: str) -> str:
    """The address of a job's page. An id may be anything: browsers resolve `..` even where it is encoded, and proxies
    decode what is encoded twice."""
    segments = [tenant, *job_id.split("/")]
    if any(segment in ("", ".", "..") or "%" in segment for segment in segments):
        return "/job?" + urlencode({"tenant": tenant, "id": job_id})
    return f"/jobs/{quote(tenant, safe='')}/{quote(job_id)}"


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template."""
    return HTMLResponse(_environment.get_template(template).render(**values), status_code=status)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _pretty(value: Any) -> str:
    return _shortened(json.dumps(value, indent=2, ensure_ascii=False), OUTPUT_SHOWN_CHARS)


def _answer(result: dict[str, Any]) -> str:
    return _shortened(text_of(result), OUTPUT_SHOWN_CHARS)


_environment = Environment(
    loader=PackageLoader("console", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals.update(
    job_url=job_url,
    geometry={"label_x": LABEL_X, "bar_x": BAR_X, "bar_width": BAR_WIDTH, "row": ROW_HEIGHT, "width": WIDTH},
)
_environment.filters.update(
    money=words.money,
    took=words.span,
    instant=words.instant,
    shortened=_shortened,
    pretty=_pretty,
    answer=_answer,
    size=lambda value: len(codec.encode(value)),
)
