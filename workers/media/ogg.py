"""Ogg (RFC 3533) with Vorbis, Opus (RFC 7845), FLAC or Speex: how long it is, its last page says."""

import struct

from workers.media.flac import stream_info
from workers.media.header import Broken, Header, number

MAX_PAGES = 300_000
_LONGEST_PAGE_S = 20
"""Of sound; 255 packets of Opus of 60 ms have 15."""
_PAGE = struct.Struct("<4sBBqIIIB")
_OPUS_HERTZ = 48_000
"""In which Opus counts, whatever went in."""


class _Stream:
    """One logical stream: how many of its ticks a second has, and those that its first two and its last page told."""

    __slots__ = ("channels", "first", "hertz", "last", "rate", "second", "skipped")

    def __init__(self, rate: int, channels: int, hertz: int, skipped: int = 0) -> None:
        self.rate, self.channels, self.hertz, self.skipped = rate, channels, hertz, skipped
        self.first = self.second = self.last = 0

    def ends(self, tick: int) -> None:
        """A page has come that ends at `tick`."""
        if tick > self.last:
            if not self.first:
                self.first = tick
            elif not self.second:
                self.second = tick
            self.last = tick

    @property
    def seconds(self) -> float:
        """From where it begins: at 0, or, in what was recorded of a station, a page before the end of the first one."""
        late = self.first > _LONGEST_PAGE_S * self.hertz
        begin = self.first - max(0, self.second - self.first) if late else self.skipped
        return max(0, self.last - begin) / self.hertz


def ogg(data: bytes) -> Header:
    """The sounds in it, one after another."""
    streams: dict[int, _Stream | None] = {}
    sounds: list[_Stream] = []
    at, end = 0, len(data)
    for _ in range(MAX_PAGES):
        if at >= end or not any(data[at : at + 64]):  # or nothing but padding
            break
        if at + 27 > end:
            raise Broken("it is cut off within a page")
        mark, _, flags, granule, serial, _, _, segments = _PAGE.unpack_from(data, at)
        body = at + 27 + segments
        at = body + sum(data[at + 27 : body])
        if mark != b"OggS" or at > end:
            raise Broken("it is cut off, or its pages do not follow one another")
        if flags & 2:
            stream = streams[serial] = _begun(data[body : min(at, body + 128)])
            if stream is not None:
                sounds.append(stream)
        elif serial not in streams:
            raise Broken("a page belongs to no stream that has begun")
        elif (stream := streams[serial]) is not None:
            stream.ends(granule)
    else:
        raise Broken(f"it has more than {MAX_PAGES} pages")
    if not sounds:
        raise Broken("it has no Vorbis, Opus, FLAC or Speex in it")
    seconds = sum(one.seconds for one in sounds)
    return Header(
        "audio/ogg", seconds=seconds, sampling_rate=sounds[0].rate, channels=sounds[0].channels, sound=True
    )  # fmt: skip


def _begun(packet: bytes) -> _Stream | None:
    """The stream that begins with this packet; None for one that is no sound."""
    if packet.startswith(b"\x01vorbis"):
        rate = number("<I", packet, 12)
        return _sound(rate, number("B", packet, 11), rate)
    if packet.startswith(b"OpusHead"):
        return _sound(_OPUS_HERTZ, number("B", packet, 9), _OPUS_HERTZ, number("<H", packet, 10))
    if packet.startswith(b"\x7fFLAC"):
        header, _, _ = stream_info(packet, 17)
        rate = header.sampling_rate or 0
        return _sound(rate, header.channels or 0, rate)
    if packet.startswith(b"Speex   "):
        rate = number("<I", packet, 36)
        return _sound(rate, number("<I", packet, 48), rate)
    return None


def _sound(rate: int, channels: int, hertz: int, skipped: int = 0) -> _Stream:
    if not hertz:
        raise Broken("its header says 0 Hz")
    return _Stream(rate, channels, hertz, skipped)
