"""A topic that grows while its workers run, and across their restart, is read to its last partition."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import chat

from schemas.topics import RESULTS, TEXT


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path) as stranger:
        yield stranger


@pytest.mark.parametrize("restart", [False, True], ids=["while it runs", "across a restart"])
def test_a_worker_topic_that_grows_is_read_to_its_last_partition(novix: Stranger, restart: bool):
    novix.run(chat("before", "grown"))
    novix.cli("topics", "create", "--partitions", "6", expect=None)  # the home topics stay as they are
    if restart:
        novix.system.worker.kill()
        novix.system.worker.start()
        novix.system.router.kill()
        novix.system.router.start()
    novix.publish(*(chat(f"after-{number}", "grown") for number in range(60)))
    novix.until(lambda results: len(results) == 61, within_s=60)

    assert {found.partition for found in novix.read(TEXT.name)} == set(range(6))
    assert len(novix.read(RESULTS.name)) == 61
