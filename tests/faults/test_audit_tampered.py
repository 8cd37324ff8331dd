"""Checkpoints on a real broker go on through a kill and beside a twin; whatever is then done to an export is named."""

import json
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_edits import EDITS
from audit_world import of_folder
from proof import Proof
from stranger import Stranger, installation
from system import Process, chat
from verdict import Verdict

from console.audit.folder import KEY
from console.audit.keys import Ring, read_public
from console.audit.proof import check, decode
from schemas.topics import AUDIT, CHECKPOINTS

WITHIN_S = 60
OFTEN = {"NOVIX_AUDIT_CHECKPOINT_S": "0.2"}


def covered(novix: Stranger) -> bool:
    """Whether the newest checkpoint has every entry of every lane in its trees."""
    signed = [one.json for one in novix.read(CHECKPOINTS.name)]
    entries = sum(len(one.json["entries"]) for one in novix.read(AUDIT.name))
    return bool(signed) and sum(head["size"] for head in signed[-1]["heads"]) == entries


def wait(novix: Stranger) -> None:
    """Until everything is covered."""
    novix.quiet()
    end = time.monotonic() + WITHIN_S
    while not covered(novix):
        assert time.monotonic() < end, f"no checkpoint over everything within {WITHIN_S} s"
        time.sleep(0.2)


@pytest.fixture
def novix(broker, tmp_path: Path) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path) as stranger:
        yield stranger


@pytest.fixture
def signing(novix: Stranger) -> Iterator[Callable[[], Process]]:
    """Starts processes that sign checkpoints; their key is the installation's."""
    started: list[Process] = []

    def start() -> Process:
        process = novix.system.process(("-m", "console", "audit", "checkpoint"), f"audit{len(started)}")
        process.environment |= OFTEN
        started.append(process.start())
        return process

    yield start
    for process in started:
        process.stop()


def told(novix: Stranger, *arguments: str) -> Any:
    """What a command of the audit says in JSON; it succeeds."""
    return json.loads(novix.cli("audit", *arguments, "--json", **OFTEN).stdout)


@pytest.mark.row(50)
def test_an_export_of_what_was_signed_through_a_kill_and_beside_a_twin_holds_and_each_edit_of_it_is_named(
    novix: Stranger, signing: Callable[[], Process], tmp_path: Path, proof: Proof
):
    ids = [uuid.uuid4().hex for _ in range(12)]
    first = signing()
    for one in ids[:4]:
        novix.run(chat(one, tenant="acme"))
    wait(novix)
    first.kill()
    for one in ids[4:8]:
        novix.run(chat(one, tenant="acme"))
    signing()
    signing()
    for one in ids[8:]:
        novix.run(chat(one, tenant="acme"))
    wait(novix)

    report = told(novix, "verify")
    assert report["holds"], report
    assert (report["uncovered"], report["jobs"]) == (0, {"accepted": 12, "ended": 12, "open": 0, "overdue": 0})
    numbers = [one.json["number"] for one in novix.read(CHECKPOINTS.name)]
    assert numbers == list(range(1, len(numbers) + 1))

    file, folder = tmp_path / "job.proof", tmp_path / "export"
    made = told(novix, "prove", ids[0], "--tenant", "acme", "--out", str(file))
    assert made["bytes"] == file.stat().st_size < 1_000
    told(novix, "export", str(folder))
    ring = Ring([read_public((folder / KEY).read_bytes(), KEY)])
    [one] = decode(file.read_bytes())
    assert check(one, ring, ring.ids[0])["job_id"] == ids[0]
    offline = of_folder(folder, ring)
    assert (offline.problems, offline.entries) == ([], report["entries"])

    missed = []
    for name, edit in EDITS.items():
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        wanted = edit(copy)
        found = of_folder(copy, ring).problems
        if wanted not in [(one.kind, one.lane, one.sequence) for one in found]:
            missed.append(f"{name}: {wanted} is not among {[one.line() for one in found]}")
        shutil.rmtree(copy)
    proof.judged(
        Verdict(missed, Counter(), Counter()), jobs=len(ids), note=f"{len(EDITS)} edits of an export, each named"
    )
    assert missed == []
