"""Asks a broker whether it serves, in Kafka's own words on a socket.

An open port is not enough: it listens before it serves, and the first group waits for an internal topic. So: the
ApiVersions request (any broker answers it, even before a login), then FindCoordinator, which creates
`__consumer_offsets` and answers COORDINATOR_NOT_AVAILABLE until that can be used. Layouts: the Kafka protocol guide,
https://kafka.apache.org/42/design/protocol/, request header v1.
"""

from __future__ import annotations

import socket
import ssl
import struct
from enum import Enum

API_VERSIONS, FIND_COORDINATOR = 18, 10
NONE = 0
CLIENT = b"novix-probe"
GROUP = b"novix-probe"
LARGEST_ANSWER_BYTES = 65_536


class Readiness(Enum):
    """How far a broker has come."""

    SILENT = "no answer on its port"
    SPEAKS = "answers, but has no group coordinator yet"
    SERVES = "serves"


def probe(host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout_s: float = 2.0) -> Readiness:
    """One look, at most some `timeout_s` seconds long; it never raises for what the broker does or fails to do.

    Behind TLS an answered ApiVersions is `SERVES`: the next question needs a login, and clients repeat it themselves.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            if tls is None:
                return _ask(plain)
            with tls.wrap_socket(plain, server_hostname=host) as secured:
                speaks = _error_in(_exchange(secured, API_VERSIONS, 0, b"")) == NONE
                return Readiness.SERVES if speaks else Readiness.SILENT
    except (OSError, struct.error):  # ssl.SSLError is an OSError
        return Readiness.SILENT


def _ask(connection: socket.socket) -> Readiness:
    if _error_in(_exchange(connection, API_VERSIONS, 0, b"")) != NONE:
        return Readiness.SILENT
    # v1: key as STRING, key_type INT8 (0 is a group); the answer is throttle_time_ms INT32, error_code INT16, ...
    question = struct.pack(">h", len(GROUP)) + GROUP + b"\x00"
    found = _error_in(_exchange(connection, FIND_COORDINATOR, 1, question)[4:])
    return Readiness.SERVES if found == NONE else Readiness.SPEAKS


def _error_in(body: bytes) -> int:
    (code,) = struct.unpack_from(">h", body)
    return int(code)


def _exchange(connection: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Send one request, return its answer without size and correlation id."""
    header = struct.pack(">hhih", api, version, 1, len(CLIENT)) + CLIENT
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 4 <= size <= LARGEST_ANSWER_BYTES:
        raise ConnectionError(f"an answer of {size} bytes; at most {LARGEST_ANSWER_BYTES} are read")
    return _exactly(connection, size)[4:]


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the broker closed the connection")
        data += more
    return data
