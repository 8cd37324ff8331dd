"""Which models the sandbox serves, for which tasks, at which price: `data/models.json` and `data/prices.json`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources, util
from typing import Any

from schemas import codec, tasks

SUFFIXES = ("fastest", "cheapest", "preferred")
"""Routing policies of `org/name:policy`. There is one provider here, so each of them chooses it."""

PROVIDER = "hf-inference"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Nano-dollars per million tokens."""

    input_nanousd_per_mtok: int
    output_nanousd_per_mtok: int


@dataclass(frozen=True, slots=True)
class ComputePrice:
    """Nano-dollars per millisecond of `x-compute-time`."""

    nanousd_per_ms: int


@dataclass(frozen=True, slots=True)
class Model:
    """One model id on offer. Several ids may share an engine, and with it the one seat that engine has."""

    id: str
    engine: str
    """Its name in `Engines`: `llama`, `e5`, `whisper`, ..."""
    tasks: tuple[str, ...]
    """Published task names, the default one first."""
    price: TokenPrice | ComputePrice
    context_length: int | None
    """Tokens of prompt and answer together; None where the model has no such limit."""
    licence: str
    concurrency: int
    parameters: int | None
    created: int
    """When it was put on this list, in seconds since 1970."""
    package: str
    sha256: str | None
    """Of the weights file that is loaded; None where there are no weights."""
    about: str

    @property
    def revision(self) -> str | None:
        """What `x-sha` says: the first 40 hex digits of the weights' sha256, as long as a git commit."""
        return self.sha256 and self.sha256[:40]


class Catalogue:
    """The models of this process by id. Immutable."""

    def __init__(self, models: tuple[Model, ...]) -> None:
        self._models = {model.id: model for model in models}

    def __iter__(self) -> Any:
        return iter(self._models.values())

    def find(self, asked: str) -> Model | None:
        """The model that `org/name[:suffix]` asks for; None if there is none, or its suffix names another provider."""
        name, _, suffix = asked.partition(":")
        if suffix and suffix not in (*SUFFIXES, PROVIDER):
            return None
        return self._models.get(name)


def catalogue() -> list[dict[str, Any]]:
    """Every model row of `data/models.json` with its `price` and `source`, whether or not its package is installed."""
    listing, prices = _read("models.json"), _read("prices.json")
    return [
        row
        | {
            "source": listing["source"],
            "price": prices["tokens"].get(row["id"]) or prices["compute"][row["id"]],
        }
        for row in listing["models"]
    ]


def load(installed: Callable[[str], bool] = lambda package: util.find_spec(package) is not None) -> Catalogue:
    """The models whose packages are here; the others are not offered, rather than failing when they are called."""
    here = (row for row in catalogue() if all(map(installed, [row["package"], *row.get("needs", ())])))
    return Catalogue(tuple(_model(row) for row in here))


def unavailable(models: Catalogue) -> list[str]:
    """The published tasks that no model on offer does: "not available offline"."""
    return sorted(set(tasks.MODALITIES) - {task for model in models for task in model.tasks})


def hub_id(model: Model) -> str:
    """A stand-in for the Hub's `_id`: 24 hex digits, the same for the same model on every machine."""
    return hashlib.sha256(model.id.encode()).hexdigest()[:24]


def _model(row: dict[str, Any]) -> Model:
    price = row["price"]
    return Model(
        id=row["id"],
        engine=row["engine"],
        tasks=tuple(row["tasks"]),
        price=ComputePrice(**price) if "nanousd_per_ms" in price else TokenPrice(**price),
        context_length=row["context_length"],
        licence=row["licence"],
        concurrency=row["concurrency"],
        parameters=row["parameters"],
        created=row["created"],
        package=row["package"],
        sha256=row["weights"] and row["weights"]["sha256"],
        about=row["about"],
    )


def _read(name: str) -> Any:
    return codec.decode(resources.files("sandbox.hf").joinpath("data", name).read_bytes())
