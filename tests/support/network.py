"""A broker with a network before it that a test may spoil."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ordeal import Ordeal, ordeal
from proof import Proof
from proxy import Proxy, proxy

from sandbox.kafka.broker import LocalBroker
from sandbox.kafka.config import HOST, Detour
from sandbox.kafka.process import free_port


@dataclass
class Network:
    """A broker, and the proxy through which an installation comes to it. Who counts goes straight to the broker."""

    broker: LocalBroker
    proxy: Proxy

    @property
    def bootstrap(self) -> str:
        """The broker, by way of the proxy."""
        return f"{HOST}:{self.proxy.port}"

    def ordeal(
        self, folder: Path, proof: Proof, *, start: bool = True, **settings: str
    ) -> AbstractContextManager[Ordeal]:
        """An installation behind the proxy."""
        settings = {**settings, "NOVIX_KAFKA_BOOTSTRAP": self.bootstrap}
        return ordeal(self.broker.bootstrap, folder, start=start, proof=proof, crew=1, **settings)


@pytest.fixture(scope="session")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A proxy, and a broker behind it that tells its clients to come through the proxy."""
    dice = random.Random()
    front, behind = free_port(HOST, dice), free_port(HOST, dice)
    with (
        LocalBroker(tmp_path_factory.mktemp("behind"), detour=Detour(listen=behind, advertised=front)) as broker,
        proxy(front, behind) as made,
    ):
        yield Network(broker, made)


@pytest.fixture
def network(behind_a_proxy: Network) -> Iterator[Network]:
    """The network, well; a test may spoil it as it likes."""
    yield behind_a_proxy
    behind_a_proxy.proxy.heal()
