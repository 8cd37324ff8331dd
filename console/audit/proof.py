"""A proof that an entry stands in the audit: the entry, its way up to a tree's root, and the root signed. Pure.

Binary, so that the proof of one entry in a million fits into a kilobyte. All numbers are LEB128; texts and bytes have
their length before them.

    "NVXP", version 1, number of proofs, then of each:
    lane, instant of the checkpoint in ms, size of the tree, index of the leaf, 64 bytes of signature,
    number of hashes, the hashes from the leaf upwards (32 bytes each), the entry's canonical JSON, deflated (`WORDS`)

and at the end the first 4 bytes of the sha256 over all of that, by which a damaged file is known. Another zlib may
deflate the same entry to other bytes: nothing depends on which.

Checked is: the entry's leaf hash and the path give a root (RFC 9162 section 2.1.3.2); over `novix-tree-head-v1`, a line
feed and the canonical JSON of lane, size, root and at_ms, the signature holds.
"""

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from console.audit.checkpoints import Knows, head_message
from console.audit.keys import SIGNATURE_BYTES
from console.audit.tree import HASH_BYTES, leaf_hash, root_of
from schemas import codec

MAGIC = b"NVXP\x01"
MOST_PROOFS = 1_000
MOST_HASHES = 64
MOST_ENTRY_BYTES = 1_048_576
MOST_BYTES = 67_108_864
WORDS = (
    b'"kind":"budget_exceeded","message":"queue_ms":"upstream_status":null,"policy":"brief/1","decision_sha256":"'
    b'"reserved_nanousd":"estimate_nanousd":"ceiling_nanousd":"decision_id":"task":"text-generation""chat-completion"'
    b'"authority":"tenant","authority":"operator:"authority":"rule:"call.ambiguous""record.dead_lettered"'
    b'"action":"job.assigned""action":"job.rejected""action":"job.cancelled""action":"job.expired""action":"job.failed"'
    b'{"action":"job.succeeded","at":"2026-11-2T1:00:00.000000Z","authority":"decision:","detail":{"assigned_bytes":1,'
    b'"attempts":1,"cost_nanousd":1,"cost_source":"estimated""cost_source":"reported","hf_api_version":"2.4",'
    b'"model":"meta-llama/Llama-3.1-8B-Instruct","provider":"sandbox""provider":"hf-inference","result_bytes":1,'
    b'"result_sha256":"},"job_id":"","span_id":"","submission":1,"tenant":"","trace_id":"'
)
"""What nearly every entry says. Part of the form: another text would be another version."""


class BadProof(Exception):
    """Bytes that are no proof, or one that proves nothing. The message says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One entry and its way to a signed root."""

    lane: str
    at_ms: int
    """The checkpoint's instant: by then the entry was there."""
    size: int
    index: int
    signature: bytes
    path: Sequence[bytes]
    entry: bytes
    """Canonical JSON."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "lane": self.lane, "checkpoint_at": datetime.fromtimestamp(self.at_ms / 1_000, UTC), "tree_size": self.size,
            "leaf_index": self.index, "hashes": len(self.path), "entry": codec.decode(self.entry),
        }  # fmt: skip


def encode(proofs: Sequence[Proof]) -> bytes:
    """The bytes of a proof file."""
    out = [MAGIC, _number(len(proofs))]
    for one in proofs:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=WORDS)
        packed = packer.compress(one.entry) + packer.flush()
        lane = one.lane.encode()
        out += [_number(len(lane)), lane, _number(one.at_ms), _number(one.size), _number(one.index), one.signature]
        out += [_number(len(one.path)), *one.path, _number(len(packed)), packed]
    data = b"".join(out)
    return data + _sum_of(data)


def decode(data: bytes) -> list[Proof]:
    """The proofs of a file. Raises `BadProof`."""
    if data[: len(MAGIC)] != MAGIC:
        raise BadProof("this is no proof: it does not begin with NVXP and version 1")
    reader = _Reader(data, len(MAGIC))
    proofs = [_read(reader) for _ in range(reader.number(MOST_PROOFS))]
    told = _sum_of(data[: reader.at])
    if reader.take(len(told)) != told:
        raise BadProof("its sum is not that of its bytes: bytes were changed")
    if reader.at != len(data) or not proofs:
        raise BadProof(f"{len(data) - reader.at} bytes stand after the proof" if proofs else "it holds no proof")
    return proofs


def _sum_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:4]


def check(proof: Proof, keys: Knows, key_id: str) -> Mapping[str, Any]:
    """The entry, if the proof holds for the key. Raises `BadProof`."""
    root = root_of(leaf_hash(proof.entry), proof.index, proof.size, proof.path)
    if root is None:
        raise BadProof("its path fits no tree of that size")
    message = head_message(proof.lane, proof.size, root.hex(), proof.at_ms)
    why = keys.fault(key_id, base64.b64encode(proof.signature).decode(), message)
    if why is not None:
        raise BadProof(f"{why}: the entry, its place or the signed root was changed, or another key signed")
    entry = codec.decode(proof.entry)
    if not isinstance(entry, dict):
        raise BadProof("its entry is no object")
    return entry


def _read(reader: "_Reader") -> Proof:
    try:
        lane = reader.take(reader.number(1_024)).decode()
    except UnicodeDecodeError:
        raise BadProof("its lane is no text") from None
    at_ms, size, index = reader.number(2**53), reader.number(2**62), reader.number(2**62)
    signature = reader.take(SIGNATURE_BYTES)
    path = [reader.take(HASH_BYTES) for _ in range(reader.number(MOST_HASHES))]
    packed = reader.take(reader.number(MOST_ENTRY_BYTES))
    unpacker = zlib.decompressobj(-15, zdict=WORDS)
    try:
        entry = unpacker.decompress(packed, MOST_ENTRY_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise BadProof("its entry is cut short or too long")
        codec.decode(entry)
        datetime.fromtimestamp(at_ms / 1_000, UTC)
    except (zlib.error, codec.Undecodable):
        raise BadProof("its entry is damaged") from None
    except (ValueError, OverflowError, OSError):
        raise BadProof("its instant is none") from None
    return Proof(lane, at_ms, size, index, signature, path, entry)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise BadProof("it is cut short")
        taken = self._data[self.at : self.at + count]
        self.at += count
        return taken

    def number(self, most: int) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if value > most or shift > 70:
                raise BadProof(f"a number in it is over {most}")
            if not byte & 0x80:
                if not byte and shift > 7:
                    raise BadProof("a number in it is longer than it need be")
                return value


def _number(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
