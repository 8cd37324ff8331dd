"""A picture and a sound, as files that a person has."""

import hashlib
import io
import os
import wave

from PIL import Image


def png(width=20, height=10, noise=False):
    image = Image.frombytes(
        "RGB", (width, height), os.urandom(width * height * 3) if noise else b"\x07" * width * height * 3
    )
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def wav(seconds=2, rate=8000):
    sink = io.BytesIO()
    with wave.open(sink, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\1" * rate * seconds)
    return sink.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()
