"""A topic that grows is read to its last partition, by workers that run on and by workers that are started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import PARTITIONS, chat

from schemas.topics import RESULTS, TEXT


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path) as stranger:
        yield stranger


@pytest.mark.parametrize("restart", [False, True], ids=["the worker runs on", "the worker is killed and started again"])
def test_a_topic_that_grows_is_read_to_its_last_partition(novix: Stranger, restart: bool):
    """A static member that is started again is handed its old assignment, and nobody compares partition counts."""
    novix.run(chat("before", "grown"))
    told = novix.cli("topics", "create", "--partitions", str(2 * PARTITIONS), expect=1)
    assert "jobs" in told.stderr + told.stdout  # it stays as it is: a tenant's home is a partition number
    for process in (novix.system.worker, novix.system.router) if restart else (novix.system.router,):
        process.kill()
        process.start()
    novix.publish(*(chat(f"after-{number}", "grown") for number in range(60)))
    novix.quiet()

    assert {found.partition for found in novix.read(TEXT.name)} == set(range(2 * PARTITIONS))
    assert len(novix.read(RESULTS.name)) == 61
    assert novix.members("novix-worker-text").popitem()[1] == set(range(2 * PARTITIONS))
