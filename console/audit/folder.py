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
MOST_FILE_BYTES = 67_108_864
"""Of the manifest and of what is no records: read as a whole."""
MOST_PROBLEMS = 1_000
"""Kept of one export: a file may have a million lines that are none."""
_LINE = re.compile(rb'\{"offset":(0|[1-9][0-9]{0,18}),"(record|base64)":(.*)\}\n', re.DOTALL)
_PARTITION = re.compile("[0-9]{1,5}")
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
        self.is_signed = False
        """Whether one of the trusted keys has signed the manifest."""
        self._files: list[dict[str, Any]] = []
        """As the manifest names them."""

    def open(self, ring: Ring) -> None:
        """Read the manifest, and look which files are there."""
        try:
            data = self._whole(MANIFEST)
        except OSError:
            self._tell("removed", f"{MANIFEST} is not there, or no file")
            return
        why = self._read_manifest(data, ring)
        if why is not None:
            self._tell("changed", f"{MANIFEST}: {why}")
        told = (self.manifest or {}).get("files")
        if not isinstance(told, list) or not all(isinstance(one, dict) and _is_name(one.get("name")) for one in told):
            self._tell("changed", f"{MANIFEST}: it names no files")
            told = []
        self._files = told
        named = {one["name"] for one in told}
        there = {one.name: one for one in self.path.iterdir()}
        for name in sorted(named - there.keys()):
            self._tell("removed", f"the file {name} is not there; {MANIFEST} names it")
        for name in sorted(there.keys() - {MANIFEST}):
            if (name in named or name.endswith(".jsonl")) and not is_plain(there[name]):
                self._tell("changed", f"{name} is no plain file: an export holds neither folders nor links")
            elif name not in named and name.endswith(".jsonl"):
                self._tell("inserted", f"the file {name} is not in {MANIFEST}")
            elif name not in named:
                self.notes.append(f"{name} is no part of the export: it was not looked at")

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
            why = ring.fault(str(told["key"]), str(told["signature"]), message)
            self.is_signed = why is None
            return why
        except (codec.Undecodable, KeyError, TypeError, AttributeError):
            return "it cannot be read: bytes were changed"

    async def bounds(self) -> dict[int, int]:
        """Of each partition, the offset from which everything is here."""
        found = {int(name[1]): 0 for one in self.path.iterdir() if (name := _AUDIT_FILE.fullmatch(one.name))}
        told = (self.manifest or {}).get("partitions")
        for number, one in told.items() if isinstance(told, dict) else ():
            first = one.get("first") if isinstance(one, dict) else None
            if _PARTITION.fullmatch(number) and type(first) is int and first >= 0:
                found[int(number)] = first
            elif self.manifest is not None:
                self._tell("changed", f"{MANIFEST}: it tells no partitions")
                break
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
        if not is_plain(path):
            return
        with path.open("rb") as file:
            while line := file.readline(MOST_LINE_BYTES):
                number += 1
                digest.update(line)
                size += len(line)
                read = read_line(line)
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
        told = next((one for one in self._files if one["name"] == name), None)
        if told is None or (told.get("bytes") == size and told.get("sha256") == digest):
            return
        what = (
            f"the file {name} is not the one that was exported: {lines} lines, {size} bytes, sha256 {digest[:16]}...; "
        )
        self._tell("changed", f"{what}{MANIFEST} says {told.get('records')} lines, {told.get('bytes')} bytes")

    def look_at_rest(self) -> None:
        """The files that are no records: after all others were read."""
        for name in (one["name"] for one in self._files if not one["name"].endswith(".jsonl")):
            try:
                data = self._whole(name)
            except OSError:
                continue  # told of already
            self._held_against_manifest(name, len(data), hashlib.sha256(data).hexdigest(), data.count(b"\n"))

    def doubt(self, message: str) -> None:
        """Tell that the beginning may be missing."""
        self._tell("removed", message)

    def _whole(self, name: str) -> bytes:
        """A small file. Raises OSError for what is none: a pipe, a device or a folder would hang or never end."""
        if not is_plain(self.path / name):
            raise FileNotFoundError(name)
        with (self.path / name).open("rb") as file:
            return file.read(MOST_FILE_BYTES)

    def _tell(self, kind: Any, message: str, place: Place | None = None) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(kind, message, place=place))


def is_plain(path: Path) -> bool:
    """Whether it is a file of its own: a pipe or a device would hang or never end, a link leads elsewhere."""
    return path.is_file() and not path.is_symlink()


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and Path(name).name == name


def read_line(line: bytes) -> tuple[int, bytes | None] | str:
    """Offset and value of a line of an export, or what is wrong with it."""
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
