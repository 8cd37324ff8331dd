"""AVI: videos in chunks. Its pieces are counted; what its headers say of lengths is not believed."""

import struct
from dataclasses import dataclass

from workers.media.header import Broken, Header, number, unpacked
from workers.media.riff import OPEN_ENDED, Format

MAX_CHUNKS = 150_000
"""Ten minutes at 60 pictures a second with their sound have half of them."""
_CHUNK = struct.Struct("<4sI")
_LISTS = (b"LIST", b"RIFF")


@dataclass(slots=True)
class _Stream:
    kind: bytes = b""
    unit_s: float = 0.0
    """Seconds of one unit: a picture, or a piece of sound."""
    unit_bytes: int = 0
    """Bytes of one unit; 0: each piece is one."""
    form: Format | None = None
    size: tuple[int, int] = (0, 0)
    pieces: int = 0
    bytes: int = 0

    def seconds(self) -> float:
        """How long what came of it lasts."""
        if self.kind != b"auds":
            return self.pieces * self.unit_s
        if self.form is not None and (told := self.form.seconds(self.bytes)) is not None:
            return told
        return (self.bytes / self.unit_bytes if self.unit_bytes else self.pieces) * self.unit_s


def avi(data: bytes) -> Header:
    """AVI, also of several parts (OpenDML), also as it comes from who cannot go back to its header."""
    streams: list[_Stream] = []
    told = number("<I", data, 4) + 8
    if len(data) < told < OPEN_ENDED:
        raise Broken(f"it is cut off: its header says {told} bytes, and there are {len(data)}")
    at, end = 0, len(data)
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            break
        name, size = _CHUNK.unpack_from(data, at)
        if name in _LISTS:  # gone into: of those of an unknown size, what follows says where they end
            at += 12
            continue
        if name == b"strh":
            streams.append(_begun(data, at + 8))
        elif name == b"strf" and streams:
            _described(streams[-1], data, at + 8, size)
        elif name[2:] in (b"dc", b"db", b"wb") and name[:2].isdigit() and int(name[:2]) < len(streams):
            if at + 8 + size > end:
                raise Broken(f"it is cut off: a piece of {size} bytes, and there are {end - at - 8}")
            stream = streams[int(name[:2])]
            stream.pieces, stream.bytes = stream.pieces + 1, stream.bytes + size
        at += 8 + size + (size & 1)
    else:
        raise Broken(f"it has more than {MAX_CHUNKS} chunks")
    return _header(streams)


def _begun(data: bytes, at: int) -> _Stream:
    scale, rate = unpacked("<II", data, at + 20)
    return _Stream(data[at : at + 4], scale / rate if rate else 0.0, number("<I", data, at + 44))


def _described(stream: _Stream, data: bytes, at: int, size: int) -> None:
    if stream.kind == b"auds":
        stream.form = Format.read(data, at, size)
    elif stream.kind == b"vids":
        width, height = unpacked("<ii", data, at + 4)
        stream.size = width, abs(height)  # upside down where it is negative


def _header(streams: list[_Stream]) -> Header:
    header = Header("video/x-msvideo", seconds=max((stream.seconds() for stream in streams), default=0.0))
    for stream in streams:
        if stream.kind == b"vids" and stream.size[0] * stream.size[1] > (header.width or 0) * (header.height or 0):
            header.width, header.height = stream.size
        header.picture |= stream.kind == b"vids"
        if stream.form is not None and not header.sound:
            header.sound, header.channels, header.sampling_rate = True, stream.form.channels, stream.form.rate
    return header
