"""The catalogue's index: how long it takes to build, how large it is, how fast searches are, cold and warm.

`python -m bench hub [--rows 500000] [--folder DIR] [--built] [--json]`. Rows are those that the sandbox generates, read
as the sync reads them. Each step is a process of its own, so that its memory is its own. Cold: a fresh process, the
files' pages taken out of the system's cache, the index opened as the console opens it (`Index.prepare`: nobody can
search before), one search timed. Coldest: the pages taken out once more after that. Unprepared: as cold, but searched
at once, as a command does. Times are those of a clock; where others use the machine, the processor's own time beside
them says what a search takes.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figure import Figure, document, table
from bench.world import machine

NAME = "hub"
SEED = 7
AT = datetime(2026, 11, 20, tzinfo=UTC)
MEMORY = "under 400 MB"
MIB = 1024
"""KiB, as `ru_maxrss` and /proc tell memory."""
WARM_ROUNDS = 5
CHANGES = 1_000
QUERIES: tuple[dict[str, Any], ...] = (
    {}, {"text": "bert"}, {"text": "ber"}, {"text": "be"}, {"text": "llama 7b instruct"}, {"text": "text generation"},
    {"text": "transformers"}, {"text": "ner in french"}, {"text": "a model for translating English to German"},
    {"text": "speech to text"}, {"text": "stable diffusion"}, {"text": "qwen2 instruct small"}, {"text": "xyzzy plugh"},
    {"text": "sentiment analysis tweets"}, {"text": "medical"}, {"text": "image classification vit"},
    {"text": "gguf quantized chat"}, {"text": "bert", "tasks": ["fill-mask"], "languages": ["en"]},
    {"text": "chat", "served": True}, {"text": "code", "licenses": ["apache-2.0", "mit"]},
    {"tasks": ["text-classification"]}, {"modalities": ["image"], "max_bytes": 10**9}, {"languages": ["de"]},
    {"licenses": ["mit"], "order": "recent"}, {"order": "downloads"}, {"order": "trending", "modalities": ["audio"]},
    {"trending": True}, {"popular": True, "max_parameters": 10**9}, {"served": True, "max_latency_ms": 3_000},
    {"tags": ["safetensors"], "order": "smallest"}, {"libraries": ["diffusers"], "order": "likes", "offset": 500},
    {"text": "embedding multilingual", "max_parameters": 600_000_000}, {"recent_days": 30, "gated": False},
    {"text": "summarization", "languages": ["en"], "order": "downloads"}, {"text": "gpt2"}, {"text": "whisper large"},
)  # fmt: skip
"""What people ask: one word, half a word, sentences, filters, orders; some with hundreds of thousands of hits. All with
facets."""


def entries(rows: int) -> Iterator[Any]:
    """The generated rows as entries."""
    from hub.catalog.rows import read_row
    from sandbox.hf.hub_rows import row
    from schemas.catalog import CatalogEntry

    for number in range(rows):
        found = read_row("model", row(SEED, number), AT)
        if isinstance(found, CatalogEntry):
            yield found


def build(folder: Path, rows: int) -> dict[str, float]:
    """The index, from nothing; seconds without those that making the rows took."""
    from hub.index.store import BATCH, Index

    index, making = Index(folder), 0.0
    _ = index.embedder
    began = time.perf_counter()
    source = entries(rows)
    while True:
        start = time.perf_counter()
        some = [(one.key, one) for one, _ in zip(source, range(BATCH), strict=False)]
        making += time.perf_counter() - start
        if not some:
            break
        index.apply(some)
    index.tidy()
    took = time.perf_counter() - began - making
    index.close()
    return {"s": took, "making_s": making, "cpu_s": time.process_time()}


def warm(folder: Path, _: int) -> dict[str, Any]:
    """Every query once, then again and again; memory beside the console's own modules."""
    import console.pages.app
    import console.serve  # noqa: F401 - for its memory

    times: list[list[float]] = []
    cpu: list[float] = []
    with _opened(folder) as index:
        for query in QUERIES:
            _timed(index, query)
        for _ in range(WARM_ROUNDS):
            ran = [_timed(index, query) for query in QUERIES]
            times.append([took for took, _, _ in ran])
            cpu += [used for _, used, _ in ran]
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        slow = {json.dumps(query): round(min(_timed(index, query)[0] for _ in range(3)), 1) for query in QUERIES}
    memory = {name: int(status[name].split()[0]) for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile")}
    every, quietest = [one for ran in times for one in ran], min(percentile(one, 0.95) for one in times)
    return {"ms": every, "cpu_ms": cpu, "quietest": quietest, "memory": memory, "each": slow}


def cold(folder: Path, number: int) -> dict[str, float]:
    """One query in a fresh process, its files read by nobody before."""
    evict(folder)
    began, used = time.perf_counter(), time.process_time()
    with _opened(folder) as index:
        opening, opening_cpu = time.perf_counter() - began, time.process_time() - used
        took, cpu, _ = _timed(index, QUERIES[number])
        index.reader.execute("PRAGMA shrink_memory")
        evict(folder)
        before = _read_bytes()
        coldest, coldest_cpu, _ = _timed(index, QUERIES[number])
        read = (_read_bytes() - before) / 1024
    return {"open_ms": opening * 1_000, "open_cpu_ms": opening_cpu * 1_000, "ms": took, "cpu_ms": cpu,
            "coldest_ms": coldest, "coldest_cpu_ms": coldest_cpu, "read_kib": read}  # fmt: skip


def unprepared(folder: Path, number: int) -> dict[str, float]:
    """One query in a fresh process that opens the index for it."""
    from hub.index.store import Index

    evict(folder)
    began = time.perf_counter()
    index = Index(folder, writes=False)
    opening = time.perf_counter() - began
    took, cpu, _ = _timed(index, QUERIES[number])
    index.close()
    return {"open_ms": opening * 1_000, "ms": took, "cpu_ms": cpu}


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """As the console opens it, with a file of past searches, which every search reads and writes."""
    from hub.discovery.related import Searches
    from hub.index.store import Index

    index = Index(folder, writes=False)
    index.prepare()
    with tempfile.TemporaryDirectory(prefix="novix-searches-") as beside:
        index.searches = Searches(Path(beside))
        yield index
        index.searches.close()
    index.close()


def _read_bytes() -> int:
    """What this process has had read from the disk."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["read_bytes"])


def change(folder: Path, rows: int) -> dict[str, float]:
    """A thousand changes spread over all rows: half of them only counters, half of them words."""
    from hub.index.store import Index

    index = Index(folder)
    _ = index.embedder
    step = max(1, rows // CHANGES)
    chosen = [one for at, one in enumerate(entries(rows)) if at % step == 0][:CHANGES]
    counters = [one.model_copy(update={"likes": (one.likes or 0) + 1}) for one in chosen[::2]]
    words = [one.model_copy(update={"tags": (*one.tags, "changed"), "description": "Changed."}) for one in chosen[1::2]]
    began = time.perf_counter()
    changed = index.apply((one.key, one) for one in [*counters, *words])
    took = time.perf_counter() - began
    found = _timed(index, {"tags": ["changed"]})[2].filtered
    assert (changed, found) == (len(chosen), len(words))
    began = time.perf_counter()
    index.state_hash()
    hashed = time.perf_counter() - began
    index.apply((one.key, one) for one in chosen)  # as it was: it may be measured again
    index.close()
    return {"s": took, "changes": changed, "hash_s": hashed}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "build": build, "warm": warm, "cold": cold, "unprepared": unprepared, "change": change,
}  # fmt: skip


def _timed(index: Any, query: dict[str, Any]) -> tuple[float, float, Any]:
    """Milliseconds by the clock and of the processor, and the answer."""
    from hub.discovery.known import Unknown
    from schemas.discovery import Criteria

    criteria = Criteria.model_validate(query)
    began, used = time.perf_counter(), time.process_time()
    found = index.search(criteria, known=Unknown(), now=AT)
    return (time.perf_counter() - began) * 1_000, (time.process_time() - used) * 1_000, found


def evict(folder: Path) -> None:
    """Take the files' pages out of the system's cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share is at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measured(rows: int, folder: Path, *, built: bool = False) -> list[Figure]:
    """All steps; `built`: of an index that is there already."""
    found: list[Figure] = [] if built else _built(folder, rows)
    found.append(Figure(NAME, "size on disk", round(_size(folder) / 1e6, 1), "MB"))
    told = _step("warm", folder, 0)
    found += _spread("search, warm", told["ms"], f"{len(QUERIES)} queries, {WARM_ROUNDS} rounds, facets included")
    found.append(Figure(NAME, "search, warm, p95 of the quietest round", round(told["quietest"], 1), "ms"))
    found += _spread("processor's time of a search, warm", told["cpu_ms"], "", wanted="")
    memory = told["memory"]
    about = (
        f"of them {memory['RssFile'] / MIB:.0f} MiB are pages of mapped files; highest {memory['VmHWM'] / MIB:.0f} MiB"
    )
    name = "memory that searches with the console's modules"
    found.append(Figure(NAME, name, round(memory["VmRSS"] / MIB, 1), "MiB", MEMORY, about))
    runs = [_step("cold", folder, number) for number in range(len(QUERIES))]
    found += _spread("search, cold", [run["ms"] for run in runs], "the first after opening with an evicted page cache")
    found += _spread("processor's time of a search, cold", [run["cpu_ms"] for run in runs], "", wanted="")
    about = "page cache evicted after opening too"
    found += _spread("search, coldest", [run["coldest_ms"] for run in runs], about)
    found += _spread("processor's time of a search, coldest", [run["coldest_cpu_ms"] for run in runs], "", wanted="")
    read = sorted(run["read_kib"] for run in runs)
    found.append(Figure(NAME, "read from the disk for it, p95", round(percentile(read, 0.95)), "KiB"))
    opening = percentile([run["open_ms"] for run in runs], 0.5)
    cpu = f"of the processor {percentile([run['open_cpu_ms'] for run in runs], 0.5):.0f} ms; files read, searched once"
    found.append(Figure(NAME, "opening, cold, p50", round(opening, 1), "ms", "", cpu))
    runs = [_step("unprepared", folder, number) for number in range(len(QUERIES))]
    about = f"opened for it in {percentile([run['open_ms'] for run in runs], 0.5):.0f} ms (p50), evicted page cache"
    found += _spread("search, unprepared", [run["ms"] for run in runs], about, wanted="")
    changed = _step("change", folder, rows)
    found.append(Figure(NAME, f"{CHANGES:,} changes", round(changed["s"], 3), "s", "under 1 s"))
    found.append(Figure(NAME, "digest of the whole state", round(changed["hash_s"], 1), "s"))
    slowest = sorted(told["each"].items(), key=lambda one: -one[1])[:5]
    sys.stderr.write("slowest, warm, best of three: " + "; ".join(f"{query} {ms} ms" for query, ms in slowest) + "\n")
    return found


def _built(folder: Path, rows: int) -> list[Figure]:
    ran = _step("build", folder, rows)
    note = f"{rows:,} entries; {ran['making_s']:.0f} s more to make the rows"
    return [
        Figure(NAME, "first build", round(ran["s"], 1), "s", "", note),
        Figure(NAME, "processor's time of the build with its rows", round(ran["cpu_s"], 1), "s"),
        Figure(NAME, "memory of the build, highest", round(ran["peak_kib"] / MIB, 1), "MiB", MEMORY),
    ]


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())


def _spread(name: str, values: Sequence[float], note: str, wanted: str = "under 200 ms") -> list[Figure]:
    return [
        Figure(NAME, f"{name}, p50", round(percentile(values, 0.50), 1), "ms", "", note),
        Figure(NAME, f"{name}, p95", round(percentile(values, 0.95), 1), "ms", wanted),
        Figure(NAME, f"{name}, slowest", round(max(values), 1), "ms"),
    ]


def _step(name: str, folder: Path, number: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.hub", name, str(folder), str(number)]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)
    if ran.returncode:
        raise RuntimeError(f"{name} ended with {ran.returncode}: {ran.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


def main(arguments: Sequence[str]) -> int:
    """`python -m bench hub ...`."""
    parser = argparse.ArgumentParser(prog="python -m bench hub", description="Measures the catalogue's index.")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--folder", type=Path, help="where the index is made, and stays; default: a temporary one")
    parser.add_argument("--built", action="store_true", help="the folder has the index of so many rows already")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="novix-hub-"))
    if asked.built != (folder.exists() and any(folder.iterdir())):
        parser.error(f"{folder} is empty" if asked.built else f"{folder} is not empty")
    try:
        figures = measured(asked.rows, folder, built=asked.built)
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    load = f"load {' '.join(f'{one:.1f}' for one in os.getloadavg())} at the end"
    said = "\n".join([f"{machine()}, {load}", *table(figures)])
    print(json.dumps(document(machine(), figures), indent=2) if asked.json else said)
    return 0


if __name__ == "__main__":
    done = STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({**done, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
