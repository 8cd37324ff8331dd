"""An exported folder is verified offline, with the public key alone; whatever somebody does to it by hand is named."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from audit_world import (
    KEY,
    NOON,
    OTHER_KEY,
    RING,
    ROUTER,
    WORKER,
    Trail,
    edited,
    exported_beside_its_key,
    novix_audit,
    of_folder,
    rehashed,
    ten_jobs,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.audit.folder import KEY as KEY_FILE
from console.audit.folder import MANIFEST, audit_file, line_of
from console.audit.keys import Ring
from console.audit.proof import BadProof, check, decode
from schemas import codec


@pytest.fixture
def world() -> Trail:
    return ten_jobs()


@pytest.fixture
def folder(world: Trail, tmp_path: Path) -> Path:
    return exported_beside_its_key(world, tmp_path / "export")


def lane_file(folder: Path, lane: str) -> Path:
    """Where a lane's batches stand."""
    return folder / audit_file(Trail()._home(lane))


def test_an_export_holds_every_record_as_it_was_and_verifies_with_the_public_key_alone(world: Trail, folder: Path):
    code, said = novix_audit("verify", "--folder", str(folder), "--public-key", str(folder.parent / "trusted.pem"))

    assert code == 0, said
    assert "OK: nothing was changed, removed, reordered or cut off" in said
    assert "18 entries are proved by a signed checkpoint, 2 newer" in said
    for partition, records in world.partitions.items():
        lines = (folder / audit_file(partition)).read_bytes().splitlines(keepends=True)
        assert lines == [line_of(offset, value) for offset, value in records]
        assert [codec.encode(json.loads(line)["record"]) for line in lines] == [value for _, value in records]


def test_the_exports_own_key_is_used_where_none_is_named_and_that_is_said(folder: Path):
    code, said = novix_audit("verify", "--folder", str(folder))

    assert code == 0
    assert "is the export's own" in said


def test_json_names_the_first_problem_in_parts(folder: Path):
    with edited(lane_file(folder, WORKER)) as lines:
        del lines[4]

    code, said = novix_audit("verify", "--folder", str(folder), "--json")

    first = json.loads(said)["first_problem"]
    assert code == 1
    assert (first["kind"], first["lane"], first["sequence"]) == ("removed", WORKER, 6)


# What somebody does by hand: each with the kind, lane and sequence that must be named first


def one_byte(folder: Path) -> None:
    path = lane_file(folder, WORKER)
    path.write_bytes(path.read_bytes().replace(b'"cost_nanousd":4', b'"cost_nanousd":1'))


def space(folder: Path) -> None:
    path = lane_file(folder, WORKER)
    path.write_bytes(path.read_bytes().replace(b'"cost_nanousd":4', b'"cost_nanousd": 4'))


def last_line(folder: Path) -> None:
    for _ in range(2):  # the very last one is newer than the newest checkpoint
        with edited(lane_file(folder, WORKER)) as lines:
            lines.pop()


def first_line(folder: Path) -> None:
    with edited(lane_file(folder, ROUTER)) as lines:
        del lines[0]


def swapped(folder: Path) -> None:
    with edited(lane_file(folder, ROUTER)) as lines:
        lines[2], lines[3] = lines[3], lines[2]


def doubled(folder: Path) -> None:
    with edited(lane_file(folder, ROUTER)) as lines:
        lines.insert(2, lines[1])


def half_a_line(folder: Path) -> None:
    path = lane_file(folder, ROUTER)
    path.write_bytes(path.read_bytes()[:-30])


def whole_file(folder: Path) -> None:
    lane_file(folder, WORKER).unlink()


def emptied(folder: Path) -> None:
    lane_file(folder, WORKER).write_bytes(b"")


def hashed_again(folder: Path) -> None:
    path = lane_file(folder, WORKER)
    records = [
        (told["offset"], codec.encode(told["record"])) for told in map(json.loads, path.read_bytes().splitlines())
    ]
    offset, value = records[4]
    records[4] = offset, value.replace(b'"cost_nanousd":4', b'"cost_nanousd":0')
    path.write_bytes(b"".join(line_of(*one) for one in rehashed(records, WORKER)))


@pytest.mark.parametrize("honest_manifest", [False, True], ids=["manifest as it was", "manifest made to fit"])
@pytest.mark.parametrize(
    ("tamper", "kind", "lane", "sequence"),
    [
        (one_byte, "changed", WORKER, 5), (space, "changed", WORKER, 5), (last_line, "cut off", WORKER, 9),
        (first_line, "removed", ROUTER, 2), (swapped, "reordered", ROUTER, 4), (doubled, "inserted", ROUTER, 2),
        (whole_file, "removed", WORKER, 1), (emptied, "removed", WORKER, 1), (hashed_again, "changed", WORKER, 4),
        (half_a_line, "changed", "", 0),
    ],
)  # fmt: skip
def test_what_somebody_does_to_an_export_is_named_with_its_place(
    folder: Path, tamper: Callable[[Path], None], kind: str, lane: str, sequence: int, honest_manifest: bool
):
    tamper(folder)
    if honest_manifest:
        (folder / MANIFEST).unlink()

    report = of_folder(folder)

    told = [(one.kind, one.lane, one.sequence) for one in report.problems]
    assert (kind, lane, sequence) in told


def test_another_key_is_told_at_the_first_checkpoint(folder: Path):
    report = of_folder(folder, Ring.of(OTHER_KEY))

    assert report.problems[0].kind == "forged checkpoint"
    assert f"it names the key {KEY.id}; yours is {OTHER_KEY.id}" in report.problems[0].message


def test_a_key_that_was_put_into_the_export_with_checkpoints_of_its_own_is_found_with_the_one_that_came_another_way(
    world: Trail, tmp_path: Path
):
    world.signer = OTHER_KEY
    world.signed.clear()
    world.heads = type(world.heads)()
    world.checkpoint()
    world.exported(tmp_path / "x", OTHER_KEY)
    (tmp_path / "x" / KEY_FILE).write_bytes(OTHER_KEY.public_pem)
    (tmp_path / "trusted.pem").write_bytes(KEY.public_pem)

    code, said = novix_audit("verify", "--folder", str(tmp_path / "x"), "--public-key", str(tmp_path / "trusted.pem"))

    assert code == 1
    assert said.startswith("FIRST PROBLEM: FORGED CHECKPOINT at inference.checkpoints.v1/0/0")


def test_an_old_export_in_the_place_of_a_new_one_is_found_by_a_checkpoint_that_was_kept(world: Trail, tmp_path: Path):
    world.exported(tmp_path / "old")
    world.jobs(3, 10)
    world.checkpoint()
    world.exported(tmp_path / "new")
    newest = of_folder(tmp_path / "new")
    kept = f"{world.heads.number}:{newest.newest_digest}"

    assert novix_audit("verify", "--folder", str(tmp_path / "new"), "--kept", kept)[0] == 0
    code, said = novix_audit("verify", "--folder", str(tmp_path / "old"), "--kept", kept)

    assert code == 1
    assert "is not here: this is another history, or an older state of it" in said


@pytest.mark.parametrize(
    "change",
    [{"made_at": "2026-11-22T13:00:00Z"}, {"files": []}, {"since": "2026-11-22T12:00:00Z"}, {"digest": "0" * 64}],
)
def test_a_changed_manifest_is_named(folder: Path, change: dict[str, object]):
    told = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_bytes(codec.canonical(told | change) + b"\n")

    assert any(MANIFEST in one.message for one in of_folder(folder).problems)


def test_a_file_that_no_manifest_names_is_inserted(folder: Path):
    shutil.copy(lane_file(folder, ROUTER), folder / audit_file(7))

    assert any("is not in manifest.json" in one.message for one in of_folder(folder).problems)


def test_an_export_without_the_private_key_has_an_unsigned_manifest_and_says_so(world: Trail, tmp_path: Path):
    world.exported(tmp_path / "x", None)

    report = of_folder(tmp_path / "x")

    assert report.problems == []
    assert any("is not signed" in note for note in report.notes)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_byte_of_any_file_that_is_changed_put_in_or_taken_out_is_named(folder: Path, data: st.DataObject):
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.binary(min_size=1, max_size=1).filter(lambda one: one[0] != before[at]))
    edited_bytes = data.draw(
        st.sampled_from(
            [before[:at] + byte + before[at + 1 :], before[:at] + byte + before[at:], before[:at] + before[at + 1 :]]
        )
    )
    try:
        path.write_bytes(edited_bytes)
        assert of_folder(folder).problems != []
    finally:
        path.write_bytes(before)


def test_a_part_of_the_time_is_exported_from_checkpoint_to_checkpoint_and_proves_itself(world: Trail, tmp_path: Path):
    done = world.exported(
        tmp_path / "part", since=NOON + timedelta(seconds=4), until=NOON + timedelta(seconds=7)
    )  # checkpoints are at 3, 6 and 9 seconds

    report = of_folder(tmp_path / "part", by_wish=True)

    assert (done.since and done.since.number, done.until and done.until.number) == (1, 3)
    assert (report.problems, report.proved, report.uncovered) == ([], 12, 0)


@pytest.mark.parametrize("index", [0, 2, -1])
def test_a_part_of_the_time_is_as_safe_as_the_whole(world: Trail, tmp_path: Path, index: int):
    world.exported(tmp_path / "part", since=NOON + timedelta(seconds=4))
    with edited(lane_file(tmp_path / "part", WORKER)) as lines:
        lines.pop()
        del lines[index]

    assert of_folder(tmp_path / "part", by_wish=True).problems[0].kind in ("removed", "cut off")


def test_an_export_never_mixes_with_what_is_in_a_folder(world: Trail, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("x")

    with pytest.raises(FileExistsError):
        world.exported(tmp_path)


def test_hostile_names_in_a_tampered_export_move_no_cursor(folder: Path):
    with edited(lane_file(folder, ROUTER)) as lines:
        lines[1] = lines[1].replace(b'"lane":"novix-router', b'"lane":"\\u001b]0;owned\\u0007')
        lines[2] = b'{"offset":4,"record":{"lane":"\x1b[2Jx","sequence":3,}}\n'

    _, said = novix_audit("verify", "--folder", str(folder))

    assert "\x1b" not in said
    assert "\x07" not in said


# Proofs


def test_a_proof_is_made_from_a_folder_and_checked_with_the_proof_and_the_key_alone(folder: Path, tmp_path: Path):
    proof, key = tmp_path / "j4.proof", tmp_path / "trusted.pem"

    assert novix_audit("prove", "j4", "--folder", str(folder), "--out", str(proof))[0] == 0
    shutil.rmtree(folder)
    code, said = novix_audit("verify", "--proof", str(proof), "--public-key", str(key))

    assert code == 0, said
    assert "job.succeeded of acme/j4" in said
    assert said.endswith("OK: proved\n")


def _checked(data: bytes) -> None:
    for one in decode(data):
        check(one, RING, KEY.id)


def test_a_changed_proof_proves_nothing(folder: Path, tmp_path: Path):
    proof, key = tmp_path / "j4.proof", tmp_path / "trusted.pem"
    novix_audit("prove", "j4", "--folder", str(folder), "--out", str(proof), "--all")
    data = proof.read_bytes()
    for at in range(len(data)):
        with pytest.raises(BadProof):
            _checked(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    proof.write_bytes(data[:-9] + bytes(9))

    code, said = novix_audit("verify", "--proof", str(proof), "--public-key", str(key))

    assert (code, "proves nothing" in said) == (1, True)


@pytest.mark.parametrize(("job", "code"), [("j4", 1), ("j9", 3), ("nobody", 3)])
def test_nothing_is_proved_from_a_tampered_folder_or_of_what_no_checkpoint_covers(folder: Path, job: str, code: int):
    hashed_again(folder)

    assert novix_audit("prove", job, "--folder", str(folder))[0] == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "--folder", "/nowhere"], "is no folder"),
        (["verify", "--folder", ".", "--public-key", "/nowhere.pem"], "cannot be read"),
        (["verify", "--folder", ".", "--public-key", "README.md"], "is no public key"),
        (["verify", "--folder", ".", "--kept", "7"], "--kept is NUMBER:SHA256"),
        (["export"], "name either a folder or --hec URL"),
        (["verify", "--proof", "README.md", "--public-key", "README.md"], "is no public key"),
    ],
)
def test_wrong_use_is_told_in_one_line(arguments: list[str], said: str):
    code, told = novix_audit(*arguments)

    assert code == 2
    assert said in told
    assert len(told.splitlines()) == 1
