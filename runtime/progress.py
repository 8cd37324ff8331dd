"""What travels in the commit metadata: the audit chain's head and which offsets above the committed one are finished.

Wire form, at most 4,096 characters (Kafka's default `offset.metadata.max.bytes` counts characters):
`n2,<sequence>,<head>,<custody>,<kind><base85>` where kind is `b` (bitset) or `r` (runs), both deflated, over offsets
relative to the committed one; `n1`, the form without custody, is still read. The idea of finished offsets in the
metadata is that of Confluent's Parallel Consumer.
"""

import base64
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

METADATA_LIMIT = 4_096
WINDOW = 15_000
"""Offsets above the committed one at which a lane stops reading."""
HORIZON = 20_000
"""Offsets above the committed one up to which a record may be called finished; one beyond waits uncommitted.

One poll may reach far above `WINDOW`: it brings up to 10,000 records, with markers and gaps between them. The metadata
fits whatever is finished: a bitset of 20,000 bits that does not deflate at all has 2,500 bytes, 3,140 characters with
deflate's frame, beside 129 of sequence, head and custody.
"""
MAX_PACKED_BYTES = 131_072
"""Largest inflated bitmap that is read, and largest bitset that is written: where gaps in the log reach further, only
runs are."""
MAX_FINISHED = 1_048_576
"""Offsets that a bitmap may hold: bounds what damaged metadata can cost."""
ANEW = "anew"
"""Written by hand, beside an offset: do again what lies above it, also what has an outcome already."""
_TAG = "n2"
_BEFORE_CUSTODY = "n1"
GENESIS = "0" * 64
"""Head of an audit chain before its first batch."""
_NUMBER = re.compile("[0-9]{1,19}")
_HASH = re.compile("[0-9a-f]{64}")
MOST_JOURNALS = 3
_JOURNALS = re.compile("([0-9a-f]{12}([+][0-9a-f]{12}){0,2})?")  # at most `MOST_JOURNALS`


class UnknownProgress(ValueError):
    """Metadata that this version did not write: the lane must stop, for it cannot know what is finished."""


class MetadataTooLarge(Exception):
    """The broker takes less metadata than Kafka's default: fewer records may be called finished at once."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A lane's committed state besides the offset."""

    sequence: int = 0
    head: str = GENESIS
    finished: frozenset[int] = field(default_factory=frozenset)
    """Finished offsets above the committed one."""
    custody: str = ""
    """The journals (`journals`) of the calls that were begun above the committed offset; empty: none is out."""


def journals(*named: str) -> str:
    """Journals of calls, 12 hex digits each, as one text with `+` between them: first who keeps one now, then those
    whose calls nobody has accounted for yet. Of more than `MOST_JOURNALS` the last are left out."""
    ids = dict.fromkeys(id for text in named for id in text.split("+") if id)
    return "+".join(list(ids)[:MOST_JOURNALS])


def encode(base: int, progress: Progress) -> str:
    """The metadata of a commit at offset `base`."""
    finished = encode_finished(base, progress.finished)
    return f"{_TAG},{progress.sequence},{progress.head},{progress.custody},{finished}"


def decode(base: int, metadata: str) -> Progress:
    """The progress that was committed with offset `base`.

    Empty metadata is that of a lane which never worked, and `ANEW` what an operator writes who knows what it costs:
    nothing is finished and the chain starts anew. Raises `UnknownProgress` for anything else that is not ours.
    """
    if metadata in ("", ANEW):
        return Progress()
    tag, *parts = metadata.split(",", 4)
    if tag == _BEFORE_CUSTODY:
        parts.insert(2, "")
    forms = (_NUMBER, _HASH, _JOURNALS)
    if (
        tag not in (_TAG, _BEFORE_CUSTODY)
        or len(parts) != 4
        or not all(form.fullmatch(part) for form, part in zip(forms, parts, strict=False))
    ):
        raise UnknownProgress(f"commit metadata of {len(metadata)} characters is not of the form {_TAG!r}")
    sequence, head, custody, bitmap = parts
    try:
        return Progress(int(sequence), head, frozenset(decode_finished(base, bitmap)), custody)
    except (ValueError, zlib.error) as error:
        raise UnknownProgress(f"the bitmap of {len(bitmap)} characters is damaged: {type(error).__name__}") from None


def encode_finished(base: int, finished: Iterable[int]) -> str:
    """Offsets above `base` as text; empty for none. The shorter of bitset and runs."""
    ahead = sorted(offset - base for offset in finished)
    if not ahead:
        return ""
    if ahead[0] < 0:
        raise ValueError(f"offset {base + ahead[0]} is below the committed offset {base}")
    runs = _pack("r", _runs(ahead))
    return min(_pack("b", _bitset(ahead)), runs, key=len) if ahead[-1] < 8 * MAX_PACKED_BYTES else runs


def decode_finished(base: int, text: str) -> set[int]:
    """The offsets that `encode_finished(base, ...)` wrote. Raises ValueError or zlib.error for other text."""
    if not text:
        return set()
    inflater = zlib.decompressobj()
    packed = inflater.decompress(base64.b85decode(text[1:]), MAX_PACKED_BYTES)
    if not inflater.eof or inflater.unused_data:  # a part of what is finished would be done again
        raise ValueError("cut short, too long, or followed by something else")
    if text[0] == "b":
        return {base + index * 8 + bit for index, byte in enumerate(packed) for bit in range(8) if byte >> bit & 1}
    if text[0] == "r":
        return _unrun(base, packed)
    raise ValueError(f"unknown bitmap kind {text[0]!r}")


def _pack(kind: str, data: bytes) -> str:
    return kind + base64.b85encode(zlib.compress(data, 6)).decode()


def _bitset(ahead: list[int]) -> bytes:
    bits = bytearray(ahead[-1] // 8 + 1)
    for index in ahead:
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)


def _runs(ahead: list[int]) -> bytes:
    """Alternating lengths of open and finished runs, as LEB128 numbers."""
    lengths, at, start = [], 0, ahead[0]
    previous = start
    for index in [*ahead[1:], -1]:
        if index == previous + 1:
            previous = index
            continue
        lengths += [start - at, previous + 1 - start]
        at, start, previous = previous + 1, index, index
    return b"".join(_leb128(length) for length in lengths)


def _unrun(base: int, packed: bytes) -> set[int]:
    finished: set[int] = set()
    at, value, shift, is_finished = base, 0, 0, False
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise ValueError("a run of more than 63 bits")
        if byte & 0x80:
            continue
        if is_finished:
            if len(finished) + value > MAX_FINISHED:
                raise ValueError("more finished offsets than a lane can have")
            finished.update(range(at, at + value))
        at, value, shift, is_finished = at + value, 0, 0, not is_finished
    return finished


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
