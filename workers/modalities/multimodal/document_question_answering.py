"""document-question-answering: a question about a page."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    inputs = asking.members(job_input.get("inputs"))
    asking.text(inputs.get("question"), "inputs.question")
    image = asking.payload(inputs.get("image"), "image", "inputs.image")
    given = asking.parameters_of(job_input)
    return asking.asked("document-question-answering", inputs, given, units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{answer, score, start, end}]`, best first; `start` and `end` count words of the page. A page without words has
    no answer.

    A model that writes its answer (Donut) knows no words, and tells the answer alone.
    """
    wanted = ask.body.get("parameters", {}).get("top_k")
    answers = reading.rows(reply.document, "answers", most=wanted, least=0)
    output = [_answer(item, at) for at, item in enumerate(answers)]
    return reading.answer_of(ask, reply, output)


def shown(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what the published schema asks of every answer, and a model that writes it does not know."""
    return [{"score": 0, "start": 0, "end": 0, **item} for item in output]


def _answer(item: dict[str, Any], at: int) -> dict[str, Any]:
    reading.words(item.get("answer"), f"{at}.answer")
    if not item.keys() & {"score", "start", "end"}:
        return item
    reading.probability(item.get("score"), f"{at}.score")
    return {**item, **reading.span(item, 10**6, str(at))}
