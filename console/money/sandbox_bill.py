"""The sandbox's own bill as CSV, as a provider would send it: made by the local Hugging Face from its own prices."""

import csv
from collections.abc import Mapping, Sequence
from typing import IO, Any

from console.exits import CommandError
from runtime.http import AsyncClient, Egress, HTTPError, HttpTransport

COLUMNS = ("request_id", "time", "model", "provider", "job", "task", "cost_nanousd")


async def entries(url: str, since: str | None = None) -> list[dict[str, Any]]:
    """All charges, oldest first. Raises `CommandError` where no sandbox is set, or what is there is none."""
    if not url:
        raise CommandError("no sandbox: NOVIX_SANDBOX_URL is empty; start one with: novix up")
    async with AsyncClient(transport=HttpTransport(Egress([url])), base_url=url) as client:
        try:
            answer = await client.get("/admin/bill/entries", params={"since": since} if since else {})
            answer.raise_for_status()
            found = answer.json()["entries"]
        except (HTTPError, ValueError, LookupError, TypeError) as error:
            raise CommandError(f"the sandbox at {url} gave no bill: {type(error).__name__}") from None
    return list(found)


def write(rows: Sequence[Mapping[str, Any]], file: IO[str]) -> None:
    """The charges as lines of a bill, under one heading."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [
                row["inference_id"], row["at"], row["model"], row["provider"], row["trace"] or "", row["task"],
                row["cost_nanousd"],
            ]
        )  # fmt: skip
