"""`python -m conformance [FOLDER]`: replays what is in FOLDER and prints a table; `make conformance [DATA=folder]`.

Ends with 1 if anything differs for a reason that nobody has written down.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conformance import oracle
from conformance.hub import mappings_read
from conformance.records import DEFAULT, Record, recordings
from conformance.replay import Replayer
from conformance.server import replaying
from conformance.tgi import verdicts_of
from conformance.verdict import Verdict, reasons, table, unexplained
from runtime.http import Egress, HttpTransport

AT_ONCE = 8


async def replayed(calls: Sequence[Record], downloads: dict[str, Record]) -> list[Verdict]:
    """What each recorded call came to, over the HTTP port and a server on loopback."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with replaying() as server, HttpTransport(Egress([server.base])) as http:
        replayer = Replayer(server, http, calls, downloads)

        async def one(record: Record) -> Verdict:
            async with gate:
                try:
                    return await replayer.verdict(record)
                except Exception as error:
                    verdict = Verdict(record.id, record.provider, record.task or "(none)", request="different")
                    verdict.request_why = f"neither an answer nor a typed refusal, but {type(error).__name__}: {error}"
                    return verdict

        return list(await asyncio.gather(*map(one, calls)))


def report(folder: Path) -> tuple[list[str], list[str]]:
    """The whole report on a folder's recordings, and what nobody can explain in them."""
    found = recordings(folder)
    traffic = asyncio.run(replayed(found.calls, found.downloads))
    requests = [guarded(row) for row in found.oracle]
    snapshots = [verdict for row in found.tgi for verdict in verdicts_of(row)]
    wrong = [*unexplained(traffic), *unexplained(requests), *unexplained(snapshots)]
    read, wrong_mappings = mappings_read(found.hub)
    lines = [
        *(f"not there: {name}" for name in found.missing),
        f"Recorded calls, replayed ({len(traffic)})", *table(traffic), "", *reasons(traffic), "",
        f"Requests of the official client ({len(requests)})", *table(requests), "", *reasons(requests), "",
        f"Answers of text-generation-inference ({len(snapshots)})", *table(snapshots), "", *reasons(snapshots), "",
        f"Mappings of the Hub: {read} read, {len(wrong_mappings)} not understood",
    ]  # fmt: skip
    return lines, [*wrong, *wrong_mappings]


def guarded(row: dict[str, Any]) -> Verdict:
    """What a row of the oracle came to, whatever happens on the way."""
    try:
        return oracle.verdict_of(row)
    except Exception as error:
        verdict = Verdict(row["id"], row["provider"], row["task"], request="different")
        verdict.request_why = f"neither a request nor a typed refusal, but {type(error).__name__}: {error}"
        return verdict


def main(arguments: Sequence[str]) -> int:
    """Print the report; the exit code."""
    lines, wrong = report(Path(arguments[0]) if arguments else DEFAULT)
    lines += [f"Unexplained: {len(wrong)}", *wrong]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
