"""question-answering: a question about a text, the words of the text that answer it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    inputs = asking.members(job_input.get("inputs"))
    asking.text(inputs.get("question"), "inputs.question")
    asking.text(inputs.get("context"), "inputs.context")
    return asking.asked("question-answering", inputs, asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{answer, score, start, end}]`, each within the text. The wire has one answer without the list."""
    inputs = ask.body["inputs"]
    output = reading.rows(reply.document, "answers", most=ask.body.get("parameters", {}).get("top_k", 1))
    size = len(inputs["context"])
    for at, item in enumerate(output):
        reading.words(item.get("answer"), f"{at}.answer")
        reading.probability(item.get("score"), f"{at}.score")
        start = reading.whole(item.get("start"), 0, size, f"{at}.start")
        reading.whole(item.get("end"), start, size, f"{at}.end")
    return reading.answer_in_tokens(ask, reply, output, inputs)
