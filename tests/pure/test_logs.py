"""What is logged, and what happens where it cannot be."""

import errno
import io
import logging
import re
import sys
from typing import TextIO, cast

import pytest
import structlog

from runtime import logs


class FullDisk:
    """Standard error on a disk without room."""

    def __init__(self) -> None:
        self.asked = 0

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        self.asked += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch, form):
    full, before = FullDisk(), structlog.get_config()
    monkeypatch.setattr(sys, "stderr", cast(TextIO, full))
    try:
        logs.configure("info", form)
        structlog.get_logger("novix.test").error("something.happened", number=1)
    finally:
        structlog.configure(**before)

    assert full.asked > 0


SECRET = "hf_abcdefghijklmnopqrstuvwxyz0123"
ESCAPES = "\x1b]0;owned\x07\x9b31m\x1b[2J\r\u202e\x7f"


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_strangers_wrote_steers_no_terminal_and_no_token_is_shown_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, form
):
    """A model's name comes from its producer; an exception's words from whatever raised it."""
    stream, before = io.StringIO(), structlog.get_config()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        logs.configure("info", form)
        structlog.get_logger("novix.test").error(
            "job.failed", model=ESCAPES, inside=[{"key": [SECRET, ESCAPES]}, (SECRET,)], said=SECRET
        )
        prompt = "what only a local variable holds"
        try:
            raise ValueError(f"{ESCAPES} {SECRET} {len(prompt)}")
        except ValueError:
            structlog.get_logger("novix.test").exception("call.failed")
            logging.getLogger("asyncio").exception("never retrieved %s", ESCAPES)
    finally:
        structlog.configure(**before)

    said = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()) if form == "console" else stream.getvalue()  # our colours
    assert said.count("job.failed") == said.count("call.failed") == said.count("never retrieved") == 1
    steering = {one for one in said if not one.isprintable() and one not in "\n\t"}
    assert steering <= ({"\x7f"} if form == "json" else set())  # DEL is all that our JSON lets stand as it is
    assert SECRET not in said
    assert prompt not in said
