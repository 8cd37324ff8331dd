"""Words of other languages, read as English ones: what a text says is then read by one lexicon and one grammar. Pure.

The words stand in `hub/data/gloss.txt`, whose head says how they are written. Each character of the new text knows the
character of the old one that it stands for, so that evidence is told in the words that somebody wrote.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from importlib import resources

from hub.discovery.phrases import plain

_HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\ud7b0-\ud7ff"
"""Taken apart into its letters, as `plain` leaves it."""
_UNSPACED = re.compile(f"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff{_HANGUL}]")
"""Thai, kana, Han and Hangul: scripts in which a word is found wherever it stands."""
_ARABIC = re.compile("[\u0620-\u06ff]")
_PREFIXES = ("وال", "بال", "ال", "لل", "و", "ف", "ب", "ك", "ل")
"""Arabic writes "and", "in", "for" and "the" as one with the word that follows."""
_HIRAGANA = re.compile("[\u3041-\u309f]+")
"""What is left of it is particles and endings, which say nothing here."""
_PARTICLE = re.compile(f"[{_HANGUL}]{{1,8}}")
"""The same of Hangul, right behind a word that was read."""
_MYRIADS = re.compile(rf"(\d+(?:\.\d+)?)\s*(?:(亿|億|{plain('억')[0]})|万|萬|{plain('만')[0]})")
"""Chinese, Japanese and Korean count in ten thousands and in hundred millions."""
_STOPS = str.maketrans("。、؟،।「」『』・؛", '.,?,."""" ;')

Entry = tuple[re.Pattern[str], str]
Span = tuple[int, int, str]


@functools.cache
def _entries() -> Mapping[str, tuple[Entry, ...]]:
    """The words that come with Novix by their first letters, the longest first."""
    says = read(resources.files("hub").joinpath("data", "gloss.txt").read_text("utf-8"))
    found: dict[str, list[Entry]] = {}
    for word in sorted(says, key=lambda one: (-len(one.rstrip("*")), one)):
        entry = (re.compile(_expression(word)), says[word])
        prefixes = _PREFIXES if _ARABIC.match(word) else ()
        for letter in sorted({word[0], *(prefix[0] for prefix in prefixes)}):
            found.setdefault(letter, []).append(entry)
    return {letter: tuple(entries) for letter, entries in found.items()}


def read(text: str) -> dict[str, str]:
    """The words of a gloss, and what they say in English. Raises ValueError for a text that is none."""
    says: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        told = line.partition("#")[0].strip()
        if not told:
            continue
        english, colon, others = told.partition(":")
        words = [" ".join(plain(one)[0].split()) for one in others.split(",")]
        if not colon or not all(words):
            raise ValueError(f"line {number}: {line[:80]!r} is not English words, a colon and words of other languages")
        for word in words:
            says.setdefault(word, english.strip())
    return says


def _expression(word: str) -> str:
    unspaced = _UNSPACED.match(word) is not None
    parts = [re.escape(part.rstrip("*")) + (r"\w*" if part.endswith("*") and not unspaced else "")
             for part in word.split(" ")]  # fmt: skip
    body = (r"\s*" if unspaced else r"[\s-]+").join(parts)
    prefix = f"(?:{'|'.join(_PREFIXES)})?" if _ARABIC.match(word) else ""
    return body if unspaced else rf"{prefix}{body}(?!\w)"


def glossed(flat: str, places: list[int]) -> tuple[str, list[int]]:
    """A plain text (`phrases.plain`) with words of other languages as English ones, and where each character of it
    stood in the text as it was given; one more for the end."""
    said = flat.translate(_STOPS)
    text, kept, at = "", [], 0
    for start, end, english in _found(said):
        text += said[at:start]
        kept += places[at:start]
        told = ("" if not text or text[-1].isspace() else " ") + english
        told += "" if not english or said[end : end + 1].isspace() else " "
        text += told
        kept += [places[start]] * (len(told) - len(english)) + [places[end - 1]] * len(english)
        at = end
    return text + said[at:], kept + places[at:]


def _found(said: str) -> Iterator[Span]:
    """What is read as something else, in order: where it begins and ends, and the English."""
    at, behind = 0, -1
    while at < len(said):
        one = _here(said, at, behind=behind == at)
        if one is None:
            at += 1
            continue
        yield one
        at = behind = one[1]


def _here(said: str, at: int, *, behind: bool) -> Span | None:
    letter = said[at]
    if letter.isdigit():
        counted = _MYRIADS.match(said, at) if not (at and (said[at - 1].isdigit() or said[at - 1] in ".,")) else None
        if counted is not None:
            value = float(counted[1])
            return at, counted.end(), f"{value / 10:g}b" if counted[2] else f"{value * 10:g}k"
        return None
    if _UNSPACED.match(letter) or not at or not (said[at - 1].isalnum() or said[at - 1] in "'’_"):
        for pattern, english in _entries().get(letter, ()):
            found = pattern.match(said, at)
            if found is not None:
                return at, found.end(), english
    dropped = _HIRAGANA.match(said, at) or (_PARTICLE.match(said, at) if behind else None)
    return None if dropped is None else (at, at + 1, "")
