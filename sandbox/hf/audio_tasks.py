"""The tasks that listen or speak: how each runs on its engine. Blocking; run on the seat's thread."""

import base64
from typing import Any

from sandbox.hf import espeak, omnivad, sound, wire
from sandbox.hf.catalogue import Model
from sandbox.hf.engines import Engines
from sandbox.hf.exchange import Product, preferred

MAX_CHARACTERS = 5_000
"""Of a text to be spoken: some six minutes."""

MAX_BEAMS = 5
MAX_NEW_TOKENS = 224
"""Of 30 seconds of sound: half of Whisper's window of text."""

VOICE_MODEL = "novix-sandbox/omnivad-vad"
"""Tells speech from silence; the other model of that engine tells speech, singing and music apart."""


def automatic_speech_recognition(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """`{text}`, with `chunks` of `{text, timestamp: [from, to]}` in seconds if `return_timestamps` is set.

    Of the generation parameters `num_beams` and `max_new_tokens` are honoured; there is no chance in it otherwise.
    """
    given = body.get("parameters") or {}
    how = given.get("generation_parameters") or given.get("generate_kwargs") or {}
    wanted = how.get("max_new_tokens")
    if wanted is not None and wanted < 1:
        raise wire.invalid(f"`max_new_tokens` must be strictly positive. Given: {wanted}")
    heard = _heard(body)
    pieces = engines.whisper.transcribe(
        heard.samples,
        beams=min(MAX_BEAMS, max(1, how.get("num_beams") or MAX_BEAMS)),
        max_new_tokens=None if wanted is None else min(wanted, MAX_NEW_TOKENS),
    )
    told: dict[str, Any] = {"text": "".join(piece.text for piece in pieces)}
    if given.get("return_timestamps"):
        told["chunks"] = [{"text": piece.text, "timestamp": [piece.start, piece.end]} for piece in pieces]
    return Product(told, audio_s=heard.seconds)


def audio_classification(engines: Engines, model: Model, body: dict[str, Any]) -> Product:
    """`[{label, score}]`, best first: the share of the time in which each label is heard."""
    given = body.get("parameters") or {}
    if given.get("function_to_apply") is not None:
        raise wire.unsupported("function_to_apply", "parameters")
    heard = _heard(body)
    if model.id == VOICE_MODEL:
        found = {"speech": engines.omnivad.voice(heard.samples)}
    else:
        found = engines.omnivad.events(heard.samples)
    return Product(omnivad.shares(found, heard.seconds)[: top_k(given)], audio_s=heard.seconds)


def audio_to_audio(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """`[{label, blob, content-type}]`: the sound with its noise weakened, as base64 of FLAC."""
    heard = _heard(body)
    blob = base64.b64encode(sound.encoded(engines.wiener.enhance(heard), sound.FLAC)).decode("ascii")
    row = {"label": "enhanced", "blob": blob, "content-type": sound.FLAC}
    return Product([row], audio_s=heard.seconds)


def text_to_speech(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """FLAC, or WAV if the caller likes that better. `generation_parameters` say nothing to a synthesiser."""
    text = body["inputs"]
    if len(text) > MAX_CHARACTERS:
        raise wire.invalid(f"`inputs` must have at most {MAX_CHARACTERS} characters. Given: {len(text)}")
    try:
        spoken = engines.espeak.speak(text)
    except espeak.Failed:
        raise wire.engine_failed("espeak-ng") from None
    if not spoken.samples.any():
        raise wire.unreadable("inputs", "there is nothing in it to say")
    kind = preferred(body.get("accept"), (sound.FLAC, sound.WAV))
    return Product(sound.encoded(spoken, kind), kind, audio_s=spoken.seconds)


def top_k(given: dict[str, Any]) -> int | None:
    """How many labels are wanted; None for all. Raises 422 below one."""
    wanted: int | None = given.get("top_k")
    if wanted is not None and wanted < 1:
        raise wire.invalid(f"`parameters.top_k` must be at least 1. Given: {wanted}")
    return wanted


def _heard(body: dict[str, Any]) -> sound.Sound:
    try:
        return sound.decoded(body["inputs"])
    except sound.Unreadable:
        raise wire.unreadable("inputs", "Malformed soundfile") from None
    except sound.TooLong:
        raise wire.invalid(f"`inputs` must last at most {sound.MAX_S} seconds") from None
