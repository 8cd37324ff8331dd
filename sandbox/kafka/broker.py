"""One real Apache Kafka on this machine: started, stopped, killed, frozen, and back with its data."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from sandbox.fetch import FetchError, Say, default_cache, quiet
from sandbox.kafka.config import BROKER_MAIN, HOST, JVM_FLAGS, Detour, Ports, Security
from sandbox.kafka.home import BrokerError, Home, State
from sandbox.kafka.installation import Installation, forget_archive, install, jvm_environment, made_archive
from sandbox.kafka.java import Java
from sandbox.kafka.probe import Readiness, probe
from sandbox.kafka.process import free_port, is_ours, send, spawn, tail, wait_until_gone

STARTS = 4
"""How often a start is tried: with the class archive, without it, and on other ports."""
LOOK_EVERY_S = 0.05
ADDRESS_TAKEN = "Address already in use"
"""As the JVM words EADDRINUSE in its BindException."""


class BrokerDiedError(BrokerError):
    """Its process ended before it served."""


class LocalBroker:
    """Apache Kafka, one node, with its data in one folder.

    `data` keeps everything of this broker: a second start in the same folder brings the same cluster back, on the same
    ports. Ports are chosen unless given. `start` downloads what is missing into `cache` (and says so through `say`),
    prepares an empty folder, and returns when the broker serves. Unless `detach`, the broker is killed when the thread
    that started it ends: start it from the main thread. A detached one is found again by `attach`. With `detour` it has
    a second listener, for clients that come through a proxy.

    One owner at a time; the methods are not for several threads.
    """

    def __init__(
        self,
        data: Path,
        *,
        cache: Path | None = None,
        port: int | None = None,
        controller_port: int | None = None,
        security: Security | None = None,
        detour: Detour | None = None,
        detach: bool = False,
        archive: bool = True,
        flags: Sequence[str] = (),
        java: Java | None = None,
        environ: Mapping[str, str] = os.environ,
        dice: random.Random | None = None,
        say: Say = quiet,
    ) -> None:
        self.home = Home(data.absolute())
        self.security = security
        self._detour = detour
        self._cache = cache or default_cache(environ)
        self._wanted = (port, controller_port)
        self._detach = detach
        self._archive_wanted = archive
        self._archive: Path | None = None
        self._flags = tuple(flags)
        self._java = java
        self._environ = environ
        self._dice = dice or random.Random()  # noqa: S311 - it chooses ports, not secrets
        self._say = say
        self._installation: Installation | None = None
        self._ports: Ports | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._log_from = 0
        self._may_move = False

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients. Raises `BrokerError` before the first start."""
        return f"{HOST}:{self._known_ports().client}"

    @property
    def pid(self) -> int:
        """The JVM's process id. Raises `BrokerError` when none was started, or it was stopped."""
        if self._pid is None:
            raise BrokerError(f"the broker in {self.home.data} does not run")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether its process exists (it may be frozen)."""
        if self._child is not None:
            return self._child.poll() is None
        return self._pid is not None and is_ours(self._pid, self.home.mark)

    @property
    def log_path(self) -> Path:
        """Kafka's own log, at most 20 MB with its predecessor."""
        return self.home.log

    @property
    def ca_path(self) -> Path:
        """The PEM file that clients of a secured broker trust; the first start writes it."""
        return self.home.tls.ca

    def start(self, *, timeout_s: float = 60) -> None:
        """Return when the broker serves. Raises `BrokerError` or `FetchError`; then nothing of it runs."""
        self.prepare()
        for attempt in range(1, STARTS + 1):
            self._spawn()
            try:
                return self.wait_ready(timeout_s=timeout_s)
            except BrokerDiedError as death:
                self._mend(death, attempt)
        raise AssertionError("the last attempt returns or raises")

    async def astart(self, *, timeout_s: float = 60) -> None:
        """`start` for a running loop, which goes on meanwhile."""
        await asyncio.to_thread(self.prepare)
        for attempt in range(1, STARTS + 1):
            self._spawn()  # not in a worker thread: the broker would die with it
            try:
                return await self.ready(timeout_s=timeout_s)
            except BrokerDiedError as death:
                self._mend(death, attempt)
        raise AssertionError("the last attempt returns or raises")

    def prepare(self) -> None:
        """Everything before the process: Java, jars, class archive, ports, configuration, formatted log directory."""
        if self.running:
            raise BrokerError(f"the broker in {self.home.data} runs already, as process {self.pid}")
        if (last := self.home.state()) and is_ours(last.pid, self.home.mark):
            raise BrokerError(f"a broker runs in {self.home.data} already, as process {last.pid}: attach to it")
        installation = self._installed()
        if self._archive_wanted and self._archive is None:
            self._archive = made_archive(installation.archive(JVM_FLAGS), self._train, say=self._say)
        # A broker that has run keeps its ports: clients know them.
        self._may_move = self.home.state() is None and None in self._wanted
        self._ports = self._remembered_ports() or self._new_ports()
        self.home.configure(self._ports, self.security, self._detour)
        self.home.format(installation, self.security)

    def wait_ready(self, *, timeout_s: float = 60) -> None:
        """Return when the broker serves (see `probe`).

        Raises `BrokerDiedError` when the process ends first, and `BrokerError` after `timeout_s`, the process killed.
        """
        until = time.monotonic() + timeout_s
        while not self._serves(until):
            time.sleep(LOOK_EVERY_S)

    async def ready(self, *, timeout_s: float = 60) -> None:
        """`wait_ready` for a running loop."""
        until = time.monotonic() + timeout_s
        while not await asyncio.to_thread(self._serves, until):  # noqa: ASYNC110 - see below
            await asyncio.sleep(LOOK_EVERY_S)  # another process: there is no event to wait for

    def attach(self) -> bool:
        """Take charge of the broker that an earlier process started in this folder; False if none runs."""
        state = self.home.state()
        if state is None or not is_ours(state.pid, self.home.mark):
            return False
        self._pid, self._ports = state.pid, state.ports
        return True

    def stop(self, *, timeout_s: float = 20) -> None:
        """SIGTERM: it writes out and closes its logs. Without effect when it does not run.

        Raises `BrokerError`, the process killed, if it has not ended after `timeout_s`.
        """
        if self.running:
            send(self.pid, signal.SIGCONT)
            send(self.pid, signal.SIGTERM)
            if not self._gone(timeout_s):
                self.kill()
                raise BrokerError(f"the broker did not stop in {timeout_s} s and was killed\n{self._tail()}")
        self._forget()

    def kill(self) -> None:
        """SIGKILL: what a power switch does to the process, though not to the disk."""
        if self.running:
            send(self.pid, signal.SIGKILL)
            self._gone(20)
        self._forget()

    def freeze(self) -> None:
        """SIGSTOP: alive for the kernel, deaf to everybody else, until `thaw`."""
        send(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        send(self.pid, signal.SIGCONT)

    def run_tool(
        self, main: str, arguments: Sequence[str], *, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Kafka's tools that are in the jars; see `Installation.run_tool`."""
        return self._installed().run_tool(main, arguments, timeout_s=timeout_s)

    def __enter__(self) -> LocalBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _known_ports(self) -> Ports:
        if self._ports is None:
            raise BrokerError(f"the broker in {self.home.data} has no ports yet: start it")
        return self._ports

    def _remembered_ports(self) -> Ports | None:
        """Those of the last run, except where the caller names others."""
        ports = self._ports or (state.ports if (state := self.home.state()) else None)
        return ports and Ports(self._wanted[0] or ports.client, self._wanted[1] or ports.controller)

    def _new_ports(self) -> Ports:
        client = self._wanted[0] or free_port(HOST, self._dice, other_than=self._wanted[1])
        return Ports(client, self._wanted[1] or free_port(HOST, self._dice, other_than=client))

    def _installed(self) -> Installation:
        if self._installation is None:
            self._installation = install(self._cache, environ=self._environ, java=self._java, say=self._say)
        return self._installation

    def _train(self, archive: Path) -> bool:
        """Run a broker once to have its JVM leave `archive`; False if that went wrong."""
        flags = self._installed().recording(archive)
        data = archive.parent / "broker"
        trial = LocalBroker(data, cache=self._cache, archive=False, flags=flags, java=self._installed().java)
        try:
            trial.start()
            trial.stop(timeout_s=60)
        except (BrokerError, FetchError) as error:
            self._say(f"no class archive for quick starts; going on without: {error}")
            return False
        finally:
            trial.kill()
        return True

    def _spawn(self) -> None:
        installation = self._installed()
        flags = [
            self.home.mark,
            f"-Djava.io.tmpdir={self.home.tmp}",
            f"-Dlog4j2.configurationFile={self.home.log4j}",
            *self._flags,
            *(installation.using(self._archive) if self._archive else ()),
        ]
        # What is read of the logs after a death is this run's only: an older one may have died of something else.
        self.home.output.unlink(missing_ok=True)
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._child = spawn(
            installation.command(BROKER_MAIN, [str(self.home.properties)], flags=flags),
            cwd=self.home.data,
            output=self.home.output,
            environ=jvm_environment(self._environ),
            detach=self._detach,
        )
        self._pid = self._child.pid
        self.home.save(State(self._pid, self._known_ports()))

    def _serves(self, until: float) -> bool:
        """One look. Raises `BrokerDiedError`, and `BrokerError` when `until` (monotonic) has passed."""
        trust = ssl.create_default_context(cafile=self.ca_path) if self.security else None
        seen = probe(HOST, self._known_ports().client, tls=trust)
        # In this order: an answer on the port counts only if our process is there to have given it.
        if not self.running:
            raise BrokerDiedError(f"the broker ended before it served\n{self._tail()}")
        if seen is Readiness.SERVES:
            return True
        if time.monotonic() >= until:
            said = self._tail()
            self.kill()
            raise BrokerError(f"the broker on {self.bootstrap} did not come up in time: {seen.value}\n{said}")
        return False

    def _mend(self, death: BrokerDiedError, attempt: int) -> None:
        """After a death before service: change what may have caused it, or pass the error on."""
        taken = ADDRESS_TAKEN in self._tail(lines=1_000)
        self._forget()
        if attempt >= STARTS:
            raise death
        if taken and self._may_move:  # somebody was quicker than we
            self._ports = self._new_ports()
            self.home.configure(self._ports, self.security, self._detour)
        elif not taken and self._archive is not None:
            forget_archive(self._archive)
            self._archive = None
        else:
            raise death

    def _gone(self, timeout_s: float) -> bool:
        if self._child is None:
            return wait_until_gone(self.pid, self.home.mark, timeout_s=timeout_s)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _forget(self) -> None:
        self._child = self._pid = None

    def _tail(self, *, lines: int = 20) -> str:
        """The end of both logs, only of the present run."""
        logs = ((self.home.output, 0), (self.log_path, self._log_from))
        ends = {path: tail(path, since=since, lines=lines) for path, since in logs}
        return "\n".join(f"--- {path}\n{end}" for path, end in ends.items() if end)
