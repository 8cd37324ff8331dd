"""What is logged, and what happens where it cannot be."""

import errno
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
