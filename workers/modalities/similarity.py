"""sentence-similarity: one sentence against several, a score each."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities.reading import bad, given, kind_of, number


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    return Ask("sentence-similarity", given(job_input))


def answer(ask: Ask, reply: Reply) -> Answer:
    """As many finite scores as sentences, in their order."""
    scores, wanted = reply.document, len(ask.body["inputs"]["sentences"])
    if not isinstance(scores, list) or len(scores) != wanted:
        raise bad(f"is {kind_of(scores)}; {wanted} scores are needed")
    output = [number(score, str(at)) for at, score in enumerate(scores)]
    return Answer(output, reply.usage, {"input_tokens": tokens_in(text_bytes(ask.body["inputs"])), "output_tokens": 0})
