"""What the tasks share in reading a reply."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from schemas.failure import FailureKind
from schemas.units import INPUT_TOKENS, OUTPUT_TOKENS
from workers.errors import ProviderError
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in

ROUNDING = 1e-3
"""How far a probability may lie outside of 0 to 1: models count in 16 bits."""


def bad(message: str) -> ProviderError:
    """The provider's answer is no answer. `message` names places, types and counts; never values."""
    return ProviderError(FailureKind.INVALID_OUTPUT, message)


def given(value: Any) -> dict[str, Any]:
    """The members of an object that are not null; nothing for what is no object."""
    return {name: item for name, item in value.items() if item is not None} if isinstance(value, Mapping) else {}


def kind_of(value: Any) -> str:
    """A JSON value's type in words, for messages."""
    if isinstance(value, list):
        return f"list of {len(value)}"
    names = {dict: "object", str: "text", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), "something else")


def number(value: Any, place: str) -> float | int:
    """`value` if it is a finite number; raises `invalid_output` else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise bad(f"{place}: is {kind_of(value)}; a finite number is needed")
    return value


def probability(value: Any, place: str, *, most: int = 1) -> float | int:
    """`value` if it is a number from 0 to `most`, but for `ROUNDING`; above 1 it is a sum of several."""
    chance = number(value, place)
    if not -ROUNDING <= chance <= most + ROUNDING:
        raise bad(f"{place}: is {chance:.6g}; a probability is from 0 to {most}")
    return chance


def whole(value: Any, least: int, most: int, place: str) -> int:
    """`value` if it is a whole number from `least` to `most`. 25.0 is one, as JSON Schema has it; 25 comes back."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise bad(f"{place}: is {kind_of(value)}; a whole number is needed")
    if not least <= value <= most:
        raise bad(f"{place}: is {value}; from {least} to {most} is possible")
    return value


def words(value: Any, place: str) -> str:
    """`value` if it is a text, which may be empty."""
    if not isinstance(value, str):
        raise bad(f"{place}: is {kind_of(value)}; a text is needed")
    return value


def span(item: Mapping[str, Any], most: int, place: str) -> dict[str, int]:
    """`start` and `end` of `item`: whole numbers from 0 to `most`, in that order."""
    start = whole(item.get("start"), 0, most, f"{place}.start")
    return {"start": start, "end": whole(item.get("end"), start, most, f"{place}.end")}


def name(value: Any, place: str) -> str:
    """A model's own label. Who trained it may have named its classes by numbers: they are texts here."""
    return str(value) if type(value) is int and value >= 0 else words(value, place)


def single(value: Any) -> Any:
    """The one element of a list of one; anything else as it is. Some models answer one input as a batch of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def rows(document: Any, what: str, *, most: Any = None, least: int = 1) -> list[dict[str, Any]]:
    """A list of objects without their nulls: flat, in a batch of one, or one object alone. `what` names them.

    A null says that nothing is told. Raises `invalid_output` for fewer than `least` of them, or more than `most`.
    """
    inner = document
    if isinstance(document, list) and len(document) == 1 and isinstance(document[0], list):
        inner = document[0]
    elif isinstance(document, dict):
        inner = [document]
    if not isinstance(inner, list) or len(inner) < least:
        raise bad(f"(whole): is {kind_of(document)}; {what} are needed")
    for at, item in enumerate(inner):
        if not isinstance(item, dict):
            raise bad(f"{at}: is {kind_of(item)}; {what} are objects")
    if type(most) is int and len(inner) > most:
        raise bad(f"{len(inner)} {what}; {most} were asked for")
    return [given(item) for item in inner]


def labelled(document: Any, *, most: Any = None) -> list[dict[str, Any]]:
    """`[{label, score}]` with finite scores, further members kept; raises `invalid_output` else."""
    found = rows(document, "labels", most=most)
    for at, item in enumerate(found):
        item["label"] = name(item.get("label"), f"{at}.label")
        number(item.get("score"), f"{at}.score")
    return found


def classes(document: Any, parameters: Mapping[str, Any], *, chances: bool) -> list[dict[str, Any]]:
    """The model's own labels, no more than `top_k` of them.

    `chances`: the scores are probabilities unless `function_to_apply` is `none`; else only if one was asked for.
    """
    function = parameters.get("function_to_apply")
    found = labelled(document, most=parameters.get("top_k"))
    if function != "none" and (chances or function is not None):
        for at, item in enumerate(found):
            probability(item["score"], f"{at}.score")
    if function == "softmax":
        add_up(found)
    return found


def chosen(document: Any, labels: Collection[str], *, shared: bool) -> list[dict[str, Any]]:
    """Exactly the candidate `labels`, each with a probability; `shared`: together they are one at most."""
    found = labelled(document)
    if len(found) != len(labels) or {item["label"] for item in found} != set(labels):
        raise bad(f"{len(found)} labels, not the {len(labels)} that were asked for")
    for at, item in enumerate(found):
        probability(item["score"], f"{at}.score")
    if shared:
        add_up(found)
    return found


def add_up(found: list[dict[str, Any]]) -> None:
    """Refuse scores that share one probability and come to more."""
    total = sum(item["score"] for item in found)
    if total > 1 + 10 * ROUNDING:
        raise bad(f"{len(found)} scores come to {total:.6g}; of one probability they are at most 1")


def answer_of(ask: Ask, reply: Reply, output: Any, **measured: int) -> Answer:
    """`output`, with what was known before the call and what was measured of it where the provider tells nothing."""
    return Answer(output, reply.usage, {**ask.units, **measured})


def answer_in_tokens(ask: Ask, reply: Reply, output: Any, read: Any, written: Any = "") -> Answer:
    """The same for a task that is charged by tokens: of what was `read`, and of what was `written`."""
    tokens = {INPUT_TOKENS: tokens_in(text_bytes(read)), OUTPUT_TOKENS: tokens_in(text_bytes(written))}
    return Answer(output, reply.usage, {**ask.units, **tokens})
