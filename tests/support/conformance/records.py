"""Recordings of real calls, read from a folder: `traffic/`, `oracle/` and `tgi/`, lines of JSON, gzipped."""

import base64
import contextlib
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cramjam

DEFAULT = Path(__file__).resolve().parents[2] / "contracts" / "data" / "hf"
"""The copies in this repository."""
TASKS = {"conversational": "chat-completion"}
"""What a recording calls a task, where Hugging Face's schemas have another name for it."""


@dataclass(frozen=True)
class Body:
    """A recorded body. `data` is None where the recorder lost it."""

    data: bytes | None
    is_binary: bool = False

    @property
    def document(self) -> Any:
        """The JSON in it; None where it is none, or lost."""
        try:
            return json.loads(self.data or b"")
        except ValueError:
            return None


@dataclass(frozen=True)
class Record:
    """One call: what was asked, and what came back."""

    id: str
    provider: str
    task: str | None
    model: str | None
    via: str
    method: str
    url: str
    request: Body
    status: int
    headers: Mapping[str, str]
    """Of the answer, lower-case names."""
    response: Body
    stream: bool


@dataclass(frozen=True)
class Recordings:
    """All of a folder; what it does not have is empty, and told in `missing`."""

    calls: list[Record]
    downloads: Mapping[str, Record]
    """By address without its query."""
    hub: list[dict[str, Any]]
    oracle: list[dict[str, Any]]
    tgi: list[dict[str, Any]]
    missing: list[str]


def recordings(folder: Path) -> Recordings:
    """Everything in `folder`."""
    missing: list[str] = []

    def rows(name: str) -> list[dict[str, Any]]:
        file = folder / name
        if not file.exists():
            missing.append(name)
            return []
        return list(_rows(file))

    blobs = {row["sha256"]: row for row in rows("traffic/blobs.jsonl.gz")}
    calls = [_record(row, blobs) for row in rows("traffic/inference.jsonl.gz")]
    media = [_record({"provider": "", "task": None, **row}, blobs) for row in rows("traffic/media.jsonl.gz")]
    downloads = {record.url.partition("?")[0]: record for record in media}
    hub, oracle = rows("traffic/hub.jsonl.gz"), rows("oracle/provider_requests.jsonl.gz")
    return Recordings(calls, downloads, hub, oracle, rows("tgi/snapshots.jsonl.gz"), missing)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file) as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _record(row: dict[str, Any], blobs: Mapping[str, dict[str, Any]]) -> Record:
    asked, answer = row["request"], row["response"]
    return Record(
        id=row["id"],
        provider=row["provider"] or "(none)",
        task=TASKS.get(row["task"], row["task"]),
        model=row.get("model"),
        via=row.get("via", ""),
        method=asked["method"],
        url=asked["url"],
        request=_body(asked.get("body"), blobs, told=False),
        status=answer["status"],
        headers={name.lower(): value for name, value in (answer.get("headers") or {}).items()},
        response=_decoded(_body(answer.get("body"), blobs, told=True), (answer.get("headers") or {})),
        stream=row.get("stream") is True,
    )


def _decoded(body: Body, headers: Mapping[str, str]) -> Body:
    """Without the coding that the recorder left in some bodies: today's client asks for none."""
    coded = any(name.lower() == "content-encoding" and value == "br" for name, value in headers.items())
    if not (coded and body.is_binary and body.data):
        return body
    return Body(bytes(cramjam.brotli.decompress(body.data)))


def _body(body: dict[str, Any] | None, blobs: Mapping[str, dict[str, Any]], *, told: bool) -> Body:
    """`told`: an answer of no bytes is an answer; a request's body that is null was not recorded."""
    if body is None:
        return Body(b"" if told else None)
    if "text" in body:
        return Body(body["text"].encode())
    blob = blobs.get(body.get("blob", ""))
    if blob is None:
        return Body(None, "magic" in body)
    if blob["encoding"] == "base64":
        return Body(base64.b64decode(blob["b64"]), is_binary=True)
    return Body(blob["text"].encode())


def digest(data: bytes) -> str:
    """What two bodies are compared by: sha256 of canonical JSON, or of the bytes."""
    with contextlib.suppress(ValueError):
        data = json.dumps(json.loads(data), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()
