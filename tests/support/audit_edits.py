"""What somebody may do to an export by hand. Each edit returns what must be named: kind, lane and sequence."""

import json
from collections.abc import Callable
from pathlib import Path

from audit_world import edited, rehashed

from console.audit.folder import CHECKPOINT_FILE, line_of
from schemas import codec

Named = tuple[str, str, int]


def _largest(folder: Path) -> tuple[Path, str]:
    """The file with most records of one lane, and that lane."""
    counted = {
        (path, lane): list(map(_lane, path.read_bytes().splitlines())).count(lane)
        for path in folder.glob("audit-*.jsonl")
        for lane in set(map(_lane, path.read_bytes().splitlines()))
    }
    return max(sorted(counted), key=lambda one: counted[one])


def _lane(line: bytes) -> str:
    lane: str = json.loads(line)["record"]["lane"]
    return lane


def _of(path: Path, lane: str) -> list[int]:
    """Which lines are the lane's."""
    return [at for at, line in enumerate(path.read_bytes().splitlines()) if _lane(line) == lane]


def one_byte(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        at = _of(path, lane)[1]
        lines[at] = lines[at].replace(b'"submission":1', b'"submission":7', 1)
    return "changed", lane, 2


def a_space(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        at = _of(path, lane)[1]
        lines[at] = lines[at].replace(b'"entries":', b'"entries": ', 1)
    return "changed", lane, 2


def last_line(folder: Path) -> Named:
    path, lane = _largest(folder)
    mine = _of(path, lane)
    with edited(path) as lines:
        del lines[mine[-1]]
    return "cut off", lane, len(mine)


def first_line(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        del lines[_of(path, lane)[0]]
    return "removed", lane, 2


def swapped(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        one, two = _of(path, lane)[1:3]
        lines[one], lines[two] = lines[two], lines[one]
    return "reordered", lane, 3


def doubled(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        at = _of(path, lane)[1]
        lines.insert(at, lines[at])
    return "inserted", lane, 2


def emptied(folder: Path) -> Named:
    path, lane = _largest(folder)
    with edited(path) as lines:
        lines[:] = [line for line in lines if _lane(line) != lane]
    return "removed", lane, 1


def hashed_again(folder: Path) -> Named:
    """One entry changed, and the lane's whole chain made to fit: only a signed checkpoint knows."""
    path, lane = _largest(folder)
    records: list[tuple[int, bytes | None]] = []
    for told in map(json.loads, path.read_bytes().splitlines()):
        if told["record"]["lane"] == lane and told["record"]["sequence"] == 1:
            told["record"]["entries"][0]["tenant"] = "other"
        records.append((told["offset"], codec.encode(told["record"])))
    path.write_bytes(b"".join(line_of(*one) for one in rehashed(records, lane)))
    return "changed", lane, 1


def a_checkpoint(folder: Path) -> Named:
    path = folder / CHECKPOINT_FILE
    with edited(path) as lines:
        lines[0] = lines[0].replace(b'"every_s":', b'"every_s":1', 1)
    return "forged checkpoint", "", 0


EDITS: dict[str, Callable[[Path], Named]] = {
    edit.__name__: edit
    for edit in (
        one_byte, a_space, last_line, first_line, swapped, doubled, emptied, hashed_again, a_checkpoint,
    )
}  # fmt: skip
