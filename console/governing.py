"""The registry as the console reads and writes it. What its events say of who approved is as it was given: Novix has no
sign-in yet, and nobody has checked a name."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from console.exits import CommandError, Exit
from console.kafka import Log
from console.money.events import history, publish, wrong
from runtime.ports import Record
from runtime.registry import Registry, Standing, Verdict, model_key, until
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import BUDGETS, REGISTRY

if TYPE_CHECKING:
    from router.accounts import Accounts
    from router.catalogue import Catalogue, Offer

NOT_CHECKED = "names are as they were given; Novix has no sign-in, and nobody has checked them"
MOST_LISTED = 200
"""Of events or models that a command lists."""


async def registry(log: Log, at: datetime | None = None) -> tuple[Registry, Sequence[Record]]:
    """The registry as it stands, or stood at an instant, and the records that made it."""
    records: Sequence[Record] = await history(log, REGISTRY)
    if at is not None:
        records = until(records, at)
    return Registry.of(records), records


async def accounts(log: Log, at: datetime | None = None) -> "Accounts":
    """Tenants' own records, as they stand or stood at an instant."""
    from router.accounts import Accounts

    found = Accounts()
    records: Sequence[Record] = await history(log, BUDGETS)
    for record in records if at is None else until(records, at):
        found.fold(record)
    return found


async def tell(log: Log, key: str, event: BaseModel) -> int:
    """Append one event; the registry's version from then on."""
    return await publish(log, REGISTRY, key, RegistryRecord.model_validate({"event": event})) + 1


def event_of(record: Record) -> Any:
    """The event of a record; None where it holds none."""
    from pydantic import ValidationError

    try:
        return RegistryRecord.model_validate_json(record.value or b"").event
    except ValidationError:
        return None


def checked(**fields: Any) -> Any:
    """An event of now. Raises `CommandError` naming each field that is wrong, with its value and the rule."""
    from datetime import UTC

    from pydantic import ValidationError

    try:
        return REGISTRY_EVENTS.validate_python({"at": datetime.now(UTC), **fields})
    except ValidationError as error:
        raise CommandError("; ".join(wrong(error)), Exit.USAGE) from None


def offers_of(catalogue: "Catalogue", model: str) -> "Sequence[Offer]":
    """What the catalogue offers of a model, by its name as names are compared."""
    exact = catalogue.by_model.get(model)
    if exact is not None:
        return exact
    key = model_key(model)
    return next((rows for name, rows in catalogue.by_model.items() if model_key(name) == key), ())


def both(
    standing: Standing, known: "Accounts", catalogue: "Catalogue | None", model: str, tenant: str
) -> tuple[Verdict, str]:
    """What the registry and the tenant's own record say together, and who of them decided: `registry` or `tenant`."""
    offers = () if catalogue is None else offers_of(catalogue, model)
    verdict = standing.allowed(model, tenant, license=next((one.licence for one in offers if one.licence), None))
    record = known.tenant(tenant)
    if not verdict.ok or record is None:
        return verdict, "registry"
    if record.models and model not in record.models:
        return Verdict(False, "not_admitted", "none of the models that the tenant's own record lists"), "tenant"
    if record.licences and offers and not any(one.licence in record.licences for one in offers):
        return Verdict(False, "license", "its licence is none of those that the tenant's own record lists"), "tenant"
    return verdict, "registry"


def names(text: str | None) -> tuple[str, ...] | None:
    """A comma-separated option; None where it was not given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
