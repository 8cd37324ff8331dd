"""A batch of the audit topic as its verifier reads it: with nothing taken on trust. Pure."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.audit.tree import leaf_hash
from schemas import codec
from schemas.audit import AuditEntry

_HASH = re.compile(r"[0-9a-f]{64}")
_FORM = ["lane", "sequence", "previous", "hash", "entries"]
_FIELDS = {name: at for at, name in enumerate(AuditEntry.model_fields)}
_CLAIM = re.compile(rb'\{"lane":"([^"\\]{1,300})","sequence":(\d{1,18}),')
MAX_LANE_CHARS = 512
MOST_SEQUENCE = 2**63


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch whose hash is that of its content. Of its entries nothing is known but that they are objects."""

    lane: str
    sequence: int
    previous: str
    hash: str
    entries: Sequence[Mapping[str, Any]]

    def leaves(self) -> list[bytes]:
        """The leaf hashes of its entries."""
        return [leaf_hash(codec.canonical(entry)) for entry in self.entries]


class Spoilt(Exception):
    """A record that is no batch, or not as it was written. The message says what is wrong; `lane` and `sequence` are
    what it claims to be, as far as that can be read."""

    def __init__(self, message: str, value: bytes | None) -> None:
        super().__init__(message)
        claim = _CLAIM.match(value or b"")
        self.lane = claim[1].decode("utf-8", "replace") if claim else ""
        self.sequence = int(claim[2]) if claim else 0


def read_batch(value: bytes | None) -> Batch:
    """The batch of a record's value. Raises `Spoilt`.

    The value must be the very bytes that a lane writes: compact JSON, each field once and in its order. Otherwise two
    records could differ and mean the same: the hash is over sorted keys. Free is the order within `detail` alone, and
    where fields of a newer writer stand.
    """
    if value is None:
        raise Spoilt("it has no value", value)
    try:
        told = codec.decode(value)
    except codec.Undecodable as error:
        raise Spoilt(str(error), value) from None
    try:
        lane, sequence, previous, claimed, entries = (
            told["lane"], told["sequence"], told["previous"], told["hash"], told["entries"],
        )  # fmt: skip
        plausible = (
            type(lane) is str and 0 < len(lane) <= MAX_LANE_CHARS
            and type(sequence) is int and 0 < sequence < MOST_SEQUENCE
            and type(entries) is list and all(type(entry) is dict for entry in entries)
            and _HASH.fullmatch(previous) and _HASH.fullmatch(claimed) and len(told) == 5
        )  # fmt: skip
    except (KeyError, TypeError):
        plausible = False
    if not plausible:
        raise Spoilt("it is no audit batch", value)
    if codec.encode(told) != value or list(told) != _FORM or not all(map(_in_order, entries)):
        raise Spoilt("it is not in the form in which a lane writes: bytes were changed", value)
    content = codec.canonical({"lane": lane, "sequence": sequence, "entries": entries})
    if hashlib.sha256(bytes.fromhex(previous) + content).hexdigest() != claimed:
        raise Spoilt("its hash is not that of its content", value)
    return Batch(lane, sequence, previous, claimed, entries)


def _in_order(entry: Mapping[str, Any]) -> bool:
    places = [_FIELDS[name] for name in entry if name in _FIELDS]
    return places == sorted(places)
