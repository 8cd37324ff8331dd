"""The folder of one broker: where everything lies in it, and how it is made ready for a start."""

from __future__ import annotations

import json
import shutil
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sandbox.kafka.config import (
    STORAGE_TOOL,
    Detour,
    Ports,
    Security,
    Tls,
    broker_properties,
    log4j_properties,
    render_properties,
    storage_arguments,
)
from sandbox.kafka.installation import Installation
from sandbox.kafka.tls import write_secret, write_tls


class BrokerError(Exception):
    """The broker did not do what it was asked; the message shows the end of its log."""


@dataclass(frozen=True, slots=True)
class State:
    """What one run leaves for the next, and for a process that wants to find it."""

    pid: int
    ports: Ports


@dataclass(frozen=True, slots=True)
class Home:
    """One broker's folder, absolute. It may not exist yet."""

    data: Path

    @property
    def log_dir(self) -> Path:
        """Kafka's own data."""
        return self.data / "log"

    @property
    def properties(self) -> Path:
        """Written anew at each start; holds the administrator's password, if there is one."""
        return self.data / "server.properties"

    @property
    def log4j(self) -> Path:
        """Settings of the broker's log, written anew at each start."""
        return self.data / "log4j2.properties"

    @property
    def log(self) -> Path:
        """Kafka's log, at most 20 MB with its predecessor."""
        return self.data / "broker.log"

    @property
    def output(self) -> Path:
        """What the JVM itself said in the present run: warnings about its archive, crashes."""
        return self.data / "jvm.log"

    @property
    def tmp(self) -> Path:
        """Where the JVM unpacks native libraries; a killed one leaves them behind, so each start empties it."""
        return self.data / "tmp"

    @property
    def tls(self) -> Tls:
        """The files of a secured listener."""
        return Tls(keystore=self.data / "tls" / "server.pem", ca=self.data / "tls" / "ca.pem")

    @property
    def mark(self) -> str:
        """An argument on the JVM's command line by which this broker's process is recognised."""
        return f"-Dnovix.data={self.data}"

    def state(self) -> State | None:
        """What the last run left; None if there was none."""
        try:
            found = json.loads((self.data / "broker.json").read_bytes())
        except (OSError, ValueError):
            return None
        match found:
            case {"pid": int(pid), "client_port": int(client), "controller_port": int(controller)}:
                return State(pid, Ports(client, controller))
            case _:
                return None

    def save(self, state: State) -> None:
        """Replace the state as a whole."""
        ports = state.ports
        content = {"pid": state.pid, "client_port": ports.client, "controller_port": ports.controller}
        fresh = self.data / "broker.json.new"
        fresh.write_text(json.dumps(content), encoding="utf-8")
        fresh.replace(self.data / "broker.json")

    def configure(self, ports: Ports, security: Security | None, detour: Detour | None = None) -> None:
        """Write every file that the next start reads."""
        self.data.mkdir(parents=True, exist_ok=True)
        tls = self.tls if security else None
        if tls and not (tls.keystore.exists() and tls.ca.exists()):
            write_tls(tls, now=datetime.now(UTC))
        told = broker_properties(ports=ports, log_dir=self.log_dir, security=security, tls=tls, detour=detour)
        write_secret(self.properties, render_properties(told).encode())
        self.log4j.write_text(log4j_properties(self.log), encoding="utf-8")
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir()

    def format(self, installation: Installation, security: Security | None) -> None:
        """Give the log directory a new cluster's id and the users' credentials. One that has them is left alone."""
        if (self.log_dir / "meta.properties").exists():
            return
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")  # as Kafka writes a Uuid
        done = installation.run_tool(STORAGE_TOOL, storage_arguments(self.properties, cluster_id, security))
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-2000:]
            for password in security.users.values() if security else ():
                said = said.replace(password, "***")
            raise BrokerError(f"the log directory {self.log_dir} could not be formatted: {said}")
