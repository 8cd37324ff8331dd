"""Fills the index from the topics: a FastStream application with one batch subscriber, manual acknowledgement.

Its group is the store's own, so an empty disk reads everything anew and no lane group ever sees it as a member. A
record counts as read when its rows are in the file; a batch that could not be written is read again.
"""

import asyncio
from collections.abc import Sequence

import structlog

from console.batches import Arrived, Reading, application
from console.index.facts import SOURCES, facts_of, not_read
from console.index.rows import Facts
from console.index.store import Store
from runtime.settings import Settings

log = structlog.get_logger("novix.console")

MAX_RECORDS = 500
WAIT_AFTER_FAULT_S = 1.0


class Ingest:
    """The subscriber and its state. `start` joins the group, `stop` leaves it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._prefix = settings.topic_prefix
        self._store = store
        self.records = 0
        self.last_record_ms: int | None = None
        self.fault: str | None = None
        """Class name of what keeps rows from being written; None while all is well."""
        self.group = settings.named(f"novix-console-{store.id}")
        # One process fills a store, so its member is a static one.
        reading = Reading(
            SOURCES, f"novix-console-{store.id}", "console",
            "What every topic tells of jobs, money, audit and health, for the pages.", MAX_RECORDS, instance="console",
        )  # fmt: skip
        self._app = application(settings, reading, self._take)

    async def start(self) -> None:
        """Connect and read on from where this store was. Raises Kafka's errors."""
        await self._app.start()

    async def stop(self) -> None:
        """Leave the group. What was not acknowledged is read again."""
        await self._app.stop()

    async def _take(self, raw: Sequence[Arrived]) -> bool:
        try:
            await asyncio.to_thread(self._fold, raw)
        except Exception as error:
            # Acknowledged is only what is in the file: go back to the batch's first records, after a while.
            self.fault = type(error).__name__
            log.error("ingest.failed", error=self.fault, records=len(raw))
            await asyncio.sleep(WAIT_AFTER_FAULT_S)
            return False
        self.fault = None
        self.records += len(raw)
        self.last_record_ms = max(record.timestamp for record in raw)
        return True

    def _fold(self, raw: Sequence[Arrived]) -> None:
        """Read and write in a thread: the pages' event loop goes on meanwhile."""
        self._store.add(facts_or_none(one, self._prefix, capture=self._store.capture) for one in raw)


def facts_or_none(one: Arrived, prefix: str, *, capture: bool) -> Facts:
    """A record's rows. `facts_of` takes any bytes; should it fail all the same, that one record is counted and not read
    again for ever."""
    topic = one.topic.removeprefix(prefix)
    where = (topic, one.partition, one.offset, one.timestamp)
    try:
        return facts_of(*where, one.value, one.key, one.told, capture=capture)
    except Exception as error:
        log.error(
            "record.not_read", topic=topic, partition=one.partition, offset=one.offset, error=type(error).__name__
        )
        return not_read(*where)
