"""chat-completion: messages in, the OpenAI form out."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from schemas import codec
from schemas.assignment import Candidate
from schemas.units import CALLS, IMAGES, INPUT_TOKENS, OUTPUT_TOKENS, PIXELS
from workers.exchange import Answer, Ask, Media, Reply, count, text_bytes, tokens_in, tokens_told
from workers.modalities import asking
from workers.modalities.reading import bad, given, kind_of

PARAMETERS = ("max_tokens", "temperature", "top_p")
SEVERAL = ("n", "best_of")
REPLACED = frozenset({"model", "stream", "stream_options", "max_completion_tokens", *SEVERAL})
"""Members of an input that are not sent as they came: the candidate names the model, we decide about the stream, and
the others would let a call cost more than its ceiling."""


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input with the assignment's limits in it. `n` above 1 is left out, and said so: the ceiling counts one.

    Images stand where the published schema has them: a `Media`, or an https address that the provider fetches.
    """
    body = {name: value for name, value in given(job_input).items() if name not in REPLACED}
    body |= {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}
    severals = {name: job_input[name] for name in SEVERAL if job_input.get(name) is not None}
    images = _shown(body.get("messages"))
    asking.sampling(body, "(whole)")
    stream = job_input.get("stream") is True
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    adapted = asking.one_output(severals) if severals else {}
    return Ask("chat-completion", body, stream, adapted, {CALLS: 1} if not images else _units(images))


def _shown(messages: Any) -> list[Any]:
    """The images of a conversation that can be sent. A text in it may say nothing: it has others beside it."""
    if not isinstance(messages, list) or not messages:
        raise asking.refused(f"messages: is {kind_of(messages)}; at least one message is needed")
    images = []
    for at, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            _sendable(content, at)
        elif isinstance(content, list):
            for part in content:
                told = given(part)
                _sendable(told.get("text"), at)
                images += [told["image_url"]["url"]] if given(told.get("image_url")).get("url") is not None else []
    return images


def _sendable(words: Any, at: int) -> None:
    if words and not (isinstance(words, str) and words.isascii()):
        asking.text(words, f"messages.{at}.content", blank=True)


def _units(images: list[Any]) -> dict[str, int]:
    """Tokens are not known before the call; the images that are shown are, but for those that the provider fetches."""
    pixels = sum((image.width or 0) * (image.height or 0) for image in images if isinstance(image, Media))
    return {CALLS: 1, IMAGES: len(images), **({PIXELS: pixels} if pixels else {})}


def answer(ask: Ask, reply: Reply) -> Answer:
    """The completion as it came, with what the published schema asks for and providers leave out.

    `id`, `model` and `system_fingerprint` are empty and `created` is 0 where they were not told; usage that was not
    reported is estimated, in the output as well, and the result's `cost_source` says so.
    """
    document = reply.document
    if not isinstance(document, dict) or not isinstance(document.get("choices"), list) or not document["choices"]:
        raise bad(f"is {kind_of(document)}; a completion with choices is needed")
    choices = [_choice(choice, at) for at, choice in enumerate(document["choices"])]
    told = document.get("usage")
    usage = {**reply.usage, **tokens_told(told)}
    estimate = dict(ask.units)  # counting costs as much as reading the answer: only what was not reported
    if INPUT_TOKENS not in usage:
        estimate[INPUT_TOKENS] = tokens_in(text_bytes(ask.body["messages"]))
    if OUTPUT_TOKENS not in usage:
        estimate[OUTPUT_TOKENS] = tokens_in(sum(text_bytes({**one["message"], "role": ""}) for one in choices))
    counted = {**estimate, **usage}
    tokens = counted[INPUT_TOKENS], counted[OUTPUT_TOKENS]
    output = document | {
        "id": _text(document.get("id")),
        "created": count(document.get("created")) or 0,
        "model": _text(document.get("model")),
        "system_fingerprint": _text(document.get("system_fingerprint")),
        "choices": choices,
        "usage": {
            **(told if isinstance(told, dict) else {}),
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
        },
    }
    return Answer(output, usage, estimate, _told_price(told))


def shown(output: dict[str, Any]) -> dict[str, Any]:
    """The published schema allows text or tool calls and not both; models do say something before they call.

    Hugging Face's own client has both members, so both are kept; the schema is shown the calls alone.
    """
    if not any("tool_calls" in choice["message"] for choice in output["choices"]):
        return output
    choices = []
    for choice in output["choices"]:
        message = choice["message"]
        if "tool_calls" in message and "content" in message:
            message = {name: value for name, value in message.items() if name != "content"}
        choices.append({**choice, "message": message})
    return {**output, "choices": choices}


def _choice(choice: Any, at: int) -> dict[str, Any]:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise bad(f"choices.{at}: has no message")
    if not isinstance(choice.get("finish_reason"), str):
        raise bad(f"choices.{at}: has no finish_reason")
    mended = {**choice, "index": count(choice.get("index")) or 0, "message": _message(choice["message"], at)}
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("content"), list):
        mended["logprobs"] = None
    return mended


def _message(message: dict[str, Any], at: int) -> dict[str, Any]:
    """Text or tool calls, as the published schema has it: empty members that stand for nothing are left out."""
    mended = given(message)
    mended["role"] = _text(mended.get("role")) or "assistant"
    calls, content = mended.pop("tool_calls", None), mended.pop("content", None)
    if content is not None and not isinstance(content, str):
        raise bad(f"choices.{at}.message.content: is {kind_of(content)}; a text is needed")
    if calls:
        if not isinstance(calls, list):
            raise bad(f"choices.{at}.message.tool_calls: is {kind_of(calls)}; a list is needed")
        mended["tool_calls"] = [
            _tool_call(call, f"choices.{at}.message.tool_calls.{place}") for place, call in enumerate(calls)
        ]
    if content or not calls:
        # Reasoning that used up max_tokens leaves no content: an answer without words, not a broken one.
        mended["content"] = content or ""
    return mended


def _tool_call(call: Any, place: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise bad(f"{place}: names no function")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # old hf-inference sent an object, or nothing
        arguments = codec.encode(arguments).decode() if arguments is not None else "{}"
    return {
        **call,
        "id": _text(call.get("id")) or f"call_{place.rpartition('.')[2]}",
        "type": _text(call.get("type")) or "function",
        "function": {**given(function), "arguments": arguments},
    }


def _told_price(usage: Any) -> int | None:
    """`usage.estimated_cost`, US dollars, as deepinfra tells it; in nano-dollars, rounded up."""
    value = usage.get("estimated_cost") if isinstance(usage, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**6:
        return None
    return int((Decimal(repr(value)) * 10**9).to_integral_value(ROUND_CEILING))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
