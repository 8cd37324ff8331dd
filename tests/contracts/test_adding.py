"""`docs/adding.md` is right: its changes, applied to a copy of the sources, add a provider and a task that work."""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def called(dialect, provider_model, base_url, task, job_input, document):
    assert input_fault(task, job_input) is None
    price = Price(nanousd_per_call=1, source="test", as_of="2026-11-01")
    candidate = Candidate(model="org/m", provider=dialect, provider_model=provider_model, dialect=dialect,
                          base_url=base_url, price=price, max_in_flight=1, estimate_nanousd=1, ceiling_nanousd=1)
    ask = TASKS[task].ask(job_input, {}, candidate)
    call = PROVIDERS[dialect].request(ask, candidate, ())
    body = call.body if isinstance(call.body, bytes) else b"".join(call.body)
    got = Got(FIRST, call.url, 200, {"content-type": "application/json"}, json.dumps(document).encode())
    answer = answered(ask, PROVIDERS[dialect].read(ask, candidate, got))
    return {"url": call.url, "body": json.loads(body), "output": answer.output}


message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi."}}
chat = called("acme", "acme-large", "http://127.0.0.1:1", "chat-completion",
              {"messages": [{"role": "user", "content": "Hello"}]}, {"choices": [message]})
assert chat["url"] == "http://127.0.0.1:1/acme/v1/chat/completions", chat["url"]
assert chat["body"]["model"] == "acme-large"
assert chat["output"]["choices"][0]["message"]["content"] == "Hi."

ranked = [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]
asked = {"inputs": {"query": "a", "texts": ["b", "c"]}}
ranking = called("endpoint", "", "http://127.0.0.1:1", "text-ranking", asked, ranked)
assert ranking["body"]["inputs"] == asked["inputs"], ranking["body"]
assert ranking["output"] == ranked
assert TASKS["text-ranking"].modality == MODALITIES["text-ranking"] == "text"
for wrong in (ranked[:1], [*ranked, ranked[0]], {}, None):
    try:
        called("endpoint", "", "http://127.0.0.1:1", "text-ranking", asked, wrong)
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
print("both work")
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
    program.write_text(USED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "both work\n", done.stderr


def test_the_page_counts_its_lines_rightly() -> None:
    added = {path: len(re.findall(r"^\+(?!\+)", change, re.MULTILINE)) for path, change in DIFF.findall(PAGE)}
    file = dict(FILE.findall(PAGE))["workers/modalities/text/ranking.py"]
    provider = added["workers/providers/table.py"] + added["schemas/providers.py"]
    tables = added["schemas/tasks.py"] + added["workers/modalities/__init__.py"]
    assert f"| a provider that speaks the OpenAI form | {provider} |" in PAGE
    assert f"| a task | {len(file.splitlines())} in its file, {tables} in tables," in PAGE
    assert f"a row of {added['tests/support/task_rows_text.py']}," in PAGE


def test_the_lines_of_a_diff_are_those_of_a_diff() -> None:
    lines = itertools.chain.from_iterable(change.splitlines() for _, change in DIFF.findall(PAGE))
    assert all(line[:1] in (" ", "+", "-") or line == "@@" for line in lines)
