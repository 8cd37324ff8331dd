"""The application shell: a FastStream application whose lifespan opens and drains the lanes.

FastStream gives lifecycle, signals and the AsyncAPI document. Its own consumers are never used for a lane's topic: they
have no transactions, and their concurrent modes lose or repeat jobs. So its broker only declares, and connects to
nothing.
"""

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from faststream import FastStream
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from runtime import logs
from runtime.health import serve_health
from runtime.looplag import LoopLag
from runtime.metrics import Metrics
from runtime.settings import BadSettings, Settings, load
from schemas.topics import Topic

log = structlog.get_logger("novix.process")

EXIT_FAILED = 1
GARBAGE_AFTER = (200_000, 10, 10)
"""Allocations before the youngest objects are searched for cycles, and how often the older ones are. Kept jobs and
imported modules are no cycles and yet searched: Python's own 700 took a third of a worker's CPU (docs/performance.md).
What does make cycles is an exception kept in a local variable; where one is kept, its traceback is let go."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is called, and what it reads and writes: enough for its AsyncAPI document."""

    name: str
    title: str
    group: str
    """Empty: it joins none, and reads from where its own records begin."""
    receives: Topic
    sends: Sequence[Topic]
    follows: Sequence[Topic] = ()
    """Read as a whole by every process, outside any group."""


class Service:
    """Something that runs until it is told to stop, and can say how it is."""

    metrics: Metrics | None = None
    """What it counts into; None: it counts nothing itself."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; drain; return."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """State for /healthz."""
        raise NotImplementedError

    @property
    def healthy(self) -> bool:
        """Whether it does its work."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether work that comes now is begun: it is not just starting, and not about to end."""
        return self.healthy

    def hurry(self) -> None:
        """Do not wait for what still runs: cut the drain short, or the one that comes."""


Build = Callable[[Settings], Service]


class Declared(KafkaBroker):
    """Says what an application reads and writes. Starting it starts nothing: no consumer, no producer."""

    async def start(self) -> None:
        """The lanes have connections of their own."""

    async def stop(self, *_: Any) -> None:
        """Nothing was started."""


def declared(*roles: Role, prefix: str = "") -> Declared:
    """The roles' topics as FastStream declarations, for the AsyncAPI document of a process."""
    broker = Declared()
    for topic in dict.fromkeys(topic for role in roles for topic in role.sends):
        broker.publisher(prefix + topic.name, title=topic.name, description=_about(topic), schema=topic.value or bytes)
    for role in roles:
        received: Any = role.receives.value or bytes

        async def lane(message: received) -> None:  # never called: the lanes read this topic themselves
            raise NotImplementedError

        about = _about(role.receives)
        broker.subscriber(
            prefix + role.receives.name, group_id=role.group or None, title=role.receives.name, description=about
        )(lane)
    return broker


def _about(topic: Topic) -> str:
    return f"{topic.carries}. Key: {topic.key}. Kept {topic.lasts}."


def application(
    role: Role, build: Build, settings: Callable[[], Settings] | None = None, *, beside: Sequence[Role] = ()
) -> FastStream:
    """The role as a FastStream application. `faststream run` starts it; a fault that no lane can mend ends it.

    `beside`: other roles that `build` has in the same process.
    """
    stop = asyncio.Event()
    running: list[asyncio.Task[None]] = []
    broker = declared(role, *beside)
    about = AsyncAPI(
        broker,
        title=role.title,
        version="1",
        description="; ".join(f"Consumer group {one.group}" for one in (role, *beside)) + ".",
        license={"name": "Apache-2.0"},
    )
    app = FastStream(broker, specification=about, logger=None)  # its own lines are no JSON, and coloured

    @app.on_startup
    async def _open() -> None:
        wanted = (settings or (lambda: load().settings))()
        logs.configure(wanted.log_level, wanted.log_format)
        try:
            service = build(wanted)
        except Exception as error:
            reason = str(error) if isinstance(error, BadSettings) else _name(error)
            log.error("process.refused", role=role.name, reason=reason)
            raise
        _on_signals(stop, app, service)
        settle_in()
        running.append(asyncio.create_task(_run(role, wanted, service, stop, app)))

    @app.on_shutdown
    async def _drain() -> None:
        stop.set()
        await asyncio.gather(*running)

    return app


def _on_signals(stop: asyncio.Event, app: FastStream, service: Service) -> None:
    """The first SIGTERM or SIGINT drains, the second cuts the drain short. FastStream's own handlers, which these take
    the place of, do the same for the second as for the first."""

    def told(name: str) -> None:
        if stop.is_set():
            log.warning("process.hurried", signal=name)
            service.hurry()
        stop.set()
        app.exit()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told, number.name)


def settle_in() -> None:
    """What exists now lives as long as the process: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_AFTER)


async def _run(role: Role, settings: Settings, service: Service, stop: asyncio.Event, app: FastStream) -> None:
    metrics = service.metrics or Metrics.of(settings)
    late = metrics.events("novix_loop_lag_seconds").of()
    try:
        with LoopLag(timedelta(milliseconds=settings.loop_lag_ms), late.observe) as lag:

            def describe() -> dict[str, Any]:
                return {**service.describe(), "loop": lag.describe()}

            async with serve_health(
                settings.health_port, role.name, describe, lambda: service.healthy, lambda: service.ready,
                metrics=metrics, host=settings.health_host,
            ):  # fmt: skip
                await service.run(stop)
    except BaseException as error:
        log.error("process.failed", role=role.name, error=_name(error))
        raise
    finally:
        stop.set()
        app.exit()


def _name(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(sorted({_name(one) for one in error.exceptions}))
    return f"{type(error).__name__}: {str(error)[:300]}"


def run(role: Role, build: Build, settings: Settings, *, beside: Sequence[Role] = ()) -> int:
    """Run the role, and those `beside` it, until SIGTERM or SIGINT, as `novix router` and `novix worker` do.

    Returns the exit code.
    """
    import uvloop

    try:
        uvloop.run(application(role, build, lambda: settings, beside=beside).run())
    except KeyboardInterrupt:
        return 130
    except Exception:
        return EXIT_FAILED  # told already, as `process.failed`
    return 0
