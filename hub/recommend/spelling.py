"""Words of conditions with a slip of the pen, put right: "undr 1 gb", "comercail use". Pure.

The words of tasks, languages and fields forgive slips in `hub.discovery.phrases`; the grammar of conditions reads exact
words, so that they are put right before it. Nothing but the words of `hub/data/spelling.txt` is
ever put in place of another.
"""

import functools
import re
from importlib import resources

from hub.discovery.lexicon import lexicon
from hub.discovery.phrases import REAL_WORDS, near
from hub.recommend.leftover import STOP
from hub.recommend.names import AUTHORS, PROVIDER_NAMES


def _words(section: str) -> tuple[str, ...]:
    text = resources.files("hub").joinpath("data", "spelling.txt").read_text("utf-8")
    return tuple(text.partition(f"[{section}]\n")[2].partition("[")[0].split())


WORDS, THEMSELVES = _words("right"), _words("themselves")
SHORTEST, LONG, LONG_FROM = 6, 2, 11
_SHORT_ONES = frozenset({"under", "below"})
_WORD = re.compile(r"(?<![\w.@/-])[a-z]{4,}(?![\w@/-])")


def spelled(flat: str, places: list[int]) -> tuple[str, list[int]]:
    """A plain text with its words of conditions spelled right, and where each character stood; one more for the end."""
    text, kept, at = "", [], 0
    for found in _WORD.finditer(flat):
        right = _right(found[0])
        if right is None:
            continue
        start, end = found.span()
        text += flat[at:start] + right
        kept += places[at:start] + [places[start]] * (len(right) - 1) + [places[end - 1]]
        at = end
    return text + flat[at:], kept + places[at:]


@functools.lru_cache(maxsize=4_096)
def _right(word: str) -> str | None:
    """The one word that was meant; None: it is itself, or it may be several."""
    if word in _known() or any(word.startswith(stem) for stem in _stems().get(word[:3], ())):
        return None
    slips = LONG if len(word) >= LONG_FROM else 1
    near_by = [
        other
        for other in WORDS
        if other[0] == word[0] and (len(other) >= SHORTEST or other in _SHORT_ONES) and near(word, other, slips)
    ]
    closest = [other for other in near_by if near(word, other, 1)] or near_by
    return closest[0] if len({other.rstrip("s") for other in closest}) == 1 else None


@functools.cache
def _known() -> frozenset[str]:
    names = {part for name in (*AUTHORS, *PROVIDER_NAMES) for part in name.split()}
    return frozenset({*WORDS, *THEMSELVES, *REAL_WORDS, *STOP, *names, *(one for one in _lexicon() if one[-1] != "*")})


@functools.cache
def _stems() -> dict[str, tuple[str, ...]]:
    """Beginnings of words of the lexicon, by their first three letters; shorter ones begin too much."""
    found: dict[str, list[str]] = {}
    for word in _lexicon():
        if word.endswith("*") and len(word) > 4:
            found.setdefault(word[:3], []).append(word[:-1])
    return {head: tuple(stems) for head, stems in found.items()}


def _lexicon() -> set[str]:
    told = lexicon()
    sections = (told.nouns, told.tasks, told.domains, told.modalities, told.languages, told.libraries)
    return {
        word
        for section in sections
        for patterns in section.values()
        for pattern in patterns
        for word in re.findall(r"[^\s|=@]+", pattern)
    }
