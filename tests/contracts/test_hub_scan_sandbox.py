"""`novix hub scan` against the sandbox's Hub, which serves two pickles: one of numbers, one that would call
something."""

import io
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from sandbox.hf.app import Options, create_app
from sandbox.hf.hub_pickles import CLEAN, FILE, FLAGGED, files
from schemas.registry import Facts, RegistryRecord
from schemas.topics import REGISTRY

NOT_MET = 3


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """On a thread of its own: the command has a loop of its own."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(Options(state=tmp_path / "hf", hub_rows=5)), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def facts(log: Any) -> list[Facts]:
    rows = log.records.get((REGISTRY.name, 0), [])
    return [one for row in rows if isinstance(one := RegistryRecord.model_validate_json(row.value).event, Facts)]


@pytest.mark.parametrize(("model", "level", "code"), [(CLEAN, "safe", 0), (FLAGGED, "unsafe", NOT_MET)])
def test_a_pickle_of_the_sandbox_is_looked_into_and_its_verdict_is_told(
    novix: Any, log: Any, hub: str, model: str, level: str, code: int
) -> None:
    done = novix("hub", "scan", model, "--json", NOVIX_HF_HUB_URL=hub)
    told = json.loads(done.stdout)

    assert done.exit_code == code, done.output
    assert (told["verdict"]["level"], told["verdict"]["scans_done"], told["looked_at"]) == (level, True, 1)
    assert told["hub"]["level"] == level, "the Hub's scanners say the same"
    ours = [one.security for one in facts(log) if one.security is not None and one.security.source == "novix"]
    assert [one.level for one in ours] == [level]
    if level == "unsafe":
        [issue] = told["verdict"]["issues"]
        assert (issue["path"], "os.getcwd" in issue["detail"]) == (FILE, True)
        assert novix("registry", "allowed", model).exit_code == NOT_MET


def test_the_sandbox_gives_the_bytes_that_its_listing_tells_and_no_other_file(hub: str) -> None:
    page = httpx.get(f"{hub}/api/models/{FLAGGED}?blobs=true").json()
    sizes = {one["rfilename"]: one["size"] for one in page["siblings"]}
    got = httpx.get(f"{hub}/{FLAGGED}/resolve/main/{FILE}")

    assert got.content == files()[FLAGGED][FILE]
    assert len(got.content) == sizes[FILE]
    assert httpx.get(f"{hub}/{FLAGGED}/resolve/main/other.pt").status_code == 404
    assert httpx.get(f"{hub}/{FLAGGED}/blob/main/{FILE}").status_code == 404
    assert httpx.get(f"{hub}/datasets/{FLAGGED}/resolve/main/{FILE}").status_code == 404


def test_what_the_flagged_pickle_would_call_does_no_harm() -> None:
    """Whoever loads it all the same learns in which folder he is."""
    with zipfile.ZipFile(io.BytesIO(files()[FLAGGED][FILE])) as archive:
        assert pickle.loads(archive.read("model/data.pkl")) == os.getcwd()  # noqa: S301 - our own bytes
