"""Costs: what was spent, by whatever one asks for, as the ledger says; budgets; the same as CSV."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.index.answers import CostRow
from console.index.costs import MAX_ROWS
from console.pages.context import Context
from console.pages.render import json_answer, page, search_url
from console.pages.sheets import csv_lines
from console.words import moment_ms

By = Literal["tenant", "team", "model", "provider", "tag", "day", "task", "status"]
WINDOWS = {"24h": "the last 24 hours", "7d": "the last 7 days", "30d": "the last 30 days", "": "all that is kept"}
MOST_CHARS = 256
COLUMNS = ("name", "jobs", "paid_nanousd", "of_it_ambiguous_nanousd", "quoted_nanousd")


def routes(context: Context) -> list[BaseRoute]:
    """Of the page, its rows as JSON and as CSV."""
    pages = _Costs(context)
    return [
        Route("/costs", pages.whole),
        Route("/fragments/costs", pages.part),
        Route("/api/costs", pages.api),
        Route("/costs.csv", pages.csv),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the sums are of."""

    by: By
    since: str
    """As it was written: a window or an instant; empty: from the beginning."""
    until: str
    tenant: str
    since_ms: int | None
    until_ms: int | None
    error: str
    """What of it could not be read; the sums are then without it."""

    def address(self, path: str, **other: str) -> str:
        """The same question at another address, or with another answer."""
        told = {"by": self.by, "since": self.since, "until": self.until, "tenant": self.tenant, **other}
        return f"{path}?{urlencode({name: value for name, value in told.items() if value})}"

    @property
    def window(self) -> str:
        """In words."""
        since = WINDOWS.get(self.since, f"since {self.since}")
        return since + (f", until {self.until}" if self.until else "")


class _Costs:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def whole(self, request: Request) -> Response:
        return page("costs.html", **await self._shown(request))

    async def part(self, request: Request) -> Response:
        return page("_costs.html", **await self._shown(request))

    async def api(self, request: Request) -> Response:
        asked = self._asked(request)
        rows, whole = await self._rows(asked), await self._total(asked)
        told = {name: getattr(asked, name) for name in ("by", "since_ms", "until_ms", "error")}
        return json_answer({**told, "rows": [asdict(row) for row in rows], "total": asdict(whole)})

    async def csv(self, request: Request) -> Response:
        asked = self._asked(request)
        headers = {"content-disposition": f'attachment; filename="novix-costs-by-{asked.by}.csv"'}
        rows = ({"name": row.name, "jobs": row.jobs, "paid_nanousd": row.nanousd,
                 "of_it_ambiguous_nanousd": row.ambiguous_nanousd, "quoted_nanousd": row.quoted_nanousd}
                for row in await self._rows(asked))  # fmt: skip
        return Response("".join(csv_lines(COLUMNS, rows)), media_type="text/csv; charset=utf-8", headers=headers)

    async def _shown(self, request: Request) -> dict[str, Any]:
        asked = self._asked(request)
        rows = await self._rows(asked)
        return {
            "asked": asked, "rows": rows, "total": await self._total(asked), "most": MAX_ROWS,
            "dimensions": get_args(By), "windows": WINDOWS, "kept_days": self._context.settings.console_keep_days,
            "jobs_of": lambda row: jobs_of(asked, row),
        }  # fmt: skip

    async def _total(self, asked: Asked) -> CostRow:
        """Of all jobs, each once: rows by model, provider or tag may tell one several times; rows may be cut, too."""
        return total(await self._rows(replace(asked, by="status")))

    async def _rows(self, asked: Asked) -> list[CostRow]:
        rows = await asyncio.to_thread(
            lambda: self._context.index.costs(
                by=asked.by, since_ms=asked.since_ms, until_ms=asked.until_ms, tenant=asked.tenant
            )
        )
        return sorted(rows, key=lambda row: row.name) if asked.by == "day" else rows

    def _asked(self, request: Request) -> Asked:
        told = {name: request.query_params.get(name, "").strip()[:MOST_CHARS] for name in ("by", "since", "until")}
        by: Any = told["by"] if told["by"] in get_args(By) else "tenant"
        now = datetime.fromtimestamp(self._context.now_ms() / 1_000, UTC)
        moments = {name: moment_ms(told[name], now) if told[name] else None for name in ("since", "until")}
        wrong = [name for name, moment in moments.items() if moment is None and told[name]]
        error = "; ".join(f"{name}={told[name]}: write an instant (ISO 8601), or 24h, 7d before now" for name in wrong)
        for name in wrong:
            told[name] = ""
        tenant = request.query_params.get("tenant", "")[:MOST_CHARS]
        return Asked(by, told["since"], told["until"], tenant, moments["since"], moments["until"], error)


def total(rows: Iterable[CostRow]) -> CostRow:
    """The sum of the rows."""
    jobs = nanousd = quoted = ambiguous = 0
    for row in rows:
        jobs, nanousd = jobs + row.jobs, nanousd + row.nanousd
        quoted, ambiguous = quoted + row.quoted_nanousd, ambiguous + row.ambiguous_nanousd
    return CostRow("", jobs, nanousd, quoted, ambiguous)


def jobs_of(asked: Asked, row: CostRow) -> str | None:
    """The list of a row's jobs; None where no search says it. The list goes by publication, the sums by decision: a job
    at the edge of a window may be in one and not in the other."""
    told = {"tenant": asked.tenant, "since": asked.since, "until": asked.until}
    if asked.by == "day":
        told |= {"since": f"{row.name}T00:00:00Z", "until": f"{row.name}T23:59:59.999Z"}
    elif asked.by == "tag":
        name, _, value = row.name.partition("=")
        told[f"tag.{name}"] = value
    else:
        told[asked.by] = row.name
    if row.name in ("", "-"):
        return None
    return search_url(**{name: value for name, value in told.items() if value})
