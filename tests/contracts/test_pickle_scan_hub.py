"""`novix hub scan` against a Hub of its own: a malicious pickle is found and told, and its model refused."""

import asyncio
import contextlib
import json
import os
import pickle
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hub.security.scanner import look
from schemas.registry import RegistryRecord
from schemas.topics import REGISTRY

MODEL, SHA = "org/model", "a" * 40
NOT_MET, USAGE = 3, 2


class Harm:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/novix-scan-was-loaded",)


class Hub:
    """Files of one model; what is asked for is counted."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"config.json": b"{}", "model.safetensors": b"x" * 99}
        self.page: dict[str, Any] = {"id": MODEL, "sha": SHA, "tags": ["transformers", "license:mit"], "gated": False}
        self.status = 200
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, bytes, str]:
        self.asked.append(path)
        if path.startswith(f"/api/models/{MODEL}?"):
            rows = [{"rfilename": name, "size": len(data)} for name, data in self.files.items()]
            return self.status, json.dumps({"siblings": rows} | self.page).encode(), ""
        name = path.removeprefix(f"/{MODEL}/resolve/{SHA}/")
        if name in self.files:
            return 302, b"", f"/cdn/{name}"
        data = self.files.get(path.removeprefix("/cdn/"))
        return (404, b"", "") if data is None else (200, data, "")


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, location = served.answer(self.path)
            served.headers.append({name.lower(): told for name, told in self.headers.items()})
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def scan(novix: Any, hub: Hub, *more: str) -> Any:
    return novix("hub", "scan", MODEL, "--json", *more, NOVIX_HF_HUB_URL=hub.url, NOVIX_HF_TOKEN="hf_canarytoken")


def events(log: Any) -> list[Any]:
    rows = log.records.get((REGISTRY.name, 0), [])
    return [RegistryRecord.model_validate_json(one.value).event for one in rows]


def test_a_malicious_pickle_is_found_and_its_model_is_refused_from_then_on(novix: Any, log: Any, hub: Hub) -> None:
    """B207."""
    hub.files["pytorch_model.bin"] = pickle.dumps(Harm())
    done = scan(novix, hub)
    assert done.exit_code == NOT_MET
    told = json.loads(done.stdout)
    assert (told["verdict"]["level"], told["looked_at"], told["revision"]) == ("unsafe", 1, SHA)
    [of_hub, of_ours] = events(log)
    assert (of_hub.license, of_hub.gated) == ("MIT", "no")
    assert of_ours.security.source == "novix"
    refused = novix("registry", "allowed", MODEL)
    assert refused.exit_code == NOT_MET
    assert "calls it unsafe" in refused.stdout
    assert novix("registry", "admit", MODEL).exit_code == NOT_MET
    assert novix("registry", "admit", MODEL, "--accept", "security").exit_code == 0
    assert not os.path.exists("/tmp/novix-scan-was-loaded")  # noqa: S108


def test_a_second_look_that_finds_the_same_writes_nothing(novix: Any, log: Any, hub: Hub) -> None:
    hub.files["pytorch_model.bin"] = pickle.dumps({"a": 1})
    assert scan(novix, hub).exit_code == 0
    assert scan(novix, hub).exit_code == 0
    assert len(events(log)) == 2
    hub.page["sha"] = "b" * 40
    hub.files.clear()
    assert scan(novix, hub).exit_code == 0
    assert len(events(log)) == 4, "another commit is news"


def test_only_files_that_may_run_something_are_fetched_and_no_token_is_sent(novix: Any, log: Any, hub: Hub) -> None:
    hub.files["a.pkl"] = pickle.dumps(1)
    scan(novix, hub, "--dry-run")
    assert [path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path] == ["a.pkl"]
    assert not any("authorization" in headers for headers in hub.headers)
    assert not events(log), "a dry run tells the registry nothing"


def test_what_the_hub_has_not_scanned_or_does_not_give_is_not_called_safe(novix: Any, log: Any, hub: Hub) -> None:
    hub.page["securityRepoStatus"] = {"scansDone": False, "filesWithIssues": []}
    hub.files["a.pkl"] = pickle.dumps(1)
    hub.page["siblings"] = [{"rfilename": "a.pkl", "size": 5}, {"rfilename": "gone.bin", "size": 5}]
    done = scan(novix, hub)
    told = json.loads(done.stdout)
    assert done.exit_code == NOT_MET
    assert (told["verdict"]["level"], told["verdict"]["scans_done"]) == ("unscanned", False)
    assert "status 404" in told["verdict"]["issues"][0]["detail"]
    assert (told["hub"]["level"], told["hub"]["scans_done"]) == ("unscanned", False)
    novix("registry", "rules", "--worst", "safe")
    assert "scans are not done" in novix("registry", "allowed", MODEL).stdout


@pytest.mark.parametrize("siblings", [None, {}, "x", [7]])
def test_a_page_that_does_not_list_its_files_is_not_called_safe(novix: Any, log: Any, hub: Hub, siblings: Any) -> None:
    hub.page["siblings"] = siblings
    done = scan(novix, hub, "--dry-run")
    assert done.exit_code == NOT_MET
    assert json.loads(done.stdout)["verdict"]["level"] == "unscanned"


def test_files_that_climb_out_and_commits_that_are_none_are_left_where_they_are(novix: Any, log: Any, hub: Hub) -> None:
    hub.page |= {"sha": "../../etc", "siblings": [{"rfilename": "../../etc/passwd.bin", "size": 5}]}
    done = scan(novix, hub)
    assert done.exit_code == NOT_MET, done.output
    assert len(hub.asked) == 1, "no such file was asked for"
    assert json.loads(done.stdout)["revision"] is None


@pytest.mark.parametrize("name", ["../x", "a//b", "", "a\x1b[2J/b", "m" * 300, "a/./b"])
def test_names_that_are_none_are_refused_before_anybody_is_asked(novix: Any, log: Any, hub: Hub, name: str) -> None:
    done = novix("hub", "scan", name, NOVIX_HF_HUB_URL=hub.url)
    assert done.exit_code == USAGE, done.output
    assert "\x1b" not in done.stderr
    assert hub.asked == []


@pytest.mark.parametrize(("status", "says"), [(401, "private"), (403, "leave"), (404, "is not there"), (500, "500")])
def test_a_page_that_is_not_given_is_told_by_its_reason(novix: Any, log: Any, hub: Hub, status: int, says: str) -> None:
    hub.status = status
    done = scan(novix, hub)
    assert done.exit_code == NOT_MET
    assert says in done.stderr


def running(word: str) -> list[str]:
    """The processes with the word among their arguments."""
    found = []
    for told in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if word.encode() in told.read_bytes():
                found.append(told.parent.name)
    return found


def test_a_look_ends_when_its_time_is_over_and_its_process_with_it() -> None:
    """A million opcodes in a twentieth of a second: no machine's interpreter has even begun to read them."""
    long = b"\x80\x04\x8c\x01a" + b"\x94" * 900_000 + b"."
    name = f"{uuid.uuid4().hex}.pkl"
    found = asyncio.run(look(name, long, within_s=0.05))
    assert found.level == "error", found
    assert "ended after 0.05 s" in found.detail
    assert not running(name)


def test_a_look_that_wants_more_memory_than_it_may_have_is_in_error() -> None:
    """One opcode that promises a tebibyte which is not there."""
    huge = b"\x80\x04" + b"\x8d" + (2**40).to_bytes(8, "little") + b"x"
    assert asyncio.run(look("a.pkl", huge)).level == "error"


def test_the_child_finds_what_the_reader_in_this_process_finds() -> None:
    assert asyncio.run(look("a.pkl", pickle.dumps(Harm()))).level == "unsafe"
    assert asyncio.run(look("a.pkl", pickle.dumps({}))).level == "safe"
    assert asyncio.run(look("a\0b.pkl", pickle.dumps({}))).level == "safe"
