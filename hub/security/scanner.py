"""The port to whoever looks into a file, and the one that does: a child process for each, with an end to its time."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from hub.security.child import CPU_S
from hub.security.verdict import Look

Scanner = Callable[[str, bytes], Awaitable[Look]]
"""Look into one file, named by its path. Raises nothing on account of what the file holds."""

WITHIN_S = 30.0
MOST_ANSWER = 65_536
_LEVELS = ("safe", "suspicious", "unsafe", "error")


async def look(path: str, data: bytes, *, within_s: float = WITHIN_S) -> Look:
    """Look into one file in a process of its own. One that dies or takes too long is in error."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.security.child", path[:256].replace("\0", "?"), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(within_s):
            out, _ = await child.communicate(data)
    except TimeoutError:
        return Look("error", f"the look was ended after {within_s:g} s")
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return _answer(out, child.returncode)


def _answer(out: bytes, code: int | None) -> Look:
    if code != 0 or len(out) > MOST_ANSWER:
        return Look("error", f"the look died (exit {code}): it wanted more than {CPU_S} s, or memory")
    try:
        told: Any = json.loads(out)
        level, detail = told["level"], told["detail"]
    except (ValueError, KeyError, TypeError):
        return Look("error", "the look gave no answer")
    if level not in _LEVELS or not isinstance(detail, str):
        return Look("error", "the look gave no answer")
    return Look(level, detail)
