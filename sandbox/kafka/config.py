"""What the broker is told: its properties, its log settings and the JVM's command line. Pure.

One KRaft node that is broker and controller, small enough to stand beside everything else on a laptop: measured
166 to 185 MB and some 2 % of a core when idle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
"""The sandbox's broker is reachable from this machine only."""

BROKER_MAIN = "kafka.Kafka"
STORAGE_TOOL = "kafka.tools.StorageTool"

SMALL: Mapping[str, str] = {
    # One node holds every replica; Kafka's defaults would wait for three.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions of each internal topic cost a second of start-up and of every restart.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "num.partitions": "6",
    "auto.create.topics.enable": "false",
    # Tests start groups all the time, with short sessions.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After kill -9 the controller refuses the old broker id until its session ends: 12 s by default, 4 s so.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # An abandoned transaction blocks readers until it times out and this has come round (10 s by default).
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "metadata.max.idle.interval.ms": "5000",
    # The default, 128 MiB, is more than the whole heap: the broker would not start.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.threads": "1",
    "log.cleaner.io.buffer.size": "65536",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.segment.bytes": "67108864",
    "offsets.topic.segment.bytes": "8388608",
    # After a kill -9 a combined node loads the groups' offsets twice. Whether it still leads is looked at between
    # chunks alone: within one of the default 5 MB the first load may end as the second's (docs/decisions/0049).
    "offsets.load.buffer.size": "65536",
    "transaction.state.log.segment.bytes": "8388608",
}

JVM_FLAGS: tuple[str, ...] = (
    "-Xmx128m",
    "-Xss512k",
    "-XX:MaxMetaspaceSize=96m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    # Nobody reads them, and a killed JVM leaves them in /tmp.
    "-XX:-UsePerfData",
    # The thread that meets OutOfMemoryError may not be the one that serves; half a broker is worse than none.
    "-XX:+ExitOnOutOfMemoryError",
)
"""Small and quick to start rather than fast: still some 40,000 records a second."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the node listens on `HOST`."""

    client: int
    controller: int


@dataclass(frozen=True, slots=True)
class Detour:
    """A second client listener, for clients that something stands between: a proxy, a tunnel, a port forwarding.

    The broker listens on `listen` and tells whoever comes that way to go on by `advertised`, where that something
    listens. The first listener stays as it is.
    """

    listen: int
    advertised: int


@dataclass(frozen=True, slots=True)
class Security:
    """Makes the client listener SASL_SSL with SCRAM-SHA-512, and every right a matter of an ACL.

    `users` maps names to passwords and has at least `admin`, who may do everything and as whom the broker speaks to
    itself. The others may do what ACLs give them: nothing at first. They are made when the broker's folder is
    formatted, at its first start; a later start with other `users` makes no new ones. Names and passwords are plain
    words, since they travel through a tool's own little syntax.
    """

    users: Mapping[str, str] = field(repr=False)
    admin: str = "admin"

    def __post_init__(self) -> None:
        if self.admin not in self.users:
            raise ValueError(f"users has no {self.admin!r}, the administrator as whom the broker speaks to itself")
        for name, password in self.users.items():
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise ValueError(f"a user's name may have letters, digits and . _ - ; got {name!r}")
            if not re.fullmatch(r"[A-Za-z0-9._~+/-]+", password):
                raise ValueError(f"the password of {name!r} ({len(password)} characters) may have letters, digits "
                                 "and . _ ~ + / -")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of the SASL_SSL listener, all PEM."""

    keystore: Path
    """The server's key (PKCS 8, not encrypted) and its certificate, in one file, as Kafka wants them."""
    ca: Path
    """What clients trust."""


def broker_properties(
    *,
    ports: Ports,
    log_dir: Path,
    security: Security | None = None,
    tls: Tls | None = None,
    detour: Detour | None = None,
) -> dict[str, str]:
    """Every property of `server.properties`.

    The names are Kafka's own: https://kafka.apache.org/42/configuration/broker-configs/. Raises `ValueError` for a
    `log_dir` that Kafka would read as two (it splits at commas), for `security` without `tls`, and for a `detour`
    beside `security`: it would be a way in without a password.
    """
    if "," in str(log_dir):
        raise ValueError(f"Kafka reads a comma in log.dirs as two folders: {log_dir}")
    if (security is None) != (tls is None):
        raise ValueError("security and tls go together")
    if security and detour:
        raise ValueError("a detour is a listener without a password: it does not go with security")
    listener = "SASL_SSL" if security else "PLAINTEXT"
    client = f"{listener}://{HOST}:{ports.client}"
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": listener,
        "listeners": f"{client},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": client,
        "listener.security.protocol.map": f"{listener}:{listener},CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        **SMALL,
    }
    if detour:
        properties["listeners"] += f",DETOUR://{HOST}:{detour.listen}"
        properties["advertised.listeners"] += f",DETOUR://{HOST}:{detour.advertised}"
        properties["listener.security.protocol.map"] += ",DETOUR:PLAINTEXT"
    if security and tls:
        properties |= _secured(security, tls)
    return properties


def _secured(security: Security, tls: Tls) -> dict[str, str]:
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    admin, password = security.admin, security.users[security.admin]
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (f'{login} username="{admin}" password="{password}";'),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls.keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls.ca),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller's listener is PLAINTEXT on loopback, so the node meets itself there as ANONYMOUS. No client
        # is anonymous: the only other listener asks for a password.
        "super.users": f"User:{admin};User:ANONYMOUS",
    }


def render_properties(properties: Mapping[str, str]) -> str:
    """The text of a Java properties file (java.util.Properties.load): backslashes and line breaks are escaped."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"\\{escaped}" if escaped.startswith((" ", "\t")) else escaped


def log4j_properties(log_file: Path) -> str:
    """The broker's own log: 10 MB and one older file, then the oldest lines go. No record's content is logged."""
    settings = {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "FILE",
        "appender.file.fileName": str(log_file),
        "appender.file.filePattern": f"{log_file}.%i",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{ISO8601} %p %m (%c)%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "10MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "1",
        "rootLogger.level": "INFO",
        "rootLogger.appenderRef.file.ref": "FILE",
        # The whole configuration, some 400 lines, at every start.
        "logger.config.name": "org.apache.kafka.common.config.AbstractConfig",
        "logger.config.level": "WARN",
        "logger.server.name": "kafka.server.KafkaConfig",
        "logger.server.level": "WARN",
    }
    return render_properties(settings)


def storage_arguments(properties_file: Path, cluster_id: str, security: Security | None = None) -> list[str]:
    """What `STORAGE_TOOL` is told to prepare an empty log directory, with every user's SCRAM credential in it."""
    # In one word: an id may begin with "-", and would then be read as an option.
    arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(properties_file)]
    for name, password in (security.users if security else {}).items():
        arguments += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
    return arguments


def jvm_arguments(
    main: str, arguments: Sequence[str], *, classpath: Sequence[Path], flags: Sequence[str] = ()
) -> list[str]:
    """What follows `java` to run `main`. `flags` come last among the JVM's, so they win."""
    joined = ":".join(str(jar) for jar in classpath)
    return [*JVM_FLAGS, *flags, "-cp", joined, main, *arguments]


def argument_file(arguments: Sequence[str]) -> str:
    """The arguments as a `java @file` (JDK "java Command-Line Argument Files"): each quoted, on a line of its own.

    For arguments that are secret: a command line can be read by everybody on the machine.
    """
    return "".join('"' + a.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for a in arguments)
