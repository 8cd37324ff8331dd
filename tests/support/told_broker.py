"""A broker that is told more than the sandbox's is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import Detour, Ports, Security, render_properties
from sandbox.kafka.home import Home


@dataclass(frozen=True)
class ToldHome(Home):
    """A broker's folder, with properties of its own: a later line of the file wins."""

    told: Mapping[str, str] = field(default_factory=dict)

    def configure(self, ports: Ports, security: Security | None, detour: Detour | None = None) -> None:
        """What the sandbox's broker is told, and more."""
        super().configure(ports, security, detour)
        with self.properties.open("a", encoding="utf-8") as properties:
            properties.write(render_properties(self.told))


def told_broker(data: Path, **told: str) -> LocalBroker:
    """A broker with these properties, underscores for the dots in their names."""
    broker = LocalBroker(data)
    broker.home = ToldHome(data.absolute(), {name.replace("_", "."): value for name, value in told.items()})
    return broker
