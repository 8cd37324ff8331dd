"""Writing an export: every record's bytes as they are, the checkpoints, the public key, the manifest."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from console.audit.batches import Place
from console.audit.checkpoints import Forged, Knows, digest_of, read
from console.audit.folder import CHECKPOINT_FILE, KEY, MANIFEST, Written, audit_file, manifest_of
from console.audit.keys import Signer
from schemas.audit import Checkpoint


class Topics(Protocol):
    """What is exported: `console.audit.live.Live`."""

    @property
    def audit_bounds(self) -> Mapping[int, tuple[int, int]]:
        """Of each partition, its first offset and its end."""
        ...

    def checkpoints(self) -> AsyncIterator[tuple[Place, bytes | None]]: ...

    def audit(self, partition: int) -> AsyncIterator[tuple[Place, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    records: int
    checkpoints: int
    size_bytes: int
    since: Checkpoint | None
    until: Checkpoint | None


async def export(
    topics: Topics, folder: Path, keys: Knows, public_pem: bytes, signer: Signer | None, *, now: datetime,
    since: datetime | None = None, until: datetime | None = None,
) -> Exported:  # fmt: skip
    """Write everything into an empty or new folder; with `since` or `until`, from the last checkpoint before to the
    first one after: so the part can be proved by itself. Raises `FileExistsError` where something is in the folder."""
    _begin(folder)
    first, last = await _between(topics, keys, since, until)
    files, newest = [], None
    with (folder / CHECKPOINT_FILE).open("xb") as file:
        written = Written(file, CHECKPOINT_FILE)
        async with aclosing(topics.checkpoints()) as records:  # type: ignore[type-var]
            async for place, value in records:
                checkpoint = _known(value, keys)
                if first is not None and (checkpoint is None or checkpoint.number < first.number):
                    continue
                if last is not None and checkpoint is not None and checkpoint.number > last.number:
                    break
                written.add(place.offset, value)
                newest = newest if checkpoint is None else (checkpoint.number, digest_of(value or b""))
        files.append(written.document())
    partitions = {number: _part(number, bounds, first, last) for number, bounds in topics.audit_bounds.items()}
    records_written = 0
    for number, (begin, end) in partitions.items():
        with (folder / audit_file(number)).open("xb") as file:
            written = Written(file, audit_file(number))
            async with aclosing(topics.audit(number)) as records:  # type: ignore[type-var]
                async for place, value in records:
                    if place.offset >= end:
                        break
                    if place.offset >= begin:
                        written.add(place.offset, value)
            files.append(written.document())
            records_written += written.records
    with (folder / KEY).open("xb") as file:
        file.write(public_pem)
    files.append(_described(folder / KEY))
    told = manifest_of(
        files, partitions, made_at=now, since=None if first is None else first.at,
        until=None if last is None else last.at, newest=newest, signer=signer,
    )  # fmt: skip
    (folder / MANIFEST).write_bytes(told)
    return Exported(records_written, int(files[0]["records"]), _size(folder), first, last)


def _begin(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(folder)


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())


async def _between(
    topics: Topics, keys: Knows, since: datetime | None, until: datetime | None
) -> tuple[Checkpoint | None, Checkpoint | None]:
    """The last checkpoint at or before `since`, and the first one at or after `until`."""
    first = last = None
    if since is None and until is None:
        return None, None
    async with aclosing(topics.checkpoints()) as records:  # type: ignore[type-var]
        async for _, value in records:
            checkpoint = _known(value, keys)
            if checkpoint is None:
                continue
            if since is not None and checkpoint.at <= since:
                first = checkpoint
            if until is not None and checkpoint.at >= until:
                last = checkpoint
                break
    return first, last


def _part(
    partition: int, bounds: tuple[int, int], first: Checkpoint | None, last: Checkpoint | None
) -> tuple[int, int]:
    begin, end = bounds
    if first is not None:
        begin = max(begin, first.offsets.get(str(partition), 0))
    if last is not None:
        end = min(end, last.offsets.get(str(partition), 0))
    return begin, max(begin, end)


def _known(value: bytes | None, keys: Knows) -> Checkpoint | None:
    try:
        return read(value, keys)
    except Forged:
        return None


def _described(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": path.name, "records": data.count(b"\n"), "bytes": len(data), "sha256": digest}
