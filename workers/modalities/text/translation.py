"""translation: a text, the same in another language."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    asking.text(job_input.get("inputs"), "inputs")
    given = asking.parameters_of(job_input)
    adapted = {**asking.one_output(given), **asking.generation(given, "generate_parameters")}
    return asking.asked("translation", job_input["inputs"], given, adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{translation_text}`; the wire puts it into a list of one."""
    (output,) = reading.rows(reply.document, "translations", most=1)
    written = reading.words(output.get("translation_text"), "translation_text")
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"], written)
