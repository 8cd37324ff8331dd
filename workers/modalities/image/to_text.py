"""image-to-text: an image, what is on it or what is written there."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities import asking, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    image = asking.payload(job_input.get("inputs"), "image")
    given = asking.parameters_of(job_input)
    adapted = {**asking.one_output(given), **asking.generation(given)}
    return asking.asked("image-to-text", image, given, units=asking.of_image(image), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{generated_text}`, on the wire in a list of one, with the schema's own spelling `generatedText` beside it."""
    (output,) = reading.rows(reply.document, "texts", most=1)
    written = reading.words(output.get("generated_text"), "generated_text")
    return reading.answer_of(
        ask, reply, {**output, "generatedText": written}, output_tokens=tokens_in(text_bytes(written))
    )
