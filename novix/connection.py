"""Where the client connects: arguments first, then `NOVIX_*` variables, then what a running `novix up` offers."""

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOBS = "inference.jobs.v1"
RESULTS = "inference.results.v1"
CONTROL = "inference.control.v1"


@dataclass(frozen=True)
class Connection:
    """Kafka's address, the topic prefix and how to authenticate."""

    bootstrap: str = "127.0.0.1:9092"
    prefix: str = ""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_file: str = ""

    @classmethod
    def found(cls, environment: Mapping[str, str] | None = None) -> "Connection":
        """The connection that the environment names, else that of a running `novix up`, else the defaults."""
        environment = os.environ if environment is None else environment
        home = Path(environment.get("NOVIX_HOME") or "~/.novix").expanduser()
        known = {**_offered(home), **environment}
        return cls(
            bootstrap=known.get("NOVIX_KAFKA_BOOTSTRAP") or cls.bootstrap,
            prefix=known.get("NOVIX_TOPIC_PREFIX", ""),
            security_protocol=known.get("NOVIX_KAFKA_SECURITY_PROTOCOL") or cls.security_protocol,
            sasl_mechanism=known.get("NOVIX_KAFKA_SASL_MECHANISM") or cls.sasl_mechanism,
            username=known.get("NOVIX_KAFKA_USERNAME", ""),
            password=known.get("NOVIX_KAFKA_PASSWORD", ""),
            ca_file=known.get("NOVIX_KAFKA_CA_FILE", ""),
        )

    def __repr__(self) -> str:
        return f"Connection({self.bootstrap!r}, prefix={self.prefix!r}, {self.security_protocol})"

    def options(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka's clients."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": 10_000,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file or None)
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def _offered(home: Path) -> Mapping[str, str]:
    try:
        document = json.loads((home / "state.json").read_text())
        return {str(name): str(value) for name, value in document["environment"].items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}
