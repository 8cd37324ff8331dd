"""A proof is small, is read back as it was written, and hostile bytes are refused in words."""

import asyncio
import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from audit_world import KEY, NOON, OTHER_KEY, RING, ROUTER, WORKER, Trail, deed
from hypothesis import given, settings
from hypothesis import strategies as st

from console.audit.checkpoints import head_message
from console.audit.keys import KeyProblem, Ring, read_public, read_signer, signer_of
from console.audit.proof import BadProof, Proof, check, decode, encode
from console.audit.prove import CannotProve, prove
from console.audit.tree import ProvingTree, leaf_hash
from schemas import codec

MILLION = 1_000_000


def entry_of_a_worker() -> bytes:
    """As `workers/ending.py` tells a job's end, with ids that do not compress."""
    said = hashlib.sha256
    return codec.canonical({
        "at": "2026-11-22T12:34:56.789012Z", "action": "job.succeeded", "tenant": "acme-research",
        "job_id": "0b1f6f0e-58a3-4d0c-9f6a-7c7a4f1d2e3b", "submission": 1, "trace_id": said(b"t").hexdigest()[:32],
        "span_id": said(b"s").hexdigest()[:16], "authority": f"decision:{said(b'd').hexdigest()[:32]}",
        "detail": {
            "cost_nanousd": 1_070_321, "cost_source": "usage", "attempts": 1, "assigned_bytes": 2_071,
            "result_bytes": 1_402, "result_sha256": said(b"r").hexdigest(), "hf_api_version": "2.4",
            "model": "meta-llama/Llama-3.1-8B-Instruct", "provider": "hf-inference",
        },
    })  # fmt: skip


def signed(tree: ProvingTree, index: int, entry: bytes, at_ms: int = 1_795_348_800_123) -> Proof:
    import base64

    message = head_message(WORKER, tree.size, tree.root().hex(), at_ms)
    return Proof(WORKER, at_ms, tree.size, index, base64.b64decode(KEY.sign(message)), tree.path(index), entry)


def test_the_proof_of_one_entry_in_a_million_is_under_a_kilobyte():
    """In one lane: all hashes of the path are there. Eight lanes would save three of them."""
    entry, leaf, index = entry_of_a_worker(), leaf_hash(b"another"), 777_777
    tree = ProvingTree()
    for number in range(MILLION):
        if number == index:
            tree.append(leaf_hash(entry), wanted=True)
        else:
            tree.append(leaf)
    data = encode([signed(tree, index, entry)])

    assert tree.size == MILLION
    assert len(tree.path(index)) == 20
    assert len(data) < 1_000
    [read] = decode(data)
    assert check(read, RING, KEY.id)["job_id"] == "0b1f6f0e-58a3-4d0c-9f6a-7c7a4f1d2e3b"


def small() -> bytes:
    tree = ProvingTree()
    for number in range(5):
        tree.append(leaf_hash(b'{"n":%d}' % number), wanted=number == 3)
    return encode([signed(tree, 3, b'{"n":3}')])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"entry": b'{"n":4}'}, "its signature does not hold"), ({"index": 2}, "its signature does not hold"),
        ({"lane": ROUTER}, "its signature does not hold"), ({"at_ms": 1}, "its signature does not hold"),
        ({"size": 4}, "proves|size|signature"), ({"path": []}, "its path fits no tree"),
    ],
)  # fmt: skip
def test_every_part_of_a_proof_is_signed(change: dict[str, object], said: str):
    [proof] = decode(small())
    from dataclasses import replace

    with pytest.raises(BadProof, match=said):
        check(replace(proof, **change), RING, KEY.id)  # type: ignore[arg-type]


def test_a_proof_under_another_key_proves_nothing():
    [proof] = decode(small())

    with pytest.raises(BadProof, match="its signature does not hold"):
        check(proof, Ring.of(OTHER_KEY), OTHER_KEY.id)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(noise: bytes):
    for data in (noise, b"NVXP\x01" + noise, small()[:40] + noise):
        with pytest.raises(BadProof):
            decode(data)


def test_a_small_proof_that_unpacks_to_a_large_entry_is_refused():
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b" " * 50_000_000) + packer.flush()
    tree = ProvingTree()
    tree.append(leaf_hash(b"{}"), wanted=True)
    data = encode([signed(tree, 0, b"{}")])
    plain = data[: data.rindex(b"\x00", 0, len(data)) if b"\x00" in data[-12:] else -5]
    number = bytes([len(bomb) & 0x7F | 0x80, len(bomb) >> 7 & 0x7F | 0x80, len(bomb) >> 14])

    with pytest.raises(BadProof):
        decode(plain + number + bomb)


# From the audit


def proved(world: Trail, job: str, **options: bool):
    return asyncio.run(prove(world, RING, None, job, **options))


def trail() -> Trail:
    world = Trail()
    for first in range(0, 30, 10):
        world.jobs(10, first)
        world.checkpoint()
    return world


@pytest.mark.parametrize("number", [0, 9, 10, 17, 29])
def test_a_jobs_end_is_proved_wherever_it_stands(number: int):
    found = proved(trail(), f"j{number}")

    [proof] = found.proofs
    assert (found.ended, found.uncovered, proof.size) == (True, 0, 30)
    assert check(proof, RING, KEY.id)["job_id"] == f"j{number}"


def test_all_that_is_told_of_a_job_is_proved_where_one_asks():
    found = proved(trail(), "j3", all_entries=True)

    assert [codec.decode(one.entry)["action"] for one in found.proofs] == ["job.assigned", "job.succeeded"]


def test_a_proof_needs_no_records_from_before_the_last_checkpoint_in_front_of_it():
    world = trail()
    for partition in (0, 1):
        world.expire(partition, world.partitions[partition][12][0])

    [proof] = proved(world, "j25").proofs
    assert check(proof, RING, KEY.id)["job_id"] == "j25"


def test_what_no_checkpoint_covers_is_said_and_not_proved():
    world = trail()
    world.jobs(1, 99)

    found = proved(world, "j99")
    assert (found.proofs, found.uncovered, found.entries) == ([], 1, 2)


def test_an_open_job_is_proved_by_what_there_is():
    world = Trail()
    world.write(ROUTER, deed("job.assigned", "open", NOON + timedelta(seconds=1)))
    world.checkpoint()

    found = proved(world, "open")
    assert (found.ended, len(found.proofs)) == (False, 1)


def test_nothing_is_proved_from_records_that_were_changed():
    world = trail()
    home = world._home(WORKER)
    del world.partitions[home][15]

    with pytest.raises(CannotProve, match="novix audit verify names what is wrong"):
        proved(world, "j12")


# Keys


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    path = tmp_path / "audit" / "key.pem"
    made = signer_of(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert signer_of(path).id == made.id
    assert [one.name for one in path.parent.iterdir()] == ["key.pem"]
    assert read_signer(tmp_path / "none.pem") is None


def test_a_key_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "key.pem"
    signer_of(path)
    os.chmod(path, 0o644)

    with pytest.raises(KeyProblem, match="has the mode 644"):
        signer_of(path)


@pytest.mark.parametrize("data", [b"", b"nonsense", KEY.public_pem])
def test_a_file_that_is_no_private_key_is_named_and_never_shown(tmp_path: Path, data: bytes):
    path = tmp_path / "key.pem"
    path.write_bytes(data)
    path.chmod(0o600)

    with pytest.raises(KeyProblem, match="is no private key"):
        signer_of(path)


def test_a_file_that_is_no_public_key_is_named():
    with pytest.raises(KeyProblem, match="mine is no public key"):
        read_public(b"nonsense", "mine")
