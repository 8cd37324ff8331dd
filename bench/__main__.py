"""`make bench`: every measurement that the documentation quotes, printed with the machine. Asserts nothing.

`python -m bench [--quick] [--json] [name ...]`; without a name those of `BY_DEFAULT`.
`python -m bench peers` and `python -m bench soak` have options of their own and write a page each (`docs/proof`);
`python -m bench hub` has options too.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from bench import (
    adaptive,
    audit,
    backlog,
    capacity,
    complexity,
    cpu,
    decide,
    discovery,
    endpoint_day,
    explorer,
    fairness,
    kill,
    latency,
    ledger,
    metrics,
    mix,
    payload,
    payload_latency,
    prices,
    profile,
    quotes,
    relevance,
    replay,
    requests,
    slow,
    tasks,
    tracing,
    up,
    whatif,
    window,
)
from bench.figure import Figure, document, table
from bench.world import machine, world

MEASUREMENTS: dict[str, Callable[..., list[Figure]]] = {
    cpu.NAME: cpu.measure,
    window.NAME: window.measure,
    slow.NAME: slow.measure,
    backlog.NAME: backlog.measure,
    latency.NAME: latency.measure,
    kill.NAME: kill.measure,
    up.NAME: up.measure,
}

ONLY_WHEN_NAMED: dict[str, Callable[..., list[Figure]]] = {
    capacity.NAME: capacity.measure,
    mix.NAME: mix.measure,
    payload_latency.NAME: payload_latency.measure,
    tracing.NAME: tracing.measure,
}
"""Those that take minutes."""

ALONE: dict[str, Callable[..., list[Figure]]] = {
    adaptive.NAME: adaptive.measure,
    complexity.NAME: complexity.measure,
    decide.NAME: decide.measure,
    discovery.NAME: discovery.measure,
    endpoint_day.NAME: endpoint_day.measure,
    explorer.NAME: explorer.measure,
    profile.NAME: profile.measure,
    tasks.NAME: tasks.measure,
    payload.NAME: payload.measure,
    ledger.NAME: ledger.measure,
    metrics.NAME: metrics.measure,
    fairness.NAME: fairness.measure,
    prices.NAME: prices.measure,
    quotes.NAME: quotes.measure,
    replay.NAME: replay.measure,
    whatif.NAME: whatif.measure,
    audit.NAME: audit.measure,
    relevance.NAME: relevance.measure,
    requests.NAME: requests.measure,
}
"""Those that need no Kafka."""

BY_DEFAULT = (*MEASUREMENTS, tracing.NAME, explorer.NAME, audit.NAME)
"""The figures that users are told first; the others only when named."""


def _peers() -> Callable[[Sequence[str]], int]:
    from bench.peers.run import main

    return main


def _soak() -> Callable[[Sequence[str]], int]:
    from bench.soak.run import main

    return main


def _hub() -> Callable[[Sequence[str]], int]:
    from bench.hub import main

    return main


PAGES = {"peers": _peers, "soak": _soak, "hub": _hub}
"""What has options of its own; loaded when named: they need more than the others."""


def main() -> int:
    """Run what was asked for; 1 if something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Novix on this machine.")
    parser.add_argument(
        "names",
        nargs="*",
        choices=[*MEASUREMENTS, *ONLY_WHEN_NAMED, *ALONE, []],
        help=f"default: {' '.join(BY_DEFAULT)}; the others only when named",
    )
    parser.add_argument("--quick", action="store_true", help="fewer jobs and rounds")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what was started is stopped
    if sys.argv[1:2] in ([name] for name in PAGES):
        return PAGES[sys.argv[1]]()(sys.argv[2:])
    asked = parser.parse_args()
    figures: list[Figure] = []
    failed = False
    names = asked.names or list(BY_DEFAULT)
    for name in [name for name in ALONE if name in names]:
        failed |= not _measured(name, partial(ALONE[name], quick=asked.quick), figures)
    if names := [name for name in names if name not in ALONE]:
        with world() as here:
            for name in names:
                measure = partial((MEASUREMENTS | ONLY_WHEN_NAMED)[name], here, quick=asked.quick)
                failed |= not _measured(name, measure, figures)
    if asked.json:
        print(json.dumps(document(machine(), figures), indent=2))
    else:
        print(machine(), *table(figures), sep="\n")
    return int(failed)


def _measured(name: str, measure: Callable[[], list[Figure]], figures: list[Figure]) -> bool:
    """One measurement. A failed one is told and does not stop the others."""
    began = time.monotonic()
    try:
        figures += measure()
    except Exception as error:
        print(f"{name}: not measured: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return True


if __name__ == "__main__":
    sys.exit(main())
