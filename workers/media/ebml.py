"""WebM and Matroska (RFC 8794, RFC 9559), also as they come from a browser's recorder: no length, no sizes."""

import struct
from dataclasses import dataclass, field

from workers.media.header import Broken, Header

MAX_ELEMENTS = 250_000
"""An hour of Opus has 180,000 blocks."""
_SEGMENT, _CLUSTER, _TRACK = 0x1853_8067, 0x1F43_B675, 0xAE
_OPENED = frozenset({0x1A45_DFA3, _SEGMENT, _CLUSTER, 0x1549_A966, 0x1654_AE6B, _TRACK, 0xE0, 0xE1, 0xA0})
"""Elements that are gone into: head, segment, cluster, info, tracks, track, video, audio, group of blocks."""
_DOC_TYPE, _SCALE, _DURATION, _TIME = 0x4282, 0x2AD7B1, 0x4489, 0xE7
_NUMBER, _TYPE, _CODEC, _EACH, _WIDTH, _HEIGHT, _HERTZ, _CHANNELS, _BITS = (
    0xD7, 0x83, 0x86, 0x23E383, 0xB0, 0xBA, 0xB5, 0x9F, 0x6264,
)  # fmt: skip
_BLOCKS = frozenset({0xA3, 0xA1})
_LASTS = 0x9B
_TOLD = frozenset({
    _DOC_TYPE, _SCALE, _DURATION, _TIME, _NUMBER, _TYPE, _CODEC, _EACH, _WIDTH, _HEIGHT, _HERTZ, _CHANNELS, _BITS,
    _LASTS, *_BLOCKS,
})  # fmt: skip
_PCM, _OPUS = 0, 1
"""Codecs that matter here: of the one, bytes say the length; the other knows but one rate."""
_CODECS = {b"A_PCM/": _PCM, b"A_OPUS": _OPUS}
_OPUS_HERTZ = 48_000
"""In which Opus is heard (RFC 7845, 5.1), whatever went in."""


@dataclass(slots=True)
class _Seen:
    """What has been read so far."""

    doc_type: bytes = b""
    scale: int = 1_000_000
    """Nanoseconds of a tick."""
    told: float = 0.0
    """Ticks, as the segment says."""
    cluster: int = 0
    first: int | None = None
    """Ticks at which the first block begins: not 0 where it was recorded of something that went on before."""
    last: int = 0
    """Ticks at which the last block begins."""
    before: int = 0
    """Ticks at which the last but one begins that is not of the same time."""
    lasts: int = 0
    """Ticks that the last block says it lasts."""
    number: int = 0
    """The track of the last block."""
    bytes: int = 0
    """Of the last block."""
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
    length = 9 - data[at].bit_length() if 0 <= at < len(data) else 9
    if length > (4 if keep else 8) or at + length > len(data):
        raise Broken("it is cut off, or its elements cannot be read")
    value = data[at] if length == 1 else int.from_bytes(data[at : at + length], "big")
    if keep:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value, at + length


def _read(seen: _Seen, name: int, data: bytes, at: int, size: int) -> None:
    if name in _BLOCKS:
        track, track_end = _vint(data, at)
        (offset,) = struct.unpack(">h", data[track_end : track_end + 2].rjust(2, b"\0"))
        begins = seen.cluster + offset
        seen.first = begins if seen.first is None else min(seen.first, begins)
        if begins >= seen.last:
            if begins > seen.last:
                seen.before = seen.last
            seen.last, seen.lasts, seen.number, seen.bytes = begins, 0, track or 0, size - 4
    elif name == _LASTS:
        seen.lasts = _whole(data, at, size)
    elif name == _DOC_TYPE:
        seen.doc_type = data[at : at + min(size, 32)].rstrip(b"\0")
    elif name == _SCALE:
        seen.scale = _whole(data, at, size)
    elif name == _DURATION:
        seen.told = _float(data, at, size)
    elif name == _TIME:
        seen.cluster = _whole(data, at, size)
    elif name == _CODEC:
        if seen.tracks:
            seen.tracks[-1][name] = _CODECS.get(data[at : at + min(size, 6)], -1)
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
    header, tick_s = Header(""), seen.scale / 1e9
    for track in seen.tracks:
        if track.get(_TYPE) == 1 and not header.picture:
            header.picture = True
            header.width, header.height = int(track.get(_WIDTH, 0)), int(track.get(_HEIGHT, 0))
        elif track.get(_TYPE) == 2 and not header.sound:
            header.sound = True
            header.sampling_rate, header.channels = int(track.get(_HERTZ, 8000)), int(track.get(_CHANNELS, 1))
            if track.get(_CODEC) == _OPUS:
                header.sampling_rate = _OPUS_HERTZ
    if not header.picture and not header.sound:
        raise Broken("it has no tracks")
    family = "video" if header.picture else "audio"
    header.media_type = f"{family}/{'webm' if seen.doc_type == b'webm' else 'x-matroska'}"
    begins = 0 if seen.told else seen.first or 0
    header.seconds = max(seen.told * tick_s, (seen.last - begins) * tick_s + _last_block_s(seen, tick_s))
    return header


def _last_block_s(seen: _Seen, tick_s: float) -> float:
    """Seconds that the last block lasts: by its bytes, or, where the segment tells no end behind it, as it or its track
    says, or as long as the one before."""
    track: dict[int, float] = next((one for one in seen.tracks if one.get(_NUMBER) == seen.number), {})
    if track.get(_CODEC) == _PCM:
        width = track.get(_BITS, 16) / 8 * track.get(_CHANNELS, 1) * track.get(_HERTZ, 8000)
        return seen.bytes / width if width >= 1 else 0.0
    if seen.told > seen.last:
        return 0.0
    return seen.lasts * tick_s or track.get(_EACH, 0) / 1e9 or (seen.last - max(seen.before, seen.first or 0)) * tick_s
