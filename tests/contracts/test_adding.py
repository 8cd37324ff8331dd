"""`docs/adding.md` is right: its changes, applied to a copy of the sources, add a provider and a task that work."""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sample_files

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "adding.md").read_text(encoding="utf-8")
DIFF = re.compile(r"^```diff\n--- a/(\S+)\n\+\+\+ b/\1\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```(?:json|python) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("runtime", "schemas", "workers")

USED = """
import json
from schemas.assignment import Candidate, Price
from schemas.tasks import MODALITIES, input_fault
from workers.exchange import FIRST, Got
from workers.errors import ProviderError
from workers.modalities import TASKS, answered
from workers.providers import PROVIDERS


def asked_of(dialect, provider_model, task, job_input):
    assert input_fault(task, job_input) is None
    price = Price(nanousd_per_call=1, source="test", as_of="2026-11-01")
    candidate = Candidate(model="org/m", provider=dialect, provider_model=provider_model, dialect=dialect,
                          base_url="http://127.0.0.1:1", price=price, max_in_flight=1, estimate_nanousd=1,
                          ceiling_nanousd=1)
    ask = TASKS[task].ask(job_input, {}, candidate)
    return ask, candidate, PROVIDERS[dialect].request(ask, candidate, ())


def read(ask, candidate, body, stage=FIRST, memo=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    got = Got(stage, "http://127.0.0.1:1/x", 200, {"content-type": "application/json"}, body, memo=memo or {})
    return PROVIDERS[candidate.dialect].read(ask, candidate, got)


def called(dialect, provider_model, task, job_input, document):
    ask, candidate, call = asked_of(dialect, provider_model, task, job_input)
    body = call.body if isinstance(call.body, bytes) else b"".join(call.body)
    answer = answered(ask, read(ask, candidate, document))
    return {"url": call.url, "body": json.loads(body), "output": answer.output}


message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}
chat = called("acme", "acme-large", "chat-completion",
              {"messages": [{"role": "user", "content": "Hello"}]}, {"choices": [message]})
assert chat["url"] == "http://127.0.0.1:1/acme/v1/chat/completions", chat["url"]
assert chat["body"]["model"] == "acme-large"
assert chat["output"]["choices"][0]["message"]["content"] == "Hi."

ask, candidate, call = asked_of("lumen", "films/one", "text-to-video", {"inputs": "a cat"})
assert (call.url, call.body) == ("http://127.0.0.1:1/lumen/v1/jobs/films/one", b'{"prompt":"a cat"}'), call
waiting = read(ask, candidate, {"job": {"id": "j-1", "state": "queued"}})
again = read(ask, candidate, {"job": {"id": "j-1", "state": "processing"}}, waiting.stage, waiting.memo)
assert waiting.call.url == again.call.url == "http://127.0.0.1:1/lumen/v1/jobs/j-1"
assert (again.cancel.method, again.cancel.url) == ("POST", again.call.url + "/cancel")
assert not again.call.public
done = {"job": {"state": "completed", "files": [{"url": "https://cdn.example/1.mp4"}]}}
fetch = read(ask, candidate, done, again.stage, again.memo)
assert (fetch.call.url, fetch.call.public) == ("https://cdn.example/1.mp4", True)
film = answered(ask, read(ask, candidate, FILM, fetch.stage, fetch.memo))
assert film.output["video"].data == FILM
try:
    read(ask, candidate, {"job": {**done["job"], "id": "j-2"}}, again.stage, again.memo)
except ProviderError as error:
    assert error.kind == "invalid_output", error.kind
else:
    raise AssertionError("the answer to another job")
for wrong in ({"job": {"id": "../../x", "state": "queued"}}, {"job": {"id": "j", "state": "odd"}}, {}, []):
    try:
        read(ask, candidate, wrong)
    except ProviderError as error:
        assert error.kind == "invalid_output", error.kind
    else:
        raise AssertionError(wrong)

ranked = [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]
asked = {"inputs": {"query": "a", "texts": ["b", "c"]}}
ranking = called("endpoint", "", "text-ranking", asked, ranked)
assert ranking["body"]["inputs"] == asked["inputs"], ranking["body"]
assert ranking["output"] == ranked
assert TASKS["text-ranking"].modality == MODALITIES["text-ranking"] == "text"
for wrong in (ranked[:1], [*ranked, ranked[0]], {}, None):
    try:
        called("endpoint", "", "text-ranking", asked, wrong)
    except ProviderError as error:
        assert error.kind == "invalid_output"
    else:
        raise AssertionError(wrong)
try:
    TASKS["text-ranking"].ask({"inputs": {"query": "", "texts": ["b"]}}, {}, None)
except ProviderError as error:
    assert error.kind == "invalid_input"
else:
    raise AssertionError("asked with nothing")
print("all work")
"""


def applied(text: str, change: str) -> str:
    """`text` with one diff's added lines; its unchanged lines say where. Raises ValueError where they do not stand."""
    for hunk in change.split("@@\n")[1:]:
        lines = hunk.splitlines()
        old = [line[1:] for line in lines if line[:1] in (" ", "-")]
        new = [line[1:] for line in lines if line[:1] in (" ", "+")]
        first, rest = "\n".join(old), "\n".join(new)
        if text.count(first) != 1:
            raise ValueError(f"stands {text.count(first)} times: {old[0].strip()}")
        text = text.replace(first, rest)
    return text


def test_every_change_on_the_page_still_fits_the_sources() -> None:
    changes = DIFF.findall(PAGE)
    assert len(changes) >= 5
    for path, change in changes:
        assert applied((REPOSITORY / path).read_text(encoding="utf-8"), change)
    assert {path for path, _ in FILE.findall(PAGE)} >= {"workers/modalities/text/ranking.py"}


def test_a_change_that_fits_nowhere_is_told() -> None:
    with pytest.raises(ValueError, match="0 times: nothing of the kind"):
        applied("a\n", "@@\n nothing of the kind\n+b\n")


def test_a_provider_and_a_task_that_are_added_as_the_page_says_work(tmp_path: Path) -> None:
    for room in COPIED:
        shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path, change in DIFF.findall(PAGE):
        if path.startswith(COPIED):
            target = tmp_path / path
            target.write_text(applied(target.read_text(encoding="utf-8"), change), encoding="utf-8")
    for path, text in FILE.findall(PAGE):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    program = tmp_path / "used.py"
    program.write_text(f"FILM = {sample_files.video()!r}\n{USED}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "all work\n", done.stderr


def lines_of(section: str) -> dict[str, int]:
    """How many lines each diff of a section adds."""
    return {path: len(re.findall(r"^\+(?!\+)", change, re.MULTILINE)) for path, change in DIFF.findall(section)}


def test_the_page_counts_its_lines_rightly() -> None:
    plain, _, rest = PAGE.partition("### One with a way of its own")
    queue, _, task = rest.partition("## A task")
    file = dict(FILE.findall(PAGE))["workers/modalities/text/ranking.py"]
    added = lines_of(task)
    tables = added["schemas/tasks.py"] + added["workers/modalities/__init__.py"]
    assert f"| a provider that speaks the OpenAI form | {sum(lines_of(plain).values())} |" in PAGE
    assert f"| a provider with a queue of its own | {sum(lines_of(queue).values())}: its row, its reader |" in PAGE
    assert f"| a task | {len(file.splitlines())} in its file, {tables} in tables," in PAGE
    assert f"| a row of {added['tests/support/task_rows_text.py']} |" in PAGE


def test_the_lines_of_a_diff_are_those_of_a_diff() -> None:
    lines = itertools.chain.from_iterable(change.splitlines() for _, change in DIFF.findall(PAGE))
    assert all(line[:1] in (" ", "+", "-") or line == "@@" for line in lines)
