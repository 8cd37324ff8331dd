"""What machines the sandbox has, where, and for how much an hour: `GET /v2/provider`. From `data/endpoints.json`."""

from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from typing import Any

from schemas import codec

REGIONS = {
    "aws": ("us-east-1", "us-east-2", "us-west-2", "eu-west-1"),
    "azure": ("eastus",),
    "gcp": ("us-east4",),
}
QUOTA = {"cpu": 60, "gpu": 16, "neuron": 4}
"""Accelerators (machines, of `cpu`) of one kind that a namespace may use at a time."""
NANO = 1_000_000_000


def rows() -> list[dict[str, Any]]:
    """As the public price page has them, with `nanousd`: an hour of one replica."""
    found = codec.decode(resources.files("sandbox.hf").joinpath("data", "endpoints.json").read_bytes())["rows"]
    return [row | {"nanousd": int(Decimal(str(row["pricePerHour"])) * NANO)} for row in found]


def listing(used: Mapping[str, int], gone: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The body of `/v2/provider`. `used`: accelerators in use by compute id; `gone`: computes without capacity."""
    vendors = []
    for vendor, regions in REGIONS.items():
        of_vendor = [row for row in rows() if row["vendor"] == vendor]
        shown = [
            {
                "name": region,
                "label": region,
                "status": "available",
                "computes": [_compute(row, region, used, gone) for row in of_vendor],
            }
            for region in regions
        ]
        vendors.append({"name": vendor, "status": "available", "regions": shown})
    return {"vendors": vendors}


def compute_id(vendor: str, region: str, instance_type: str, size: str) -> str:
    """`aws-us-east-1-nvidia-l4-x1`."""
    return f"{vendor}-{region}-{instance_type}-{size}"


def find(vendor: str, region: str, instance_type: str, size: str) -> dict[str, Any] | None:
    """The price row of a machine; None: there is no such."""
    if region not in REGIONS.get(vendor, ()):
        return None
    return next(
        (
            row
            for row in rows()
            if (row["vendor"], row["instanceType"], row["instanceSize"]) == (vendor, instance_type, size)
        ),
        None,
    )


def accelerators(row: Mapping[str, Any]) -> int:
    """How many of them a replica has: its size says."""
    return int(row["instanceSize"].removeprefix("x")) if row["accelerator"] != "cpu" else 1


def _compute(row: dict[str, Any], region: str, used: Mapping[str, int], gone: frozenset[str]) -> dict[str, Any]:
    name = compute_id(row["vendor"], region, row["instanceType"], row["instanceSize"])
    status = "not_available" if name in gone else "deprecated" if row["deprecated"] else "available"
    return {
        "id": name,
        "accelerator": row["accelerator"],
        "numAccelerators": accelerators(row),
        "instanceType": row["instanceType"],
        "instanceSize": row["instanceSize"],
        "status": status,
        "pricePerHour": row["pricePerHour"],
        "quota": {"maxAccelerators": QUOTA[row["accelerator"]], "usedAccelerators": used.get(name, 0)},
    }
