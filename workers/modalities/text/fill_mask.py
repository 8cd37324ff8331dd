"""fill-mask: a text with a gap, words that fit into it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is. Which word stands for the gap is the model's to know."""
    asking.text(job_input.get("inputs"), "inputs")
    given = asking.parameters_of(job_input)
    for at, target in enumerate(given.get("targets", [])):
        asking.text(target, f"parameters.targets.{at}", blank=True)
    return asking.asked("fill-mask", job_input["inputs"], given)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{sequence, score, token, token_str}]`, best first, with the schema's own spelling `tokenStr` beside the wire's.

    A text with several gaps is answered by a list for each: they come one after the other, `mask` says whose each is.
    """
    document = reply.document
    several = isinstance(document, list) and len(document) > 1 and all(isinstance(one, list) for one in document)
    lists = [
        reading.rows([found] if several else found, "words", most=ask.body.get("parameters", {}).get("top_k"))
        for found in (document if several else [document])
    ]
    output = [
        {**_filled(item, f"{mask}.{at}"), **({"mask": mask} if several else {})}
        for mask, found in enumerate(lists)
        for at, item in enumerate(found)
    ]
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])


def _filled(item: dict[str, Any], place: str) -> dict[str, Any]:
    reading.words(item.get("sequence"), f"{place}.sequence")
    reading.probability(item.get("score"), f"{place}.score")
    token = reading.whole(item.get("token"), 0, 2**31, f"{place}.token")
    return {**item, "token": token, "tokenStr": reading.words(item.get("token_str"), f"{place}.token_str")}
