"""Content encodings, undone with a ceiling: a body of any size ends at the limit, not in our memory.

We ask for `identity`; some servers compress all the same. gzip and deflate are read with zlib, whose output
can be bounded exactly. br and zstd are refused by name: the decoders at hand give a chunk's whole output at
once, and a few bytes of either can stand for megabytes.
"""

import zlib
from collections.abc import Iterator

PIECE_BYTES = 65_536
"""The most that one step of the decoder puts into memory."""

_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15
_READABLE: dict[str, int | None] = {
    "": None,
    "identity": None,
    "gzip": _GZIP_WBITS,
    "x-gzip": _GZIP_WBITS,
    "deflate": _ZLIB_WBITS,
}


class TooLargeError(Exception):
    """More bytes came than the limit allows."""


class UnknownEncodingError(Exception):
    """The content encoding is none that we read; its text is a server's and is not repeated."""


class BrokenEncodingError(Exception):
    """The bytes are not what the content encoding says."""


class BodyDecoder:
    """Counts the bytes of one body, as sent and as decoded, and undoes its `Content-Encoding`. No I/O.

    Neither count ever exceeds `max_bytes`; what is given out at once never exceeds `PIECE_BYTES` when decoding.
    """

    def __init__(self, encoding: str, *, max_bytes: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in _READABLE:
            raise UnknownEncodingError
        self._wbits = _READABLE[encoding]
        self._max = max_bytes
        self._received = 0
        self._given = 0
        self._start = b""
        self._inflate: zlib._Decompress | None = None

    @property
    def changes_bytes(self) -> bool:
        """Whether the body is encoded, so that its length and encoding headers do not describe what we give."""
        return self._wbits is not None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Give what `chunk` decodes to. Raises `TooLargeError`, `BrokenEncodingError`."""
        self._received += len(chunk)
        if self._received > self._max:
            raise TooLargeError
        return iter((chunk,)) if self._wbits is None else self._decoded(chunk, self._wbits)

    def end(self) -> None:
        """The body has ended. Raises `BrokenEncodingError` if its encoding has not."""
        if self._start or (self._inflate is not None and not self._inflate.eof):
            raise BrokenEncodingError

    def _decoded(self, chunk: bytes, wbits: int) -> Iterator[bytes]:
        data = self._start + chunk
        self._start = b""
        while data:
            if self._inflate is None or self._inflate.eof:
                if len(data) < 2:
                    self._start = data  # a deflate body shows by its first two bytes whether it has a header
                    return
                self._inflate = zlib.decompressobj(_wbits_of(data, wbits))
            yield from self._inflated(self._inflate, data)
            # A gzip body may be several members one after another (RFC 1952 2.2).
            data = self._inflate.unused_data

    def _inflated(self, inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        """Everything that `data` gives up to the end of its member, in pieces, and what zlib still holds."""
        while True:
            room = min(PIECE_BYTES, self._max - self._given + 1)
            try:
                piece = inflate.decompress(data, room)
            except zlib.error:
                raise BrokenEncodingError from None
            self._given += len(piece)
            if self._given > self._max:
                raise TooLargeError
            if piece:
                yield piece
            data = inflate.unconsumed_tail
            if inflate.eof or (not data and len(piece) < room):
                return


def _wbits_of(start: bytes, wbits: int) -> int:
    """`deflate` is zlib's format (RFC 9110 8.4.1.2); some servers leave out its header (RFC 1950 2.2)."""
    has_header = start[0] & 0x0F == 8 and (start[0] << 8 | start[1]) % 31 == 0
    return _RAW_WBITS if wbits == _ZLIB_WBITS and not has_header else wbits
