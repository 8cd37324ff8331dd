"""What was last written of each entry, in little: enough to know whether it changed, and since when it says the same.

Of an entry one mark for each source: 8 bytes of a digest over what that source says, and the second since it does. Half
a million entries take some 100 MB of SQLite, and no memory.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hub.catalog.merging import ORDER
from schemas import codec
from schemas.base import contents
from schemas.catalog import CatalogEntry, Said, Source

_MARK = struct.Struct(">B8sd")
Marks = Mapping[Source, tuple[bytes, float]]
"""By source: the digest, and since when, in seconds since 1970."""


def marks_of(entry: CatalogEntry) -> dict[Source, tuple[bytes, float]]:
    """The marks of an entry as it is."""
    return {said.source: (_digest(entry, said), said.since.timestamp()) for said in entry.said}


def _digest(entry: CatalogEntry, said: Said) -> bytes:
    told: list[Any] = [entry.formerly if said.source == "hub" else ()]
    for name in sorted(said.fields):
        value = getattr(entry, name)
        if name == "served":
            value = [one for one in value if one.source == said.source]
        elif name == "security":  # that scanners say the same again today is no news
            value = value.model_copy(update={"at": None})
        told.append((name, sorted(value.items()) if isinstance(value, dict) else value))
    return hashlib.blake2b(codec.encode(told, contents), digest_size=8).digest()


def is_news(old: Marks | None, new: Marks) -> bool:
    """Whether an entry says something else than was last written."""
    if old is None or old.keys() != new.keys():
        return True
    return any(old[source][0] != digest for source, (digest, _) in new.items())


def aged(entry: CatalogEntry, old: Marks | None, new: dict[Source, tuple[bytes, float]]) -> CatalogEntry:
    """The entry, each source that says the same as before with the day since when it does; `new` is set so too."""
    if old is None:
        return entry
    said_of = []
    for said in entry.said:
        digest, _ = new[said.source]
        before = old.get(said.source)
        if before is None or before[0] != digest:
            said_of.append(said)
            continue
        new[said.source] = before
        said_of.append(said.model_copy(update={"since": datetime.fromtimestamp(before[1], UTC)}))
    return entry.model_copy(update={"said": tuple(said_of)})


def packed(marks: Marks) -> bytes:
    """As they are kept."""
    return b"".join(_MARK.pack(ORDER.index(source), digest, since) for source, (digest, since) in sorted(marks.items()))


def unpacked(blob: bytes) -> dict[Source, tuple[bytes, float]]:
    """As they were kept."""
    return {ORDER[place]: (digest, since) for place, digest, since in _MARK.iter_unpack(blob)}


def sources_of(blobs: Iterable[bytes]) -> set[Source]:
    """Which sources are named in some marks."""
    return {source for blob in blobs for source in unpacked(blob)}
