"""Proving: finds a job's entries in the audit and makes their proofs against the newest checkpoint that covers them.

Two passes, in bounded memory: which lanes tell of the job and where; then each of these lanes' tree, from the last
checkpoint before the entry on, up to the newest.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from console.audit.batches import Batch, Place, Spoilt, read_batch
from console.audit.checkpoints import Forged, Knows, milliseconds, peaks_of, read
from console.audit.ends import ENDS
from console.audit.proof import Proof
from console.audit.tree import ProvingTree
from console.audit.verify import Source
from schemas import codec
from schemas.audit import Checkpoint, TreeHead


@dataclass(slots=True)
class Found:
    """What the audit says of a job."""

    proofs: list[Proof] = field(default_factory=list)
    """Of the wanted entries, in their order."""
    entries: int = 0
    """All of them."""
    uncovered: int = 0
    """Wanted ones that no checkpoint covers yet."""
    ended: bool = False


@dataclass(slots=True)
class _Wanted:
    sequence: int
    index: int
    """Within its batch."""
    place: Place
    entry: Mapping[str, Any]


class CannotProve(Exception):
    """What is here does not lead to a signed root: the message says where. `novix audit verify` says why."""


async def prove(source: Source, keys: Knows, tenant: str | None, job_id: str, *, all_entries: bool = False) -> Found:
    """Prove a job's end; with `all_entries`, or as long as it has none, all told of it. Raises `CannotProve`."""
    found, wanted = Found(), dict[str, list[_Wanted]]()
    needle = codec.encode(job_id)
    for partition in sorted(await source.bounds()):
        async with aclosing(source.audit(partition)) as records:  # type: ignore[type-var]
            async for place, value in records:
                if value is None or needle not in value:
                    continue
                try:
                    batch = read_batch(value)
                except Spoilt:
                    continue
                for index, entry in enumerate(batch.entries):
                    if entry.get("job_id") == job_id and tenant in (None, entry.get("tenant")):
                        wanted.setdefault(batch.lane, []).append(_Wanted(batch.sequence, index, place, entry))
    told = [one for many in wanted.values() for one in many]
    found.entries = len(told)
    ends = [one for one in told if one.entry.get("action") in ENDS]
    found.ended = bool(ends)
    chosen = told if all_entries or not ends else [max(ends, key=lambda one: str(one.entry.get("at")))]
    lanes = {lane: [one for one in many if one in chosen] for lane, many in wanted.items()}
    heads = await _heads(
        source, keys, {lane: min(one.sequence for one in many) for lane, many in lanes.items() if many}
    )
    for lane, mine in heads.items():
        await _prove_lane(source, lane, lanes[lane], mine, found)
    found.proofs.sort(key=lambda one: str(codec.decode(one.entry).get("at")))
    return found


@dataclass(slots=True)
class _Heads:
    """Of one lane."""

    newest: tuple[Checkpoint, TreeHead] | None = None
    before: TreeHead | None = None
    """The last one before the first wanted entry: the tree is begun from there."""


async def _heads(source: Source, keys: Knows, before: Mapping[str, int]) -> dict[str, _Heads]:
    found = {lane: _Heads() for lane in before}
    async with aclosing(source.checkpoints()) as records:  # type: ignore[type-var]
        async for _, value in records:
            try:
                checkpoint = read(value, keys)
            except Forged:
                continue
            for head in checkpoint.heads:
                if (mine := found.get(head.lane)) is not None:
                    mine.newest = checkpoint, head
                    if head.sequence < before[head.lane]:
                        mine.before = head
    return found


async def _prove_lane(source: Source, lane: str, wanted: list[_Wanted], heads: _Heads, found: Found) -> None:
    if heads.newest is None:
        found.uncovered += len(wanted)
        return
    checkpoint, newest = heads.newest
    covered = {(one.sequence, one.index) for one in wanted if one.sequence <= newest.sequence}
    found.uncovered += len(wanted) - len(covered)
    if not covered:
        return
    begin = heads.before if heads.before is not None and heads.before.run == newest.run else None
    tree, at, last = ProvingTree(), newest.first - 1, None
    if begin is not None:
        tree, at = ProvingTree(begin.size, peaks_of(begin)), begin.sequence
    entries: list[tuple[int, bytes]] = []
    async for batch in _of_lane(source, lane):
        if batch.sequence != at + 1 or (last is None and begin is not None and batch.previous != begin.hash):
            continue
        at, last = batch.sequence, batch.hash
        for index, leaf in enumerate(batch.leaves()):
            is_wanted = (batch.sequence, index) in covered
            if is_wanted:
                entries.append((tree.size, codec.canonical(batch.entries[index])))
            tree.append(leaf, wanted=is_wanted)
        if at == newest.sequence:
            break
    if at != newest.sequence or tree.root().hex() != newest.root:
        raise CannotProve(
            f"the entries of lane {lane} do not lead to the root that checkpoint {checkpoint.number} signed; "
            "novix audit verify names what is wrong"
        )
    found.proofs += [
        Proof(
            lane, milliseconds(checkpoint.at), newest.size, index, base64.b64decode(newest.signature), tree.path(index),
            entry,
        )
        for index, entry in entries
    ]  # fmt: skip


async def _of_lane(source: Source, lane: str) -> AsyncIterator[Batch]:
    """A lane's batches, as far as they can be read."""
    needle = b'{"lane":%s,' % codec.encode(lane)
    for partition in sorted(await source.bounds()):
        async with aclosing(source.audit(partition)) as records:  # type: ignore[type-var]
            async for _, value in records:
                if value is not None and value.startswith(needle):
                    try:
                        batch = read_batch(value)
                    except Spoilt:
                        continue
                    yield batch
