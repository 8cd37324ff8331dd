"""sentence-similarity: one sentence against several, a score each."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    inputs = asking.members(job_input.get("inputs"))
    asking.text(inputs.get("source_sentence"), "inputs.source_sentence")
    sentences = asking.batch(inputs.get("sentences"), "inputs.sentences")
    return asking.asked("sentence-similarity", {**inputs, "sentences": sentences}, asking.parameters_of(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """As many finite scores as sentences, in their order. Hugging Face's inference toolkit names them."""
    scores, wanted = reply.document, len(ask.body["inputs"]["sentences"])
    if isinstance(scores, dict):
        scores = scores.get("similarities")
    if not isinstance(scores, list) or len(scores) != wanted:
        raise reading.bad(f"is {reading.kind_of(scores)}; {wanted} scores are needed")
    output = [reading.number(score, str(at)) for at, score in enumerate(scores)]
    return reading.answer_in_tokens(ask, reply, output, ask.body["inputs"])
