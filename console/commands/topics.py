"""`novix topics`: make the topics, again and again without harm; list them."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CommandError, Exit
from console.screen import Screen
from console.shell import AsJson, command, settings

if TYPE_CHECKING:
    from runtime.settings import Loaded


@command
def create(
    partitions: Annotated[
        int | None, typer.Option(help="Of each topic; default NOVIX_PARTITIONS.", min=1, max=10_000)
    ] = None,
    replication: Annotated[int | None, typer.Option(help="Replicas; default NOVIX_REPLICATION.", min=1, max=15)] = None,
    min_insync: Annotated[
        int | None, typer.Option(help="min.insync.replicas; default one less than the replicas, at least 1.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> Exit:
    """Create the topics that are missing. Jobs, decisions, ledger and snapshots keep their number of partitions,
    histories have one, others may grow."""
    return asyncio.run(_create(settings(), Screen(as_json=as_json), partitions, replication, min_insync))


async def _create(
    loaded: "Loaded", screen: Screen, partitions: int | None, replication: int | None, min_insync: int | None
) -> Exit:
    from console.kafka import connected
    from schemas.topics import TOPICS

    partitions = partitions or loaded.settings.partitions
    replication = replication or loaded.settings.replication
    min_insync = min_insync or max(1, replication - 1)
    if min_insync > replication:
        raise CommandError(f"--min-insync {min_insync} is more than the {replication} replicas", Exit.USAGE)
    async with connected(loaded) as log:
        brokers = await log.brokers()
        if replication > brokers:
            raise CommandError(f"--replication {replication}, but the cluster has {brokers} brokers", Exit.USAGE)
        if replication == 1 and brokers > 1:
            screen.note(
                f"novix: one replica on a cluster of {brokers} brokers: a broker that is lost takes jobs with it; "
                f"use --replication {min(3, brokers)}"
            )
        made = list(
            await log.create_topics(TOPICS, partitions=partitions, replication=replication, min_insync=min_insync)
        )
    refused = [topic for topic in made if topic.done == "mismatch"]
    document = [
        {"topic": topic.topic, "done": topic.done, "partitions": topic.partitions, "wanted": topic.wanted}
        for topic in made
    ]
    screen.answer(document, [f"{topic.done:9} {topic.topic} ({topic.partitions} partitions)" for topic in made])
    single = {loaded.settings.named(topic.name) for topic in TOPICS if topic.single}
    for topic in made:
        if topic.done == "stamped":
            screen.note(
                f"novix: {topic.topic} had the times of its writers: from now on it has the broker's "
                "(message.timestamp.type=LogAppendTime); what stands in it keeps its times"
            )
    for topic in refused:
        reason = "the order of all its records counts" if topic.topic in single else "a tenant's home is its number"
        screen.note(
            f"novix: {topic.topic} has {topic.partitions} partitions and cannot have {topic.wanted}: {reason}, "
            f"fixed when the topic is created"
        )
    return Exit.FAILED if refused else Exit.OK


@command
def show(as_json: AsJson = False) -> Exit:
    """List the topics of the contract: name, key, what they carry, how long it is kept."""
    from schemas.topics import TOPICS

    loaded, screen = settings(), Screen(as_json=as_json)
    named = loaded.settings.named
    document = [
        {
            "topic": named(topic.name),
            "key": topic.key,
            "value": topic.value.__name__ if topic.value else None,
            "carries": topic.carries,
            "retention_ms": None if topic.kept or topic.compacted else topic.retention_ms,
            "kept": topic.lasts,
        }
        for topic in TOPICS
    ]
    if screen.as_json:
        screen.answer(document)
    else:
        rows = [[named(topic.name), topic.key, topic.carries, topic.lasts] for topic in TOPICS]
        screen.table("Topics", ["topic", "key", "carries", "kept"], rows)
    return Exit.OK
