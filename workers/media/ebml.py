"""WebM and Matroska (RFC 8794, RFC 9559), also as they come from a browser's recorder: no length, no sizes."""

import struct
from dataclasses import dataclass, field

from workers.media.header import Broken, Header, number

MAX_ELEMENTS = 400_000
_SEGMENT, _CLUSTER, _TRACK = 0x1853_8067, 0x1F43_B675, 0xAE
_OPENED = frozenset({0x1A45_DFA3, _SEGMENT, _CLUSTER, 0x1549_A966, 0x1654_AE6B, _TRACK, 0xE0, 0xE1, 0xA0})
"""Elements that are gone into: head, segment, cluster, info, tracks, track, video, audio, group of blocks."""
_DOC_TYPE, _SCALE, _DURATION, _TIME = 0x4282, 0x2AD7B1, 0x4489, 0xE7
_TYPE, _WIDTH, _HEIGHT, _HERTZ, _CHANNELS = 0x83, 0xB0, 0xBA, 0xB5, 0x9F
_BLOCKS = frozenset({0xA3, 0xA1})
_TOLD = frozenset({_DOC_TYPE, _SCALE, _DURATION, _TIME, _TYPE, _WIDTH, _HEIGHT, _HERTZ, _CHANNELS, *_BLOCKS})


@dataclass(slots=True)
class _Seen:
    """What has been read so far."""

    doc_type: bytes = b""
    scale: int = 1_000_000
    """Nanoseconds of a tick."""
    told: float = 0.0
    """Ticks, as the segment says."""
    cluster: int = 0
    last: int = 0
    """Ticks at which the last block begins."""
    tracks: list[dict[int, float]] = field(default_factory=list)


def webm(data: bytes) -> Header:
    """The first picture and the first sound in it, and how far its blocks go."""
    seen = _Seen()
    at, end = 0, len(data)
    for _ in range(MAX_ELEMENTS):
        if at >= end:
            break
        name, at = _vint(data, at, keep=True)
        size, at = _vint(data, at)
        if name in _OPENED:
            if name == _TRACK:
                seen.tracks.append({})
            continue  # unknown sizes are theirs alone: what follows says where they end
        if size is None or at + size > end:
            raise Broken(f"it is cut off, or broken: {end - at} bytes are left for an element")
        if name in _TOLD:
            _read(seen, name, data, at, size)
        at += size
    else:
        raise Broken(f"it has more than {MAX_ELEMENTS} elements")
    return _header(seen)


def _vint(data: bytes, at: int, *, keep: bool = False) -> tuple[int | None, int]:
    """A number of variable length and where it ends; with its mark for an id. None: an unknown size."""
    first = number("B", data, at)
    length = 9 - first.bit_length()
    if length > (4 if keep else 8) or at + length > len(data):
        raise Broken("it is cut off, or its elements cannot be read")
    value = int.from_bytes(data[at : at + length], "big")
    if keep:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value, at + length


def _read(seen: _Seen, name: int, data: bytes, at: int, size: int) -> None:
    if name in _BLOCKS:
        _, track_end = _vint(data, at)
        (offset,) = struct.unpack(">h", data[track_end : track_end + 2].rjust(2, b"\0"))
        seen.last = max(seen.last, seen.cluster + offset)
    elif name == _DOC_TYPE:
        seen.doc_type = data[at : at + min(size, 32)].rstrip(b"\0")
    elif name == _SCALE:
        seen.scale = _whole(data, at, size)
    elif name == _DURATION:
        seen.told = _float(data, at, size)
    elif name == _TIME:
        seen.cluster = _whole(data, at, size)
    elif seen.tracks:
        seen.tracks[-1][name] = _float(data, at, size) if name == _HERTZ else _whole(data, at, size)


def _whole(data: bytes, at: int, size: int) -> int:
    if size > 8:
        raise Broken(f"a number of {size} bytes")
    return int.from_bytes(data[at : at + size], "big")


def _float(data: bytes, at: int, size: int) -> float:
    if size not in (0, 4, 8):
        raise Broken(f"a number of {size} bytes")
    value = 0.0 if not size else float(struct.unpack_from(">f" if size == 4 else ">d", data, at)[0])
    if not 0 <= value < 1e15:
        raise Broken("a length or a rate is no positive number")
    return value


def _header(seen: _Seen) -> Header:
    if seen.doc_type not in (b"webm", b"matroska"):
        raise Broken("it is neither WebM nor Matroska")
    header = Header("")
    for track in seen.tracks:
        if track.get(_TYPE) == 1 and not header.picture:
            header.picture = True
            header.width, header.height = int(track.get(_WIDTH, 0)), int(track.get(_HEIGHT, 0))
        elif track.get(_TYPE) == 2 and not header.sound:
            header.sound = True
            header.sampling_rate, header.channels = int(track.get(_HERTZ, 8000)), int(track.get(_CHANNELS, 1))
    if not header.picture and not header.sound:
        raise Broken("it has no tracks")
    family = "video" if header.picture else "audio"
    header.media_type = f"{family}/{'webm' if seen.doc_type == b'webm' else 'x-matroska'}"
    header.seconds = max(seen.told, seen.last) * seen.scale / 1e9
    return header
