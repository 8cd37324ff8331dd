"""The HTTP port. The only package of ours that imports httpx or aiohttp: others take the names they need from here."""

from httpx import (
    URL,
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncClient,
    ByteStream,
    ConnectError,
    ConnectTimeout,
    HTTPError,
    InvalidURL,
    LocalProtocolError,
    MockTransport,
    PoolTimeout,
    ReadTimeout,
    Request,
    Response,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
)

from runtime.http.egress import PRIVATE_NETWORKS, Egress
from runtime.http.errors import (
    DeadlineExceededError,
    EgressRefusedError,
    EncodingRefusedError,
    ResponseTooLargeError,
)
from runtime.http.exchange import fields_of
from runtime.http.fetch import Fetched, Fetcher, FetchError, FetchRefused, FetchStatus, FetchTooLarge, FetchUnreachable
from runtime.http.transport import DEADLINE, MAX_BYTES, HttpLimits, HttpTransport

NOTHING_WAS_SENT = (
    ConnectError,
    ConnectTimeout,
    PoolTimeout,
    EgressRefusedError,
    UnsupportedProtocol,
    InvalidURL,
    LocalProtocolError,
)
"""After one of these the provider has seen nothing of the call; after any other error it may have served it."""

__all__ = [
    "DEADLINE",
    "MAX_BYTES",
    "NOTHING_WAS_SENT",
    "PRIVATE_NETWORKS",
    "URL",
    "AsyncBaseTransport",
    "AsyncByteStream",
    "AsyncClient",
    "ByteStream",
    "ConnectError",
    "ConnectTimeout",
    "DeadlineExceededError",
    "Egress",
    "EgressRefusedError",
    "EncodingRefusedError",
    "FetchError",
    "FetchRefused",
    "FetchStatus",
    "FetchTooLarge",
    "FetchUnreachable",
    "Fetched",
    "Fetcher",
    "HTTPError",
    "HttpLimits",
    "HttpTransport",
    "InvalidURL",
    "LocalProtocolError",
    "MockTransport",
    "PoolTimeout",
    "ReadTimeout",
    "Request",
    "Response",
    "ResponseTooLargeError",
    "TimeoutException",
    "TransportError",
    "UnsupportedProtocol",
    "fields_of",
]
