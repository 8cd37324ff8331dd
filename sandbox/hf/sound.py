"""Sounds: bytes of any usual container become samples, samples become FLAC or WAV. Blocking; run on a seat's thread."""

from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 16_000
"""Samples a second that the listening models want."""

MAX_S = 300
"""Longest sound that is taken. Decoding stops there: a small file may hold hours."""

FLAC, WAV = "audio/flac", "audio/wav"

CONTAINERS = "wav,w64,flac,mp3,ogg,mov,mp4,m4a,matroska,webm,avi,aac,aiff,caf,amr,au"
"""What FFmpeg may take the bytes for. Playlists are not among them: they would make it read other addresses."""


class Unreadable(Exception):
    """The bytes are no sound that can be decoded, or one without a single sample."""


class TooLong(Exception):
    """The sound is longer than `MAX_S`."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel of samples in -1 to 1."""

    samples: Samples
    rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate


def decoded(data: bytes) -> Sound:
    """The sound in `data`, its channels mixed to one, at `RATE`.

    Raises `Unreadable` and `TooLong`.
    """
    import av

    try:
        with av.open(
            BytesIO(data), "r", options={"format_whitelist": CONTAINERS}, metadata_errors="ignore"
        ) as container:
            if not container.streams.audio:
                raise Unreadable
            frames = container.decode(container.streams.audio[0])
            samples = _mixed(frames, av.AudioResampler("flt", rate=RATE))
    except (av.error.FFmpegError, ValueError, OverflowError):
        raise Unreadable from None
    if not len(samples):
        raise Unreadable
    return Sound(samples, RATE)


def encoded(sound: Sound, media_type: str) -> bytes:
    """The sound as 16-bit FLAC or WAV."""
    import soundfile

    form = {FLAC: "FLAC", WAV: "WAV"}[media_type]
    out = BytesIO()
    soundfile.write(out, np.clip(sound.samples, -1, 1), sound.rate, format=form, subtype="PCM_16")
    return out.getvalue()


def _mixed(frames: Any, resampler: Any) -> Samples:
    """The mean of the channels: FFmpeg's own mix of two is louder than either, and would be cut off."""
    parts: list[Samples] = []
    left = MAX_S * RATE
    for frame in chain(frames, [None]):  # None: what is still inside
        for part in resampler.resample(frame):
            if part is not None:  # what comes of None where there was nothing to resample
                # Interleaved, not planar: PyAV 18.1 reads beyond its memory where eight channels are planes.
                parts.append(part.to_ndarray().reshape(-1, part.layout.nb_channels).mean(axis=1))
                left -= len(parts[-1])
        if left < 0:
            raise TooLong
    whole = np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
    return np.nan_to_num(whole.astype(np.float32, copy=False))
