"""What the verifier finds with more than the topics: the lanes' own commit metadata, an older checkpoint, one proof."""

import asyncio
import zlib
from datetime import timedelta
from typing import Any

import pytest
from audit_world import (
    KEY,
    OTHER_KEY,
    RING,
    ROUTER,
    STRANGER,
    WORKER,
    Trail,
    deed,
    entry,
    forged,
    records,
    replaced,
    trail,
    value_of,
)

from console.audit.checkpoints import CHECKPOINT, Forged, digest_of, head_message, read
from console.audit.proof import WORDS, BadProof, Proof, _number, _sum_of, check, decode, encode
from console.audit.prove import prove
from console.audit.tree import leaf_hash, node_hash
from schemas import codec

# Where the lanes have committed that they are


def committed(world: Trail) -> dict[str, tuple[int, str]]:
    """As it stands in the lanes' commit metadata."""
    return dict(world._chains)


def test_a_tail_that_no_checkpoint_covers_is_missed_by_what_its_lane_has_committed():
    world = trail()
    now = committed(world)
    assert world.verified(committed=now).problems == []
    world.write(WORKER, deed("job.conflict", "newer than the look at what is committed"))
    assert world.verified(committed=now).problems == []

    del records(world, WORKER)[9:]

    [problem] = world.verified(committed=now).problems
    assert (problem.kind, problem.lane, problem.sequence) == ("cut off", WORKER, 10)


def test_a_tail_that_was_written_anew_is_missed_by_the_hash_that_its_lane_has_committed():
    world = trail()
    now = committed(world)
    mine = {**entry(world, WORKER, 9), "action": "job.failed"}
    replaced(world, WORKER, 9, forged(value_of(world, WORKER, 9), entries=[mine]))
    assert world.verified().problems == []

    [problem] = world.verified(committed=now).problems
    assert (problem.kind, problem.lane, problem.sequence) == ("changed", WORKER, 10)


def test_a_lane_that_is_gone_before_any_checkpoint_knew_it_is_missed_by_what_it_has_committed():
    world = trail()

    [problem] = world.verified(committed=committed(world) | {STRANGER: (3, "ab" * 32)}).problems

    assert (problem.kind, problem.lane) == ("removed", STRANGER)


def test_a_lane_that_rests_since_before_retention_is_where_it_has_committed():
    world = trail()
    world.checkpoint()
    world.now += timedelta(days=31)
    world.write(ROUTER, deed("job.rejected", "new", world.now))
    world.checkpoint()
    for partition in (0, 1):
        world.expire(partition, 20)

    assert world.verified(committed=committed(world)).problems == []


# An older checkpoint that somebody kept


def test_everything_goes_on_from_an_older_checkpoint():
    world = trail()
    older = world.signed[0][1]
    world.jobs(3, 20)
    world.checkpoint()

    report = world.verified(older=older)

    assert (report.problems, report.older and report.older.number) == ([], 1)


def test_what_was_cut_off_since_an_older_checkpoint_is_named():
    """Everything stands as it did an hour ago, checkpoints and all: by itself it holds."""
    world = trail()
    older = world.signed[-1][1]
    world.signed.pop()
    for partition in (0, 1):
        del world.partitions[partition][4:]
    assert world.verified().problems == []

    report = world.verified(older=older)

    assert [(one.kind, one.lane, one.sequence) for one in report.problems] == [
        ("cut off", "", 0), ("cut off", ROUTER, 5), ("cut off", WORKER, 5),
    ]  # fmt: skip


def test_another_history_than_an_older_checkpoints_is_named_where_it_parts():
    """Whoever has the key wrote everything again from the third job on."""
    mine, theirs = trail(), Trail()
    theirs.jobs(2)
    theirs.jobs(2, 200)
    theirs.checkpoint()
    theirs.jobs(4, 4)
    theirs.checkpoint()

    report = theirs.verified(older=mine.signed[0][1])

    assert report.problems[0].kind == "forged checkpoint"
    assert "two histories were signed" in report.problems[0].message
    assert {("changed", ROUTER, 1), ("changed", WORKER, 1)} <= {
        (one.kind, one.lane, one.sequence) for one in report.problems
    }


def test_a_kept_digest_tells_two_histories_of_the_same_numbers_apart():
    mine, theirs = trail(), Trail()
    theirs.jobs(4, 200)
    theirs.checkpoint()
    kept = 1, digest_of(mine.signed[0][1] or b"")

    assert mine.verified(kept=kept).problems == []
    assert "which you have kept, is not here" in theirs.verified(kept=kept).problems[0].message


def test_an_older_checkpoint_of_another_key_is_none():
    other = Trail()
    other.signer = OTHER_KEY
    other.jobs(1)

    with pytest.raises(Forged, match="it names the key"):
        trail().verified(older=other.checkpoint())


# Proofs


def proof() -> Proof:
    world = Trail()
    world.jobs(8)
    world.checkpoint()
    [one] = asyncio.run(prove(world, RING, "acme", "j5")).proofs
    return one


def test_a_node_of_the_tree_is_no_leaf():
    """The second preimage that RFC 9162's prefixes are for: a node's two hashes, given out as an entry."""
    one = proof()
    pair = [leaf_hash(one.entry), one.path[0]]
    if one.index & 1:
        pair.reverse()
    assert node_hash(*pair) != leaf_hash(b"".join(pair))

    higher = Proof(one.lane, one.at_ms, one.size // 2, one.index // 2, one.signature, one.path[1:], b"".join(pair))
    with pytest.raises(BadProof):
        check(higher, RING, KEY.id)


def test_a_proof_is_of_one_job_and_lane_and_its_bytes_end_where_it_ends():
    one = proof()
    assert check(one, RING, KEY.id)["job_id"] == "j5"
    data = encode([one])

    for spoilt in (data[:-1], data[:-40], data + b"\0", data + data, data[:6]):
        with pytest.raises(BadProof):
            decode(spoilt)


def test_a_proof_that_another_deflate_has_packed_is_as_good():
    """Machines have different ones (zlib-ng, for one), and their bytes for one entry differ."""
    one = proof()
    best = encode([one])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=WORDS)
    packed = packer.compress(one.entry) + packer.flush()
    other = zlib.compressobj(1, zlib.DEFLATED, -15, 1)
    repacked = other.compress(one.entry) + other.flush()
    assert packed != repacked
    data = best[:-4].replace(_number(len(packed)) + packed, _number(len(repacked)) + repacked)

    assert decode(data + _sum_of(data)) == [one]


@pytest.mark.parametrize(
    "odd",
    [
        {"number": -1},
        {"number": 2**64 - 1},
        {"offsets": {"x": 1}},
        {"offsets": {"0": -4}},
        {"previous": ""},
        {"every_s": 1e300},
        {"at": "0001-01-01T00:00:00Z"},
    ],
)
def test_odd_numbers_break_nothing_even_signed(odd: dict[str, Any]):
    """Whoever has the key can sign anything."""
    world = trail()
    offset, value = world.signed[-1]
    told = codec.decode(value or b"") | odd
    del told["signature"]
    told["signature"] = KEY.sign(CHECKPOINT + codec.canonical(told))
    world.signed[-1] = offset, codec.canonical(told)

    assert world.verified().problems[0].kind == "forged checkpoint"


@pytest.mark.parametrize(
    "of_head",
    [
        {"signature": KEY.sign(b"x")},
        {"root": "ab" * 32},
        {"peaks": ""},
        {"run": 2**40},
        {"sequence": -1},
        {"hash": "x"},
    ],
)
def test_a_checkpoint_that_is_signed_holds_only_heads_that_hold_by_themselves(of_head: dict[str, Any]):
    world = trail()
    offset, value = world.signed[-1]
    told = codec.decode(value or b"")
    told["heads"][0] |= of_head
    del told["signature"]
    told["signature"] = KEY.sign(CHECKPOINT + codec.canonical(told))
    world.signed[-1] = offset, codec.canonical(told)

    assert world.verified().problems[0].kind == "forged checkpoint"


def test_a_heads_signature_is_no_checkpoints():
    """Each kind of message begins with its own name: what was signed as one cannot be shown as another."""
    world = trail()
    told = codec.decode(world.signed[-1][1] or b"")
    unsigned = {name: field for name, field in told.items() if name != "signature"}
    as_head = head_message("x", 1, "y", 2)
    assert not as_head.startswith(CHECKPOINT)
    told["signature"] = KEY.sign(codec.canonical(unsigned))

    with pytest.raises(Forged, match="its signature does not hold"):
        read(codec.canonical(told), RING)
