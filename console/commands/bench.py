"""`novix bench`: a seeded mix of modalities through the whole system, measured."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from console.mix.measured import Measured
    from console.mix.workload import Job
    from runtime.settings import Loaded

SHORT_HOME = "novix-bench-"
DEFAULT = "mix"


class Bench(TyperGroup):
    """`novix bench --jobs 50` is `novix bench mix --jobs 50`: options without a command are those of the mix."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


@command
def bench(
    mix: Annotated[
        str, typer.Option(help="Percent of text, image, speech and multimodal jobs.", metavar="T/I/S/M")
    ] = "40/30/20/10",
    jobs: Annotated[int, typer.Option(help="How many jobs.", min=1, max=1_000_000)] = 100,
    seed: Annotated[int, typer.Option(help="Decides order and inputs.")] = 1,
    at_once: Annotated[int, typer.Option(help="Jobs without a result at a time.", min=1, max=10_000)] = 8,
    adaptive: Annotated[
        str | None,
        typer.Option(metavar="on|off|both", help="Start a world of its own for it; both: one after the other."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for all jobs of a run.", min=1)] = 900,
    as_json: AsJson = False,
) -> Exit:
    """Publish a seeded mix of jobs, and print throughput, latency and cost, by modality and in all.

    Runs on the world that `novix up` started, or on whatever the settings name. With --adaptive it starts a sandbox
    world of its own whose router learns or does not; `both` runs the same jobs on each and prints the ratios.
    """
    from console.mix.workload import BadMix, Mix, workload

    try:
        wanted = Mix.read(mix)
    except BadMix as error:
        raise CommandError(f"--mix {error}", Exit.USAGE) from None
    if adaptive not in (None, "on", "off", "both"):
        raise CommandError(f"--adaptive {adaptive!r}: must be on, off or both", Exit.USAGE)
    screen, tenant = Screen(as_json=as_json), f"bench-{int(time.time())}"
    work = workload(wanted, jobs, seed, tenant)
    runs: dict[str, dict[str, Measured]] = {}
    if adaptive is None:
        runs["here"] = asyncio.run(_run(settings(), screen, work, tenant, at_once, timeout))
    for way in ("off", "on") if adaptive == "both" else (adaptive,) if adaptive else ():
        with _world(screen, learns=way == "on") as loaded:
            runs[f"adaptive {way}"] = asyncio.run(_run(loaded, screen, work, tenant, at_once, timeout))
    _tell(screen, mix, runs)
    failed = any(one["all"].succeeded < one["all"].jobs for one in runs.values())
    return Exit.FAILED if failed else Exit.OK


async def _run(
    loaded: "Loaded", screen: Screen, work: "list[Job]", tenant: str, at_once: int, timeout_s: float
) -> "dict[str, Measured]":
    from console.kafka import connected
    from console.mix.measured import measured
    from console.mix.running import Runner

    try:
        async with asyncio.timeout(timeout_s), connected(loaded) as log:
            with screen.progress("jobs", len(work)) as bar:
                ended, took_s = await Runner(log, tenant, at_once, bar.advance).run(work)
    except TimeoutError:
        raise CommandError(f"not all of {len(work)} results within {timeout_s:g} s", Exit.NOT_MET) from None
    return measured(ended, took_s)


@contextmanager
def _world(screen: Screen, *, learns: bool) -> "Iterator[Loaded]":
    """A sandbox world of our own, in a folder that is gone afterwards."""
    from runtime.settings import load

    with tempfile.TemporaryDirectory(prefix=SHORT_HOME, ignore_cleanup_errors=True) as home:
        environment = {**os.environ, "NOVIX_HOME": home, "NOVIX_ADAPTIVE": "true" if learns else "false"}
        try:
            _novix(screen, environment, "up", "--hf", "local")
            yield load(environment)
        except BaseException:
            with suppress(CommandError):  # what failed first is what to tell
                _novix(screen, environment, "down")
            raise
        _novix(screen, environment, "down")


def _novix(screen: Screen, environment: dict[str, str], *words: str) -> None:
    screen.note(f"$ NOVIX_ADAPTIVE={environment['NOVIX_ADAPTIVE']} novix {' '.join(words)}")
    done = subprocess.run(
        [sys.executable, "-m", "console", *words], env=environment, check=False, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        raise CommandError(f"`novix {' '.join(words)}` ended with {done.returncode}")


def _tell(screen: Screen, mix: str, runs: "dict[str, dict[str, Measured]]") -> None:
    from console.mix import measured

    told = {name: measured.document(found) for name, found in runs.items()}
    both = "adaptive on" in runs and "adaptive off" in runs
    over = measured.ratios(runs["adaptive on"], runs["adaptive off"]) if both else {}
    if screen.as_json:
        screen.answer({"mix": mix, "runs": told, **({"on_over_off": over} if both else {})})
        return
    for name, found in runs.items():
        screen.table(f"{mix}, {name}", measured.COLUMNS, measured.rows(found))
    if both:
        screen.answer({}, ["adaptive on over off:", *measured.ratio_lines(over)])
