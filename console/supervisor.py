"""The process behind `novix up`: starts the world in order, keeps it alive, takes it down in reverse.

`python -m console.supervisor` is started by `novix up`, detached, its output in `logs/supervisor.log`. It holds one
lock per home, so that two never fight over the same ports.
"""

import asyncio
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from console import health
from console.broker import Broker
from console.exits import CommandError, Exit
from console.kafka import connected
from console.relay.target import BadTarget, target_of
from console.world import (
    LOOPBACK,
    STEADY_AFTER_S,
    USUAL_PORT,
    BrokerChoice,
    HfChoice,
    Phase,
    ProcessState,
    Service,
    WorkersChoice,
    World,
    hf_variables,
    hugging_face,
    mark_of,
    now,
    plan,
    process_order,
    remove_world,
    restart_delay_s,
    services,
    workers,
    write_world,
)
from runtime import settings as settings_of
from runtime.settings import BadSettings, Loaded
from sandbox.fetch import FetchError
from sandbox.hf import catalogue
from sandbox.hf.weights import Weights
from sandbox.kafka.home import BrokerError
from sandbox.kafka.process import free_port, is_free, send, spawn, tail
from schemas.topics import TOPICS

HEALTHY_WITHIN_S = 90.0
DEATHS_BEFORE_GIVING_UP = 4
"""Of one process before the world has stood once: its fault will not go away by itself."""
LOOK_EVERY_S = 0.1

Say = Callable[[str], None]


class Supervisor:
    """One world, from its first process to its last. One event loop, on the main thread: children die with it."""

    def __init__(
        self, loaded: Loaded, *, hf: HfChoice, broker: BrokerChoice, workers_in: WorkersChoice, say: Say
    ) -> None:
        self._loaded = loaded
        self._home = loaded.settings.home
        self._plan = plan(loaded, hf)
        self._broker_choice = broker
        self._workers = workers_in
        self._say = say
        self._broker: Broker | None = None
        self._starting: asyncio.Future[str] | None = None
        self._children: dict[str, tuple[Service, subprocess.Popen[bytes]]] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._healthy: dict[str, asyncio.Event] = {}
        self._pulse = asyncio.Event()
        self._world = World(
            environment={},
            supervisor=os.getpid(),
            mark=mark_of(self._home, "supervisor"),
            started_at=now(),
        )

    async def run(self) -> None:
        """Start everything, stay until SIGTERM or SIGINT, take everything down. Raises what kept it from standing."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGCHLD, self._beat)
        self._publish()
        work = asyncio.ensure_future(self._stand())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
            if work in done:
                await work
        finally:
            work.cancel()
            stopping.cancel()
            await self._fall()

    async def _stand(self) -> None:
        await self._rise()
        self._say("everything is up")
        await asyncio.gather(*self._keepers.values())

    # Up

    async def _rise(self) -> None:
        environment: dict[str, str] = {}
        if self._plan.local_hf:
            port = free_port(LOOPBACK, random.Random())  # noqa: S311 - it chooses a port, not a secret
            environment |= hf_variables(f"http://{LOOPBACK}:{port}", self._loaded)
            rows = self._loaded.settings.sandbox_hub_rows
            self._keep(hugging_face(self._home, self._loaded.settings.cache, port, rows))
        # Beside the broker's start, and told here: the first job should not wait for a silent download.
        weights = asyncio.ensure_future(asyncio.to_thread(self._fetch_weights))
        if self._plan.local_broker:
            self._broker = Broker(self._loaded.settings, self._broker_choice, self._say)
            environment["NOVIX_KAFKA_BOOTSTRAP"] = await self._start_broker(self._broker)
            self._keepers["broker"] = asyncio.ensure_future(self._keep_broker(self._broker))
        await self._make_topics(settings_of.load({**os.environ, **environment}))
        self._publish(environment=environment)
        for service in services(
            self._home, self._loaded, self._ports(), {**environment, "NOVIX_HOME": str(self._home)}, self._workers
        ):
            self._keep(service)
        await self._all_healthy()
        await weights
        self._publish(ready=True)

    def _fetch_weights(self) -> None:
        if self._plan.local_hf:
            Weights.of(catalogue.load(), self._loaded.settings.cache, self._say).all()

    async def _all_healthy(self) -> None:
        """Return when every process has answered once; raise what a keeper gave up with, or after the limit."""
        everyone = asyncio.ensure_future(self._each_answered())
        try:
            async with asyncio.timeout(HEALTHY_WITHIN_S):
                await asyncio.wait((everyone, *self._keepers.values()), return_when=asyncio.FIRST_COMPLETED)
            for keeper in self._keepers.values():
                if keeper.done():
                    keeper.result()
        except TimeoutError:
            ill = ", ".join(name for name, event in self._healthy.items() if not event.is_set())
            limit = f"{HEALTHY_WITHIN_S:.0f} s"
            raise CommandError(f"{ill} did not answer /healthz within {limit}; see {self._logs}") from None
        finally:
            everyone.cancel()

    async def _each_answered(self) -> None:
        for event in self._healthy.values():
            await event.wait()

    async def _make_topics(self, loaded: Loaded) -> None:
        settings = loaded.settings
        async with connected(loaded) as log:
            replication = settings.replication
            made = await log.create_topics(
                TOPICS,
                partitions=settings.partitions,
                replication=replication,
                min_insync=max(1, replication - 1),
            )
        created = [topic.topic for topic in made if topic.done == "created"]
        if created:
            self._say(f"topics: {len(created)} created")

    def _ports(self) -> dict[str, int]:
        dice = random.Random()  # noqa: S311 - it chooses ports, not secrets
        wanted = self._loaded.settings.console_port or USUAL_PORT
        page = wanted if is_free(LOOPBACK, wanted) else free_port(LOOPBACK, dice)
        if self._loaded.settings.console_port and page != wanted:
            raise CommandError(
                f"NOVIX_CONSOLE_PORT={wanted}: somebody else listens there; choose another, or 0", Exit.USAGE
            )
        ports = {"console": page}
        for name in ("router", *workers(self._workers), "alerts", "audit", "hub-sync", "endpoints", *self._relay()):
            ports[name] = free_port(LOOPBACK, dice, other_than=page)
        return ports

    def _relay(self) -> tuple[str, ...]:
        """`relay`, where the standard variables name a receiver that it can send to: jobs do not wait for one."""
        try:
            return ("relay",) if target_of(os.environ) is not None else ()
        except BadTarget as error:
            self._say(f"relay: not started, spans stay on their topic: {error}")
            return ()

    # Keeping alive

    def _keep(self, service: Service) -> None:
        self._healthy[service.name] = asyncio.Event()
        self._keepers[service.name] = asyncio.ensure_future(self._keep_service(service))

    async def _keep_service(self, service: Service) -> None:
        quick_deaths = restarts = 0
        while True:
            child = self._spawn(service)
            began = time.monotonic()
            self._tell(service, child.pid, "starting", restarts)
            watching = asyncio.ensure_future(self._until_healthy(service, child.pid, restarts))
            try:
                code = await self._ended(child)
            finally:
                watching.cancel()
            quick_deaths = 0 if time.monotonic() - began > STEADY_AFTER_S else quick_deaths + 1
            if quick_deaths >= DEATHS_BEFORE_GIVING_UP and not self._world.ready:
                said = tail(self._log_of(service.name), lines=20)
                raise CommandError(f"{service.name} ends at once (exit code {code}):\n{said}")
            delay_s = restart_delay_s(quick_deaths)
            restarts += 1
            self._say(f"{service.name} ended with {_ending(code)}; it is started again in {delay_s:.1f} s")
            self._tell(service, child.pid, "restarting", restarts)
            await asyncio.sleep(delay_s)

    async def _until_healthy(self, service: Service, pid: int, restarts: int) -> None:
        while not await asyncio.to_thread(health.is_healthy, service.health):  # noqa: ASYNC110 - see below
            await asyncio.sleep(LOOK_EVERY_S)  # another process: there is no event to wait for
        self._healthy[service.name].set()
        self._tell(service, pid, "healthy", restarts)
        self._say(f"{service.name}: healthy, process {pid}, {service.address}")

    async def _keep_broker(self, broker: "Broker") -> None:
        quick_deaths = restarts = 0
        while True:
            began = time.monotonic()
            self._put(broker.state("healthy", restarts))
            self._say(f"broker: serving on {broker.bootstrap}")
            while broker.running:
                await self._next_beat()
            quick_deaths = 0 if time.monotonic() - began > STEADY_AFTER_S else quick_deaths + 1
            restarts += 1
            self._say("broker: ended; it is started again")
            self._put(broker.state("restarting", restarts))
            while True:
                await asyncio.sleep(restart_delay_s(quick_deaths))
                try:
                    await self._start_broker(broker)
                    break
                except BrokerError as error:
                    quick_deaths += 1
                    self._say(f"broker: {str(error).splitlines()[0]}")

    async def _start_broker(self, broker: Broker) -> str:
        # Shielded: a broker that comes up after we were told to stop must be found, and stopped, by `_fall`.
        self._starting = asyncio.ensure_future(asyncio.to_thread(broker.start))
        return await asyncio.shield(self._starting)

    def _spawn(self, service: Service) -> "subprocess.Popen[bytes]":
        child = spawn(
            service.command,
            cwd=Path.cwd(),
            output=self._log_of(service.name),
            environ={**os.environ, **service.environment},
            detach=False,
        )
        self._children[service.name] = (service, child)
        return child

    async def _ended(self, child: "subprocess.Popen[bytes]") -> int:
        while (code := child.poll()) is None:
            await self._next_beat()
        return code

    async def _next_beat(self) -> None:
        """Return when some child has ended, or after a second: a signal can be missed, a poll cannot."""
        try:
            async with asyncio.timeout(1.0):
                await self._pulse.wait()
        except TimeoutError:
            return

    def _beat(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()

    # Down

    async def _fall(self) -> None:
        """SIGTERM in reverse order, SIGKILL to those that do not end in time, the broker last, then the state file."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for service, child in reversed(self._children.values()):
            await self._end(service, child)
        if self._broker is not None and self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
            self._say("broker: stopping")
            await asyncio.to_thread(self._broker.stop)
        remove_world(self._home)
        self._say("everything is down")

    async def _end(self, service: Service, child: "subprocess.Popen[bytes]") -> None:
        if child.poll() is not None:
            return
        self._say(f"{service.name}: stopping")
        self._tell(service, child.pid, "stopping", 0)
        send(child.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(service.stop_s):
                await self._ended(child)
        except TimeoutError:
            self._say(f"{service.name}: did not end within {service.stop_s:.0f} s and was killed")
            child.kill()
            await self._ended(child)

    # The state file

    @property
    def _logs(self) -> Path:
        return self._home / "logs"

    def _log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _tell(self, service: Service, pid: int, phase: Phase, restarts: int) -> None:
        self._put(
            ProcessState(
                name=service.name,
                pid=pid,
                phase=phase,
                mark=service.mark,
                address=service.address,
                health=service.health,
                log=str(self._log_of(service.name)),
                started_at=now(),
                restarts=restarts,
            )
        )

    def _put(self, state: ProcessState) -> None:
        old = self._world.process(state.name)
        if old is not None and old.pid == state.pid:
            state = state.model_copy(update={"started_at": old.started_at})
        others = [process for process in self._world.processes if process.name != state.name]
        named = {process.name: process for process in (*others, state)}
        self._publish(processes=[named[name] for name in process_order(named)])

    def _publish(self, **changes: object) -> None:
        self._world = self._world.model_copy(update=changes)
        write_world(self._home, self._world)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _say(line: str) -> None:
    """One line to the log that `novix up` follows; a log that cannot be written stops nothing."""
    try:
        sys.stdout.write(f"{now()} {line}\n")
        sys.stdout.flush()
    except OSError:
        return


def main(arguments: list[str]) -> int:
    """`python -m console.supervisor HF BROKER WORKERS`. Returns the exit code; the last lines of output say why."""
    hf, broker, workers_in = arguments
    try:
        loaded = settings_of.load()
        home = loaded.settings.home
        (home / "logs").mkdir(parents=True, exist_ok=True)
        with (home / "supervisor.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _say(f"failed: another supervisor has {home}")
                return Exit.FAILED
            # What an earlier world wrote must not be taken for anybody's wish.
            remove_world(home)
            loaded = settings_of.load()
            supervise = Supervisor(loaded, hf=hf, broker=broker, workers_in=workers_in, say=_say)  # type: ignore[arg-type]
            asyncio.run(supervise.run())
    except (BadSettings, CommandError, FetchError, BrokerError, OSError) as error:
        _say(f"failed: {error}")
        return error.code if isinstance(error, CommandError) else Exit.FAILED
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
