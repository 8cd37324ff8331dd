"""One record on its way into rows."""

from typing import Any

from console.index import cells
from console.index.rows import Facts, Key, RecordRow, stamp_of
from runtime.ports import Record
from schemas import codec
from schemas.topics import TOPICS

TOPIC_NUMBERS = {topic.name: number for number, topic in enumerate(TOPICS)}
"""What tables call a topic. Where this changes, files are made anew."""


class Reading:
    """One record on its way into rows."""

    def __init__(self, record: Record, facts: Facts, capture: bool) -> None:
        self.record, self.facts, self.capture = record, facts, capture
        self.stamp = stamp_of(record.timestamp_ms, record.offset)

    def document(self) -> dict[str, Any]:
        """The value; empty, and counted, where it is no JSON object."""
        try:
            document = codec.decode(self.record.value or b"")
        except codec.Undecodable:
            document = None
        if not isinstance(document, dict):
            self.facts.broken["undecodable"] += 1
            return {}
        return document

    def listed(self, name: str) -> list[dict[str, Any]]:
        """The objects of a batch."""
        items = self.document().get(name)
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def place(self, job: Key, *, whole: bool = True, asked_model: str | None = None, asked: str | None = None) -> None:
        """This record speaks of that job. Not `whole`: of others too, so that its key and headers say nothing of it."""
        record = self.record
        shown = cells.headers_json(record.headers) if whole and record.headers else None
        self.facts.records.append(
            RecordRow(
                job,
                TOPIC_NUMBERS[record.topic],
                record.partition,
                record.offset,
                record.timestamp_ms,
                len(record.value or b""),
                cells.shown(record.key) if record.key is not None else None,
                shown,
                asked_model,
                asked,
            )
        )

    def unnamed(self) -> None:
        """It tells no tenant and id."""
        self.facts.broken["unnamed"] += 1
