"""The requests that the official client builds, built by ours from a job, task and all."""

import base64
from typing import Any

from conformance_reasons import Sent, explained, left_over
from oracle import call_of, expected, shown
from worker_world import candidate

from conformance.records import TASKS as NAMES
from conformance.verdict import Verdict
from schemas.media import INPUTS, replaced
from schemas.tasks import MODALITIES, input_fault
from workers.errors import ProviderError
from workers.exchange import Call, Media
from workers.modalities import TASKS

BY_THEIR_OWN_NAME = ("auto", "endpoint-url", "openai", "hf-inference")
"""Doors that call a model as Hugging Face does."""
AT_THE_ROOT = frozenset({"chat-completion", "feature-extraction"})
"""Tasks whose options stand beside the input, not in `parameters`."""


def verdict_of(row: dict[str, Any]) -> Verdict:
    """How our request for a row compares with the official client's."""
    task = NAMES.get(row["task"], row["task"])
    verdict = Verdict(row["id"], row["provider"], task)
    if task not in MODALITIES:
        verdict.request_why = "dead task"
        return verdict
    if fault := input_fault(task, input_of(task, row)):
        verdict.request_why = f"the task's published schema refuses the input: {fault}"
        return verdict
    try:
        call, scheme = built(row)
    except ProviderError as error:
        if "expect_error" in row:
            verdict.request = "equal"
        else:
            verdict.request, verdict.request_why = "different", f"refused: {error}"
        return verdict
    if "expect_error" in row:
        if task == "visual-question-answering":
            verdict.request, verdict.reasons = "explained", ("question and image",)
        else:
            verdict.request, verdict.request_why = "different", "the official client refuses it"
        return verdict
    theirs, ours = expected(row["expect"]), shown(call, scheme)
    fields = _fields(theirs["headers"], ours["headers"])
    wanted, sent = (Sent(one["method"], one["url"], one["body"]) for one in (theirs, ours))
    reasons = explained(wanted, sent)
    if reasons is None or fields:
        verdict.request = "different"
        verdict.request_why = "; ".join(filter(None, [fields, left_over(wanted, sent)]))
    else:
        verdict.request, verdict.reasons = ("explained" if reasons else "equal"), reasons
    return verdict


def built(row: dict[str, Any]) -> tuple[Call, str]:
    """Our request for a row, and its authorization. Raises `ProviderError`."""
    task = NAMES.get(row["task"], row["task"])
    named = row["model"] if row["provider"] in BY_THEIR_OWN_NAME else row["provider_model_id"]
    ask = TASKS[task].ask(_with_media(task, input_of(task, row)), {}, candidate(provider=row["provider"]))
    return call_of(
        row["provider"], row["task"], ask,
        model=row["model"], provider_model=named, own_key=row["key_kind"] == "provider",
        adapter_weights_path=row.get("adapter_weights_path") or "",
        bill_to=row.get("extra_headers", {}).get("X-HF-Bill-To", ""),
    )  # fmt: skip


def input_of(task: str, row: dict[str, Any]) -> dict[str, Any]:
    """The job's input for a row, payloads as base64."""
    inputs, parameters = row["inputs"], {name: one for name, one in row["parameters"].items() if name != "model"}
    if isinstance(inputs, dict) and "$bytes_b64" in inputs:
        inputs = inputs["$bytes_b64"]
    if isinstance(inputs, dict) and "query" in inputs:
        inputs = {("question" if name == "query" else name): value for name, value in inputs.items()}
    name = "messages" if task == "chat-completion" else "inputs"
    return {name: inputs, **parameters} if task in AT_THE_ROOT else {name: inputs, "parameters": parameters}


def _with_media(task: str, job_input: dict[str, Any]) -> Any:
    """The rows' payloads are made up, a header and no more; so nobody looks at them, and their type is not known."""
    return replaced(INPUTS.get(task, ()), job_input, lambda place, text: _payload(place.kind, text))


def _payload(kind: Any, text: Any) -> Any:
    if not isinstance(text, str) or text.startswith("http"):
        return text
    return Media(kind, base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text), "")


def _fields(theirs: dict[str, str], ours: dict[str, str]) -> str:
    """The fields in which the two differ; `shown` has left out those that every call of ours has besides."""
    names = sorted({*theirs, *ours})
    return "; ".join(f"{one}: {theirs.get(one)} / {ours.get(one)}" for one in names if theirs.get(one) != ours.get(one))
