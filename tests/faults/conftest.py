"""Brokers that may die, for tests in which they do."""

from collections.abc import Iterator

import pytest

from sandbox.kafka.broker import LocalBroker


@pytest.fixture(scope="session")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker that nobody but these tests uses. Whoever stops, kills or freezes it leaves it running."""
    with LocalBroker(tmp_path_factory.mktemp("mortal")) as broker:
        yield broker
