"""summarization: a text, a shorter one."""

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
    return asking.asked("summarization", job_input["inputs"], given, adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{summary_text}`; the wire puts it into a list of one."""
    (output,) = reading.rows(reply.document, "summaries", most=1)
    written = reading.words(output.get("summary_text"), "summary_text")
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"], written)
