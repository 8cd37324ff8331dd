"""Answers that text-generation-inference gave to its own tests, with token details: each must be understood whole."""

import json
from collections.abc import Iterator
from typing import Any

from conformance.asking import candidate
from conformance.faithful import lost
from conformance.verdict import Verdict
from workers.errors import ProviderError
from workers.exchange import FIRST, Got
from workers.modalities import TASKS, answered
from workers.modalities.text.chat_stream import ChatStream
from workers.providers import PROVIDERS

CHUNK, CHAT, TEXT = "chat.completion.chunk", "chat.completion", "text-generation"
INPUTS: dict[str, dict[str, Any]] = {
    "chat-completion": {"messages": [{"role": "user", "content": "Hi"}]},
    TEXT: {"inputs": "Hi", "parameters": {"details": True}},
}
ADDRESS = "http://tgi.test"


def verdicts_of(row: dict[str, Any]) -> Iterator[Verdict]:
    """What each answer in a snapshot came to; a list is several answers, or the chunks of one."""
    told = row["json"]
    rows = told if isinstance(told, list) else [told]
    if rows and all(isinstance(one, dict) and one.get("object") == CHUNK for one in rows):
        yield _verdict(row["case"], "chat-completion", rows)
        return
    for one in (part for piece in rows for part in (piece if isinstance(piece, list) else [piece])):
        if isinstance(one, dict) and one.get("object") == CHAT:
            yield _verdict(row["case"], "chat-completion", one)
        elif isinstance(one, dict) and "generated_text" in one:
            yield _verdict(row["case"], TEXT, one)
        else:
            yield Verdict(row["case"], "tgi", "(other)", answer_why="no answer to a chat or a text")


def _verdict(name: str, task: str, told: Any) -> Verdict:
    verdict = Verdict(name, "tgi", task, refusal_why="an answer")
    whom = candidate(ADDRESS, "tgi", "org/model", "tgi")
    ask = TASKS[task].ask({**INPUTS[task], **({"stream": True} if isinstance(told, list) else {})}, {}, whom)
    try:
        if isinstance(told, list):
            body = b"".join(b"data:" + json.dumps(chunk).encode() + b"\n\n" for chunk in told)
            stream = ChatStream()
            for chunk in told:
                stream.feed(json.dumps(chunk).encode())
            got = Got(FIRST, ADDRESS, 200, {}, streamed=stream.completion())
        else:
            body = json.dumps(told).encode()
            got = Got(FIRST, ADDRESS, 200, {"content-type": "application/json"}, body)
        reply = PROVIDERS["tgi"].read(ask, whom, got)
        gone = lost(body, answered(ask, reply).output)  # type: ignore[arg-type]
    except ProviderError as error:
        gone = [str(error)]
    verdict.answer, verdict.answer_why = ("different", "; ".join(gone)) if gone else ("understood", "")
    return verdict
