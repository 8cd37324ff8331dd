"""What can go wrong with a call, in httpx's classes: every exception of aiohttp has its place in one table.

A message says the kind of fault, the class behind it and the host, and nothing that a server or a job wrote;
the original is not chained, because aiohttp's exceptions hold the request with its headers.

Only `ConnectError`, `ConnectTimeout`, `PoolTimeout`, `EgressRefusedError`, `UnsupportedProtocol` and
`LocalProtocolError` promise that nothing was sent. After any other the provider may have served the call.
"""

import asyncio
import errno

import aiohttp
import httpx
from aiohttp import client_exceptions, http_exceptions


class DeadlineExceededError(httpx.ReadTimeout):
    """The call's total time ran out, wherever it was: connecting, sending, waiting or reading."""


class EgressRefusedError(httpx.TransportError):
    """The policy forbids this host, address or credential. Nothing was sent."""


class ResponseTooLargeError(httpx.RemoteProtocolError):
    """The body, as sent or decoded, is larger than the call allows. The connection is closed."""

    def __init__(self, limit_bytes: int, *, request: httpx.Request) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"the response has more than {limit_bytes} bytes, which is the limit", request=request)


class EncodingRefusedError(httpx.DecodingError):
    """The body came in a content encoding that we neither asked for nor read."""


class AddressRefusedError(OSError):
    """What our resolver raises inside aiohttp; leaves the port as `EgressRefusedError`."""


ERRORS: dict[type[BaseException], type[httpx.TransportError]] = {
    # Nothing was sent.
    client_exceptions.ConnectionTimeoutError: httpx.ConnectTimeout,
    client_exceptions.ClientConnectorError: httpx.ConnectError,
    client_exceptions.ClientConnectorDNSError: httpx.ConnectError,
    client_exceptions.ClientConnectorSSLError: httpx.ConnectError,
    client_exceptions.ClientConnectorCertificateError: httpx.ConnectError,
    client_exceptions.ClientSSLError: httpx.ConnectError,
    client_exceptions.UnixClientConnectorError: httpx.ConnectError,
    client_exceptions.ClientProxyConnectionError: httpx.ProxyError,
    client_exceptions.ServerFingerprintMismatch: httpx.ConnectError,
    client_exceptions.InvalidURL: httpx.LocalProtocolError,
    client_exceptions.InvalidUrlClientError: httpx.LocalProtocolError,
    client_exceptions.NonHttpUrlClientError: httpx.UnsupportedProtocol,
    client_exceptions.WSMessageTypeError: httpx.LocalProtocolError,
    http_exceptions.InvalidURLError: httpx.LocalProtocolError,
    ValueError: httpx.LocalProtocolError,
    TypeError: httpx.LocalProtocolError,
    # Something may have been sent, and the provider may have served it.
    asyncio.TimeoutError: DeadlineExceededError,
    client_exceptions.SocketTimeoutError: httpx.ReadTimeout,
    client_exceptions.ServerTimeoutError: httpx.ReadTimeout,
    client_exceptions.ClientConnectionResetError: httpx.WriteError,
    client_exceptions.UploadAbortedError: httpx.WriteError,
    client_exceptions.ClientOSError: httpx.ReadError,
    client_exceptions.ClientConnectionError: httpx.ReadError,
    client_exceptions.ClientError: httpx.ReadError,
    OSError: httpx.ReadError,
    client_exceptions.ServerConnectionError: httpx.RemoteProtocolError,
    client_exceptions.ServerDisconnectedError: httpx.RemoteProtocolError,
    client_exceptions.ClientResponseError: httpx.RemoteProtocolError,
    client_exceptions.ClientHttpProxyError: httpx.ProxyError,
    client_exceptions.ContentTypeError: httpx.RemoteProtocolError,
    client_exceptions.WSServerHandshakeError: httpx.RemoteProtocolError,
    client_exceptions.TooManyRedirects: httpx.RemoteProtocolError,
    client_exceptions.RedirectClientError: httpx.RemoteProtocolError,
    client_exceptions.InvalidUrlRedirectClientError: httpx.RemoteProtocolError,
    client_exceptions.NonHttpUrlRedirectClientError: httpx.RemoteProtocolError,
    client_exceptions.ClientPayloadError: httpx.RemoteProtocolError,
    http_exceptions.HttpProcessingError: httpx.RemoteProtocolError,
    http_exceptions.BadHttpMessage: httpx.RemoteProtocolError,
    http_exceptions.HttpBadRequest: httpx.RemoteProtocolError,
    http_exceptions.PayloadEncodingError: httpx.RemoteProtocolError,
    http_exceptions.ContentEncodingError: httpx.RemoteProtocolError,
    http_exceptions.TransferEncodingError: httpx.RemoteProtocolError,
    http_exceptions.ContentLengthError: httpx.RemoteProtocolError,
    http_exceptions.DecompressSizeError: httpx.RemoteProtocolError,
    http_exceptions.BadHttpMethod: httpx.RemoteProtocolError,
    http_exceptions.BadStatusLine: httpx.RemoteProtocolError,
    http_exceptions.LineTooLong: httpx.RemoteProtocolError,
    http_exceptions.InvalidHeader: httpx.RemoteProtocolError,
}
"""aiohttp's exceptions, and those of Python that it lets through, to httpx's."""

CAUGHT = (
    aiohttp.ClientError,
    asyncio.TimeoutError,
    http_exceptions.HttpProcessingError,
    OSError,
    ValueError,
    TypeError,
)
"""What the transport catches around aiohttp: the roots of every class in `ERRORS`."""


def mapped(error: BaseException, request: httpx.Request) -> httpx.TransportError:
    """Say `error` in httpx's terms, by the nearest class of its family in `ERRORS`."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefusedError):
        return EgressRefusedError(f"{request.url.host}: {error.os_error.args[0]}", request=request)
    kind = next((ERRORS[one] for one in type(error).__mro__ if one in ERRORS), httpx.ReadError)
    number = error.errno if isinstance(error, OSError) else None
    words = (type(error).__name__, errno.errorcode.get(number or 0, ""), "calling", request.url.host)
    return kind(" ".join(word for word in words if word), request=request)
