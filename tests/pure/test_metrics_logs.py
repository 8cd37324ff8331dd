"""Log lines: one JSON object each where no terminal reads them, with the job's trace, and nothing that is secret."""

import asyncio
import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import structlog

from runtime import logs
from runtime.saying import LINES_PER_S, SAID, TOLD, Saying
from runtime.telemetry_events import EVENTS
from schemas.audit import AuditEntry

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKEN = "hf_canaryTokenThatMustNotShow"
PROMPT = "the canary sings at dawn"


@contextlib.contextmanager
def written(form: Literal["auto", "console", "json"], *, terminal: bool = False) -> Iterator[io.StringIO]:
    """Standard error of a process that has set up its logging."""
    before, stderr = structlog.get_config(), sys.stderr
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.stderr = told = io.StringIO()
    told.isatty = lambda: terminal  # type: ignore[method-assign]
    try:
        logs.configure("info", form)
        yield told
    finally:
        sys.stderr = stderr
        structlog.configure(**before)
        root.handlers[:], root.level = handlers, level


def entry(action: str, **detail: Any) -> AuditEntry:
    return AuditEntry(
        at=NOON, action=action, tenant="acme", job_id=PROMPT, submission=1, trace_id="ab" * 16, span_id="cd" * 8,
        detail=detail,
    )  # fmt: skip


def lines(told: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.getvalue().splitlines()]


def test_a_job_that_failed_is_a_line_with_its_trace_and_without_what_was_written() -> None:
    with written("json") as told:
        failed = entry("job.failed", kind="timeout", model="m", provider="p", message=PROMPT, cost_nanousd=7)
        Saying().say("g.t.0", [entry("job.succeeded", cost_nanousd=7), failed], now=0.0)

    [line] = lines(told)
    timestamp = line.pop("timestamp")
    assert datetime.fromisoformat(timestamp).tzinfo is not None
    assert line == {
        "event": "job.failed", "level": "info", "lane": "g.t.0", "trace_id": "ab" * 16, "span_id": "cd" * 8,
        "kind": "timeout", "model": "m", "provider": "p", "cost_nanousd": 7,
    }  # fmt: skip


def test_a_storm_of_failures_is_no_storm_of_lines_and_what_is_left_out_is_counted() -> None:
    with written("json") as told:
        saying = Saying()
        saying.say("g.t.0", [entry("job.failed")] * 500, now=0.0)
        saying.say("g.t.0", [entry("job.failed")], now=1.0)

    assert len(lines(told)) == LINES_PER_S + 1
    assert lines(told)[-1]["unsaid"] == 500 - LINES_PER_S


def test_what_is_said_stands_in_the_table_of_events_and_nothing_of_it_is_free_text() -> None:
    assert EVENTS.keys() >= SAID
    assert not {"message", "reason", "detail", "by", "job_id", "tenant"} & set(TOLD)


@pytest.mark.parametrize(
    ("form", "terminal", "as_json"),
    [("auto", False, True), ("auto", True, False), ("json", True, True), ("console", False, False)],
)
def test_people_get_words_and_programs_get_json(form: Any, terminal: bool, as_json: bool) -> None:
    with written(form, terminal=terminal) as told:
        structlog.get_logger("novix.test").warning("something.happened", number=1)
        logging.getLogger("somebody.else").warning("it is %s", "late")

    first, second = told.getvalue().splitlines()
    if not as_json:
        assert not first.startswith("{")
        assert "something.happened" in first
        assert "it is late" in second
        return
    assert (json.loads(first)["event"], json.loads(first)["number"]) == ("something.happened", 1)
    assert (json.loads(second)["event"], json.loads(second)["logger"]) == ("it is late", "somebody.else")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_token_is_written_whoever_logs_it(form: Any) -> None:
    with written(form) as told:
        structlog.get_logger("novix.test").warning(f"Bearer {TOKEN}", header=f"authorization: Bearer {TOKEN}")
        logging.getLogger("a.library").error("sent Bearer %s", TOKEN)
        try:
            raise RuntimeError(f"Bearer {TOKEN}")
        except RuntimeError:
            logging.getLogger("a.library").exception("it broke")

    assert told.getvalue().count("a.library") == 2
    assert "it broke" in told.getvalue()
    assert TOKEN not in told.getvalue()


def test_a_task_that_broke_and_that_nobody_asked_is_one_line_of_json() -> None:
    async def breaks() -> None:
        raise LookupError("nobody asked")

    async def forget() -> None:
        task = asyncio.create_task(breaks())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    with written("json") as told:
        asyncio.run(forget())

    [line] = lines(told)
    assert (line["logger"], line["level"]) == ("asyncio", "error")
    assert "LookupError: nobody asked" in line["exception"]
