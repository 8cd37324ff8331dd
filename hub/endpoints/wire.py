"""What the management API v2 is told and what it says. Pure maps; nothing is sent here.

Shapes: the public OpenAPI document v2.0.0 and huggingface_hub 2.4. Whatever comes from there is checked: what is no
endpoint is `BadDocument`, an unknown state as well; fields that are not needed are not looked at.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast, get_args

from schemas.base import MAX_NANOUSD
from schemas.endpoints import EndpointSpec, EndpointStatus
from schemas.values import frozen

NANO = 1_000_000_000
STATUSES = frozenset(get_args(EndpointStatus)) - {"deleted", "refused"}
MAX_TEXT = 2_048
HEALTH = "/health"

Place = tuple[str, str, str, str]
"""Vendor, region, instance type, instance size."""


class BadDocument(Exception):
    """The management API said something that cannot be read. The message names the field and never its value."""


@frozen
class Seen:
    """One endpoint, as the management API shows it."""

    name: str
    id: str | None
    status: EndpointStatus
    updated_at: datetime | None
    """When its state, or the number of its replicas, changed."""
    url: str | None
    ready_replicas: int
    target_replicas: int
    message: str
    last_used_at: datetime | None
    health_route: str
    document: Mapping[str, Any]

    @property
    def revision(self) -> str | None:
        """Of the model that it runs, where it was told."""
        found = self.document.get("model", {}).get("revision")
        return found[:64] if isinstance(found, str) and found else None


@frozen
class Machine:
    """What a replica may run on."""

    hour_nanousd: int
    status: str
    """`available`, `low_availability`, `not_available`, `reserved`, `deprecated`."""
    most: int | None
    """Accelerators that the namespace may use; None: not told."""
    used: int | None


def body_of(spec: EndpointSpec) -> dict[str, Any]:
    """The body of a create, or of an update. It holds no secret: a secret stands in the provider's own console."""
    scaling: dict[str, Any] = {
        "minReplica": spec.scaling.min_replicas,
        "maxReplica": spec.scaling.max_replicas,
        "scaleToZeroTimeout": spec.scaling.scale_to_zero_minutes,
    }
    if spec.scaling.pending_requests is not None:
        scaling["measure"] = {"pendingRequests": spec.scaling.pending_requests}
    return {
        "name": spec.name,
        "type": spec.security.access,
        "provider": {"vendor": spec.security.vendor, "region": spec.security.region},
        "compute": {
            "accelerator": spec.accelerator,
            "instanceType": spec.instance_type,
            "instanceSize": spec.instance_size,
            "scaling": scaling,
        },
        "model": {
            "repository": spec.model,
            "revision": spec.revision,
            "task": spec.task,
            "framework": spec.custom.framework,
            "image": spec.custom.image,
            "env": {**spec.custom.env, **_flags(spec)},
        },
        "tags": list(spec.custom.tags),
    }


def _flags(spec: EndpointSpec) -> dict[str, str]:
    """How text-generation-inference and text-embeddings-inference are told to quantise and batch: their documented
    environment variables. Other containers have flags of their own, in `custom.image`."""
    told: dict[str, str] = {}
    if spec.optimization.quantization is not None:
        told["QUANTIZE"] = spec.optimization.quantization
    if spec.optimization.max_batch is not None:
        told["MAX_BATCH_SIZE"] = str(spec.optimization.max_batch)
    return told


def differs(seen: Seen, spec: EndpointSpec) -> bool:
    """Whether an update would change anything: fields that we tell and that the API shows otherwise. What it shows and
    we never tell is none of our business."""
    return _differs(body_of(spec), seen.document)


def _differs(wanted: Any, shown: Any) -> bool:
    if isinstance(wanted, dict):
        return not isinstance(shown, dict) or any(_differs(value, shown.get(name)) for name, value in wanted.items())
    if wanted in (None, [], ()) and shown in (None, [], ()):
        return False
    return bool(wanted != shown)


def seen_of(document: Any) -> Seen:
    """One endpoint. Raises `BadDocument`."""
    if not isinstance(document, dict):
        raise BadDocument(f"an endpoint is a {type(document).__name__}, not an object")
    status = document.get("status")
    if not isinstance(status, dict):
        raise BadDocument("an endpoint without status")
    state = status.get("state")
    if not isinstance(state, str) or state not in STATUSES:
        raise BadDocument("status.state: none that is known")
    name = document.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        raise BadDocument("name: no text of 1 to 64 characters")
    message = status.get("errorMessage") or status.get("message")
    health = document.get("healthRoute")
    return Seen(
        name=name,
        id=_text(document.get("id")),
        status=cast(EndpointStatus, state),
        updated_at=_instant(status.get("updatedAt")),
        url=_text(status.get("url")),
        ready_replicas=_count(status.get("readyReplica"), "status.readyReplica"),
        target_replicas=_count(status.get("targetReplica"), "status.targetReplica"),
        message=message[:500] if isinstance(message, str) else "",
        last_used_at=_instant(status.get("lastUsedAt")),
        health_route=health if isinstance(health, str) and health.startswith("/") else HEALTH,
        document=document,
    )


def listed(document: Any) -> tuple[list[Seen], list[str], str | None]:
    """A page of the list: what could be read, why the rest could not, and the next cursor. Raises `BadDocument`."""
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise BadDocument("items: no list")
    found, faults = list[Seen](), list[str]()
    for item in items:
        try:
            found.append(seen_of(item))
        except BadDocument as error:
            faults.append(str(error))
    cursor = document.get("nextCursor")
    return found, faults, cursor if isinstance(cursor, str) and cursor else None


def machines_of(document: Any) -> dict[Place, Machine]:
    """`/v2/provider`. A row without a price that is one is left out: unknown is not nothing. Raises `BadDocument`."""
    vendors = document.get("vendors") if isinstance(document, dict) else None
    if not isinstance(vendors, list):
        raise BadDocument("vendors: no list")
    found: dict[Place, Machine] = {}
    for vendor in _objects(vendors):
        for region in _objects(vendor.get("regions")):
            for compute in _objects(region.get("computes")):
                place = (vendor.get("name"), region.get("name"), compute.get("instanceType"))
                size, price = compute.get("instanceSize"), _price(compute.get("pricePerHour"))
                if price is None or not all(isinstance(part, str) for part in (*place, size)):
                    continue
                told = compute.get("quota")
                quota: dict[str, Any] = told if isinstance(told, dict) else {}
                status = compute.get("status")
                found[(*place, size)] = Machine(  # type: ignore[index]
                    price, status if isinstance(status, str) else "", _whole(quota.get("maxAccelerators")),
                    _whole(quota.get("usedAccelerators")),
                )  # fmt: skip
    return found


def place_of(spec: EndpointSpec) -> Place:
    """Where it runs, on what."""
    return (spec.security.vendor, spec.security.region, spec.instance_type, spec.instance_size)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _price(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_NANOUSD / NANO:
        return None
    return int((Decimal(str(value)) * NANO).to_integral_value(rounding="ROUND_CEILING"))


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _count(value: Any, field: str) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= 1_000:
        raise BadDocument(f"{field}: no number from 0 to 1000")
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable() else None


def _instant(value: Any) -> datetime | None:
    """An instant in ISO 8601; of nanoseconds the last three digits are cut."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    whole, dot, rest = value.partition(".")
    digits = rest.rstrip("Z+-:0123456789") == "" and dot
    if digits:
        fraction = "".join(char for char in rest.split("+")[0].split("-")[0] if char.isdigit())
        zone = rest[len(fraction) :]
        value = f"{whole}.{fraction[:6]}{zone}"
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
