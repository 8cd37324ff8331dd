"""text-generation: a text goes on."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from schemas.units import OUTPUT_TOKENS
from workers.exchange import Answer, Ask, Reply, count, text_bytes, tokens_in
from workers.modalities.reading import bad, given, kind_of, single

NAMES = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p"}
"""The assignment's parameters under this task's names."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input with the assignment's limits in its parameters.

    `best_of` makes the model write several texts where the price ceiling counts one: it is left out and said so. The
    answer is one record, so `stream` is left out as well. A temperature of 0 and a top_p of 1, which
    text-generation-inference refuses, are said in its own words: no sampling, no cut.
    """
    merged = given(job_input.get("parameters"))
    merged |= {name: parameters[ours] for ours, name in NAMES.items() if parameters.get(ours) is not None}
    adapted = {}
    best_of = merged.pop("best_of", 1)
    if best_of != 1:
        adapted["best_of"] = {"asked": best_of, "given": 1, "bound_by": "one output"}
    if merged.get("temperature") == 0:
        del merged["temperature"]
        merged["do_sample"] = False
    if merged.get("top_p", 0) >= 1:
        del merged["top_p"]
    return Ask("text-generation", {"inputs": job_input["inputs"], "parameters": merged}, adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{generated_text, details?}`, whether the wire gives the object or a list of it."""
    output = single(reply.document)
    if not isinstance(output, dict) or not isinstance(output.get("generated_text"), str):
        raise bad(f"is {kind_of(reply.document)}; an object with generated_text is needed")
    usage = dict(reply.usage)
    details = output.get("details")
    generated = count(details.get("generated_tokens")) if isinstance(details, dict) else None
    if generated is not None:
        usage.setdefault(OUTPUT_TOKENS, generated)
    size_in, size_out = text_bytes(ask.body["inputs"]), text_bytes(output["generated_text"])
    return Answer(output, usage, {"input_tokens": tokens_in(size_in), "output_tokens": tokens_in(size_out)})
