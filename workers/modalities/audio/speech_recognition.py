"""automatic-speech-recognition: a sound, what is said in it."""

from collections.abc import Mapping
from typing import Any

from schemas.assignment import Candidate
from workers.exchange import Answer, Ask, Reply, text_bytes, tokens_in
from workers.modalities import asking, made, reading


def ask(job_input: Mapping[str, Any], parameters: Mapping[str, Any], candidate: Candidate) -> Ask:
    """The input as it is."""
    sound = asking.payload(job_input.get("inputs"), "audio")
    given = asking.parameters_of(job_input)
    adapted = {**asking.one_output(given), **asking.generation(given)}
    return asking.asked("automatic-speech-recognition", sound, given, units=asking.of_sound(sound), adapted=adapted)


def answer(ask: Ask, reply: Reply) -> Answer:
    """`{text, chunks?}`; a silent sound has an empty text.

    Whisper does not tell the end of a last chunk that is cut off: it ends with the sound.
    """
    output = reading.given(reading.single(reply.document))
    text = reading.words(output.get("text"), "text")
    if "chunks" in output:
        chunks = output["chunks"]
        if not isinstance(chunks, list):
            raise reading.bad(f"chunks: is {reading.kind_of(chunks)}; a list is needed")
        lasts_s = (ask.body["inputs"].duration_ms or 0) / 1_000
        output["chunks"] = [_chunk(chunk, f"chunks.{at}", lasts_s) for at, chunk in enumerate(chunks)]
    return reading.answer_of(ask, reply, output, output_tokens=tokens_in(text_bytes(text)))


def _chunk(chunk: Any, place: str, lasts_s: float) -> dict[str, Any]:
    """One chunk; its two instants count in seconds from the sound's beginning."""
    told = reading.given(chunk)
    reading.words(told.get("text"), f"{place}.text")
    instants = told.get("timestamp")
    if not isinstance(instants, list) or len(instants) != 2:
        raise reading.bad(f"{place}.timestamp: is {reading.kind_of(instants)}; start and end are needed")
    start = reading.number(instants[0], f"{place}.timestamp.0")
    end = max(lasts_s, start) if instants[1] is None else reading.number(instants[1], f"{place}.timestamp.1")
    if not (0 <= start <= made.LIMITS.max_audio_s and 0 <= end <= made.LIMITS.max_audio_s):
        raise reading.bad(f"{place}.timestamp: lies before the sound's beginning, or a day after it")
    return {**told, "timestamp": [start, end]}
