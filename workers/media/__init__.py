"""Looking at payloads: what bytes are, by their first ones, and whether what their header says is within the limits.

Nothing is decoded, nothing but the bytes is opened, and time and memory are bounded by their number.
"""

from collections.abc import Callable

from schemas.media import Kind
from workers.exchange import Media
from workers.media import avi, boxes, ebml, flac, frames, images, ogg, riff
from workers.media.header import Broken, Header
from workers.media.limits import MediaFault, MediaLimits, media_limits

__all__ = ["MediaFault", "MediaLimits", "media_limits", "probed"]

DEFAULTS = MediaLimits()


def probed(data: bytes, kind: Kind, limits: MediaLimits = DEFAULTS) -> Media:
    """What `data` is by its first bytes, whatever somebody declared it to be: an image, audio or video as asked for.

    A video with a sound track passes as `audio` too: who hears it reads that track. Pure; an honest file takes
    milliseconds, and one made of almost empty parts a third of a second at most. Raises `MediaFault`, which names
    types, sizes and limits.
    """
    if not data:
        raise MediaFault(f"the {kind} is empty")
    if len(data) > limits.max_bytes:
        raise MediaFault(f"the {kind} has {len(data)} bytes; {limits.max_bytes} are allowed")
    name, read = _reader(data, kind)
    try:
        header = read(data)
    except Broken as fault:
        raise MediaFault(f"{name}: {fault}") from None
    _of_kind(header, kind)
    _within(header, kind, limits)
    return Media(
        kind, data, header.media_type, header.width, header.height,
        None if header.seconds is None else max(1, round(header.seconds * 1000)),
        header.sampling_rate, header.channels,
    )  # fmt: skip


Reader = Callable[[bytes], Header]


def _riff(data: bytes) -> tuple[str, Reader] | None:
    return {
        b"WAVE": ("audio/wav", riff.wav), b"AVI ": ("video/x-msvideo", avi.avi), b"WEBP": ("image/webp", images.webp),
    }.get(data[8:12])  # fmt: skip


_FIRST_BYTES: tuple[tuple[bytes, str, Reader], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", images.png),
    (b"\xff\xd8\xff", "image/jpeg", images.jpeg),
    (b"GIF87a", "image/gif", images.gif),
    (b"GIF89a", "image/gif", images.gif),
    (b"BM", "image/bmp", images.bmp),
    (b"II*\0", "image/tiff", images.tiff),
    (b"MM\0*", "image/tiff", images.tiff),
    (b"II+\0\x08\0\0\0", "image/tiff", images.tiff),
    (b"MM\0+\0\x08\0\0", "image/tiff", images.tiff),
    (b"fLaC", "audio/flac", flac.flac),
    (b"OggS", "audio/ogg", ogg.ogg),
    (b"ID3", "audio/mpeg", frames.mpeg),
    (b"#!AMR", "audio/amr", frames.amr),
    (b"\x1a\x45\xdf\xa3", "video/webm", ebml.webm),
)
READ = {
    "image": "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF",
    "audio": "WAV, AIFF, FLAC, MP3, AAC, Ogg, AMR, M4A, WebM",
    "video": "MP4, MOV, WebM, Matroska, AVI",
}
"""What is read, by kind."""


def _reader(data: bytes, kind: Kind) -> tuple[str, Reader]:
    """Whose first bytes these are. Raises `MediaFault`."""
    if data[:4] in (b"RIFF", b"RIFX", b"RF64") and (found := _riff(data)):
        return found
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff", riff.aiff
    if data[4:8] in boxes.FIRST:
        return _in_boxes(data, kind)
    for first, name, read in _FIRST_BYTES:
        if data.startswith(first):
            return name, read
    if frames.mpeg_frame(int.from_bytes(data[:4], "big")):
        return "audio/mpeg", frames.mpeg
    if frames.adts_frame(int.from_bytes(data[:7], "big")):
        return "audio/aac", frames.mpeg
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise MediaFault(f"the {kind} begins like SVG, XML or HTML; read are {READ[kind]}")
    raise MediaFault(f"the {len(data)} bytes begin like no {kind} that is read here: {READ[kind]}")


def _in_boxes(data: bytes, kind: Kind) -> tuple[str, Reader]:
    """MP4 and its kin, of which some are images: the brands say so (ISO/IEC 23008-12)."""
    size = int.from_bytes(data[:4], "big")
    brands = (
        {data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))} if data[4:8] == b"ftyp" else set()
    )
    if brands & {b"avif", b"avis"}:
        return "image/avif", images.avif
    if brands & {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}:
        raise MediaFault(f"image/heic is not read; read are {READ[kind]}")
    return "video/mp4", boxes.mp4


def _of_kind(header: Header, kind: Kind) -> None:
    family = header.media_type.partition("/")[0]
    if (kind == "image") != (family == "image") or (kind == "video" and not header.picture):
        raise MediaFault(f"expected {kind}, and the bytes are {header.media_type}")
    if kind == "audio" and not header.sound:
        raise MediaFault(f"expected audio, and the bytes are {header.media_type} without sound")


def _within(header: Header, kind: Kind, limits: MediaLimits) -> None:
    if header.picture:
        width, height = header.width or 0, header.height or 0
        if width < 1 or height < 1:
            raise MediaFault(f"{header.media_type}: its size is {width} x {height} pixels")
        if width * height > limits.max_pixels:
            raise MediaFault(f"{header.media_type}: {width} x {height} pixels; {limits.max_pixels} are allowed")
        if header.frames > limits.max_frames:
            raise MediaFault(f"{header.media_type}: {header.frames} frames; {limits.max_frames} are allowed")
    if kind != "image":
        longest = limits.max_audio_s if kind == "audio" else limits.max_video_s
        if not header.seconds or header.seconds <= 0:
            raise MediaFault(f"{header.media_type}: it has no length")
        if header.seconds > longest:
            raise MediaFault(f"{header.media_type}: {header.seconds:.0f} s long; {longest:.0f} are allowed")
    if header.sound:
        channels, rate = header.channels or 0, header.sampling_rate or 0
        if not 1 <= channels <= limits.max_channels:
            raise MediaFault(f"{header.media_type}: {channels} channels; 1 to {limits.max_channels} are allowed")
        if not 1 <= rate <= limits.max_sampling_rate:
            raise MediaFault(f"{header.media_type}: {rate} Hz; 1 to {limits.max_sampling_rate} are allowed")
