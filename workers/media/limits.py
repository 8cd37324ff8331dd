"""What an image, a sound or a video may be, and the fault of one that is not."""

from runtime.settings import Settings
from schemas.values import frozen


class MediaFault(Exception):
    """Bytes that are not what a task needs. The message names types, sizes and limits, never content."""


@frozen
class MediaLimits:
    """Bounds that a header is held to before anybody decodes what follows it."""

    max_bytes: int = 33_554_432
    max_pixels: int = 50_000_000
    """Of an image (its first frame), or of one picture of a video."""
    max_frames: int = 1_000
    """Of an animated image."""
    max_audio_s: float = 3600.0
    max_video_s: float = 600.0
    max_channels: int = 8
    """Of a sound: 7.1 surround. Speech models mix down to one themselves."""
    max_sampling_rate: int = 384_000
    """Hertz."""


def media_limits(settings: Settings) -> MediaLimits:
    """The limits of these settings."""
    return MediaLimits(
        max_bytes=settings.max_payload_bytes,
        max_pixels=settings.max_image_pixels,
        max_audio_s=settings.max_audio_s,
        max_video_s=settings.max_video_s,
    )
