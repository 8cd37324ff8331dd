"""A catalogue on a real Kafka: `novix hub search` and the console's reader find what was published and changed."""

import asyncio
import json
import uuid
import zlib

import pytest
from hub_entries import entry
from typer.testing import CliRunner

from console.cli import app
from console.exits import Exit
from console.hub.reader import CatalogReader, folder_of
from hub.discovery.known import Unknown
from hub.index.store import Index
from runtime.bus import Bus
from runtime.ports import Outgoing
from runtime.settings import resolve
from schemas.discovery import Criteria
from schemas.topics import CATALOG, TOPICS

pytestmark = pytest.mark.broker
GERMAN = entry("acme/german-sentiment", task="text-classification", languages=["de"], license="MIT", downloads=5_000)
OTHERS = [entry(f"acme/bert-{number}", task="fill-mask", downloads=number) for number in range(300)]


def record(one, *, gone=False):
    return Outgoing(
        CATALOG.name, one.key.encode(), None if gone else one.encode(), partition=zlib.crc32(one.key.encode()) % 2
    )


@pytest.fixture
async def place(broker, tmp_path):
    told = {
        "NOVIX_HOME": str(tmp_path / "home"), "NOVIX_KAFKA_BOOTSTRAP": broker.bootstrap,
        "NOVIX_TOPIC_PREFIX": f"find-{uuid.uuid4().hex[:8]}.",
    }  # fmt: skip
    settings = resolve(told, {}, {}).settings
    async with Bus(settings) as bus:
        await bus.create_topics(TOPICS, partitions=2)
        await bus.publish([record(one) for one in (GERMAN, *OTHERS)])
        yield settings, bus, told


def searched(told, *words):
    done = CliRunner().invoke(app, ["hub", "search", *words, "--offline", "--json"], env=told)
    assert done.exit_code in (Exit.OK, Exit.NOT_MET), done.output
    return json.loads(done.stdout)


async def test_a_published_catalogue_is_found_by_the_command_with_its_changes_and_without_what_is_gone(place):
    _, bus, told = place
    first = await asyncio.to_thread(searched, told, "german", "sentiment")
    assert [one["entry"]["id"] for one in first["models"]] == [GERMAN.id]
    assert first["total"] == 301

    changed = OTHERS[7].model_copy(update={"description": "xylophone"})
    await bus.publish([record(changed), record(GERMAN, gone=True)])

    again = await asyncio.to_thread(searched, told, "xylophone")
    assert [one["entry"]["id"] for one in again["models"]] == [changed.id]
    assert again["total"] == 300


async def test_the_consoles_reader_follows_the_topic_and_has_what_an_index_made_anew_has(place, tmp_path):
    settings, bus, _ = place
    async with CatalogReader(settings) as reader:
        await until(lambda: reader.caught_up)
        changed = GERMAN.model_copy(update={"license": "Apache-2.0"})
        await bus.publish([record(changed), record(OTHERS[0], gone=True)])
        await until(lambda: licensed(reader) == ["Apache-2.0"] and reader.index().counts()["model"] == 300)
        followed = await asyncio.to_thread(reader.index().state_hash)

    anew = Index(tmp_path / "anew")
    anew.apply([(one.key, one) for one in (*OTHERS[1:], changed)])
    assert anew.state_hash() == followed
    assert (folder_of(settings) / "catalog.sqlite").exists()
    anew.close()


def licensed(reader):
    found = reader.index().search(Criteria(text="german sentiment"), known=Unknown())
    return [one.entry.license for one in found.models if one.entry.id == GERMAN.id]


async def until(holds, within_s=30.0):
    """Wait for what another task brings about."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.05)
