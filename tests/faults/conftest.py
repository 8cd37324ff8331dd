"""Brokers that may die, for tests in which they do; and where a test hands in what came of its run."""

from collections.abc import Iterator

import pytest
from cluster import cluster, three_nodes
from network import behind_a_proxy, network
from proof import proof

from sandbox.kafka.broker import LocalBroker

__all__ = ["behind_a_proxy", "cluster", "mortal", "network", "proof", "three_nodes"]


@pytest.fixture(scope="session")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker that nobody but these tests uses. Whoever stops, kills or freezes it leaves it running."""
    with LocalBroker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker
