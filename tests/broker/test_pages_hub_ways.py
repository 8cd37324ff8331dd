"""The Model Hub's page beside a running installation: a catalogue of the topic, a job tried for real, and every way in
that the page offers to copy, run as it stands there."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from console_process import Console, console
from hub_world import entry
from stranger import Stranger, installation
from system import MODEL

from schemas.catalog import CatalogEntry, Said
from schemas.registry import Admission, RegistryRecord
from schemas.topics import CATALOG, REGISTRY

TOKEN = "a-token-of-twenty-four-c"
NOW = datetime.now(UTC)
ENTRY = entry(
    MODEL, task="chat-completion", tasks=("chat-completion",), said=(Said(source="hub", fields=("likes",), since=NOW),)
)


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path_factory.mktemp("hub")) as stranger:
        write(stranger, CATALOG.name, [(ENTRY.key, ENTRY.encode())])
        yield stranger


@pytest.fixture(scope="module")
def page(novix: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    hub = tmp_path_factory.mktemp("console") / "console.log"
    with console(novix, hub, token=TOKEN, NOVIX_HF_HUB_URL=novix.system.stub_url) as shown:
        shown.wait(lambda: MODEL in shown.get("/hub").text, f"{MODEL} on the page")
        yield shown


def write(novix: Stranger, topic: str, records: list[tuple[str, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": novix.bootstrap})
    for key, value in records:
        producer.produce(novix.named(topic), value, key)
    assert producer.flush(60) == 0


def way(page: Console, name: str) -> str:
    """A way in as the page has it."""
    told = page.get(f"/hub/model/{MODEL}").text
    found = re.search(rf'<pre id="way-{name}">(.*?)</pre>', told, re.DOTALL)
    assert found is not None, name
    return html.unescape(found[1])


def ran(command: list[str], novix: Stranger, folder: Path) -> str:
    environment = {**os.environ, **novix.system.environment, "NOVIX_CONSOLE_TOKEN": TOKEN}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_python_way_gets_its_result(novix: Stranger, page: Console, tmp_path: Path):
    (tmp_path / "way.py").write_text(way(page, "python"))

    assert ran([sys.executable, "way.py"], novix, tmp_path).startswith("succeeded ")


def test_the_kcat_way_gets_its_result(novix: Stranger, page: Console, tmp_path: Path):
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on PATH: the page's kcat lines were not run")
    (tmp_path / "way.sh").write_text("set -eu\n" + way(page, "kcat"))

    told = ran(["bash", "way.sh"], novix, tmp_path)

    assert re.search(r'^default/my-job-1 .*"status":"succeeded"', told, re.MULTILINE)


def test_the_curl_way_gets_its_result(novix: Stranger, page: Console, tmp_path: Path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not on PATH: the page's curl lines were not run")
    (tmp_path / "way.sh").write_text("set -eu\n" + way(page, "curl"))

    told = json.loads(ran(["bash", "way.sh"], novix, tmp_path))

    assert told["result"]["status"] == "succeeded"
    assert told["result"]["served"]["model"] == MODEL
    assert page.ended(told["tenant"], told["job_id"])["submissions"][0]["status"] == "succeeded"


def test_a_new_result_is_on_the_models_page_at_once(novix: Stranger, page: Console):
    def count() -> int:
        told = page.get(f"/fragments/hub/performance?model={urllib.parse.quote(MODEL)}").text
        found = re.search(r"publication to result, n=([0-9,]+)", told)
        return 0 if found is None else int(found[1].replace(",", ""))

    page.wait(lambda: count() > 0, "a first observation")
    before = count()
    job = {"task": "chat-completion", "model": MODEL, "input": {"messages": [{"role": "user", "content": "Hi"}]}}
    result = post(page, job)["result"]
    page.wait(lambda: count() > before, "the new result")

    assert result["status"] == "succeeded"


def post(page: Console, job: dict) -> dict:
    request = urllib.request.Request(  # noqa: S310 - our own pages on loopback
        f"{page.origin}/api/hub/jobs?wait=60", data=json.dumps(job).encode(),
        headers={"authorization": f"Bearer {TOKEN}"}, method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_what_changes_in_the_catalogue_and_the_registry_is_on_the_pages(novix: Stranger, page: Console):
    changed = CatalogEntry.model_validate({**ENTRY.model_dump(), "likes": 123_456_789})
    withdrawn = Admission(at=NOW, by="Ada", model=MODEL, tenant="acme", state="withdrawn", reason="too loud")
    write(novix, CATALOG.name, [(changed.key, changed.encode())])
    write(novix, REGISTRY.name, [("admission/" + MODEL, RegistryRecord(event=withdrawn).encode())])

    page.wait(lambda: "123,456,789" in page.get(f"/hub/model/{MODEL}").text, "the new number of likes")
    page.wait(lambda: "too loud" in page.get(f"/hub/model/{MODEL}?tenant=acme").text, "the withdrawal")
    assert "Ada" in page.get("/hub/registry").text

    write(novix, CATALOG.name, [(ENTRY.key, None)])
    page.wait(lambda: page.get(f"/hub/model/{MODEL}").status == 404, "that it is gone")
    write(novix, CATALOG.name, [(ENTRY.key, ENTRY.encode())])
    page.wait(lambda: page.get(f"/hub/model/{MODEL}").status == 200, "that it is back")


@pytest.mark.parametrize(
    "path", ["/hub?q=gpt", "/hub/insights", "/hub/endpoints", "/hub/discovery", "/hub/recommend?q=a+chat+model",
             f"/hub/compare?m={urllib.parse.quote(MODEL)}", f"/fragments/hub/rivals?model={urllib.parse.quote(MODEL)}",
             f"/fragments/hub/card?model={urllib.parse.quote(MODEL)}"]
)  # fmt: skip
def test_every_page_of_the_hub_answers_from_the_real_parts(page: Console, path: str):
    answer = page.get(path)
    assert answer.status == 200, answer.text[:500]
