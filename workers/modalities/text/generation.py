"""text-generation: a text goes on."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from schemas.units import CALLS, INPUT_TOKENS, OUTPUT_TOKENS
from workers.exchange import Answer, Ask, Reply, count, text_bytes, tokens_in
from workers.modalities import asking
from workers.modalities.reading import given, rows, words

NAMES = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p"}
"""The assignment's parameters under this task's names."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input with the assignment's limits in its parameters.

    `best_of` and its like make the model write several texts where the price ceiling counts one: they are left out and
    said so. A temperature of 0 and a top_p of 1, which text-generation-inference refuses, are said in its own words: no
    sampling, no cut. A prompt may be of spaces alone, but not empty.
    """
    inputs = asking.text(job_input.get("inputs"), "inputs", blank=True)
    merged = given(job_input.get("parameters"))
    merged |= {name: parameters[ours] for ours, name in NAMES.items() if parameters.get(ours) is not None}
    adapted = asking.one_output(merged)
    asking.sampling(merged)
    if merged.get("temperature") == 0:
        del merged["temperature"]
        merged["do_sample"] = False
    if merged.get("top_p", 0) >= 1:
        del merged["top_p"]
    body: dict[str, Any] = {"inputs": inputs, "parameters": merged}
    stream = job_input.get("stream") is True
    if stream:
        body["stream"] = True
    return Ask("text-generation", body, stream, adapted, {CALLS: 1})


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{generated_text, details?}`, whether the wire gives the object or a list of it.

    Details that nobody asked for, or that a stream did not tell whole, are read for their tokens and left out.
    """
    (output,) = rows(reply.document, "texts", most=1)
    words(output.get("generated_text"), "generated_text")
    usage = dict(reply.usage)
    details = given(output.get("details"))
    for unit, name in ((OUTPUT_TOKENS, "generated_tokens"), (INPUT_TOKENS, "input_length")):
        tokens = count(details.get(name))
        if tokens is not None:
            usage.setdefault(unit, tokens)
    unasked = ask.stream and ask.body["parameters"].get("details") is not True
    if unasked or (details and "finish_reason" not in details):
        output = {name: value for name, value in output.items() if name != "details"}
    elif details:
        output = {**output, "details": details}  # servers write nulls where the published schema has none: top_tokens
    size_in, size_out = text_bytes(ask.body["inputs"]), text_bytes(output["generated_text"])
    return Answer(output, usage, {**ask.units, INPUT_TOKENS: tokens_in(size_in), OUTPUT_TOKENS: tokens_in(size_out)})
