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

    Without aggregation the wire says `entity`, with it `entity_group`.
    """
    output = reading.rows(reply.document, "entities", least=0)
    size = len(ask.body["inputs"])
    for at, item in enumerate(output):
        reading.words(item.get("entity_group", item.get("entity")), f"{at}.entity_group")
        reading.words(item.get("word"), f"{at}.word")
        reading.probability(item.get("score"), f"{at}.score")
        start = reading.whole(item.get("start"), 0, size, f"{at}.start")
        reading.whole(item.get("end"), start, size, f"{at}.end")
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])
