"""Why a request of ours may differ from one that was recorded, or that the official client builds: one table.

A reason mends the other side's request into what it would be today, and no further: whatever is left after all of them
is a difference that nobody has explained. `make conformance` prints those that were needed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

CHAT = "/chat/completions"
NAMED_PIPELINES = ("feature-extraction", "sentence-similarity")


@dataclass(frozen=True)
class Sent:
    """A request without its host and credential."""

    method: str
    path: str
    """With query."""
    body: Any
    """JSON, or bytes."""

    def has(self, *names: str) -> dict[str, Any]:
        """Those of `names` that the body has at its root."""
        return {name: self.body[name] for name in names if isinstance(self.body, dict) and name in self.body}

    def without(self, names: Iterable[str]) -> "Sent":
        """Without members at the root of the body."""
        gone = set(names)
        return replace(self, body={name: value for name, value in self.body.items() if name not in gone})

    def given(self, **members: Any) -> "Sent":
        """With members at the root of the body."""
        return replace(self, body={**self.body, **members})

    @property
    def is_chat(self) -> bool:
        return self.path.partition("?")[0].endswith(CHAT)

    @property
    def is_pipeline(self) -> bool:
        """Whether it is hf-inference's `{inputs, parameters}`."""
        return self.path.startswith("/hf-inference/models/") and not self.is_chat


@dataclass(frozen=True)
class Reason:
    """One kind of difference. `mend(theirs, ours)` is `theirs` without it."""

    name: str
    why: str
    mend: Callable[[Sent, Sent], Sent]


def _options(theirs: Sent, ours: Sent) -> Sent:
    return theirs.without(["options"])


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _nulls(theirs: Sent, ours: Sent) -> Sent:
    return replace(theirs, body=_without_nulls(theirs.body))


def _empty_parameters(theirs: Sent, ours: Sent) -> Sent:
    if theirs.is_pipeline and not theirs.body.get("parameters"):
        bare = theirs.without(["parameters"])
        return bare.given(parameters={}) if ours.has("parameters") == {"parameters": {}} else bare
    return theirs


def _model_named_by_path(theirs: Sent, ours: Sent) -> Sent:
    if theirs.is_pipeline:
        return theirs.without(["model"])
    if theirs.is_chat and theirs.path.startswith("/hf-inference/models/"):
        return theirs.given(model=theirs.path.removeprefix("/hf-inference/models/").removesuffix("/v1" + CHAT))
    return theirs


def _stray(theirs: Sent, ours: Sent) -> Sent:
    if theirs.is_chat:
        return theirs.without(["parameters", "return_full_text", "provider", "inputs", "tool_prompt"])
    if theirs.path.startswith(("/fal-ai/", "/replicate/")):
        return theirs.without(["inputs", "provider", "parameters", "response_format", "model", "model_name"])
    if not theirs.is_pipeline:
        return theirs.without(["inputs", "provider", "parameters"])
    parameters = theirs.body.get("parameters")
    if isinstance(parameters, dict) and "model" in parameters:
        theirs = theirs.given(parameters={name: one for name, one in parameters.items() if name != "model"})
    return theirs.without(["provider"])


def _stream_false(theirs: Sent, ours: Sent) -> Sent:
    return theirs.without(["stream"]) if theirs.body.get("stream") is False else theirs


def _usage_in_streams(theirs: Sent, ours: Sent) -> Sent:
    if theirs.is_chat and theirs.body.get("stream") is True and "stream_options" not in theirs.body:
        return theirs.given(stream_options={"include_usage": True})
    return theirs


def _model_of_the_candidate(theirs: Sent, ours: Sent) -> Sent:
    named = ours.has("model").get("model")
    if theirs.is_chat and (named == "dummy" or f"/hf-inference/models/{named}/v1/" in theirs.path):
        return theirs.given(model=named)
    return theirs


def _nothing(theirs: Sent, ours: Sent) -> Sent:
    return theirs


def _max_tokens(theirs: Sent, ours: Sent) -> Sent:
    if theirs.has("prompt", "max_new_tokens").keys() == {"prompt", "max_new_tokens"}:
        limit = theirs.body["max_new_tokens"]
        return theirs.without(["max_new_tokens"]).given(max_tokens=limit)
    return theirs


def _one_output(theirs: Sent, ours: Sent) -> Sent:
    gone = [name for name, value in theirs.has("n", "best_of").items() if value != 1 or name not in ours.body]
    mended = theirs.without(gone)
    parameters = mended.body.get("parameters")
    if isinstance(parameters, dict) and {"n", "best_of"} & set(parameters):
        kept = {name: value for name, value in parameters.items() if name not in ("n", "best_of")}
        mended = mended.given(parameters=kept) if kept else mended.without(["parameters"])
    return mended


def _one_text(theirs: Sent, ours: Sent) -> Sent:
    listed = theirs.body.get("inputs")
    if theirs.is_pipeline and isinstance(listed, list) and len(listed) == 1 and ours.body.get("inputs") == listed[0]:
        return theirs.given(inputs=listed[0])
    return theirs


def _labels(theirs: Sent, ours: Sent) -> Sent:
    parameters = theirs.body.get("parameters")
    if theirs.is_pipeline and isinstance(parameters, dict) and isinstance(parameters.get("candidate_labels"), str):
        labels = parameters["candidate_labels"].split(",")
        return theirs.given(parameters={**parameters, "candidate_labels": labels})
    return theirs


def _pipeline_route(theirs: Sent, ours: Sent) -> Sent:
    if not theirs.is_pipeline:
        return theirs
    path, _, task = theirs.path.partition("/pipeline/")
    named = next((one for one in NAMED_PIPELINES if ours.path.endswith(f"/pipeline/{one}")), None)
    if named and not task:
        return replace(theirs, path=f"{path}/pipeline/{named}")
    return replace(theirs, path=path) if task and task not in NAMED_PIPELINES else theirs


def _moved_door(theirs: Sent, ours: Sent) -> Sent:
    here, there = theirs.path.split("/"), ours.path.split("/")
    if "model" in theirs.body and not theirs.is_pipeline and len(here) > 1 and here[1] == there[1]:
        return replace(theirs, path=ours.path)
    return theirs


def _structured(theirs: Sent, ours: Sent) -> Sent:
    told = theirs.body.get("response_format")
    schema = told.get("json_schema", {}).get("schema") if theirs.is_chat and isinstance(told, dict) else None
    if schema is None:
        return theirs
    if theirs.path.startswith("/together/"):
        return theirs.given(response_format={"type": "json_schema", "schema": schema})
    for provider, name in (("hf-inference", "value"), ("fireworks-ai", "schema")):
        if theirs.path.startswith(f"/{provider}/"):
            return theirs.given(response_format={"type": "json_object", name: schema})
    return theirs


def _fal_queue(theirs: Sent, ours: Sent) -> Sent:
    if theirs.path.startswith("/fal-ai/") and ours.path == f"{theirs.path}?_subdomain=queue":
        return replace(theirs, path=ours.path)
    return theirs


def _pictures(theirs: Sent, ours: Sent) -> Sent:
    if not theirs.path.endswith("/images/generations"):
        return theirs
    body = dict(theirs.body)
    if theirs.path.startswith("/nscale/"):
        body.pop("num_inference_steps", None)
        body.setdefault("response_format", "b64_json")
        if "width" in body and "height" in body:
            body["size"] = f"{body.pop('width')}x{body.pop('height')}"
    else:
        for name, short in (("num_inference_steps", "steps"), ("guidance_scale", "guidance")):
            if name in body:
                body[short] = body.pop(name)
    return replace(theirs, body=body)


def _fal_size(theirs: Sent, ours: Sent) -> Sent:
    size = theirs.has("width", "height")
    if theirs.path.startswith("/fal-ai/") and len(size) == 2:
        return theirs.without(size).given(image_size=size)
    return theirs


def _payload_as_it_is(theirs: Sent, ours: Sent) -> Sent:
    asked = theirs.body.get("inputs")
    if theirs.is_pipeline and isinstance(ours.body, dict) and isinstance(asked, dict) and "image" in asked:
        image = asked["image"]
        if isinstance(image, str) and image.startswith("data:"):
            return theirs.given(inputs={**asked, "image": image.partition(",")[2]})
    return theirs


REASONS: tuple[Reason, ...] = (
    Reason("dead options", "`options` (wait_for_model, use_cache, use_gpu) went with the serverless API", _options),
    Reason("nulls", "a null says nothing; huggingface_hub 2.4.0 leaves most of them out", _nulls),
    Reason("empty parameters", "2.4.0 writes `parameters` even without any; huggingface.js did not", _empty_parameters),
    Reason("model in the path", "the address names the model; chat repeats it", _model_named_by_path),
    Reason("stray members", "older clients left their own arguments in the body; no server reads them", _stray),
    Reason("stream: false", "it is the default", _stream_false),
    Reason("usage in streams", "we always ask a stream for its usage: it is paid by it", _usage_in_streams),
    Reason("model in the body", "the assignment names the model, at its price", _model_of_the_candidate),
    Reason("question and image", "2.4.0 refuses an input of both; schema and huggingface.js put them there", _nothing),
    Reason("max_tokens", "OpenAI's completions know no max_new_tokens: the price's ceiling would be lost", _max_tokens),
    Reason("one output", "n and best_of would cost more than the ceiling counts; the result tells it", _one_output),
    Reason("one text", "huggingface.js wrote a list of one; the schema has a text", _one_text),
    Reason("list of labels", "2.4.0 and the schema have a list where a text with commas was taken once", _labels),
    Reason("pipeline in the path", "2.4.0 names embeddings and similarity, no other task", _pipeline_route),
    Reason("structured output", "2.4.0 tells together, fireworks-ai and hf-inference a schema their way", _structured),
    Reason("fal queue", "2.4.0 sends video to fal's queue", _fal_queue),
    Reason("names of parameters", "2.4.0 has other names: steps, guidance (together), size (nscale)", _pictures),
    Reason("image_size", "2.4.0 tells fal width and height together", _fal_size),
    Reason("moved door", "a provider's door has moved since; the official client's requests prove ours", _moved_door),
    Reason("data: URI", "2.4.0 sends hf-inference base64 without a prefix", _payload_as_it_is),
)  # fmt: skip


def explained(theirs: Sent, ours: Sent) -> tuple[str, ...] | None:
    """The names of the reasons for which `ours` differs from `theirs`; none at all if it does not; None: others."""
    if isinstance(theirs.body, bytes) or isinstance(ours.body, bytes) or not isinstance(theirs.body, dict):
        return () if theirs == ours else None
    used = []
    mended = theirs
    for reason in REASONS:
        if mended == ours:
            break
        after = reason.mend(mended, ours)
        if after != mended:
            used.append(reason.name)
            mended = after
    return tuple(used) if mended == ours else None


def left_over(theirs: Sent, ours: Sent) -> str:
    """What no reason explains, for whoever has to look at it. Shows names and sizes of members, not their texts."""
    for reason in REASONS:
        if isinstance(theirs.body, dict):
            theirs = reason.mend(theirs, ours)
    told = [] if theirs.path == ours.path else [f"path {theirs.path} / {ours.path}"]
    if isinstance(theirs.body, dict) and isinstance(ours.body, dict):
        names = sorted({*theirs.body, *ours.body})
        told += [f"{name}: {_brief(theirs.body.get(name))} / {_brief(ours.body.get(name))}" for name in names
                 if theirs.body.get(name) != ours.body.get(name)]  # fmt: skip
    elif theirs.body != ours.body:
        told.append(f"body {_brief(theirs.body)} / {_brief(ours.body)}")
    return "; ".join(told)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)})"
