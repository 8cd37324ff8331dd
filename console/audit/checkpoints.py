"""Checkpoints as bytes: made and signed by the service, checked by anybody with the public key. Pure."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import ValidationError

from console.audit.tree import HASH_BYTES, Tree
from runtime.progress import GENESIS
from schemas import codec
from schemas.audit import Checkpoint, TreeHead

CHECKPOINT = b"novix-checkpoint-v1\n"
TREE_HEAD = b"novix-tree-head-v1\n"
MOST_PEAKS = 64
MOST, MOST_RUNS, MOST_EVERY_S = 2**63, 2**32, 10**8
_HASH, _PARTITION = re.compile("[0-9a-f]{64}"), re.compile("[0-9]{1,9}")


class Signs(Protocol):
    """Who has the private key."""

    @property
    def id(self) -> str: ...

    def sign(self, message: bytes) -> str: ...


class Knows(Protocol):
    """Who has public keys."""

    def fault(self, key_id: str, signature: str, message: bytes) -> str | None: ...


class Forged(Exception):
    """A record that is no checkpoint of a trusted key. The message says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a lane is, before it is signed."""

    run: int
    first: int
    sequence: int
    hash: str
    tree: Tree


def digest_of(value: bytes) -> str:
    """What the next checkpoint names this one by."""
    return hashlib.sha256(value).hexdigest()


def head_message(lane: str, size: int, root: str, at_ms: int) -> bytes:
    """What a tree head's signature is over."""
    return TREE_HEAD + codec.canonical({"lane": lane, "size": size, "root": root, "at_ms": at_ms})


def milliseconds(at: datetime) -> int:
    """An instant as a tree head's signature holds it."""
    return round(at.timestamp() * 1_000)


def made(
    signer: Signs, lanes: Mapping[str, Standing], offsets: Mapping[int, int], *,
    number: int, previous: str, at: datetime, every_s: float,
) -> bytes:  # fmt: skip
    """The value of a checkpoint's record."""
    at = at.astimezone(UTC).replace(microsecond=at.microsecond // 1_000 * 1_000)
    heads = []
    for lane, standing in sorted(lanes.items()):
        root = standing.tree.root().hex()
        heads.append({
            "lane": lane, "run": standing.run, "first": standing.first, "sequence": standing.sequence,
            "hash": standing.hash, "size": standing.tree.size, "root": root,
            "peaks": base64.b64encode(b"".join(standing.tree.peaks)).decode(),
            "signature": signer.sign(head_message(lane, standing.tree.size, root, milliseconds(at))),
        })  # fmt: skip
    unsigned: dict[str, Any] = {
        "number": number, "at": at, "previous": previous, "key": signer.id, "every_s": float(every_s),
        "offsets": {str(partition): offset for partition, offset in offsets.items()}, "heads": heads,
    }  # fmt: skip
    return codec.canonical({**unsigned, "signature": signer.sign(CHECKPOINT + codec.canonical(unsigned))})


def read(value: bytes | None, keys: Knows) -> Checkpoint:
    """The checkpoint of a record's value, every signature and every root of it checked. Raises `Forged`."""
    told = _parsed(value)
    unsigned = {name: field for name, field in told.items() if name != "signature"}
    try:
        checkpoint = Checkpoint.model_validate(told)
    except ValidationError as error:
        raise Forged(f"it is no checkpoint: {error.error_count()} fields are wrong") from None
    why = keys.fault(checkpoint.key, checkpoint.signature, CHECKPOINT + codec.canonical(unsigned))
    if why is not None:
        raise Forged(why)
    if not _is_plausible(checkpoint):
        raise Forged("its numbers are none that a checkpoint can have")
    at_ms = milliseconds(checkpoint.at)
    for head in checkpoint.heads:
        if tree_of(head).root().hex() != head.root:
            raise Forged(f"the root of {head.lane!r} is not made of its peaks")
        why = keys.fault(checkpoint.key, head.signature, head_message(head.lane, head.size, head.root, at_ms))
        if why is not None:
            raise Forged(f"the head of {head.lane!r}: {why}")
    return checkpoint


def _is_plausible(checkpoint: Checkpoint) -> bool:
    """Whether its numbers are such as are counted with: whoever has a key can sign any."""
    numbers = [checkpoint.number, *checkpoint.offsets.values()]
    for head in checkpoint.heads:
        numbers += head.first, head.sequence, head.size
    return (
        milliseconds(checkpoint.at) >= 0
        and 0 <= checkpoint.every_s < MOST_EVERY_S
        and all(0 <= number < MOST for number in numbers)
        and all(0 <= head.run < MOST_RUNS and _HASH.fullmatch(head.hash) for head in checkpoint.heads)
        and all(_PARTITION.fullmatch(partition) for partition in checkpoint.offsets)
    )


def _parsed(value: bytes | None) -> dict[str, Any]:
    try:
        told = codec.decode(value or b"")
    except codec.Undecodable as error:
        raise Forged(str(error)) from None
    if not isinstance(told, dict) or codec.canonical(told) != value:
        raise Forged("it is not canonical JSON: bytes were changed")
    return told


def tree_of(head: TreeHead) -> Tree:
    """The tree of a head, to go on from. Raises `Forged`."""
    return Tree(head.size, peaks_of(head))


def peaks_of(head: TreeHead) -> Sequence[bytes]:
    """The peaks of a head. Raises `Forged`."""
    try:
        packed = base64.b64decode(head.peaks, validate=True)
    except (binascii.Error, ValueError):
        raise Forged(f"the peaks of {head.lane!r} are no base64") from None
    peaks = [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]
    if head.size < 0 or len(packed) != HASH_BYTES * head.size.bit_count() or len(peaks) > MOST_PEAKS:
        raise Forged(f"a tree of {head.size} leaves has other peaks than those of {head.lane!r}")
    return peaks


BEFORE_ALL = (0, GENESIS)


def follows(before: tuple[int, str], checkpoint: Checkpoint) -> str | None:
    """Why a checkpoint is not the one after that with this number and digest (`BEFORE_ALL`: none); None if it is."""
    number, digest = before
    if checkpoint.number == number + 1 and checkpoint.previous == digest:
        return None
    if checkpoint.number <= number:
        return f"checkpoint {checkpoint.number} stands after {number}: repeated, out of order, or of a second writer"
    if checkpoint.number > number + 1:
        return f"checkpoint {checkpoint.number} stands after {number}: {checkpoint.number - number - 1} are missing"
    return f"checkpoint {checkpoint.number} does not follow the {number} before it: one of them was replaced"
