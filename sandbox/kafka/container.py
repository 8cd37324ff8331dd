"""The same broker in a container, for machines with an engine: the official image, our settings."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path

from sandbox.fetch import FetchError
from sandbox.kafka.config import HOST, Ports, broker_properties
from sandbox.kafka.home import BrokerError
from sandbox.kafka.jars import KAFKA_VERSION
from sandbox.kafka.probe import Readiness, probe
from sandbox.kafka.process import free_port

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
LOG_DIR = Path("/tmp/kraft-combined-logs")  # noqa: S108 - inside the container
CONTROLLER_PORT = 29_093
LOOK_EVERY_S = 0.1


class NoEngineError(FetchError):
    """No container engine answers, or the library to speak with one is missing."""


def container_environment(port: int) -> dict[str, str]:
    """The broker's properties in the image's own form: `log.dirs` becomes `KAFKA_LOG_DIRS`.

    The rule (apache/kafka `docker/examples/README.md`): upper case, a dot is one underscore, an underscore two, a dash
    three. The port is the same inside and outside, so that the advertised address is true for both.
    """
    properties = broker_properties(ports=Ports(port, CONTROLLER_PORT), log_dir=LOG_DIR)
    # On the container's loopback nobody outside could reach it.
    properties["listeners"] = properties["listeners"].replace(f"//{HOST}:{port}", f"//0.0.0.0:{port}")
    escaped = {n.replace("_", "__").replace("-", "___").replace(".", "_"): v for n, v in properties.items()}
    return {f"KAFKA_{name.upper()}": value for name, value in escaped.items()} | {"KAFKA_HEAP_OPTS": "-Xmx256m"}


def engine() -> Mapping[str, object]:
    """What the container engine says about itself. Raises `NoEngineError`, with the reason, if none answers."""
    try:
        import docker  # type: ignore[import-untyped]
        from docker.errors import DockerException  # type: ignore[import-untyped]
    except ImportError as error:
        raise NoEngineError("a broker in a container needs testcontainers; run: pip install testcontainers") from error
    try:
        client = docker.from_env(timeout=5)
        found: Mapping[str, object] = client.version()
    except (DockerException, OSError) as error:
        raise NoEngineError(f"no container engine answers: {error}") from error
    return found


class ContainerBroker:
    """Apache Kafka's own image, started and removed; it keeps no data."""

    def __init__(self, *, dice: random.Random | None = None) -> None:
        self._port = free_port(HOST, dice or random.Random())  # noqa: S311 - it chooses a port, not a secret

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self._port}"

    def start(self, *, timeout_s: float = 180) -> None:
        """Return when the broker serves; pulls the image if need be. Raises `NoEngineError`, `BrokerError`."""
        engine()
        from testcontainers.core.container import DockerContainer

        self._container = DockerContainer(IMAGE).with_bind_ports(self._port, self._port)
        for name, value in container_environment(self._port).items():
            self._container.with_env(name, value)
        self._container.start()
        until = time.monotonic() + timeout_s
        while probe(HOST, self._port) is not Readiness.SERVES:
            if time.monotonic() >= until:
                out, err = self._container.get_logs()
                self.stop()
                said = (out + err).decode(errors="replace")[-4000:]
                raise BrokerError(f"the broker in {IMAGE} did not come up in {timeout_s} s\n{said}")
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """Remove the container and its data."""
        self._container.stop()
