"""What is said on the registry in a schedule: models are withdrawn and admitted again, an alias is set and set again.

Pure. Its dice are its own: schedules stay what they were without it.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simulation.provider import LARGE, SMALL

if TYPE_CHECKING:
    from simulation.schedule import Publication

SHARE = 0.15
"""Of all schedules."""
ALIAS = "fast"


@dataclass(frozen=True, slots=True)
class Word:
    """One event of the registry."""

    at_s: float
    key: str
    event: dict[str, Any]
    back_s: float = 0.0
    """By how much its writer's clock is behind."""

    def __str__(self) -> str:
        told = {name: value for name, value in self.event.items() if name != "kind"}
        return f"{self.at_s:.2f} s said: {told}"


def words_of(
    seed: int, jobs: Sequence["Publication"], tenants: Sequence[str]
) -> tuple[list["Publication"], list[Word]]:  # fmt: skip
    """The jobs of a schedule, some of which name the alias now, and what is said; most schedules are left as they
    are."""
    dice = random.Random(f"registry {seed}")
    if dice.random() >= SHARE:
        return [*jobs], []
    busy_s = [one.at_s for one in jobs]
    said: list[Word] = []
    for _ in range(dice.choice([1, 2, 4])):
        model, tenant = dice.choice([SMALL, SMALL, LARGE]), dice.choice(["*", *tenants])
        at_s = max(0.0, dice.choice(busy_s) + dice.uniform(-1.0, 2.0))
        back_s = dice.choice([0.0, 0.0, 3600.0])
        said.append(_admission(at_s, model, tenant, "withdrawn", back_s))
        if dice.random() < 0.7:
            said.append(_admission(at_s + dice.uniform(0.0, 8.0), model, tenant, "admitted", 0.0))
    for _ in range(dice.choice([0, 1, 3])):
        targets = dice.choice([[[SMALL, "c0ffee"]], [[LARGE, None], [SMALL, None]], [["org/nobody", None]], []])
        at_s = max(0.0, dice.choice(busy_s) - dice.uniform(0.0, 1.5))
        said.append(Word(at_s, f"alias/{ALIAS}", {"kind": "alias", "alias": ALIAS, "targets": targets}))
    share = dice.choice([0.0, 0.3])
    named = {one.id for one in jobs if one.id and dice.random() < share}
    return [_by_alias(one) if one.id in named else one for one in jobs], sorted(said, key=lambda one: one.at_s)


def _admission(at_s: float, model: str, tenant: str, state: str, back_s: float) -> Word:
    event = {"kind": "admission", "model": model, "tenant": tenant, "state": state}
    return Word(at_s, f"admission/{model}/{tenant}", event, back_s)


def _by_alias(one: "Publication") -> "Publication":
    return replace(one, value=json.dumps({**json.loads(one.value), "model": ALIAS}).encode())
