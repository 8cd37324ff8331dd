"""MP4, M4A, MOV and 3GP: boxes in boxes (ISO/IEC 14496-12). How long it is, its tables of samples say.

What a movie's header says counts only if it says more than its tables: a file that claims less than it holds would be
paid for by us.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.media.header import Broken, Header, number

MAX_BOXES = 200_000
MAX_SKIPPED_S = 0.3
"""Of a sound's beginning, as an edit list says; AAC of 8 kHz has 0.26."""
LEAST_PACKET_S = 480 / 96_000
"""Of MPEG-4 audio: the fewest samples that one has (AAC-LD), at the highest rate."""
_UNKNOWN = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
_TYPES = {b"qt  ": "video/quicktime", b"3g": "video/3gpp"}
FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""What such a file may begin with, at its fifth byte."""
Span = tuple[int, int]


@dataclass(slots=True)
class _Track:
    number: int = 0
    handler: bytes = b""
    scale: int = 0
    told: int = 0
    """Ticks, as its header says."""
    counted: int = 0
    """Ticks of its samples."""
    usual: int = 0
    """Ticks of a sample that says nothing (fragments)."""
    samples: int = 0
    """How many there are, by the tables that a player reads."""
    skipped: int = 0
    """Ticks at its beginning that are not played: what the encoder of a sound needs to get going."""
    entry: Span = (0, 0)
    """Its first sample description."""


class Boxes:
    """Walks the boxes of one file, `MAX_BOXES` in all."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = MAX_BOXES

    def of(self, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Name, start and end of the content of each box between `at` and `end`."""
        while at + 8 <= end:
            self._left -= 1
            if self._left < 0:
                raise Broken(f"it has more than {MAX_BOXES} boxes")
            size, name, start = number(">I", self.data, at), self.data[at + 4 : at + 8], at + 8
            if size == 1:
                size, start = number(">Q", self.data, at + 8), at + 16
            last = end if size == 0 else at + size
            if last > end or last < start:
                raise Broken(
                    f"a box of {size} bytes does not fit into the {end - at} that there are: cut off or broken"
                )
            yield name, start, last
            at = last

    def first(self, name: bytes, within: Span | None) -> Span | None:
        """The first box of that name in another one."""
        if within is None:
            return None
        return next(((start, end) for found, start, end in self.of(*within) if found == name), None)

    def down(self, within: Span, *names: bytes) -> Span | None:
        """The box that one comes to by these names, each in the one before."""
        found: Span | None = within
        for name in names:
            found = self.first(name, found)
        return found


def mp4(data: bytes) -> Header:
    """A movie, or a sound alone."""
    boxes = Boxes(data)
    tracks: list[_Track] = []
    seconds = 0.0
    for name, start, end in boxes.of(0, len(data)):
        if name == b"moov":
            seconds = max(seconds, _movie(boxes, (start, end), tracks))
        elif name == b"moof":
            _fragment(boxes, (start, end), tracks)
    if not tracks:
        raise Broken("it has no tracks")
    header = Header(_media_type(data))
    for track in tracks:
        _described(boxes, track, header)
        if track.scale:
            skipped = min(track.skipped, int(MAX_SKIPPED_S * track.scale)) if track.handler == b"soun" else 0
            lasts = max(track.told, track.counted) / track.scale
            if data[track.entry[0] + 4 : track.entry[0] + 8] == b"mp4a" and lasts < track.samples * LEAST_PACKET_S:
                raise Broken(f"its tables say {lasts:.3f} s for {track.samples} packets of sound")
            seconds = max(seconds, lasts - skipped / track.scale)
    if not header.picture:
        header.media_type = "audio/mp4"
    header.seconds = seconds
    return header


def _media_type(data: bytes) -> str:
    brand = data[8:12] if data[4:8] == b"ftyp" else b"qt  "
    return _TYPES.get(brand) or _TYPES.get(brand[:2]) or "video/mp4"


def _movie(boxes: Boxes, moov: Span, tracks: list[_Track]) -> float:
    """Adds the tracks; the seconds that the movie's header says."""
    data, seconds = boxes.data, 0.0
    for name, start, end in boxes.of(*moov):
        if name == b"mvhd":
            scale, told = _scale_and_length(data, start)
            seconds = told / scale if scale else 0.0
        elif name == b"trak":
            tracks.append(_track(boxes, (start, end)))
        elif name == b"mvex":
            for inner, at, _ in boxes.of(start, end):
                if inner == b"trex":
                    for track in _numbered(tracks, number(">I", data, at + 4)):
                        track.usual = number(">I", data, at + 12)
    return seconds


def _scale_and_length(data: bytes, at: int) -> tuple[int, int]:
    """Ticks a second, and ticks, of a movie's or a medium's header (8.2.2, 8.4.2)."""
    long = number("B", data, at) == 1
    scale = number(">I", data, at + (20 if long else 12))
    length = number(">Q", data, at + 24) if long else number(">I", data, at + 16)
    return scale, 0 if length in _UNKNOWN else length


def _track(boxes: Boxes, trak: Span) -> _Track:
    data, track = boxes.data, _Track()
    if head := boxes.first(b"tkhd", trak):
        track.number = number(">I", data, head[0] + (20 if number("B", data, head[0]) == 1 else 12))
    if head := boxes.down(trak, b"mdia", b"mdhd"):
        track.scale, track.told = _scale_and_length(data, head[0])
    if head := boxes.down(trak, b"mdia", b"hdlr"):
        track.handler = data[head[0] + 8 : head[0] + 12]
    if (head := boxes.down(trak, b"edts", b"elst")) and number(">I", data, head[0] + 4) == 1:
        long = number("B", data, head[0]) == 1
        track.skipped = max(0, number(">q" if long else ">i", data, head[0] + (16 if long else 12)))
    table = boxes.down(trak, b"mdia", b"minf", b"stbl")
    if head := boxes.first(b"stts", table):
        at, end = head
        count = number(">I", data, at + 4)
        if at + 8 + 8 * count > end:
            raise Broken(f"its table of times says {count} rows and has fewer")
        samples, longest = 0, 0
        for row in range(at + 8, at + 8 + 8 * min(count, MAX_BOXES), 8):
            times, each = number(">I", data, row), number(">I", data, row + 4)
            samples, track.counted, longest = samples + times, track.counted + times * each, max(longest, each)
        if sizes := boxes.first(b"stsz", table):  # by which a player goes, whatever the other table leaves out
            track.samples = number(">I", data, sizes[0] + 8)
            track.counted += max(0, track.samples - samples) * longest
    if head := boxes.first(b"stsd", table):
        track.entry = (head[0] + 8, head[1])
    return track


def _numbered(tracks: list[_Track], wanted: int) -> list[_Track]:
    return [track for track in tracks if track.number == wanted]


def _fragment(boxes: Boxes, moof: Span, tracks: list[_Track]) -> None:
    """Adds the samples of one fragment (8.8.7, 8.8.8)."""
    data = boxes.data
    for name, start, end in boxes.of(*moof):
        head = boxes.first(b"tfhd", (start, end)) if name == b"traf" else None
        if head is None:
            continue
        flags = number(">I", data, head[0]) & 0xFF_FFFF
        for track in _numbered(tracks, number(">I", data, head[0] + 4))[:1]:
            at = head[0] + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
            usual = number(">I", data, at) if flags & 8 else track.usual
            for inner, begin, last in boxes.of(start, end):
                if inner == b"trun":
                    track.samples += number(">I", data, begin + 4)
                    track.counted += _run(data, begin, last, usual)


def _run(data: bytes, at: int, end: int, usual: int) -> int:
    """Ticks of one run of samples."""
    flags, count = number(">I", data, at) & 0xFF_FFFF, number(">I", data, at + 4)
    if not flags & 0x100:
        return count * usual
    width = 4 * sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
    first = at + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    if first + width * count > end or count > MAX_BOXES:
        raise Broken(f"a run says {count} samples and has fewer")
    return sum(number(">I", data, row) for row in range(first, first + width * count, width))


def _described(boxes: Boxes, track: _Track, header: Header) -> None:
    """What a track's first sample description says (8.5.2, 12.1.3, 12.2.3)."""
    at, end = track.entry
    if end - at < 36:
        return
    if track.handler == b"vide":
        width, height = number(">H", boxes.data, at + 32), number(">H", boxes.data, at + 34)
        if not header.picture or width * height > (header.width or 0) * (header.height or 0):
            header.width, header.height = width, height
        header.picture = True
    elif track.handler == b"soun" and not header.sound:
        header.sound = True
        header.channels = number(">H", boxes.data, at + 24)
        header.sampling_rate = number(">I", boxes.data, at + 32) >> 16 or track.scale
