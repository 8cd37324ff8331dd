"""The explorer is killed in the middle of reading, and its file deleted: what its pages tell afterwards is the same."""

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from console_process import Console, console
from crawl import crawled
from explorer_story import Told
from explorer_world import afternoon
from stranger import Stranger, installation

from schemas.topics import TOPICS

pytestmark = pytest.mark.broker

NOT_THE_SAME = {"changed_ms", "age", "now_ms", "seen"}
"""Names of what tells of the reading itself."""


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """Topics with an afternoon on them; no router and no worker."""
    folder = tmp_path_factory.mktemp("rebuilt")
    with installation(broker.bootstrap, folder, start=False) as stranger:
        publish(stranger, afternoon(folder, datetime.now(UTC)))
        yield stranger


def publish(novix: Stranger, told: list[Told]) -> None:
    """The records as they were, each topic in its order, in as many partitions as here are."""
    known = {topic.name for topic in TOPICS}
    for name in sorted({one.topic for one in told}):
        assert name in known
        for partition in sorted({one.partition for one in told if one.topic == name}):
            rows = [
                (one.key, one.value, list(one.headers))
                for one in told
                if (one.topic, one.partition) == (name, partition)
            ]
            novix.write(rows, partition=partition, topic=name)


def has_read_all(novix: Stranger, pages: Console) -> bool:
    """Whether the group of the console's file has committed to the end of all that it reads."""
    group = novix.named(f"novix-console-{pages.get('/healthz').json['store']}")
    looker = Consumer({"bootstrap.servers": novix.bootstrap, "group.id": group, "socket.timeout.ms": 10_000})
    try:
        known = looker.list_topics(timeout=10).topics
        parts = [
            TopicPartition(name, partition)
            for name in map(novix.named, (topic.name for topic in TOPICS))
            for partition in known[name].partitions
        ]
        for part in looker.committed(parts, timeout=10):
            low, high = looker.get_watermark_offsets(TopicPartition(part.topic, part.partition), timeout=10)
            if part.offset < high and low < high and part.topic.removeprefix(novix.named("")) in read_topics():
                return False
        return True
    finally:
        looker.close()


def read_topics() -> set[str]:
    """What the console reads."""
    from console.index.ingest import SOURCES

    return set(SOURCES)


def told_by(pages: Console) -> dict[str, Any]:
    """Every JSON that its pages lead to, and that of each job, but for what tells of the reading itself."""
    listed = pages.get("/api/jobs?limit=1000").json["jobs"]
    found = crawled(pages.get, ["/", "/costs", "/alerts", "/api/jobs?limit=1000", "/api/statistics"])
    told = {
        path: _steady(answer.json)
        for path, answer in found.items()
        if "json" in answer.headers.get("content-type", "") and answer.status == 200 and path != "/healthz"
    }
    for job in listed:
        told[f"{job['tenant']}/{job['job_id']}"] = _steady(pages.job(job["tenant"], job["job_id"]))
    return told


def _steady(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _steady(value) for name, value in document.items() if name not in NOT_THE_SAME}
    return [_steady(value) for value in document] if isinstance(document, list) else document


def test_what_the_pages_tell_is_the_same_after_a_kill_in_mid_reading_and_after_its_file_is_gone(
    novix: Stranger, tmp_path: Path
):
    log = novix.folder / "console.log"
    folder = novix.system.settings.home / "console"
    with console(novix, log) as pages:
        pages.wait(lambda: has_read_all(novix, pages), "reading of all")
        before = told_by(pages)
    assert len([path for path in before if path.startswith("search/")]) > 30
    shutil.rmtree(folder)

    dice = random.Random(8)
    with console(novix, log) as pages:
        pages.wait(lambda: pages.get("/healthz").json["records"] > dice.randint(0, 50), "first record")
        pages.process.kill()
        assert any(folder.glob("*.sqlite"))
        pages.process.start()
        pages.wait(lambda: pages.get("/healthz").status == 200, "console")
        pages.wait(lambda: has_read_all(novix, pages), "reading of all")
        after = told_by(pages)

    assert sorted(after) == sorted(before)
    assert [path for path in before if json.dumps(before[path]) != json.dumps(after[path])] == []
