"""The catalogue as an event: what decisions of one version were made from, for whoever decides them again.

A catalogue is told once a version on `novix.offers.v1`, in as many records as it takes. Addresses of servers are not
told: whether an offer is served is all that a decision depends on.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from router.catalogue import Catalogue, Offer
from router.estimate import rates
from runtime.grouping import by_size
from runtime.ports import Outgoing, Record
from schemas import codec
from schemas.assignment import Price
from schemas.snapshot import CatalogueSnapshot
from schemas.topics import OFFERS

PART_BYTES = 524_288
"""Of the offers of one record."""
SERVED = "served"
"""In place of an address: calls of an offer that was decided on again go nowhere."""
_NOT_TOLD = frozenset({"base_url", "rates"})
_SETS = frozenset(one.name for one in fields(Offer) if frozenset in (one.type, get_origin(one.type)))
_OPTIONAL = tuple(one.name for one in fields(Offer) if NoneType in get_args(one.type))


def catalogue_records(catalogue: Catalogue, now: datetime, limit_bytes: int = PART_BYTES) -> list[Outgoing]:
    """The records that tell one catalogue, in order (`CatalogueSnapshot`). Telling it again changes nothing."""
    told = [told_of(offer) for offer in catalogue.offers]
    groups = by_size(told, [len(codec.encode(offer)) + 1 for offer in told], limit_bytes) or [[]]
    return [
        Outgoing(
            OFFERS.name,
            catalogue.version.encode(),
            CatalogueSnapshot(
                version=catalogue.version,
                part=part,
                parts=len(groups),
                offers=offers,
                aliases={name: list(models) for name, models in catalogue.aliases.items()} if part == 0 else {},
                providers={name: sorted(tasks) for name, tasks in catalogue.providers.items()} if part == 0 else {},
                at=now,
            ).encode(),
            partition=0,
        )
        for part, offers in enumerate(groups)
    ]


def catalogue_of(parts: Sequence[CatalogueSnapshot]) -> Catalogue:
    """The catalogue that these parts tell, all of one version and in their order.

    It rules as the one that was told: only the addresses of its offers are not those. Raises ValueError for parts that
    are no catalogue.
    """
    first = parts[0]
    try:
        offers = tuple(_offer(told) for part in parts for told in part.offers)
    except (KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"catalogue {first.version[:64]}: an offer is none: {type(error).__name__}") from None
    aliases = {name: tuple(models) for name, models in first.aliases.items()}
    providers = {name: frozenset(tasks) for name, tasks in first.providers.items()}
    return Catalogue(offers, aliases, providers, first.version)


class Catalogues:
    """Every catalogue of the history, by version. Reading is total: what is unreadable is passed over."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, CatalogueSnapshot]] = {}
        self._made: dict[str, Catalogue] = {}

    def fold(self, record: Record) -> None:
        """Take in one record of `novix.offers.v1`. What was told first of a version stands."""
        try:
            told = CatalogueSnapshot.model_validate_json(record.value or b"")
        except ValidationError:
            return
        self._parts.setdefault(told.version, {}).setdefault(told.part, told)

    def of(self, version: str) -> Catalogue | None:
        """The catalogue of a version; None where it was not told whole."""
        if version not in self._made:
            parts = self._parts.get(version, {})
            count = parts[0].parts if 0 in parts else 0
            if not count or any(part not in parts for part in range(count)):
                return None
            try:
                self._made[version] = catalogue_of([parts[part] for part in range(count)])
            except ValueError:
                return None
        return self._made[version]

    def __contains__(self, version: str) -> bool:
        return self.of(version) is not None


def told_of(offer: Offer) -> dict[str, Any]:
    """All fields of an offer as JSON, sets sorted; of its address only whether there is one."""
    told: dict[str, Any] = {"served": offer.base_url is not None}
    for one in fields(Offer):
        value = getattr(offer, one.name)
        if one.name in _NOT_TOLD or value is None:
            continue
        told[one.name] = sorted(value) if isinstance(value, frozenset) else value
    if offer.price is not None:
        price = offer.price.model_dump(mode="json")
        told["price"] = {name: value for name, value in price.items() if value or isinstance(value, str)}
    return told


def _offer(told: dict[str, Any]) -> Offer:
    """An offer from its JSON. Fields that a newer writer told are left out; raises TypeError for a missing one."""
    given: dict[str, Any] = dict.fromkeys(_OPTIONAL)
    given |= {one.name: told[one.name] for one in fields(Offer) if one.name in told}
    given |= {name: frozenset(given[name]) for name in _SETS if given.get(name) is not None}
    price = Price.model_validate(told["price"]) if told.get("price") else None
    given |= {"price": price, "base_url": SERVED if told["served"] else None, "rates": rates(price) if price else ()}
    return Offer(**given)
