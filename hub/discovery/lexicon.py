"""What people call the things that models do: the words of tasks, languages, fields of work and libraries, as data.

The patterns stand in `hub/data/lexicon.txt`, whose head says how they are written; `hub.discovery.phrases` finds them
in a text. A synonym is one word there.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

FROM_TO: Mapping[tuple[str, str], str] = {
    ("text", "image"): "text-to-image",
    ("text", "video"): "text-to-video",
    ("text", "speech"): "text-to-speech",
    ("text", "audio"): "text-to-audio",
    ("prompt", "image"): "text-to-image",
    ("prompt", "video"): "text-to-video",
    ("prompt", "audio"): "text-to-audio",
    ("speech", "prompt"): "automatic-speech-recognition",
    ("image", "prompt"): "image-to-text",
    ("speech", "text"): "automatic-speech-recognition",
    ("audio", "text"): "automatic-speech-recognition",
    ("video", "text"): "automatic-speech-recognition",
    ("image", "text"): "image-to-text",
    ("document", "text"): "image-to-text",
    ("image", "video"): "image-to-video",
    ("image", "image"): "image-to-image",
    ("audio", "audio"): "audio-to-audio",
    ("speech", "speech"): "audio-to-audio",
}
"""What turns one thing into another, by the nouns: "from photos to short clips"."""

RELATED: Mapping[str, tuple[str, ...]] = {
    "chat-completion": ("text-generation",),
    "text-generation": ("chat-completion",),
    "feature-extraction": ("sentence-similarity",),
    "sentence-similarity": ("feature-extraction",),
    "zero-shot-classification": ("text-classification",),
    "zero-shot-image-classification": ("image-classification",),
    "zero-shot-object-detection": ("object-detection",),
    "image-text-to-image": ("image-to-image",),
    "image-text-to-video": ("image-to-video",),
    "document-question-answering": ("visual-question-answering",),
}
"""Tasks whose models often do this one too: candidates, at a lower score."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The sections of `lexicon.txt`."""

    nouns: Mapping[str, tuple[str, ...]]
    tasks: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, tuple[str, ...]]
    modalities: Mapping[str, tuple[str, ...]]
    languages: Mapping[str, tuple[str, ...]]
    """By BCP 47 code: its names in English, in itself, and some in German, French and Spanish."""
    libraries: Mapping[str, tuple[str, ...]]


@functools.cache
def lexicon() -> Lexicon:
    """The lexicon that comes with Novix. Raises ValueError for a file that is not written as its head says."""
    return read(resources.files("hub").joinpath("data", "lexicon.txt").read_text("utf-8"))


def read(text: str) -> Lexicon:
    """The sections of a lexicon. Raises ValueError."""
    kinds = ("noun", "task", "domain", "modality", "language", "library")
    found: dict[str, dict[str, tuple[str, ...]]] = {kind: {} for kind in kinds}
    kind, name = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        told = line.split("#", 1)[0].strip()
        if told.startswith("[") and told.endswith("]"):
            kind, _, name = told[1:-1].partition(" ")
            if kind not in found or name in found[kind] or (not name and kind != "language"):
                raise ValueError(f"line {number}: [{told[1:-1]}] is no new section; kinds are {', '.join(kinds)}")
            if name:
                found[kind][name] = ()
        elif told and kind == "language" and not name:
            code, _, names = told.partition(":")
            found[kind][code.strip()] = _items(names)
        elif told:
            if not kind:
                raise ValueError(f"line {number}: a pattern before the first section")
            found[kind][name] += _items(told)
    return Lexicon(*(found[kind] for kind in kinds))


def _items(line: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in line.split(",")) if item)
