"""Who is compared: what each promises, how it is set, which topic it reads, and what starts it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.world import PARTITIONS, World
from schemas.topics import JOBS, RESULTS, ROUTER_GROUP, TEXT, worker_group

Command = tuple[list[str], dict[str, str]]
"""A command line, and what its environment has beside ours."""
NOVIX, WORKER_ALONE, LOOP = "Novix", "Novix, the worker alone", "plain aiokafka loop, aiohttp"


@dataclass(frozen=True, slots=True)
class Task:
    """What a competitor is told: where the jobs come from, where results go, whom to call, how many at once."""

    bootstrap: str
    source: str
    """Topic with its prefix."""
    sink: str
    url: str
    in_flight: int
    environment: dict[str, str]
    """Novix's own settings for it."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """One way to do the jobs."""

    name: str
    guarantee: str
    settings: str
    """In words, for the page."""
    commands: Callable[[Task], list[Command]]
    group: str
    """Its consumer group, before the topic's name: `GROUP-TOPIC`; Novix's own, whole, with the prefix before it."""
    reads: str = JOBS.name
    """Jobs as their producers write them, or jobs with the assignment that a router has put to them."""
    most_at_once: int | None = None
    """Calls at once that it can have out whatever is asked of it; None: as many as one wants."""

    counted: int | None = None
    """Of its processes the first so many are measured; None: all."""

    @property
    def ours(self) -> bool:
        """Whether it needs all of Novix's topics."""
        return self.name in (NOVIX, WORKER_ALONE)

    def group_of(self, task: Task, prefix: str) -> str:
        """The consumer group that reads the task's source."""
        return prefix + self.group if self.ours else f"{self.group}-{task.source}"

    def at_once(self, wanted: int) -> int:
        """Calls that it can have out when so many are wanted."""
        return wanted if self.most_at_once is None else min(wanted, self.most_at_once)

    def task(self, world: World, prefix: str, in_flight: int, environment: dict[str, str]) -> Task:
        """Its task under a topic prefix."""
        url = f"{world.stub_url}/v1/chat/completions"
        return Task(world.bootstrap, prefix + self.reads, prefix + RESULTS.name, url, in_flight, environment)


def _console(*names: str) -> Callable[[Task], list[Command]]:
    def commands(task: Task) -> list[Command]:
        return [([sys.executable, "-m", "console", *name.split()], task.environment) for name in names]

    return commands


def _loop(task: Task) -> list[Command]:
    told = [sys.executable, "-m", "bench.plain_loop", task.bootstrap, task.source, task.sink, task.url]
    return [(told, {"PLAIN_IN_FLIGHT": str(task.in_flight)})]


def _faststream(mode: str, most: int | None) -> Callable[[Task], list[Command]]:
    def commands(task: Task) -> list[Command]:
        told = [sys.executable, "-m", "bench.peers.faststream_app", task.bootstrap, task.source, task.sink, task.url]
        return [([*told, mode, str(most or task.in_flight)], {})]

    return commands


def _parallel(java: Sequence[str], mode: str) -> Callable[[Task], list[Command]]:
    def commands(task: Task) -> list[Command]:
        told = [task.bootstrap, task.source, task.sink, task.url, str(task.in_flight), mode]
        return [([*java, *told], {})]

    return commands


PYTHON = [
    Competitor(
        NOVIX, "exactly once: one result, one settled reservation; traced, audited, never over a limit",
        "router and text worker, a process each; no setting but the window, and that one model may have all of it "
        "(`NOVIX_BULKHEAD_SHARE=1`)", _console("router", "worker text"),
        ROUTER_GROUP,
    ),
    Competitor(
        WORKER_ALONE, "exactly once from the assigned job on; traced and audited",
        "text worker, set as above; the jobs carry a router's assignment already. A router runs beside it, not "
        "measured: it moves back what waited in a retry topic", _console("worker text", "router"), worker_group("text"),
        reads=TEXT.name, counted=1,
    ),
    Competitor(
        LOOP, "at least once: a crash repeats calls and results",
        "uvloop, one session, idempotent producer, the lowest open offset committed each second", _loop,
        "plain",
    ),
    Competitor(
        "FastStream + httpx, max_workers", "a crash loses what was in flight: a timer commits it before it is done",
        "`max_workers` = window, which FastStream has with that early commit only; no log line a message, httpx "
        "without a limit on connections, uvloop", _faststream("workers", None), "faststream",
    ),
    Competitor(
        "FastStream + httpx, AckPolicy.ACK", "at least once",
        f"`max_workers={PARTITIONS}`: with the commit after the handler FastStream has one consumer, and one call, for "
        "each partition; otherwise as above", _faststream("ack", PARTITIONS), "faststream", most_at_once=PARTITIONS,
    ),
    Competitor(
        "FastStream + httpx, no setting", "a crash loses what was in flight",
        "as the first page of its documentation: one message at a time, a log line each", _faststream("first", 1),
        "faststream", most_at_once=1,
    ),
]  # fmt: skip


def parallel(java: Sequence[str]) -> list[Competitor]:
    """Confluent's Parallel Consumer, started by this command line."""
    return [
        Competitor(
            "Parallel Consumer (JVM)", "at least once: a crash repeats what was not committed yet",
            "unordered, a thread a call, java.net.http, offsets and what is finished above them committed each second",
            _parallel(java, "plain"), "parallel",
        ),
        Competitor(
            "Parallel Consumer (JVM), transactions", "exactly once from topic to topic; no money, no trace",
            "the same with its transactional commit mode, each 200 ms, next calls begun meanwhile (its eager "
            "processing)", _parallel(java, "transactions"), "parallel",
        ),
    ]  # fmt: skip
