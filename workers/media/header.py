"""What a header says, and a view of bytes that cannot be read past its end."""

import struct
from dataclasses import dataclass
from typing import Any

from workers.media.limits import MediaFault


class Broken(MediaFault):
    """The bytes begin like their format and are not it. The message goes on after `image/png: `."""


@dataclass(slots=True)
class Header:
    """What was read of a sound, a video or an image. None: it has no such thing."""

    media_type: str
    width: int | None = None
    height: int | None = None
    frames: int = 1
    seconds: float | None = None
    sampling_rate: int | None = None
    channels: int | None = None
    picture: bool = False
    """There is something to see."""
    sound: bool = False
    """There is something to hear."""


def unpacked(form: str, data: bytes, at: int = 0) -> tuple[Any, ...]:
    """`struct.unpack_from` that raises `Broken` where the bytes end too early."""
    if at < 0:  # which would count from the end
        raise Broken("it ends within its header")
    try:
        return struct.unpack_from(form, data, at)
    except (struct.error, OverflowError):  # the latter where `at` has more than 63 bits
        raise Broken("it ends within its header") from None


def number(form: str, data: bytes, at: int = 0) -> int:
    """One whole number."""
    value: int = unpacked(form, data, at)[0]
    return value
