"""question-answering: a question about a text, the words of the text that answer it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading

DOC_STRIDE = 128
"""Tokens from one window to the next, where the job does not say it: transformers' own default at most."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    inputs = asking.members(job_input.get("inputs"))
    asking.text(inputs.get("question"), "inputs.question")
    asking.text(inputs.get("context"), "inputs.context")
    return asking.asked("question-answering", inputs, asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """`[{answer, score, start, end}]`, each within the text. The wire has one answer without the list.

    Of a long text a model sees a window at a time; transformers adds up what several windows give the same words.
    """
    inputs, parameters = ask.body["inputs"], ask.body.get("parameters", {})
    output = reading.rows(reply.document, "answers", most=parameters.get("top_k", 1))
    windows = 1 + len(inputs["context"]) // (parameters.get("doc_stride") or DOC_STRIDE)
    for at, item in enumerate(output):
        reading.words(item.get("answer"), f"{at}.answer")
        reading.probability(item.get("score"), f"{at}.score", most=windows)
        item.update(reading.span(item, len(inputs["context"]), str(at)))
    return reading.answer_in_tokens(ask, reply, output, inputs)
