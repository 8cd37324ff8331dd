"""Structured logs: one event per line, past tense, flat; never a prompt, an output or a secret."""

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

import structlog

from runtime.credentials import redact

LIBRARIES = {
    "aiokafka": logging.CRITICAL,
    "aiohttp": logging.WARNING,
    "httpx": logging.WARNING,
    "faststream": logging.WARNING,
    "uvicorn": logging.WARNING,
}
"""aiokafka tells every reconnect of every client as an error: thousands of lines while a broker restarts. The lanes
tell what follows from it."""


def configure(level: str, form: Literal["auto", "console", "json"]) -> None:
    """Set up logging for the process, on standard error: our events, and what libraries log, in one form."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if as_json else _for_people
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=_Lossy(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_Lossy(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redacted,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name, least in LIBRARIES.items():
        logging.getLogger(name).setLevel(least)


_RENDERER = structlog.dev.ConsoleRenderer()
"""It is given tracebacks as text: those that it writes itself show local variables, and a prompt may be among them."""


class _Lossy:
    """Standard error, or nothing where it cannot be written: a disk without room for a line is no fault of who logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a text stream does it. A line that does not fit is lost, or its end."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As a text stream does it."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _redacted(_logger: Any, _method: str, event: Any) -> Any:
    return _each_text(event, redact)


def _for_people(logger: Any, method: str, event: Any) -> Any:
    """A line for a terminal, which shows what stands in it and obeys none of it: a model's name, or what an exception
    says, may be a stranger's. JSON needs no such care: it writes all but ASCII as `\\uXXXX`."""
    return _RENDERER(logger, method, _each_text(event, _shown))


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _each_text(value: Any, change: Callable[[str], str], depth: int = 4) -> Any:
    """The value with each of its texts changed, those within lists and objects too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping) and depth:
        return {
            change(key) if isinstance(key, str) else key: _each_text(one, change, depth - 1)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_each_text(one, change, depth - 1) for one in value]
    return value
