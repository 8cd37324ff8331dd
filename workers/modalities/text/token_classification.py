"""token-classification: a text, what its words are (names, places, parts of speech)."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    asking.text(job_input.get("inputs"), "inputs")
    return asking.asked("token-classification", job_input["inputs"], asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{entity_group or entity, score, word, start, end}]`, which may be none; each lies within the text.

    Without aggregation the wire says `entity`, with it `entity_group`. Transformers' tokenizers in Python (those of
    Japanese) do not know where a word stands: both places are left out then.
    """
    size = len(ask.body["inputs"])
    entities = reading.rows(reply.document, "entities", least=0)
    output = [_entity(item, size, str(at)) for at, item in enumerate(entities)]
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])


def shown(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the places that the published schema asks of every entity, and not every tokenizer knows."""
    return [{"start": 0, "end": 0, **item} for item in output]


def _entity(item: dict[str, Any], size: int, place: str) -> dict[str, Any]:
    kind = "entity_group" if "entity_group" in item else "entity"
    label = reading.name(item.get(kind), f"{place}.{kind}")
    reading.words(item.get("word"), f"{place}.word")
    reading.probability(item.get("score"), f"{place}.score")
    return {**item, kind: label, **(reading.span(item, size, place) if item.keys() & {"start", "end"} else {})}
