"""Words of a text, and where a lexicon's patterns stand in it. Pure, deterministic, forgives small slips of the pen."""

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources

GAP = ".."
GAP_WORDS = 5
"""The most words that a `..` leaps over."""
SLIP_FROM = 5
"""Letters from which on a word may have one slip; below, too many real words are one letter apart."""
TWO_SLIPS_FROM = 10
SLIP_COST = 0.75
"""A word with a slip counts so much of one without."""
REAL_WORDS = frozenset(
    word
    for line in resources.files("hub").joinpath("data", "words.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for word in line.split()
)
"""Words that are themselves, though one letter makes another of them."""

_WORD = re.compile(r"[^\W_]+(?:['’](?:s|t|re|ve|ll|m|d)(?![^\W_]))?")


@dataclass(frozen=True, slots=True)
class Token:
    """One word: small letters, no accents."""

    word: str
    start: int
    """Where it begins in the text as it was given."""
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """One pattern of a name (a task's, say), found."""

    name: str
    weight: float
    first: int
    """Its first token."""
    last: int
    solid: tuple[int, ...]
    """Tokens that are its words, without those that it leapt over."""


@dataclass(frozen=True, slots=True)
class Element:
    """One place of a pattern."""

    words: tuple[str, ...]
    """That may stand there; one ending in `*` is a beginning. Empty: a gap."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern."""

    name: str
    elements: tuple[Element, ...]
    weight: float


def plain(text: str) -> tuple[str, list[int]]:
    """A text in small letters without accents, and for each of its characters where it stood; one more for the end."""
    chars: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for part in unicodedata.normalize("NFKD", char.casefold()):
            if not unicodedata.combining(part):
                chars.append(part)
                places.append(place)
    places.append(len(text))
    return "".join(chars), places


def tokens(text: str) -> tuple[Token, ...]:
    """The words of a text, in order. Hyphens and signs part words."""
    flat, places = plain(text)
    return tuple(
        Token(found[0].replace("’", "'"), places[found.start()], places[found.end() - 1] + 1)
        for found in _WORD.finditer(flat)
    )


def compiled(name: str, patterns: Iterable[str], nouns: dict[str, tuple[str, ...]]) -> tuple[Pattern, ...]:
    """The patterns of one name. Raises ValueError for one that cannot be, KeyError for a noun that is not."""
    made = []
    for written in patterns:
        body, _, weight = written.partition("=")
        elements = tuple(_element(part, nouns) for part in body.split())
        if not elements or not elements[0].words or not elements[-1].words:
            raise ValueError(f"{name}: {written!r} begins or ends with a gap, or is empty")
        made.append(Pattern(name, elements, float(weight) if weight else 1.0))
    return tuple(made)


def _element(part: str, nouns: dict[str, tuple[str, ...]]) -> Element:
    if part == GAP:
        return Element(())
    words: list[str] = []
    for option in part.split("|"):
        words += nouns[option[1:]] if option.startswith("@") else [plain(option)[0]]
    return Element(tuple(words))


class Finder:
    """Finds the patterns of many names in texts. Holds no state of texts; made once, used for all."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._patterns = tuple(patterns)
        words = {word for pattern in self._patterns for element in pattern.elements for word in element.words}
        self._exact = frozenset(word for word in words if not word.endswith("*"))
        self._stems = frozenset(word[:-1] for word in words if word.endswith("*"))
        self._longest = max((len(stem) for stem in self._stems), default=0)
        self._known = functools.lru_cache(maxsize=4_096)(self._readings)

    def find(self, text: tuple[Token, ...], *, slips: bool = True) -> list[Match]:
        """Every place of every pattern; where one fits in several ways, the shortest from each beginning."""
        readings = [self._known(token.word, slips) for token in text]
        begins: dict[str, list[int]] = {}
        for place, reading in enumerate(readings):
            for word in reading:
                begins.setdefault(word, []).append(place)
        found = []
        for pattern in self._patterns:
            places = {place for word in pattern.elements[0].words for place in begins.get(word, ())}
            for place in sorted(places):
                solid = _fit(pattern.elements, readings, place)
                if solid is not None:
                    sure = min(
                        max(readings[at].get(word, 0.0) for word in pattern.elements[number].words)
                        for number, at in _paired(pattern.elements, solid)
                    )
                    found.append(Match(pattern.name, pattern.weight * sure, solid[0], solid[-1], solid))
        return found

    def _readings(self, word: str, slips: bool) -> dict[str, float]:
        """The lexicon's words that a word may be, and how sure that is."""
        found = {word: 1.0} if word in self._exact else {}
        for length in range(1, min(len(word), self._longest) + 1):
            if word[:length] in self._stems:
                found[word[:length] + "*"] = 1.0
        if found or not slips or len(word) < SLIP_FROM or word in REAL_WORDS or not word.isalpha():
            return found
        allowed = 2 if len(word) >= TWO_SLIPS_FROM else 1
        for other in self._exact:
            if other[:1] == word[:1] and len(other) >= SLIP_FROM and near(word, other, allowed):
                found[other] = SLIP_COST
        for stem in self._stems:
            if stem[:1] == word[:1] and len(stem) >= SLIP_FROM + 1 and _begins_nearly(word, stem, allowed):
                found[stem + "*"] = SLIP_COST
        return found


def _paired(elements: tuple[Element, ...], solid: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    numbers = [number for number, element in enumerate(elements) if element.words]
    return zip(numbers, solid, strict=True)


def _fit(elements: tuple[Element, ...], readings: list[dict[str, float]], place: int) -> tuple[int, ...] | None:
    """The tokens that are a pattern's words, the first of them at `place`; None: it does not fit."""
    if place >= len(readings) or not any(word in readings[place] for word in elements[0].words):
        return None
    if len(elements) == 1:
        return (place,)
    leaps = GAP_WORDS if not elements[1].words else 0
    rest = elements[2:] if leaps else elements[1:]
    for leap in range(leaps + 1):
        further = _fit(rest, readings, place + 1 + leap)
        if further is not None:
            return (place, *further)
    return None


def _begins_nearly(word: str, stem: str, allowed: int) -> bool:
    """Whether some beginning of `word` is `stem` with a slip."""
    if allowed > 1 and len(stem) < TWO_SLIPS_FROM - 2:
        allowed = 1
    return any(
        near(word[:length], stem, allowed)
        for length in range(len(stem) - allowed, min(len(word), len(stem) + allowed) + 1)
        if length > 0
    )


def near(left: str, right: str, allowed: int) -> bool:
    """Whether `allowed` slips make one word of the other: a letter too many, one too few, a wrong one, or two
    neighbours swapped.

    The optimal string alignment distance (Damerau, "A technique for computer detection and correction of spelling
    errors", 1964).
    """
    if abs(len(left) - len(right)) > allowed:
        return False
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            row.append(best)
        if min(row) > allowed:
            return False
    return row[-1] <= allowed
