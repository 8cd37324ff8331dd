"""Structured logs: one event per line, past tense, flat; never a prompt, an output or a secret."""

import contextlib
import logging
import sys
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
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
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


class _Lossy:
    """Standard error, or nothing where it cannot be written: a disk without room for a line is no fault of who logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a text stream does it. A line that does not fit is lost, or its end."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As a text stream does it."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def _redacted(_logger: Any, _method: str, event: Any) -> Any:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}
