"""With the cluster at hand the audit is held against more than itself: the lanes' commit metadata, and the results."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stranger import Stranger, installation
from system import chat

from schemas import codec
from schemas.topics import RESULTS


@pytest.fixture
def signed(broker: Any, tmp_path: Path) -> Iterator[Stranger]:
    """An installation with a job that has ended, and every entry signed; nothing signs any more."""
    with installation(broker.bootstrap, tmp_path) as novix:
        process = novix.system.process(("-m", "console", "audit", "checkpoint"), "audit")
        process.environment |= {"NOVIX_AUDIT_CHECKPOINT_S": "0.2"}
        process.start()
        novix.run(chat(uuid.uuid4().hex, tenant="acme"))
        novix.quiet()
        novix.until_signed()
        process.stop()
        yield novix


def verified(novix: Stranger, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = novix.cli("audit", "verify", "--json", *arguments, expect=None)
    return done.returncode, json.loads(done.stdout)


def test_the_audit_is_held_against_the_lanes_commits_and_the_results(signed: Stranger):
    """What only the results tell of is named; the audit by itself is whole, with entries that nothing has signed."""
    signed.run(chat(uuid.uuid4().hex, tenant="acme"))
    signed.quiet()
    code, report = verified(signed, "--topics")
    assert (code, report["holds"], report["results"]) == (0, True, 2), report
    assert report["lanes_held_against_their_commits"] == report["lanes"] > 1
    assert report["uncovered"] > 0
    invented = {**signed.read(RESULTS.name)[0].json, "job_id": "never-asked-for"}
    signed.write([(b"acme/never-asked-for", codec.encode(invented), [])], topic=RESULTS.name)

    code, report = verified(signed, "--topics")

    first = report["first_problem"]
    assert (code, first["kind"]) == (1, "incomplete")
    assert first["message"] == "the job acme/never-asked-for has a result, and the audit tells of no end"
    assert first["place"].startswith(f"{RESULTS.name}/")
    assert verified(signed)[0] == 0
