"""How soon the Model Hub's page shows what one types: a real browser, the real index, generated models.

`python -m bench.hub_typing [--rows 20000 | --index DIR] [--rounds 3] [--json]`, without Kafka. The rows are the
sandbox's; pages, index and browser (Debian's Chromium) are the real ones, all on this machine. Each query is
typed key by key, `KEY_MS` apart; measured is from its last key until the list of that search is on the screen (a frame
after it was put into the page). The page itself waits `DEBOUNCE_MS` for another key. `--index` is a folder that
`python -m bench hub --folder` has made. What of the time is which is told by the browser's own clock.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.figure import Figure, document, quantile, table
from bench.world import machine

KEY_MS = 80
DEBOUNCE_MS = 120
QUERIES = (
    "bert base", "sentiment german", "whisper small", "code model", "llama 3 8b", "image captions", "ner medical",
    "translation french",
)  # fmt: skip
MEASUREMENT = "hub_typing"
BATCH = 2_000
_READY = """async (query) => {
  // The address is written when the list of its search is in the page; a frame later it is on the screen.
  const wanted = "?q=" + encodeURIComponent(query).replaceAll("%20", "+");
  while (location.search !== wanted) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now();
}"""
_PARTS = """(query) => {
  // The request that brought the list: when it was sent, when its answer began and was there.
  const wanted = "q=" + encodeURIComponent(query).replaceAll("%20", "+");
  const ours = performance.getEntriesByType("resource").filter((one) =>
    one.name.includes("/fragments/hub/results") && new URL(one.name).search.includes(wanted));
  const last = ours[ours.length - 1];
  return [window.lastKey, last.startTime, last.responseStart, last.responseEnd];
}"""
_LAST_KEY = """() => {
  window.lastKey = 0;
  document.getElementById("q").addEventListener("keydown", () => { window.lastKey = performance.now(); }, true);
}"""


PARTS = ("key to request", "request to answer", "answer's bytes", "answer to screen")


def measured(rows: int, rounds: int, index: Path | None = None) -> list[Figure]:
    """Type every query so often."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / "support")]
    from browser import launched, visit

    took: list[float] = []
    parts: list[list[float]] = [[] for _ in PARTS]
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), rows, index) as (origin, total),
        launched() as browser,
        visit(browser, origin) as visited,
    ):
        page = visited.go("/hub")
        page.evaluate(_LAST_KEY)
        for _ in range(rounds):
            for query in QUERIES:
                page.locator("#q").fill("")
                page.wait_for_function("() => location.search === ''")
                page.locator("#q").press_sequentially(query, delay=KEY_MS)
                shown = page.evaluate(_READY, query)
                told = [*page.evaluate(_PARTS, query), shown]
                took.append(shown - told[0])
                for part, begins, ends in zip(parts, told, told[1:], strict=False):
                    part.append(ends - begins)
                page.evaluate("performance.clearResourceTimings()")
    if visited.complaints:
        raise RuntimeError(f"the page complains: {visited.complaints[:3]}")
    note = f"{len(took)} queries of {total:,} models; {DEBOUNCE_MS} ms of it are waited for another key"
    return [
        Figure(MEASUREMENT, "last key to results on the screen, p50", quantile(took, 0.5), "ms", note=note),
        Figure(MEASUREMENT, "last key to results on the screen, p95", quantile(took, 0.95), "ms", "500 ms"),
        Figure(MEASUREMENT, "slowest", max(took), "ms"),
        *(
            Figure(
                MEASUREMENT, f"of it {name}, p50", quantile(part, 0.5), "ms", note=f"p95 {quantile(part, 0.95):.0f} ms"
            )
            for name, part in zip(PARTS, parts, strict=True)
        ),
    ]


@contextmanager
def served(folder: Path, rows: int, built: Path | None = None) -> Iterator[tuple[str, int]]:
    """The pages over an index of so many generated models, or over one that is there: their origin, and how many there
    are."""
    from explorer_world import context_of
    from explorer_world import served as serving

    from console.hub.desk import Desk
    from console.hub.known import World
    from console.pages.app import create_app
    from hub.discovery.related import Searches
    from hub.index.store import Index
    from router.catalogue import load
    from runtime.settings import Settings

    index = Index(folder / "hub" if built is None else built, writes=built is None)
    try:
        for start in range(0, rows if built is None else 0, BATCH):
            index.apply(list(entries(start, min(rows, start + BATCH))), position={0: start})
        index.prepare()
        index.searches = Searches(folder / "searches")
        settings = Settings(home=folder / "home")
        world = World(load(settings), None)
        desk = Desk(lambda: index, lambda: world)
        (folder / "explorer").mkdir()
        with (
            context_of(folder / "explorer", settings=settings, hub=desk) as context,
            serving(create_app(context)) as origin,
        ):
            yield origin, sum(index.counts().values())
    finally:
        if index.searches is not None:
            index.searches.close()
        index.close()


def entries(start: int, end: int) -> Iterator[tuple[str, Any]]:
    """Generated models, as the sync would publish them."""
    from datetime import UTC, datetime

    from hub.catalog.rows import read_row
    from sandbox.hf.hub_rows import row
    from schemas.catalog import CatalogEntry

    for number in range(start, end):
        found = read_row("model", row(8, number), datetime.now(UTC))
        entry = getattr(found, "entry", found)
        if isinstance(entry, CatalogEntry):
            yield entry.key, entry


def main(arguments: list[str]) -> int:
    """Measure, and tell it."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub_typing", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="models of the catalogue")
    parser.add_argument("--index", type=Path, help="the folder of an index that is there")
    parser.add_argument("--rounds", type=int, default=3, help="how often each query is typed")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    asked = parser.parse_args(arguments)
    began = time.monotonic()
    figures = measured(asked.rows, asked.rounds, asked.index)
    if asked.json:
        print(json.dumps(document(machine(), figures), indent=2))
    else:
        load = f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())} at the end"
        print("\n".join([f"{machine()}, {load}", *table(figures)]))
    print(f"bench: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
