"""An export is somebody's: whatever stands in its folder is looked at without hanging, breaking or believing it."""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_world import (
    KEY,
    NOON,
    OTHER_KEY,
    ROUTER,
    WORKER,
    Trail,
    edited,
    exported_beside_its_key,
    novix_audit,
    of_folder,
    ten_jobs,
)

from console.audit.folder import CHECKPOINT_FILE, MANIFEST, MANIFEST_MESSAGE, audit_file, line_of
from console.audit.folder import KEY as KEY_FILE
from schemas import codec


@pytest.fixture
def world() -> Trail:
    return ten_jobs()


@pytest.fixture
def folder(world: Trail, tmp_path: Path) -> Path:
    return exported_beside_its_key(world, tmp_path / "export")


def verified(folder: Path, *more: str) -> tuple[int, str]:
    return novix_audit("verify", "--folder", str(folder), "--public-key", str(folder.parent / "trusted.pem"), *more)


def refit(folder: Path, **changes: Any) -> None:
    """Make the manifest fit what the folder holds now, as whoever has no key can: unsigned."""
    told = json.loads((folder / MANIFEST).read_bytes())
    for file in told["files"]:
        data = (folder / file["name"]).read_bytes()
        file |= {"records": data.count(b"\n"), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    told |= {"key": None, **changes}
    unsigned = {name: value for name, value in told.items() if name not in ("digest", "signature")}
    digest = hashlib.sha256(MANIFEST_MESSAGE + codec.canonical(unsigned)).hexdigest()
    (folder / MANIFEST).write_bytes(codec.canonical({**unsigned, "digest": digest, "signature": None}) + b"\n")


@pytest.mark.parametrize(
    "odd",
    [
        {"files": None}, {"files": 7}, {"files": [{"name": []}]}, {"files": ["x"]}, {"files": [{"name": "../x"}]},
        {"partitions": {"-1": {"first": -3}}}, {"partitions": {"x": {}}}, {"partitions": {"0": {"first": "4"}}},
        {"partitions": {"0": 4}},
    ],
)  # fmt: skip
def test_an_odd_manifest_is_told_and_breaks_nothing(folder: Path, odd: dict[str, Any]):
    refit(folder, **odd)

    code, said = verified(folder)

    assert code == 1
    assert "CHANGED: manifest.json" in said


@pytest.mark.parametrize("name", [MANIFEST, KEY_FILE, CHECKPOINT_FILE, audit_file(0)])
@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "device"])
def test_what_is_no_plain_file_is_told_and_never_waited_for(folder: Path, name: str, kind: str):
    path = folder / name
    kept = path.rename(folder.parent / "kept")
    {
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(kept),
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
    }[kind]()

    code, said = verified(folder)

    assert code == 1
    assert name in said


@pytest.mark.parametrize("arguments", [("verify",), ("prove", "j1")])
def test_an_exports_own_key_that_is_a_pipe_is_not_waited_for(folder: Path, arguments: tuple[str, ...]):
    (folder / KEY_FILE).unlink()
    os.mkfifo(folder / KEY_FILE)

    code, said = novix_audit(*arguments, "--folder", str(folder))

    assert (code, "name a key with --public-key" in said) == (2, True)


def test_a_line_without_end_is_told_in_bounded_memory(folder: Path):
    with (folder / audit_file(0)).open("ab") as file:
        for _ in range(20):
            file.write(b"x" * 1_048_576)

    assert any("it is cut off" in one.message for one in of_folder(folder).problems)


def test_a_million_lines_of_nonsense_are_not_a_million_problems(folder: Path):
    with (folder / audit_file(0)).open("ab") as file:
        file.write(b"x\n" * 20_000)

    report = of_folder(folder)

    assert 1_000 <= len(report.problems) < 2_000
    assert report.problems[0].kind == "changed"


def test_other_files_in_the_folder_are_not_looked_at_and_that_is_said(folder: Path):
    (folder / "notes.txt").write_text("mine")

    code, said = verified(folder)

    assert code == 0
    assert "note: notes.txt is no part of the export" in said


def lane_file(folder: Path, lane: str) -> Path:
    return folder / audit_file(Trail()._home(lane))


def swapped_between_lanes(folder: Path) -> None:
    """Each line into the other's file, under the other's offset."""
    with edited(lane_file(folder, ROUTER)) as ours, edited(lane_file(folder, WORKER)) as theirs:
        one, two = json.loads(ours[2]), json.loads(theirs[2])
        ours[2] = line_of(one["offset"], codec.encode(two["record"]))
        theirs[2] = line_of(two["offset"], codec.encode(one["record"]))


def whole_lanes_swapped(folder: Path) -> None:
    ours, theirs = lane_file(folder, ROUTER), lane_file(folder, WORKER)
    mine, other = ours.read_bytes(), theirs.read_bytes()
    ours.write_bytes(other)
    theirs.write_bytes(mine)


def another_offset(folder: Path) -> None:
    with edited(lane_file(folder, WORKER)) as lines:
        lines[2] = lines[2].replace(b'"offset":4', b'"offset":5')


def the_last_newer_than_every_checkpoint(folder: Path) -> None:
    with edited(lane_file(folder, WORKER)) as lines:
        lines.pop()


@pytest.mark.parametrize(
    "tamper", [swapped_between_lanes, whole_lanes_swapped, another_offset, the_last_newer_than_every_checkpoint]
)
def test_what_the_chains_cannot_tell_the_signed_manifest_does(folder: Path, tamper: Callable[[Path], None]):
    """What stands where is no part of a batch. Without the manifest's signature all of these would hold."""
    tamper(folder)

    code, said = verified(folder)

    assert code == 1
    assert "is not the one that was exported" in said


def test_a_beginning_that_was_cut_off_is_not_passed_for_a_part_that_was_wished(folder: Path):
    """Whoever has no key can say in the manifest that the export begins late; signed it is not."""
    signed = [json.loads(line)["record"] for line in (folder / CHECKPOINT_FILE).read_bytes().splitlines()]
    for partition in (0, 1):
        with edited(folder / audit_file(partition)) as lines:
            lines[:] = [line for line in lines if json.loads(line)["offset"] >= signed[0]["offsets"][str(partition)]]
    begins = {str(one): {"first": signed[0]["offsets"][str(one)], "end": 20} for one in (0, 1)}
    refit(folder, since=signed[0]["at"], partitions=begins)

    code, said = verified(folder)
    wished, told = verified(folder, "--part")

    assert code == 1
    assert said.startswith("FIRST PROBLEM: REMOVED: it begins late, and nobody signed that this was wished")
    assert wished == 0, told
    assert "OK from checkpoint 1 on" in told


def test_a_part_whose_manifest_is_signed_needs_no_word_more(world: Trail, tmp_path: Path):
    world.exported(tmp_path / "part", since=NOON + timedelta(seconds=4))
    (tmp_path / "trusted.pem").write_bytes(KEY.public_pem)

    code, said = verified(tmp_path / "part")

    assert code == 0, said
    assert "OK from checkpoint 1 on" in said


def test_an_early_beginning_is_no_excuse_for_what_is_missing(folder: Path):
    """A manifest that names offsets beyond everything, so that chains would begin where they begin."""
    for partition in (0, 1):
        with edited(folder / audit_file(partition)) as lines:
            del lines[:3]
    refit(folder, partitions={str(one): {"first": 10**9, "end": 10**9} for one in (0, 1)})

    code, said = verified(folder)

    assert code == 1
    assert said.startswith("FIRST PROBLEM: REMOVED: records were deleted 0.0 days before the newest checkpoint")


def test_an_export_of_nothing_proves_nothing(tmp_path: Path):
    Trail().exported(tmp_path / "export")
    (tmp_path / "trusted.pem").write_bytes(KEY.public_pem)

    code, said = verified(tmp_path / "export")

    assert code == 1
    assert "there is no checkpoint that your key has signed" in said


@pytest.mark.parametrize("what", ["", CHECKPOINT_FILE, "one"])
def test_an_export_goes_on_from_an_older_one_and_an_older_state_does_not(world: Trail, tmp_path: Path, what: str):
    world.exported(tmp_path / "old")
    world.jobs(3, 10)
    newest = world.checkpoint()
    world.exported(tmp_path / "new")
    (tmp_path / "trusted.pem").write_bytes(KEY.public_pem)
    (tmp_path / "new" / "one").write_bytes(newest)

    code, said = verified(tmp_path / "new", "--since", str(tmp_path / "old"))
    back, told = verified(tmp_path / "old", "--since", str(tmp_path / "new" / what))

    assert code == 0, said
    assert "everything goes on from your checkpoint 3: nothing since was taken back" in said
    assert back == 1
    assert told.startswith("FIRST PROBLEM: CUT OFF: your checkpoint 4 of 2026-11-22 12:00:13 UTC is not here")
    assert f"CUT OFF lane {ROUTER} sequence 11" in told


@pytest.mark.parametrize("data", [b"", b"nonsense", b'{"offset":0,"base64":null}\n'])
def test_an_older_checkpoint_that_is_none_is_told_in_one_line(folder: Path, data: bytes):
    (folder.parent / "older").write_bytes(data)

    code, said = verified(folder, "--since", str(folder.parent / "older"))

    assert (code, len(said.splitlines())) == (2, 1)
    assert verified(folder, "--since", "/nowhere")[0] == 2
    assert verified(folder, "--topics")[0] == 2


def test_a_manifest_that_another_key_has_signed_under_our_name_is_told(folder: Path):
    told = json.loads((folder / MANIFEST).read_bytes())
    unsigned = {name: value for name, value in told.items() if name not in ("digest", "signature")}
    message = MANIFEST_MESSAGE + codec.canonical(unsigned)
    told |= {"digest": hashlib.sha256(message).hexdigest(), "signature": OTHER_KEY.sign(message)}
    (folder / MANIFEST).write_bytes(codec.canonical(told) + b"\n")

    code, said = verified(folder)

    assert code == 1
    assert "CHANGED: manifest.json: its signature does not hold" in said
