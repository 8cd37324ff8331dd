"""The side topics: own endpoints, the installation's catalogue, the registry. Read by a FastStream application with
manual acknowledgement: a batch is acknowledged once the store has it. Its group bears the store's id, so a new store
reads all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from faststream import FastStream
from pydantic import ValidationError

from hub.sync.store import Store
from runtime.batches import Arrived, Reading, application
from runtime.settings import Settings
from schemas.endpoints import EndpointState
from schemas.registry import Admission, Alias, Facts, RegistryRecord
from schemas.snapshot import CatalogueSnapshot
from schemas.topics import ENDPOINTS, OFFERS, REGISTRY, Topic

log = structlog.get_logger("novix.hub")

GROUP = "novix-hub-"
"""How the groups begin; each store has one of its own."""
TOPICS: tuple[Topic, ...] = (ENDPOINTS, OFFERS, REGISTRY)
MOST_AT_ONCE = 500
_NO_TIME = datetime.fromtimestamp(0, UTC)
Row = tuple[str, bytes, int]
"""Key, value and offset, as `Store.side` gives them."""


def reading(store: Store) -> Reading:
    """Who reads what."""
    return Reading(
        topics=[topic.name for topic in TOPICS],
        group=GROUP + store.id,
        title="Novix hub: side topics",
        description="Own endpoints, offers and the registry, for the catalogue of models.",
        most=MOST_AT_ONCE,
    )


def sides(settings: Settings, store: Store, changed: Callable[[], None]) -> FastStream:
    """The application; `changed` is called when the store has something new."""
    prefix = settings.topic_prefix

    async def take(batch: Sequence[Arrived]) -> bool:
        try:
            store.take([(one.topic.removeprefix(prefix), key_of(one), one.value, one.offset) for one in batch])
        except Exception as error:  # the disk is full, the file is locked: it is read again
            log.warning("hub.not_taken", error=type(error).__name__)
            return False
        changed()
        return True

    return application(settings, reading(store), take)


def key_of(record: Arrived) -> str:
    """Under what the newest record of a side topic is kept. Catalogues come in parts under one key, and registry events
    of one key add up: those are kept one by one."""
    name = (record.key or b"").decode(errors="replace")
    return name if record.topic.endswith(ENDPOINTS.name) else f"{name}\n{record.offset}"


def newest_catalogue(rows: Sequence[Row]) -> list[CatalogueSnapshot]:
    """The parts of the catalogue that was told last and is whole; nothing where there is none."""
    by_version: dict[str, dict[int, CatalogueSnapshot]] = {}
    last: dict[str, int] = {}
    for _, value, place in rows:
        try:
            part = CatalogueSnapshot.model_validate_json(value)
        except ValidationError:
            continue
        by_version.setdefault(part.version, {})[part.part] = part
        last[part.version] = place
    for version in sorted(last, key=lambda one: -last[one]):
        parts = by_version[version]
        if set(range(next(iter(parts.values())).parts)) <= parts.keys():
            return [parts[number] for number in sorted(parts)]
    return []


def endpoints_in(rows: Sequence[Row]) -> list[EndpointState]:
    """The endpoints that are known; what is none is left out."""
    found = []
    for _, value, _ in rows:
        try:
            found.append(EndpointState.model_validate_json(value))
        except ValidationError:
            continue
    return found


@dataclass
class Registered:
    """What of the registry matters here."""

    models: set[str] = field(default_factory=set)
    """That it names."""
    facts: dict[str, Facts] = field(default_factory=dict)
    """The last that the sync itself said of each."""

    def says(self, event: Facts) -> bool:
        """Whether the registry has just these facts already, whenever they were told."""
        known = self.facts.get(event.model)
        return known is not None and _plain(known) == _plain(event)


def registry_in(rows: Sequence[Row]) -> Registered:
    """The registry's events, in their order."""
    found = Registered()
    for _, value, _ in rows:
        try:
            event = RegistryRecord.model_validate_json(value).event
        except ValidationError:
            continue
        if isinstance(event, Admission):
            found.models.add(event.model)
        elif isinstance(event, Alias):
            found.models.update(model for model, _ in event.targets)
        elif isinstance(event, Facts) and (event.security is None or event.security.source == "hub"):
            found.facts[event.model] = event
    return found


def _plain(event: Facts) -> Facts:
    security = None if event.security is None else event.security.model_copy(update={"at": None})
    return event.model_copy(update={"at": _NO_TIME, "by": "", "security": security})
