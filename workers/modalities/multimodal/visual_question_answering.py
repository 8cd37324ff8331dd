"""visual-question-answering: a question about an image."""

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
    return asking.asked("visual-question-answering", inputs, given, units=asking.of_image(image))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{answer, score}]`, best first. A model that writes its answer (BLIP, GIT) tells that one, without a score."""
    output = reading.rows(reply.document, "answers", most=ask.body.get("parameters", {}).get("top_k"))
    for at, item in enumerate(output):
        item["answer"] = reading.name(item.get("answer"), f"{at}.answer")
        if len(output) > 1 or "score" in item:
            reading.probability(item.get("score"), f"{at}.score")
    return reading.answer_of(ask, reply, output)


def shown(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the score that the published schema asks for, and a model that writes does not know."""
    return [{"score": 0, **item} for item in output]
