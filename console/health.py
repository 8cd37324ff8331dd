"""Asking a process of this machine how it is: `GET /healthz` on loopback."""

import http.client
from typing import Any
from urllib.parse import urlsplit

from schemas import codec

ANSWER_LIMIT_BYTES = 1_048_576


def ask(url: str, *, timeout_s: float = 2.0) -> dict[str, Any] | None:
    """The JSON object that a health address answers; None if nobody answers in time, or no JSON object.

    Never through a proxy. `ok` is added: whether the status was 2xx.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/healthz")
        answer = connection.getresponse()
        document = codec.decode(answer.read(ANSWER_LIMIT_BYTES))
    except (OSError, http.client.HTTPException, codec.Undecodable):
        return None
    finally:
        connection.close()
    return {**document, "ok": 200 <= answer.status < 300} if isinstance(document, dict) else None


def is_healthy(url: str) -> bool:
    """Whether the address answers 2xx."""
    answer = ask(url)
    return answer is not None and bool(answer["ok"])
