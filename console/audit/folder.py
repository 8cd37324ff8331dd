"""An exported folder: what stands in which file, how it is written, and read with nothing taken on trust.

| file | holds |
|---|---|
| `audit-00000.jsonl`, ... | a partition of the audit topic: `{"offset":12,"record":...}`, its bytes as they were |
| `checkpoints.jsonl` | the checkpoints, in the same form |
| `public-key.pem` | the key of whoever signed, for convenience: trust one that came another way |
| `manifest.json` | which files, how long, their sha256; from where to where; signed where the exporter has the key |
"""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from console.audit.batches import Place
from console.audit.keys import Ring, Signer
from console.audit.problems import Problem
from schemas import codec
from schemas.topics import AUDIT, CHECKPOINTS

FORM = "novix-audit-export-v1"
MANIFEST, KEY, CHECKPOINT_FILE = "manifest.json", "public-key.pem", "checkpoints.jsonl"
MANIFEST_MESSAGE = b"novix-audit-manifest-v1\n"
MOST_LINE_BYTES = 4_194_304
_LINE = re.compile(rb'\{"offset":(0|[1-9][0-9]{0,18}),"(record|base64)":(.*)\}\n', re.DOTALL)
_AUDIT_FILE = re.compile(r"audit-([0-9]{5})\.jsonl")


def audit_file(partition: int) -> str:
    """The file of a partition."""
    return f"audit-{partition:05}.jsonl"


def line_of(offset: int, value: bytes | None) -> bytes:
    """A record's line. What is no JSON object on one line is written as base64."""
    plain = value is not None and value[:1] == b"{" and value[-1:] == b"}" and b"\n" not in value
    if value is not None and plain:
        return b'{"offset":%d,"record":%s}\n' % (offset, value)
    told = b"null" if value is None else b'"%s"' % base64.b64encode(value)
    return b'{"offset":%d,"base64":%s}\n' % (offset, told)


@dataclass(slots=True)
class Written:
    """One file on its way to the disk."""

    file: BinaryIO
    name: str
    records: int = 0
    size_bytes: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, offset: int, value: bytes | None) -> None:
        """One record more."""
        line = line_of(offset, value)
        self.file.write(line)
        self.digest.update(line)
        self.records += 1
        self.size_bytes += len(line)

    def document(self) -> dict[str, Any]:
        """As the manifest tells it."""
        return {
            "name": self.name,
            "records": self.records,
            "bytes": self.size_bytes,
            "sha256": self.digest.hexdigest(),
        }


def manifest_of(
    files: list[dict[str, Any]], partitions: Mapping[int, tuple[int, int]], *, made_at: datetime,
    since: datetime | None, until: datetime | None, newest: tuple[int, str] | None, signer: Signer | None,
) -> bytes:  # fmt: skip
    """The manifest's bytes. `partitions`: of each, the first offset and the end of what was there to export."""
    told: dict[str, Any] = {
        "form": FORM, "topic": AUDIT.name, "made_at": made_at, "files": files,
        "partitions": {str(number): {"first": first, "end": end} for number, (first, end) in partitions.items()},
        "since": since, "until": until,
        "newest_checkpoint": None if newest is None else {"number": newest[0], "sha256": newest[1]},
        "key": None if signer is None else signer.id,
    }  # fmt: skip
    message = MANIFEST_MESSAGE + codec.canonical(told)
    signature = None if signer is None else signer.sign(message)
    return codec.canonical({**told, "digest": hashlib.sha256(message).hexdigest(), "signature": signature}) + b"\n"


class Folder:
    """An export, as a verifier reads it. What is wrong with the files is in `problems` when all were read."""

    topic = AUDIT.name

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.manifest: dict[str, Any] | None = None

    def open(self, ring: Ring) -> None:
        """Read the manifest, and look which files are there."""
        try:
            data = (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            self._tell("removed", f"{MANIFEST} is not there")
            return
        why = self._read_manifest(data, ring)
        if why is not None:
            self._tell("changed", f"{MANIFEST}: {why}")
        manifest = self.manifest or {}
        named = {one.get("name") for one in manifest.get("files", []) if isinstance(one, dict)}
        there = {one.name for one in self.path.iterdir()}
        for name in sorted(str(name) for name in named - there):
            self._tell("removed", f"the file {name} is not there; {MANIFEST} names it")
        for name in sorted(there - named - {MANIFEST}):
            if name.endswith(".jsonl"):
                self._tell("inserted", f"the file {name} is not in {MANIFEST}")

    def _read_manifest(self, data: bytes, ring: Ring) -> str | None:
        try:
            told = codec.decode(data)
            if codec.canonical(told) + b"\n" != data:
                return "it is not as an export writes it: bytes were changed"
            unsigned = {name: value for name, value in told.items() if name not in ("digest", "signature")}
            self.manifest = told
            message = MANIFEST_MESSAGE + codec.canonical(unsigned)
            if told["form"] != FORM or told["digest"] != hashlib.sha256(message).hexdigest():
                return "its digest is not that of its content: it was changed"
            if told["signature"] is None:
                self.notes.append(f"{MANIFEST} is not signed: who exported did not have the key")
                return "it names a key and has no signature" if told["key"] is not None else None
            return ring.fault(told["key"], told["signature"], message)
        except (codec.Undecodable, KeyError, TypeError, AttributeError):
            return "it cannot be read: bytes were changed"

    async def bounds(self) -> dict[int, int]:
        """Of each partition, the offset from which everything is here."""
        found = {int(name[1]): 0 for one in self.path.iterdir() if (name := _AUDIT_FILE.fullmatch(one.name))}
        try:
            told = (self.manifest or {})["partitions"]
            return found | {int(number): int(one["first"]) for number, one in told.items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            return found

    async def checkpoints(self) -> AsyncIterator[tuple[Place, bytes | None]]:
        """The checkpoints in their order."""
        for offset, value in self._lines(CHECKPOINT_FILE, CHECKPOINTS.name, 0):
            yield Place(CHECKPOINTS.name, 0, offset), value

    async def audit(self, partition: int) -> AsyncIterator[tuple[Place, bytes | None]]:
        """A partition's records in their order."""
        for offset, value in self._lines(audit_file(partition), AUDIT.name, partition):
            yield Place(AUDIT.name, partition, offset), value

    def _lines(self, name: str, topic: str, partition: int) -> Iterator[tuple[int, bytes | None]]:
        path, digest, last, size, number = self.path / name, hashlib.sha256(), -1, 0, 0
        if not path.exists():
            return
        with path.open("rb") as file:
            while line := file.readline(MOST_LINE_BYTES):
                number += 1
                digest.update(line)
                size += len(line)
                read = _read_line(line)
                if isinstance(read, str):
                    self._tell("changed", f"{name} line {number}: {read}", Place(topic, partition, last + 1))
                    continue
                offset, value = read
                if offset <= last:
                    what = f"{name} line {number}: offset {offset} stands after {last}"
                    kind = "inserted" if offset == last else "reordered"
                    self._tell(kind, what, Place(topic, partition, offset))
                last = max(last, offset)
                yield offset, value
        self._held_against_manifest(name, size, digest.hexdigest(), number)

    def _held_against_manifest(self, name: str, size: int, digest: str, lines: int) -> None:
        files = (self.manifest or {}).get("files")
        told = next((one for one in files or () if isinstance(one, dict) and one.get("name") == name), None)
        if told is None or (told.get("bytes") == size and told.get("sha256") == digest):
            return
        what = (
            f"the file {name} is not the one that was exported: {lines} lines, {size} bytes, sha256 {digest[:16]}...; "
        )
        self._tell("changed", f"{what}{MANIFEST} says {told.get('records')} lines, {told.get('bytes')} bytes")

    def look_at_rest(self) -> None:
        """The files that are no records: after all others were read."""
        for one in (self.manifest or {}).get("files") or ():
            name = one.get("name") if isinstance(one, dict) else None
            if isinstance(name, str) and not name.endswith(".jsonl") and Path(name).name == name:
                try:
                    data = (self.path / name).read_bytes()
                except OSError:
                    continue  # told of already
                self._held_against_manifest(name, len(data), hashlib.sha256(data).hexdigest(), data.count(b"\n"))

    def _tell(self, kind: Any, message: str, place: Place | None = None) -> None:
        self.problems.append(Problem(kind, message, place=place))


def _read_line(line: bytes) -> tuple[int, bytes | None] | str:
    """Offset and value of a line, or what is wrong with it."""
    read = _LINE.fullmatch(line)
    if read is None:
        return "it is cut off" if not line.endswith(b"\n") else "it is not in the form of an export"
    if read[2] == b"record":
        return int(read[1]), read[3]
    if read[3] == b"null":
        return int(read[1]), None
    try:
        value = base64.b64decode(read[3][1:-1], validate=True)
    except (binascii.Error, ValueError):
        return "its base64 is damaged"
    if line_of(int(read[1]), value) != line:
        return "it is not in the form of an export"
    return int(read[1]), value
