"""Images: bytes of any usual format become one RGB picture; a picture becomes JPEG or PNG. Blocking."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]
"""Height x width x 3: red, green, blue."""

MAX_PIXELS = 25_000_000
"""Looked at in the header, before anything is decoded."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
JPEG, PNG = "image/jpeg", "image/png"


class Unreadable(Exception):
    """The bytes are no image that can be decoded."""


class TooLarge(Exception):
    """The image has more pixels than `MAX_PIXELS`."""

    def __init__(self, pixels: int) -> None:
        super().__init__(f"image has {pixels} pixels")
        self.pixels = pixels


def decoded(data: bytes) -> Image.Image:
    """The first frame in RGB, turned as its EXIF data says, what is transparent on white.

    Raises `Unreadable` and `TooLarge`.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise TooLarge(image.width * image.height)
            image.load()
            return _rgb(ImageOps.exif_transpose(image))
    except TooLarge:
        raise
    except Exception:  # Pillow's decoders raise whatever their format's bytes lead to
        raise Unreadable from None


def encoded(pixels: Pixels, media_type: str) -> bytes:
    """The picture as JPEG or PNG."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, format={JPEG: "JPEG", PNG: "PNG"}[media_type])
    return out.getvalue()


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would cut them off at 255
        depth = np.asarray(image, dtype=np.float64)
        low, high = float(depth.min()), float(depth.max())
        top = 65535.0 if image.mode.startswith("I") and low >= 0 and high > 255 else max(high, 255.0)
        return Image.fromarray(np.uint8(np.clip(depth / top * 255, 0, 255))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
