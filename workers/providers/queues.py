"""Providers that work while we wait: how each one's states are read, and where its result lies.

The states are those of huggingface_hub 2.4.0's helpers and of the recordings; a state that nobody knows is no answer.
"""

from collections.abc import Callable
from typing import Any

from schemas import codec
from schemas.units import COMPUTE_MS
from workers.exchange import Ask, Binary, Got, Next, Reply, milliseconds
from workers.providers.common import POLL, RESULT, at, bad, failed, missing, parsed, text_at, usage_of
from workers.providers.later import Reader, Site, id_in, is_first, payload

FAL_S = WAVESPEED_S = REPLICATE_S = 0.5
TOGETHER_S = 2.0
ZAI_S = 5.0
"""Seconds between two looks, as the official client waits; replicate's own client looks every half second."""
WORKING = frozenset(
    {"IN_QUEUE", "IN_PROGRESS", "PROCESSING", "queued", "in_progress", "created", "processing", "starting", "pending"}
)
ENDED = frozenset(
    {"FAIL", "FAILED", "ERROR", "CANCELLED", "CANCELED", "failed", "error", "canceled", "cancelled", "aborted"}
)
Dig = Callable[[Ask, Got, codec.Json], Reply | Next]
"""Takes the result out of a document that has it; raises `ProviderError` if it has not."""


def fal_queue(dig: Dig) -> Reader:
    """`{request_id, status, response_url}`; then `{path}/status` until COMPLETED, then `{path}`.

    A document without a request id is the result itself: the same models answer at once at another host.
    """

    def read(ask: Any, site: Site, got: Got) -> Reply | Next:
        document = parsed(got)
        if got.stage == RESULT or (is_first(got) and "request_id" not in _members(document)):
            return dig(ask, got, document)
        path = site.path_of(at(document, "response_url"), "response_url") if is_first(got) else _path(got)
        memo = _memo(got, path, at(document, "request_id"))
        status = text_at(document, "status") or ("IN_QUEUE" if is_first(got) else "")
        if status == "COMPLETED":
            return Next(site.call(path), RESULT, memo=memo)
        _still_working(got, document, status)
        cancel = site.call(f"{path}/cancel", method="PUT")
        return Next(site.call(f"{path}/status"), POLL, FAL_S, cancel, memo)

    return read


def replicate(dig: Dig) -> Reader:
    """A prediction: its `output`, unless it has failed or was cancelled; else `urls.get` until there is one.

    24 of 25 recorded answers with an output have the status `processing`.
    """

    def read(ask: Any, site: Site, got: Got) -> Reply | Next:
        document = parsed(got)
        output, status = at(document, "output"), text_at(document, "status")
        _its_own(got, at(document, "id"))
        if status in ENDED:
            _ended(got, at(document, "error"), status)
        is_whole = status == "succeeded" and output is not None
        if is_whole or output not in (None, "", [], {}):
            return _timed(dig(ask, got, document), document)
        if status == "succeeded":
            missing(got, document, "output")
        _still_working(got, document, status)
        path = site.path_of(at(document, "urls", "get"), "urls.get") if is_first(got) else _path(got)
        cancel = site.call(f"{path}/cancel", method="POST")
        return Next(site.call(path), POLL, REPLICATE_S, cancel, _memo(got, path, at(document, "id")))

    return read


def wavespeed(ask: Any, site: Site, got: Got) -> Reply | Next:
    """`data.urls.get` until `data.status` is `completed`, then `data.outputs[0]`."""
    document = parsed(got)
    status = text_at(document, "data", "status") or ("created" if is_first(got) else "")
    _its_own(got, at(document, "data", "id"))
    if status == "completed":
        return payload(got, at(document, "data", "outputs", 0), "data.outputs.0")
    if status in ENDED:
        _ended(got, at(document, "data", "error"), status)
    if is_first(got) and not at(document, "data", "urls", "get"):
        missing(got, document, "data.urls.get")
    _still_working(got, at(document, "data"), status)
    path = site.path_of(at(document, "data", "urls", "get"), "data.urls.get") if is_first(got) else _path(got)
    return Next(site.call(path), POLL, WAVESPEED_S, memo=_memo(got, path, at(document, "data", "id")))


def together_video(ask: Any, site: Site, got: Got) -> Reply | Next:
    """A video job: `/v2/videos/{id}` until `completed`, then `outputs.video_url`. Without a status it works."""
    document = parsed(got)
    status = text_at(document, "status")
    _its_own(got, at(document, "id"))
    if status == "completed":
        return payload(got, at(document, "outputs", "video_url"), "outputs.video_url")
    if is_first(got) and not at(document, "id"):
        missing(got, document, "id")
    _still_working(got, document, status or "queued")
    path = f"/v2/videos/{id_in(at(document, 'id'), 'id')}" if is_first(got) else _path(got)
    return Next(site.call(path), POLL, TOGETHER_S, memo=_memo(got, path, at(document, "id")))


def zai_image(ask: Any, site: Site, got: Got) -> Reply | Next:
    """`/api/paas/v4/async-result/{id}` until SUCCESS, then `image_result[0].url`."""
    document = parsed(got)
    status = text_at(document, "task_status")
    if status == "SUCCESS" or at(document, "image_result"):
        return payload(got, at(document, "image_result", 0, "url"), "image_result.0.url")
    if is_first(got) and not at(document, "id"):
        missing(got, document, "id")
    _still_working(got, document, status or "PROCESSING")
    path = f"/api/paas/v4/async-result/{id_in(at(document, 'id'), 'id')}" if is_first(got) else _path(got)
    return Next(site.call(path), POLL, ZAI_S, memo=_memo(got, path))


def address_at(*path: str | int) -> Dig:
    """The bytes at the address that stands at `path`."""

    def dig(ask: Ask, got: Got, document: codec.Json) -> Reply | Next:
        found = at(document, *path)
        if not found:
            missing(got, document, ".".join(map(str, path)))
        return payload(got, found, ".".join(map(str, path)))

    return dig


def replicate_output(ask: Ask, got: Got, document: codec.Json) -> Reply | Next:
    """`output`: one address, or a list of them."""
    output = at(document, "output")
    return payload(got, output if isinstance(output, str) else at(output, 0), "output")


def replicate_text(ask: Ask, got: Got, document: codec.Json) -> Reply | Next:
    """A transcript in `output`: a text, a list that begins with one, an object, or a file that has it."""
    output = at(document, "output")
    if isinstance(output, list):
        output = at(output, 0)
    if isinstance(output, str):
        return Reply({"text": output}, usage_of(got))
    if file := text_at(output, "txt_file"):
        return payload(got, file, "output.txt_file")
    texts = (at(output, name) for name in ("text", "translation", "transcription"))
    text = next((text for text in texts if isinstance(text, str)), None)
    if text is None:
        raise bad(f"the answer of {len(got.body)} bytes has no transcript in its output")
    chunks = at(output, "chunks")
    return Reply({"text": text, **({"chunks": chunks} if isinstance(chunks, list) else {})}, usage_of(got))


def transcript_of(file: Binary) -> codec.Json:
    """A transcript that lay in a file of its own."""
    return {"text": file.data.decode("utf-8", "replace")}


def mask_of(image: Binary) -> codec.Json:
    """The one mask of fal: of the whole image."""
    return [{"label": "mask", "mask": image}]


def _timed(step: Reply | Next, document: codec.Json) -> Reply | Next:
    """With the seconds that replicate measured (`metrics.predict_time`)."""
    seconds = at(document, "metrics", "predict_time")
    took = milliseconds(repr(seconds)) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None
    if took is None:
        return step
    if isinstance(step, Reply):
        return Reply(step.document, {COMPUTE_MS: took, **step.usage})
    usage = {COMPUTE_MS: took, **step.memo.get("usage", {})}
    return Next(step.call, step.stage, step.after_s, step.cancel, {**step.memo, "usage": usage})


def _still_working(got: Got, document: codec.Json, status: str) -> None:
    """Raise unless `status` says that it is worth waiting."""
    if status in WORKING:
        return
    if status in ENDED:
        _ended(got, at(document, "error") or at(document, "detail"), status)
    missing(got, document, f"status that is known ({len(status)} characters)")


def _ended(got: Got, told: Any, status: str) -> None:
    failed(got, told if isinstance(told, dict) and told else {"error": told or f"the job ended as {status}"})


def _memo(got: Got, path: str, job: Any = None) -> dict[str, Any]:
    """For the next answer: what was used, where to look, and which `job` it has to be about, by the provider's id."""
    _its_own(got, job)
    return {"usage": usage_of(got), "path": path, "job": got.memo.get("job") or job}


def _its_own(got: Got, job: Any) -> None:
    """Raise `invalid_output` where an answer tells of another `job` than the first: its result is somebody else's."""
    begun = got.memo.get("job")
    if isinstance(begun, str) and isinstance(job, str) and job != begun:
        raise bad("the answer is about another job than the one that was begun")


def _path(got: Got) -> str:
    path = got.memo.get("path")
    if not isinstance(path, str):
        raise bad("the answer belongs to no call that was made")
    return path


def _members(document: codec.Json) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}
